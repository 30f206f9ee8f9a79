package pglab

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gaea-salt/terraform-provider-gaea/internal/smalldisk"
)

// StartOnDisk starts a server whose files, but for its write-ahead log, are on a disk of its own, of so many MiB, which FillDisk fills.
// The disk goes with the process: such a server is not halted. Linux only.
func StartOnDisk(ctx context.Context, mib int, settings ...string) (*Server, error) {
	s, err := newServer(settings)
	if err != nil {
		return nil, err
	}
	s.diskMiB = mib
	return s.startNew(ctx)
}

func (s *Server) disk() smalldisk.Disk {
	return smalldisk.Disk{MiB: s.diskMiB, Dir: filepath.Join(s.dir, "disk"), From: s.dataDir(), PID: func() int { return s.cmd.Process.Pid }}
}

// command is how the server's program is started, and with which attributes.
func (s *Server) command(argv []string) ([]string, *syscall.SysProcAttr, error) {
	if s.diskMiB == 0 {
		return argv, own(s.owner), nil
	}
	return s.disk().Command(argv, s.owner), own(nil), os.MkdirAll(s.disk().Dir, 0o755)
}

// FillDisk leaves no byte free on the server's disk.
func (s *Server) FillDisk() error { return s.disk().Fill() }

// FreeDisk gives what FillDisk took.
func (s *Server) FreeDisk() error { return s.disk().Free() }
