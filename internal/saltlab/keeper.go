package saltlab

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

//go:embed keeper.py
var keeperScript []byte

// keeper is the process below which all of a lab's processes run; keeper.py says how it is spoken with. It ends when
// its standard input does, so it cannot outlive this program.
type keeper struct {
	cmd   *exec.Cmd
	dir   string // the lab's
	in    io.WriteCloser
	empty chan struct{} // closed when every program has ended
	done  chan struct{} // closed when the process has ended, too, and has removed what it was to

	mu       sync.Mutex // guards what follows, and keeps commands whole
	programs map[string]*program
	closed   bool
}

// program is something that the keeper runs: a daemon or a command.
type program struct {
	name           string
	stdout, stderr string        // files; the same for a daemon
	ended          chan struct{} // closed when the program and all that came from it have ended
	code           int           // the exit code, to be read after ended; 128 + n for signal n
	pid            int           // guarded by keeper.mu; 0 until it is known
}

// fact is a line that the keeper writes.
type fact struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	Code *int   `json:"code"`
}

// startKeeper starts one. Its own errors go to dir/logs/keeper.log; remove says whether dir goes when it ends.
func startKeeper(python, dir string, remove bool) (*keeper, error) {
	script := filepath.Join(dir, "keeper.py")
	if err := os.WriteFile(script, keeperScript, 0o600); err != nil {
		return nil, fmt.Errorf("saltlab: %w", err)
	}
	args := []string{"-I", "-S", script}
	if remove {
		args = append(args, "--remove", dir)
	}
	log, err := os.OpenFile(logFile(dir, "keeper"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("saltlab: %w", err)
	}
	defer func() { _ = log.Close() }()
	k := &keeper{
		cmd:      exec.Command(python, args...),
		dir:      dir,
		empty:    make(chan struct{}),
		done:     make(chan struct{}),
		programs: map[string]*program{},
	}
	k.cmd.Stderr = log
	k.cmd.Dir = "/"
	if k.in, err = k.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("saltlab: %w", err)
	}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("saltlab: %w", err)
	}
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("saltlab: cannot run %s: %w", python, err)
	}
	go k.listen(out)
	return k, nil
}

// listen carries over what the keeper says until it ends.
func (k *keeper) listen(out io.Reader) {
	defer close(k.done)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var f fact
		if json.Unmarshal(lines.Bytes(), &f) != nil {
			continue
		}
		k.mu.Lock()
		if p := k.programs[f.Name]; p == nil {
			// Nobody waits for it.
		} else if f.Code == nil {
			p.pid = f.PID
		} else {
			p.code = *f.Code
			close(p.ended)
			delete(k.programs, f.Name)
		}
		k.mu.Unlock()
	}
	close(k.empty)
	_ = k.cmd.Wait() // a keeper that failed has said why in its log
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for name, p := range k.programs {
		p.code = 255
		close(p.ended)
		delete(k.programs, name)
	}
}

var errClosed = errors.New("saltlab: the lab is stopped")

func (k *keeper) send(command map[string]any) error {
	line, err := json.Marshal(command)
	if err != nil {
		return fmt.Errorf("saltlab: %w", err)
	}
	if _, err := k.in.Write(append(line, '\n')); err != nil {
		return errClosed
	}
	return nil
}

// start runs a program, whose name must not be in use, with more in its environment than all have.
func (k *keeper) start(name string, argv []string, more map[string]string, stdout, stderr string) (*program, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, errClosed
	}
	if k.programs[name] != nil {
		return nil, fmt.Errorf("saltlab: %s is running already", name)
	}
	p := &program{name: name, stdout: stdout, stderr: stderr, ended: make(chan struct{})}
	env := programEnv(k.dir)
	maps.Copy(env, more)
	err := k.send(map[string]any{
		"op": "start", "name": name, "argv": argv, "env": env, "stdout": stdout, "stderr": stderr, "cwd": "/",
	})
	if err != nil {
		return nil, err
	}
	k.programs[name] = p
	return p, nil
}

// programEnv is this program's environment without what would make Salt or Python look elsewhere. GAEA_SALTLAB tells
// a person who finds a command that a minion runs which lab it belongs to; Salt's own processes overwrite it.
func programEnv(dir string) map[string]string {
	env := map[string]string{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "SALT") || strings.HasPrefix(name, "PYTHON") || name == "VIRTUAL_ENV" || strings.HasPrefix(name, "LC_") {
			continue
		}
		env[name] = value
	}
	env["LANG"] = "C.UTF-8"
	env["GAEA_SALTLAB"] = dir
	return env
}

// order sends a term or kill for a program; one that has ended needs none.
func (k *keeper) order(op string, p *program) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.programs[p.name] == p && !k.closed {
		_ = k.send(map[string]any{"op": op, "name": p.name}) // where it fails, the end of everything is near
	}
}

// stop ends a program and all that came from it: with SIGTERM, and after the grace with SIGKILL.
func (k *keeper) stop(ctx context.Context, p *program, grace time.Duration) error {
	k.order("term", p)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
	case <-timer.C:
	}
	return k.kill(p)
}

// killTime bounds the wait for the end of what was sent a SIGKILL. Only a kernel in trouble takes so long.
const killTime = 15 * time.Second

// kill ends a program and all that came from it with SIGKILL.
func (k *keeper) kill(p *program) error {
	k.order("kill", p)
	timer := time.NewTimer(killTime)
	defer timer.Stop()
	select {
	case <-p.ended:
		return nil
	case <-timer.C:
		return fmt.Errorf("saltlab: %s is still there %s after SIGKILL", p.name, killTime)
	}
}

// removeTime bounds the wait for the removal of the lab's directory: a job cache of 100,000 returns is some 300,000 files, which take half a
// minute on a busy machine.
const removeTime = 5 * time.Minute

// close ends the keeper and whatever still runs below it, and waits until the lab's directory is removed.
func (k *keeper) close() error {
	k.mu.Lock()
	if !k.closed {
		k.closed = true
		_ = k.in.Close() // the end of input is the order to end
	}
	k.mu.Unlock()
	killing := time.NewTimer(killTime)
	defer killing.Stop()
	select {
	case <-k.empty:
	case <-killing.C:
		return fmt.Errorf("saltlab: the lab's processes are still there %s after SIGKILL", killTime)
	}
	removing := time.NewTimer(removeTime)
	defer removing.Stop()
	select {
	case <-k.done:
		return nil
	case <-removing.C:
		return fmt.Errorf("saltlab: the lab's directory %s is not removed after %s", k.dir, removeTime)
	}
}
