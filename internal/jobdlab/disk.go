package jobdlab

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
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

// command is how jobd is started: with a disk of its own in a mount namespace of its own, which goes with the process and
// needs no root. Linux only.
func (j *Jobd) command(args []string) ([]string, error) {
	argv := append([]string{j.cfg.Binary}, args...)
	if j.cfg.DiskMiB == 0 {
		return argv, nil
	}
	if err := os.MkdirAll(j.cfg.diskDir(), 0o700); err != nil {
		return nil, err
	}
	own := []string{"unshare", "--mount"}
	if os.Geteuid() != 0 {
		own = append(own, "--user", "--map-root-user")
	}
	own = append(own, "sh", "-c", `mount -t tmpfs -o size="$1"m tmpfs "$2" && shift 2 && exec "$@"`, "sh", strconv.Itoa(j.cfg.DiskMiB), j.cfg.diskDir())
	return append(own, argv...), nil
}

// inside is how another command of jobd's is started that is to see the small disk.
func (j *Jobd) inside(args []string) []string {
	argv := append([]string{j.cfg.Binary}, args...)
	if j.cfg.DiskMiB == 0 {
		return argv
	}
	own := []string{"nsenter", "--target", strconv.Itoa(j.PID()), "--mount"}
	if os.Geteuid() != 0 {
		own = append(own, "--user", "--preserve-credentials")
	}
	return append(own, argv...)
}

// filler is what fills the small disk, as this process sees it.
func (j *Jobd) filler() string {
	return filepath.Join("/proc", strconv.Itoa(j.PID()), "root", j.cfg.diskDir(), "filler")
}

// FillDisk leaves no byte free on the small disk.
func (j *Jobd) FillDisk() error {
	f, err := os.OpenFile(j.filler(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
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

// FreeDisk gives what FillDisk took.
func (j *Jobd) FreeDisk() error { return os.Remove(j.filler()) }
