// Package jobdlab runs the real jobd binary beside a Salt master, for acceptance tests, the demo and benchmarks. Each jobd has
// a free loopback port and an archive of its own, and is stopped or killed when told.
package jobdlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Config says which jobd to run.
type Config struct {
	Binary        string   // the jobd binary; see Build
	SaltConfigDir string   // the master's config directory
	Dir           string   // for the archive and the log; must exist
	Database      string   // postgres://…; a file in Dir when empty
	Args          []string // more flags of jobd serve
	DiskMiB       int      // size of a disk of its own, with nothing but the archive's file; 0 for none. It goes with the process
	SpillOnDisk   bool     // what waits for the archive is on that disk too
}

// Jobd is a jobd process. Its methods are for one goroutine at a time.
type Jobd struct {
	cfg      Config
	address  string
	Endpoint string // http://127.0.0.1:PORT, the same after a restart
	Database string // as --database takes it
	cmd      *exec.Cmd
	ended    chan struct{} // closed when the process has ended
	err      error         // how it ended
}

// Build builds jobd from the module that the working directory belongs to, and returns the binary's path in dir.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "jobd")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/gaea-salt/terraform-provider-gaea/jobd")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building jobd: %w\n%s", err, out)
	}
	return binary, nil
}

// Start starts jobd and returns when it reads the master's bus.
func Start(ctx context.Context, cfg Config) (*Jobd, error) {
	j, err := New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := j.Launch(ctx); err != nil {
		return nil, err
	}
	if err := j.Ready(ctx); err != nil {
		return nil, errors.Join(err, j.Stop())
	}
	return j, nil
}

// Beside starts another jobd of the same binary, and for the same master where cfg names none.
func (j *Jobd) Beside(ctx context.Context, cfg Config) (*Jobd, error) {
	cfg.Binary = j.cfg.Binary
	if cfg.SaltConfigDir == "" {
		cfg.SaltConfigDir = j.cfg.SaltConfigDir
	}
	return Start(ctx, cfg)
}

// New chooses a port and starts nothing.
func New(ctx context.Context, cfg Config) (*Jobd, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	j := &Jobd{cfg: cfg, address: address, Endpoint: "http://" + address, Database: cfg.Database}
	if j.Database == "" {
		j.Database = "sqlite://" + filepath.Join(cfg.Dir, "jobd.db")
	}
	if cfg.DiskMiB > 0 {
		j.Database = "sqlite://" + filepath.Join(cfg.diskDir(), "jobd.db")
	}
	return j, l.Close()
}

// KeyFile is where jobd keeps its key.
func (j *Jobd) KeyFile() string { return filepath.Join(j.cfg.Dir, "jobd.key") }

// Use gives jobd other flags from its next start on, instead of those that it has beside the ones of the lab.
func (j *Jobd) Use(args ...string) { j.cfg.Args = args }

// Launch starts the process, the first time or after [Jobd.Stop] or [Jobd.Kill], and does not wait for it.
func (j *Jobd) Launch(ctx context.Context) error {
	log, err := os.OpenFile(j.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := append([]string{"serve", "--listen", j.address, "--salt-config-dir", j.cfg.SaltConfigDir, "--database", j.Database, "--key-file", j.KeyFile(), "--spill-dir", j.cfg.spillDir()}, j.cfg.Args...)
	if j.cfg.DiskMiB > 0 {
		args = append(args, "--queue-database", "sqlite://"+filepath.Join(j.cfg.Dir, "jobd-queue.db"))
	}
	argv, err := j.command(args)
	if err != nil {
		return err
	}
	// Not bound to ctx: jobd is stopped by Stop, so that it stores what it has read.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	j.cmd, j.ended = cmd, ended
	go func() {
		j.err = cmd.Wait()
		close(ended)
	}()
	return nil
}

// Ready waits until /readyz says yes, for at most 30 s.
func (j *Jobd) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.Endpoint+"/readyz", nil)
		if err != nil {
			return err
		}
		if answer, err := probe.Do(req); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-j.ended:
			return fmt.Errorf("jobd ended: %w; its log:\n%s", j.err, j.Log(20))
		case <-ctx.Done():
			return fmt.Errorf("jobd is not ready: %w; its log:\n%s", ctx.Err(), j.Log(20))
		case <-tick.C:
		}
	}
}

// probe asks /readyz. A jobd that hangs must not hang who waits for it.
var probe = &http.Client{Timeout: 5 * time.Second}

// Token makes a token of a role under a name.
func (j *Jobd) Token(ctx context.Context, role, name string) (string, error) {
	argv := j.inside([]string{"token", "create", "--role", role, "--name", name, "--database", j.Database, "--key-file", j.KeyFile()})
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", fmt.Errorf("jobd token create: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Command is a command of jobd's command line against this jobd.
func (j *Jobd) Command(ctx context.Context, token string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, j.cfg.Binary, args...)
	cmd.Env = append(os.Environ(), "GAEA_ENDPOINT="+j.Endpoint, "GAEA_TOKEN="+token)
	return cmd
}

// PID is the process's id.
func (j *Jobd) PID() int { return j.cmd.Process.Pid }

// Stop lets jobd store what it has read, and kills it where that takes longer than a minute, as systemd does; that is an
// error. Stopping it again does nothing.
func (j *Jobd) Stop() error {
	if j.cmd == nil {
		return nil
	}
	_ = j.cmd.Process.Signal(syscall.SIGTERM)
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	select {
	case <-j.ended:
		j.cmd = nil
		if j.err != nil {
			return fmt.Errorf("jobd: %w; its log:\n%s", j.err, j.Log(20))
		}
		return nil
	case <-limit.C:
		j.Kill()
		return errors.New("jobd did not stop within a minute and was killed")
	}
}

// Kill ends jobd as kill -9 does, and returns when it is gone.
func (j *Jobd) Kill() {
	if j.cmd == nil {
		return
	}
	_ = j.cmd.Process.Kill()
	<-j.ended
	j.cmd = nil
}

// Log is the end of jobd's log.
func (j *Jobd) Log(lines int) string {
	text, err := os.ReadFile(j.logPath())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}

func (j *Jobd) logPath() string { return filepath.Join(j.cfg.Dir, "jobd.log") }
