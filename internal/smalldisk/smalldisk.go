// Package smalldisk gives a process of a test a small disk of its own, which can be filled: a tmpfs in a mount namespace that goes with the
// process. It needs Linux, and root or a system that lets users make namespaces.
package smalldisk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Disk is a small disk that a process sees.
type Disk struct {
	MiB  int
	Dir  string // where it is mounted; must exist
	From string // a directory whose content is on the disk from the start; empty: nothing is

	PID func() int // of the process, once it runs
}

// mounted mounts the disk and becomes a program. Its words are the size, the directory, what is copied to it, and the program.
const mounted = `mount -t tmpfs -o size="$1"m,mode=755 tmpfs "$2" || { echo "this system lets nobody but root mount a disk; play this as root" >&2; exit 1; }
if [ -n "$3" ]; then cp -a "$3/." "$2" || exit 1; fi
shift 3 && exec "$@"`

// Command is how a program is started that is to see the disk. Where as is not nil the program runs as that user; root alone may do so.
func (d Disk) Command(argv []string, as *syscall.Credential) []string {
	out := []string{"unshare", "--mount"}
	if os.Geteuid() != 0 {
		out = append(out, "--user", "--map-root-user")
	}
	out = append(out, "sh", "-c", mounted, "sh", strconv.Itoa(d.MiB), d.Dir, d.From)
	switch {
	case as != nil:
		// Who becomes another user would outlive its parent, had it not said so again.
		out = append(out, "setpriv", "--reuid", strconv.Itoa(int(as.Uid)), "--regid", strconv.Itoa(int(as.Gid)), "--clear-groups", "--pdeathsig", "KILL")
	case os.Geteuid() != 0:
		// Some programs, PostgreSQL among them, do not run as what the namespace calls root.
		out = append(out, "unshare", "--user", "--map-user", strconv.Itoa(os.Getuid()), "--map-group", strconv.Itoa(os.Getgid()))
	}
	return append(out, argv...)
}

// Inside is how another program is started that is to see the disk.
func (d Disk) Inside(argv []string) []string {
	out := []string{"nsenter", "--target", strconv.Itoa(d.PID()), "--mount"}
	if os.Geteuid() != 0 {
		out = append(out, "--user", "--preserve-credentials")
	}
	return append(out, argv...)
}

// filler is what fills the disk, as this process sees it.
func (d Disk) filler() string {
	return filepath.Join("/proc", strconv.Itoa(d.PID()), "root", d.Dir, "filler")
}

// Fill leaves no byte free on the disk.
func (d Disk) Fill() error {
	if err := d.mounted(); err != nil {
		return err
	}
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	for size := 1 << 20; size > 0; size /= 2 {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			break
		}
		err = nil
	}
	return errors.Join(err, f.Close())
}

// mounted checks that the process has the disk: where it has not, to fill it would fill the disk of this machine.
func (d Disk) mounted() error {
	mounts, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.PID()), "mounts"))
	if err != nil {
		return err
	}
	if !strings.Contains(string(mounts), " "+d.Dir+" tmpfs ") {
		return fmt.Errorf("smalldisk: process %d has no disk of its own at %s", d.PID(), d.Dir)
	}
	return nil
}

// Free gives what Fill took.
func (d Disk) Free() error { return os.Remove(d.filler()) }
