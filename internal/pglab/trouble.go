package pglab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Exec has the server carry out a statement as its superuser.
func (s *Server) Exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// Cut ends all connections of others, as a failover does.
func (s *Server) Cut(ctx context.Context) error {
	return s.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'`)
}

// RefuseWrites makes the server take no changes, as a standby does, or take them again.
func (s *Server) RefuseWrites(ctx context.Context, refuse bool) error {
	if err := s.Exec(ctx, fmt.Sprintf(`ALTER SYSTEM SET default_transaction_read_only = %t`, refuse)); err != nil {
		return err
	}
	return s.Exec(ctx, `SELECT pg_reload_conf()`)
}

// Freeze stops every process of the server where it is: it takes connections, and answers nothing. Thaw has them go on. Linux
// only.
func (s *Server) Freeze() error { return s.signal(syscall.SIGSTOP) }

// Thaw has a server go on that was frozen.
func (s *Server) Thaw() error { return s.signal(syscall.SIGCONT) }

// signal sends a signal to the server and its children: first to the server, so that it starts no more of them.
func (s *Server) signal(sig syscall.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil {
		return err
	}
	pids, err := children(s.cmd.Process.Pid)
	for _, pid := range pids {
		if killed := syscall.Kill(pid, sig); killed != nil && !errors.Is(killed, syscall.ESRCH) {
			err = errors.Join(err, killed)
		}
	}
	return err
}

// children are the processes that a process has started.
func children(parent int) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("there is no /proc: a server can be frozen on Linux only")
	}
	var pids []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PARENT …, where the name may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
