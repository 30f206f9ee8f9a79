package saltlab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(saltlab.NewSuite(m, saltlab.Config{
		// How long the salt command waits for minions that are down: 15 s by default.
		MasterConfig: map[string]any{"timeout": 1, "gather_job_timeout": 1},
	}))
}

// salt runs the salt command and returns what each minion answered.
func salt(t *testing.T, lab *saltlab.Lab, args ...string) map[string]any {
	t.Helper()
	out, err := lab.Salt(t.Context(), append(args, "--out=json", "--static")...)
	var exit *saltlab.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	answers := map[string]any{}
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatalf("salt printed %q: %v", out, err)
	}
	return answers
}

// processesOf returns the processes that belong to a lab and whose command line or environment holds a text, by id.
func processesOf(t *testing.T, dir, text string) map[int]string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		command, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline")) // it may have ended
		env, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		command = bytes.ReplaceAll(command, []byte{0}, []byte(" "))
		all := string(command) + string(env)
		if strings.Contains(all, dir) && strings.Contains(all, text) {
			found[pid] = string(command)
		}
	}
	return found
}

// eventually fails the test unless the condition holds within the time.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// nothingLeft fails the test where a process or the directory of a lab is still there some seconds later.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	eventually(t, 30*time.Second, "every process of the lab in "+dir+" has ended", func() bool {
		return len(processesOf(t, dir, "")) == 0
	})
	eventually(t, 30*time.Second, dir+" is removed", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, fs.ErrNotExist)
	})
}

// shortDir is a temporary directory whose path leaves room for sockets below it, unlike t.TempDir's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "gslt-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func write(t *testing.T, text string, path ...string) {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// parentOf returns the id of a process's parent; 0 where the process has ended.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The command's name stands in brackets and may hold anything; the parent is the second field after it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return parent
}
