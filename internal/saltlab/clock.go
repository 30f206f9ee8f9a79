package saltlab

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed clock/clock.c
var clockSource []byte

// SetClock sets the master's clock so far ahead of the machine's, or behind it where by is negative, while it runs: its job ids and the
// stamps of its events go with it, the times of its files do not. For the first time it starts the master again, because a program has
// a clock of its own from its start; a later start begins with what was set last. It takes a C compiler, and Linux.
func (l *Lab) SetClock(ctx context.Context, by time.Duration) error {
	file := l.layout.output("clock")
	if err := setClock(file, by); err != nil {
		return fmt.Errorf("saltlab: %w", err)
	}
	if l.HasClock() {
		return nil
	}
	library, err := l.buildClock(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.clock = map[string]string{"LD_PRELOAD": library, "GAEA_CLOCK": file}
	l.mu.Unlock()
	return l.RestartMaster(ctx)
}

// HasClock says whether the master has a clock of its own.
func (l *Lab) HasClock() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clock != nil
}

// ResetClock gives the master the machine's clock again, and starts it again.
func (l *Lab) ResetClock(ctx context.Context) error {
	l.mu.Lock()
	l.clock = nil
	l.mu.Unlock()
	return l.RestartMaster(ctx)
}

// setClock writes what a clock reads, in place: the processes of the master have the file in their memory.
func setClock(file string, by time.Duration) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(by/time.Second))), 0)
	return errors.Join(err, f.Close())
}

func (l *Lab) buildClock(ctx context.Context) (library string, err error) {
	source := l.layout.output("clock.c")
	library = filepath.Join(filepath.Dir(source), "clock.so")
	if err := os.WriteFile(source, clockSource, 0o600); err != nil {
		return "", fmt.Errorf("saltlab: %w", err)
	}
	out, err := exec.CommandContext(ctx, "cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl").CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("saltlab: there is no C compiler (cc), which a clock of its own takes: install gcc or clang")
	}
	if err != nil {
		return "", fmt.Errorf("saltlab: a clock for the master cannot be built: %w\n%s", err, out)
	}
	return library, nil
}
