package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// databaseLock keeps a second jobd from serving the same SQLite file: two would carry out each run twice. Token commands use
// the file beside a jobd without it.
type databaseLock struct{ file *os.File }

// lockDatabase takes the lock of the database at path, which the kernel lets go of when this process ends, however it ends.
// The setting is what names the database.
func lockDatabase(path, setting string) (*databaseLock, error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the file %s cannot be written: jobd's user must own the database %s, the files beside it and their directory", name, path)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 20))
		_ = f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the file %s cannot be locked; keep the database on a local disk", name)
		}
		who := "another jobd"
		if pid, err := strconv.Atoi(strings.TrimSpace(string(holder))); err == nil {
			who += fmt.Sprintf(" (process %d)", pid)
		}
		return nil, gaea.Errorf(gaea.CodeUnavailable, "%s uses the database %s; stop it, or give this one a database of its own with %s", who, path, setting)
	}
	// The number is for people; the lock is what counts.
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return &databaseLock{file: f}, nil
}

// release lets go of the lock; nil is no lock. The file stays: to remove it would let two processes lock two files of one name.
func (l *databaseLock) release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
