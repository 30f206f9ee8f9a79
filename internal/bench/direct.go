package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

const directConfig = `
terraform {
  required_providers {
    gaea = { source = "gaea-salt/gaea" }
  }
}
provider "gaea" {
  salt_api = {}
}
resource "gaea_target_group" "all" {
  name       = "all"
  match      = "*"
  match_type = "glob"
}
`

// directAssignment has the name of the assignment left out.
const directAssignment = `
resource "gaea_state_assignment" "s" {
  name         = %q
  target_group = gaea_target_group.all.ref
  states       = ["s0"]
  drift_check  = { mode = "live" }
}
`

// terraformIn is Terraform in a directory of its own, with the provider in direct mode on a salt-api.
func terraformIn(ctx context.Context, dir, cliConfig string, env ...string) func(args ...string) error {
	return func(args ...string) error {
		cmd := exec.CommandContext(ctx, "terraform", args...)
		cmd.Dir = dir
		cmd.Env = append(append(os.Environ(), "TF_CLI_CONFIG_FILE="+cliConfig, "CHECKPOINT_DISABLE=1", "TF_INPUT=0", provider.EnvEndpoint+"=", provider.EnvToken+"="), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("terraform %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
}

// measureDirect times the first apply of an assignment over three minions in direct mode, against the salt command that applies
// the same states and an apply with nothing to do.
func measureDirect(ctx context.Context, b *bench) ([]figure, error) {
	cliConfig, err := b.mirror(ctx)
	if err != nil {
		return nil, err
	}
	states := map[string]string{"s0": "f:\n  file.managed:\n    - name: {{ grains['lab_root'] }}/f\n    - contents: text\n"}
	var applied, salt, nothing series
	err = b.withSalt(ctx, "direct", 3, states, func(w *whole) error {
		dir, err := b.dir("direct-terraform")
		if err != nil {
			return err
		}
		terraform := terraformIn(ctx, dir, cliConfig, provider.EnvSaltAPIURL+"="+w.lab.APIURL(), provider.EnvSaltAPIUser+"="+w.lab.APIUser(),
			provider.EnvSaltAPIPassword+"="+w.lab.APIPassword(), provider.EnvSaltAPIEauth+"="+w.lab.APIEauth())
		write := func(text string) error { return os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text), 0o600) }
		if err := errors.Join(write(directConfig), terraform("init"), terraform("apply", "-auto-approve")); err != nil {
			return err
		}
		for i := range b.rounds + 1 {
			if err := write(directConfig); err != nil {
				return err
			}
			var none, whole, command time.Duration
			for _, step := range []struct {
				took *time.Duration
				do   func() error
			}{
				{&none, func() error { return terraform("apply", "-auto-approve") }},
				{nil, func() error { return w.untouch() }},
				{&command, func() error { _, err := w.lab.Salt(ctx, "*", "state.apply", "s0"); return err }},
				{nil, func() error {
					return errors.Join(w.untouch(), write(directConfig+fmt.Sprintf(directAssignment, fmt.Sprintf("s%d", i))))
				}},
				{&whole, func() error { return terraform("apply", "-auto-approve") }},
				{nil, func() error {
					return errors.Join(write(directConfig), terraform("state", "rm", "gaea_state_assignment.s"))
				}},
			} {
				start := time.Now()
				if err := step.do(); err != nil {
					return err
				}
				if step.took != nil {
					*step.took = time.Since(start)
				}
			}
			if i > 0 { // the first round warms everything up
				applied, salt, nothing = append(applied, whole), append(salt, command), append(nothing, none)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r := ratio(applied.median(), salt.median()+nothing.median())
	return []figure{{
		"terraform apply of one new assignment over three minions without a jobd, against salt state.apply and a terraform apply with nothing to do", "at most 1.5 ×",
		fmt.Sprintf("%.2f × (%s against %s and %s)", r, applied, salt, nothing), r <= 1.5,
	}}, nil
}

// untouch removes from the minions what the states make.
func (w *whole) untouch() error {
	for _, minion := range w.lab.Minions() {
		if err := os.Remove(filepath.Join(w.lab.MinionRoot(minion), "f")); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// measureMemory tells the provider's largest resident memory during an apply over 10,000 minions whose returns have 2 kB, on a
// salt-api that is scripted.
func measureMemory(ctx context.Context, b *bench) ([]figure, error) {
	cliConfig, err := b.mirror(ctx)
	if err != nil {
		return nil, err
	}
	api := newScriptedAPI(manyMinions)
	server := httptest.NewServer(api)
	defer server.Close()
	defer api.close()
	dir, err := b.dir("memory-terraform")
	if err != nil {
		return nil, err
	}
	terraform := terraformIn(ctx, dir, cliConfig, provider.EnvSaltAPIURL+"="+server.URL, provider.EnvSaltAPIUser+"=u", provider.EnvSaltAPIPassword+"=p", provider.EnvSaltAPIEauth+"=pam")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "main.tf"), []byte(directConfig+fmt.Sprintf(directAssignment, "s")), 0o600), terraform("init")); err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(ctx)
	most := make(chan int, 1)
	go func() { most <- largestProvider(watching, dir) }()
	err = terraform("apply", "-auto-approve")
	stop()
	peak := float64(<-most) / 1024
	if err != nil {
		return nil, err
	}
	return []figure{{
		"peak memory of the provider without a jobd, applying to 10,000 minions that return 2 kB each (scripted salt-api)", "under 300 MiB",
		fmt.Sprintf("%.0f MiB", peak), peak > 0 && peak < 300,
	}}, nil
}

// largestProvider looks at the providers that Terraform starts in a directory, until ctx ends, and returns the largest peak of
// resident memory in KiB.
func largestProvider(ctx context.Context, dir string) (most int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return most
		case <-tick.C:
		}
		found, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is good
		for _, link := range found {
			cwd, err := os.Readlink(link)
			if err != nil || cwd != dir {
				continue
			}
			status, err := os.ReadFile(filepath.Join(filepath.Dir(link), "status"))
			if err != nil || !strings.Contains(string(status), "Name:\tterraform-provi") { // the kernel keeps fifteen letters
				continue
			}
			_, line, _ := strings.Cut(string(status), "VmHWM:")
			if kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(strings.SplitN(line, "\n", 2)[0]), " kB")); err == nil {
				most = max(most, kib)
			}
		}
	}
}

