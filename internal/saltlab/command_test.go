package saltlab_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// command is a program that owns a lab and is watched, or killed, from here.
type command struct {
	cmd   *exec.Cmd
	json  string        // the file of its facts
	ended chan struct{} // closed when it has ended

	mu  sync.Mutex
	out strings.Builder
}

// Write takes what the program prints.
func (c *command) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(text)
}

func (c *command) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

// facts is what the tests need of what cmd/saltlab writes with --json.
type facts struct {
	PID         int
	Dir         string
	Salt        string
	ConfigDir   string `json:"config_dir"`
	APIURL      string `json:"api_url"`
	APIPassword string `json:"api_password"`
}

// build compiles a program, or a package of tests, and returns its path.
func build(t *testing.T, pkg string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(pkg))
	args := []string{"build", "-o", binary, pkg}
	if strings.Contains(pkg, "testdata") {
		args = []string{"test", "-c", "-o", binary, pkg}
	}
	if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// start runs a program, which is killed at the end of the test if it still runs then.
func start(t *testing.T, binary string, args ...string) *command {
	t.Helper()
	c := &command{cmd: exec.Command(binary, args...), ended: make(chan struct{})}
	for _, arg := range args {
		if path, ok := strings.CutPrefix(arg, "--json="); ok {
			c.json = path
		}
	}
	c.cmd.Stdout, c.cmd.Stderr = c, c
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		_ = c.cmd.Wait() // its exit code is asked for in the tests
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.ended
	})
	return c
}

func (c *command) running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// facts waits for the lab and returns how to reach it.
func (c *command) facts(t *testing.T) facts {
	t.Helper()
	var f facts
	eventually(t, time.Minute, "the lab is ready, or the program has ended", func() bool {
		text, err := os.ReadFile(c.json)
		return err == nil && json.Unmarshal(text, &f) == nil || !c.running()
	})
	if f.PID != c.cmd.Process.Pid {
		t.Fatalf("the facts name process %d and it is %d:\n%s", f.PID, c.cmd.Process.Pid, c.said())
	}
	return f
}

var labLine = regexp.MustCompile(`(?m)^lab (/\S+)$`)

// lab waits until the tests of testdata/suite have a lab and returns its directory.
func (c *command) lab(t *testing.T) string {
	t.Helper()
	var match []string
	eventually(t, time.Minute, "the tests have a lab", func() bool {
		match = labLine.FindStringSubmatch(c.said())
		return match != nil || !c.running()
	})
	if match == nil {
		t.Fatalf("the tests had no lab:\n%s", c.said())
	}
	return match[1]
}

func (c *command) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// end waits for the program's end and returns its exit code.
func (c *command) end(t *testing.T) int {
	t.Helper()
	eventually(t, time.Minute, "the program has ended", func() bool { return !c.running() })
	return c.cmd.ProcessState.ExitCode()
}
