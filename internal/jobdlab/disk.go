package jobdlab

import (
	"os"
	"path/filepath"

	"github.com/gaea-salt/terraform-provider-gaea/internal/smalldisk"
)

// diskDir is where a small disk is, seen by jobd.
func (c Config) diskDir() string { return filepath.Join(c.Dir, "disk") }

// spillDir is where what waits for the archive is.
func (c Config) spillDir() string {
	if c.SpillOnDisk {
		return c.diskDir()
	}
	return c.Dir
}

func (j *Jobd) disk() smalldisk.Disk {
	return smalldisk.Disk{MiB: j.cfg.DiskMiB, Dir: j.cfg.diskDir(), PID: j.PID}
}

// command is how jobd is started.
func (j *Jobd) command(args []string) ([]string, error) {
	argv := append([]string{j.cfg.Binary}, args...)
	if j.cfg.DiskMiB == 0 {
		return argv, nil
	}
	return j.disk().Command(argv, nil), os.MkdirAll(j.cfg.diskDir(), 0o700)
}

// inside is how another command of jobd's is started that is to see the small disk.
func (j *Jobd) inside(args []string) []string {
	argv := append([]string{j.cfg.Binary}, args...)
	if j.cfg.DiskMiB == 0 {
		return argv
	}
	return j.disk().Inside(argv)
}

// FillDisk leaves no byte free on the small disk.
func (j *Jobd) FillDisk() error { return j.disk().Fill() }

// FreeDisk gives what FillDisk took.
func (j *Jobd) FreeDisk() error { return j.disk().Free() }
