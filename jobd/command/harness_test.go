package command_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api/apitest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authn"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authz"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

// rig is the real API over a world in memory, and the command line that talks to it.
type rig struct {
	*apitest.World
	t     *testing.T
	url   string
	token string
	tty   bool // whether stdout and stderr are a terminal
}

func newRig(t *testing.T) *rig {
	t.Helper()
	w := apitest.NewWorld()
	auth := authn.New(w, nil)
	token, err := auth.Create(t.Context(), gaea.TokenRequest{Name: "ann", Role: gaea.RoleApply})
	if err != nil {
		t.Fatal(err)
	}
	a := api.New(api.Deps{
		Archive: w, Runs: w.Runs, Enforcer: w.Enforcer, Verifier: w, Masters: w.ListMasters, Feed: w.Feed, Authenticator: auth, Policy: authz.Default(), Tokens: auth,
		Status: func(context.Context) gaea.ServerStatus { return gaea.ServerStatus{} },
		Ready:  func(context.Context) []string { return nil },
	})
	s := httptest.NewServer(http.Handler(a))
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	t.Cleanup(a.Stop)
	return &rig{World: w, t: t, url: s.URL, token: token.Secret}
}

// printed is what a command has printed so far. It may be read while the command runs.
type printed struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// process is a command that runs.
type process struct {
	t         *testing.T
	out, errs printed
	interrupt context.CancelFunc // the first Ctrl-C
	again     chan struct{}      // closed: the second
	code      chan int
}

// start runs a command line in the background.
func (r *rig) start(args ...string) *process {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	p := &process{t: r.t, interrupt: cancel, again: make(chan struct{}), code: make(chan int, 1)}
	args = append(args, "--endpoint", r.url, "--token", r.token)
	of := command.Process{
		Version: "1.2.3", Args: args, Stdout: &p.out, Stderr: &p.errs, OnTerminal: r.tty,
		Again: func() <-chan struct{} { return p.again },
	}
	if r.tty {
		of.Screen = func() (int, int) { return 80, 24 }
	}
	go func() { p.code <- command.Main(ctx, of) }()
	r.t.Cleanup(cancel)
	return p
}

func (p *process) wait() (code int, stdout, stderr string) {
	p.t.Helper()
	select {
	case code = <-p.code:
		return code, p.out.String(), p.errs.String()
	case <-time.After(30 * time.Second):
		p.t.Fatalf("it does not end; it printed:\n%s\n%s", p.out.String(), p.errs.String())
		return 0, "", ""
	}
}

// run runs a command line to its end.
func (r *rig) run(args ...string) (code int, stdout, stderr string) {
	r.t.Helper()
	return r.start(args...).wait()
}

// want fails the test unless the exit code is right and each text was printed.
func want(t *testing.T, what string, code, wantCode int, printed string, texts ...string) {
	t.Helper()
	if code != wantCode {
		t.Errorf("%s: exit code %d, not %d; printed:\n%s", what, code, wantCode, printed)
	}
	for _, text := range texts {
		if !strings.Contains(printed, text) {
			t.Errorf("%s: %q is not in:\n%s", what, text, printed)
		}
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// watched waits until somebody watches a run.
func (r *rig) watched(id string) {
	r.t.Helper()
	eventually(r.t, id+" is watched", func() bool { return r.Runs.Watched(id) > 0 })
}
