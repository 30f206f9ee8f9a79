package acctest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

// world is two masters, eu with two minions and us with one, and one PostgreSQL for the jobds beside them.
type world struct {
	t        *testing.T
	eu, us   *saltlab.Lab
	binary   string
	database string
	key      []byte            // of the database, once a jobd has made it
	tokens   map[string]string // by role
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, tokens: map[string]string{}}
	server, err := pglab.Start(t.Context(), pglab.Durable()...)
	w.ok(err)
	t.Cleanup(func() { w.ok(server.Stop()) })
	w.database, err = server.Database(t.Context())
	w.ok(err)
	w.binary, err = jobdlab.Build(t.Context(), t.TempDir())
	w.ok(err)
	var starting sync.WaitGroup
	starting.Go(func() { w.eu = w.lab("web1", "web2") })
	starting.Go(func() { w.us = w.lab("db1") })
	starting.Wait()
	if w.eu == nil || w.us == nil {
		t.Fatal("the masters did not start")
	}
	return w
}

func (w *world) lab(minions ...string) *saltlab.Lab {
	states := w.t.TempDir()
	for _, name := range []string{"motd", "note"} {
		sls := "here:\n  file.managed:\n    - name: {{ grains.lab_root }}/" + name + "\n    - contents: hello\n"
		if err := os.WriteFile(filepath.Join(states, name+".sls"), []byte(sls), 0o600); err != nil {
			w.t.Error(err)
			return nil
		}
	}
	lab, err := saltlab.Start(w.t.Context(), saltlab.Config{MinionIDs: minions, NoAPI: true, States: states})
	if err != nil {
		w.t.Error(err)
		return nil
	}
	w.t.Cleanup(func() {
		if err := lab.Stop(); err != nil {
			w.t.Error(err)
		}
	})
	return lab
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// jobd is a jobd with a client.
type jobd struct {
	*jobdclient.Client
	process *jobdlab.Jobd
	w       *world
}

// start starts a jobd beside a master.
func (w *world) start(master string) *jobd {
	w.t.Helper()
	lab := w.eu
	if master == "us" {
		lab = w.us
	}
	dir := w.t.TempDir()
	key := filepath.Join(dir, "jobd.key")
	if w.key != nil {
		w.ok(os.WriteFile(key, w.key, 0o600))
	}
	process, err := jobdlab.Start(w.t.Context(), jobdlab.Config{
		Binary: w.binary, SaltConfigDir: lab.ConfigDir(), Dir: dir, Database: w.database, Args: []string{"--master-name", master, "--log-level", "debug"},
	})
	w.ok(err)
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("the log of the jobd at %s ends in:\n%s", process.Endpoint, process.Log(40))
		}
		if err := process.Stop(); err != nil {
			w.t.Error(err)
		}
	})
	if w.key == nil {
		w.key, err = os.ReadFile(key)
		w.ok(err)
		w.tokens["admin"], err = process.Token(w.t.Context(), "admin", "admin")
		w.ok(err)
	}
	client, err := jobdclient.New(jobdclient.Config{Endpoint: process.Endpoint, Token: w.tokens["admin"]})
	w.ok(err)
	w.t.Cleanup(client.Close)
	return &jobd{client, process, w}
}

// address is where a jobd listens.
func (j *jobd) address() string { return strings.TrimPrefix(j.process.Endpoint, "http://") }

// signal sends the process a signal.
func (j *jobd) signal(s syscall.Signal) { j.w.t.Helper(); j.w.ok(syscall.Kill(j.process.PID(), s)) }

// command runs jobd's command line, and returns what it printed.
func (j *jobd) command(args ...string) string {
	j.w.t.Helper()
	out, err := j.process.Command(j.w.t.Context(), j.w.tokens["admin"], args...).Output()
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it as it is
		j.w.t.Fatalf("jobd %s: %v\n%s%s", strings.Join(args, " "), err, out, exit.Stderr)
	}
	j.w.ok(err)
	return string(out)
}

// leader is the address of the jobd that leads a master; empty where none does.
func (j *jobd) leader(master string) string {
	list, err := j.Masters(j.w.t.Context())
	if err != nil {
		return ""
	}
	for i := range list {
		if m := &list[i]; m.Master == master && m.Led {
			return m.Leader().Address
		}
	}
	return ""
}

// shell asks for a run of a command on minions of a master.
func (j *jobd) shell(master, command string, minions ...string) *gaea.Run {
	j.w.t.Helper()
	run, err := j.CreateRun(j.w.t.Context(), gaea.RunRequest{
		Master: master, Function: "cmd.run", Args: []any{command}, Kwargs: shell(), Target: gaea.ListTarget(minions),
	}, "")
	j.w.ok(err)
	return run
}

// ended waits for the end of a run, by any jobd.
func (j *jobd) ended(id string) *gaea.Run {
	j.w.t.Helper()
	ctx, cancel := context.WithTimeout(j.w.t.Context(), 2*time.Minute)
	defer cancel()
	run, err := j.FollowRun(ctx, id, func(*gaea.Run) error { return nil })
	j.w.ok(err)
	return run
}

// verified fails the test unless the archive has all that a master's job cache has: that of the jobd's own, or of the one that is named.
func (j *jobd) verified(args ...string) {
	j.w.t.Helper()
	var report gaea.VerifyReport
	j.w.ok(json.Unmarshal([]byte(j.command(append([]string{"archive", "verify", "-o", "json"}, args...)...)), &report))
	if len(report.Differences) > 0 || len(report.Unread) > 0 || report.Jobs == 0 {
		j.w.t.Errorf("verify says %+v", report)
	}
}

// eventually waits until something is so.
func (w *world) eventually(what string, limit time.Duration, is func() bool) time.Duration {
	w.t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatalf("not within %s: %s", limit, what)
		}
	}
	return time.Since(began)
}

// lines counts the lines of a file that commands on a minion have written.
func lines(lab *saltlab.Lab, minion, file string) int {
	text, err := os.ReadFile(filepath.Join(lab.MinionRoot(minion), file))
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}
