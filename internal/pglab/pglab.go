// Package pglab is a real PostgreSQL on loopback for tests: a server of its own with nothing in it, which a test package starts
// once and gives each test a new database of. It runs as an unprivileged user and leaves nothing behind.
package pglab

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	readyWithin = 30 * time.Second
	readyPause  = 50 * time.Millisecond
	startTries  = 3 // another program may take the port in between
	superuser   = "gaea"
)

// Server is a running PostgreSQL. Make it with [Start], and Stop it.
type Server struct {
	bin      string
	owner    *syscall.Credential // nil: this process's own user
	dir      string
	kept     bool // the files outlive the server
	password string
	settings []string // more of them, as NAME=VALUE
	diskMiB  int      // of a disk of its own; 0: none
	port     int
	cmd      *exec.Cmd
	exited   chan struct{}
	log      *bytes.Buffer // of the server; read when it has exited
	made     atomic.Int64  // databases
}

// Durable are the settings that PostgreSQL has by default where the lab's has others: for measurements.
func Durable() []string {
	return []string{"fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=128MB"}
}

// Start makes and starts a server, with more settings (NAME=VALUE) than the lab's own. The error says what to install where
// there is no PostgreSQL.
func Start(ctx context.Context, settings ...string) (*Server, error) {
	s, err := newServer(settings)
	if err != nil {
		return nil, err
	}
	return s.startNew(ctx)
}

// startNew starts the server with new files.
func (s *Server) startNew(ctx context.Context) (_ *Server, err error) {
	if s.dir, err = os.MkdirTemp("", "gaea-pg-"); err != nil {
		return nil, err
	}
	if err = s.initialize(ctx); err == nil {
		err = s.startSomewhere(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// Keep is Start with a directory that the server's files stay in when it stops: made here, or kept before, with the databases
// that it had.
func Keep(ctx context.Context, dir string, settings ...string) (*Server, error) {
	s, err := newServer(settings)
	if err != nil {
		return nil, err
	}
	s.dir, s.kept = dir, true
	before, err := os.ReadFile(s.passwords())
	switch {
	case err == nil:
		s.password = string(before)
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	default:
		if err = os.MkdirAll(dir, 0o700); err == nil {
			err = s.initialize(ctx)
		}
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	return s, s.startSomewhere(ctx)
}

func newServer(settings []string) (*Server, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	return &Server{bin: bin, owner: owner, password: rand.Text(), settings: settings}, nil
}

// startSomewhere starts the server on a port that is free.
func (s *Server) startSomewhere(ctx context.Context) (err error) {
	for range startTries {
		if s.port, err = freePort(ctx); err != nil {
			return err
		}
		if err = s.start(ctx); err == nil {
			return nil
		}
	}
	return err
}

// find returns the directory of initdb and postgres: of PATH, or where Debian and Homebrew keep them.
func find() (string, error) {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if _, err := exec.LookPath("postgres"); err == nil {
			return filepath.Dir(initdb), nil
		}
	}
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/opt/homebrew/opt/postgresql@*/bin/initdb", "/usr/local/opt/postgresql@*/bin/initdb"} {
		some, _ := filepath.Glob(pattern) // the pattern is right
		found = append(found, some...)
	}
	if len(found) == 0 {
		return "", errors.New("there is no PostgreSQL: neither PATH nor /usr/lib/postgresql has initdb and postgres; install them with tools/postgres.sh (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17)")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

// unprivileged is who runs the server, which refuses root: nil for this process's own user.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nobody else is a right answer
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody")
}

func (s *Server) passwords() string { return filepath.Join(s.dir, "password") }

// dataDir is where initdb makes the server's files.
func (s *Server) dataDir() string { return filepath.Join(s.dir, "data") }

// data is where the server has them.
func (s *Server) data() string {
	if s.diskMiB > 0 {
		return s.disk().Dir
	}
	return s.dataDir()
}

// initialize makes the server's files.
func (s *Server) initialize(ctx context.Context) error {
	passwords := s.passwords()
	if err := os.WriteFile(passwords, []byte(s.password), 0o600); err != nil {
		return err
	}
	if s.owner != nil {
		if err := errors.Join(os.Chown(s.dir, int(s.owner.Uid), int(s.owner.Gid)), os.Chown(passwords, int(s.owner.Uid), int(s.owner.Gid))); err != nil {
			return err
		}
	}
	args := []string{
		"--pgdata", s.dataDir(), "--username", superuser, "--pwfile", passwords, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions",
	}
	if s.diskMiB > 0 {
		args = append(args, "--waldir", filepath.Join(s.dir, "wal")) // not on that disk: a server that cannot write its log ends
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, own(s.owner)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// start starts the server and waits until it answers.
func (s *Server) start(ctx context.Context) error {
	s.log, s.exited = &bytes.Buffer{}, make(chan struct{})
	// What a test leaves is thrown away, so nothing is forced to the disk.
	argv := []string{
		filepath.Join(s.bin, "postgres"), "-D", s.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port),
		"-k", "", "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB", "-c", "max_connections=60",
	}
	for _, setting := range s.settings {
		argv = append(argv, "-c", setting)
	}
	argv, attributes, err := s.command(argv)
	if err != nil {
		return err
	}
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr, s.cmd.SysProcAttr = s.dir, s.log, s.log, attributes
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() { // ends with the server
		defer close(s.exited)
		_ = s.cmd.Wait()
	}()
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(readyPause)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return fmt.Errorf("postgres has ended:\n%s", s.log)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("postgres does not answer: %w", err), s.end(syscall.SIGQUIT))
		}
	}
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("%s has no port", l.Addr())
	}
	return addr.Port, nil
}

func (s *Server) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, s.password), Host: "127.0.0.1:" + strconv.Itoa(s.port), Path: "/" + database}
	return u.String() + "?sslmode=disable"
}

// Default is the address of the database that a server has from the start.
func (s *Server) Default() string { return s.url("postgres") }

// Database makes a new, empty database and returns its address.
func (s *Server) Database(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	name := fmt.Sprintf("test%d", s.made.Add(1))
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	return s.url(name), nil
}

// Execute carries out a statement in a database, beside whoever uses it, and returns how many rows it changed.
func Execute(ctx context.Context, address, statement string) (rows int64, err error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tag, err := conn.Exec(ctx, statement)
	return tag.RowsAffected(), err
}

// Lock keeps everybody else from a table until the returned function is called.
func Lock(ctx context.Context, address, table string) (release func(), err error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	release = func() { _ = conn.Close(context.WithoutCancel(ctx)) }
	if _, err := conn.Exec(ctx, "BEGIN; LOCK TABLE "+pgx.Identifier{table}.Sanitize()+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// Halt ends the server and keeps its databases, until Resume.
func (s *Server) Halt() error { return s.end(syscall.SIGQUIT) } // "immediate shutdown"

// Resume starts a server that was halted, at the same address.
func (s *Server) Resume(ctx context.Context) error { return s.start(ctx) }

// Stop ends the server and removes what it had, unless that is kept.
func (s *Server) Stop() error {
	if s.kept {
		return s.end(syscall.SIGINT) // "fast shutdown", which writes down everything
	}
	return errors.Join(s.end(syscall.SIGQUIT), os.RemoveAll(s.dir))
}

// end ends the server, whoever is connected.
func (s *Server) end(how syscall.Signal) error {
	if err := s.cmd.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	limit := time.NewTimer(readyWithin)
	defer limit.Stop()
	select {
	case <-s.exited:
		return nil
	case <-limit.C:
		return errors.Join(errors.New("postgres did not end and was killed"), s.cmd.Process.Kill())
	}
}