// scriptedAPI is a salt-api whose minions return to every job at once.
type scriptedAPI struct {
	minions []string
	filler  string

	mu      sync.Mutex
	streams map[chan scriptedJob]struct{}
	ended   chan struct{}
	ending  sync.Once
}

type scriptedJob struct {
	jid, fun string
	args     json.RawMessage
	metadata json.RawMessage
}

func newScriptedAPI(n int) *scriptedAPI {
	a := &scriptedAPI{streams: map[chan scriptedJob]struct{}{}, ended: make(chan struct{}), filler: strings.Repeat("x", 1700)}
	for i := range n {
		a.minions = append(a.minions, fmt.Sprintf("web%05d", i))
	}
	return a
}

// close ends the event streams.
func (a *scriptedAPI) close() { a.ending.Do(func() { close(a.ended) }) }

// ServeHTTP implements http.Handler.
func (a *scriptedAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/login":
		answer(w, map[string]any{"token": "t", "start": 1.0, "expire": 1e10, "user": "u", "eauth": "pam", "perms": []string{".*"}})
	case "/events":
		a.events(w, r)
	default:
		a.lowdata(w, r)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"return": []any{v}}) // a client that has left is no fault here
}

func (a *scriptedAPI) lowdata(w http.ResponseWriter, r *http.Request) {
	var chunks []struct {
		Client, Fun, JID string
		Arg              []any
		Kwarg            map[string]any
		Metadata         json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&chunks); err != nil || len(chunks) != 1 {
		http.Error(w, "no low data", http.StatusBadRequest)
		return
	}
	c := chunks[0]
	if c.Client != "local_async" {
		answer(w, map[string]any{"tag": "salt/run/20260101000000000000/ret", "data": map[string]any{"return": map[string]any{}, "success": true}})
		return
	}
	if len(c.Kwarg) > 0 {
		c.Kwarg["__kwarg__"] = true
		c.Arg = append(c.Arg, c.Kwarg)
	}
	args, err := json.Marshal(c.Arg)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	a.mu.Lock()
	for stream := range a.streams {
		stream <- scriptedJob{c.JID, c.Fun, args, c.Metadata}
	}
	a.mu.Unlock()
	answer(w, map[string]any{"jid": c.JID, "minions": a.minions})
}

// events is one event stream.
func (a *scriptedAPI) events(w http.ResponseWriter, r *http.Request) {
	jobs := make(chan scriptedJob, 100)
	a.mu.Lock()
	a.streams[jobs] = struct{}{}
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.streams, jobs)
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "retry: 400\n\n")
	flush := http.NewResponseController(w)
	_ = flush.Flush() // a client that has left is no fault here
	for {
		select {
		case <-r.Context().Done():
			return
		case <-a.ended:
			return
		case j := <-jobs:
			for _, minion := range a.minions {
				tag := "salt/job/" + j.jid + "/ret/" + minion
				state := fmt.Sprintf(`{"file_|-f_|-/f_|-managed":{"__id__":"f","__run_num__":0,"name":"/f","result":true,"changes":{},"comment":%q}}`, a.filler)
				fmt.Fprintf(w, "tag: %s\ndata: {\"tag\":%q,\"data\":{\"jid\":%q,\"id\":%q,\"fun\":%q,\"fun_args\":%s,\"return\":%s,\"retcode\":0,\"success\":true,\"metadata\":%s,\"_stamp\":%q}}\n\n",
					tag, tag, j.jid, minion, j.fun, j.args, state, j.metadata, time.Now().UTC().Format("2006-01-02T15:04:05.000000"))
			}
			_ = flush.Flush() // as above
		}
	}
}
