package jobdclient_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api/apitest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authn"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authz"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// jobd is the real API over a world in memory.
type jobd struct {
	*apitest.World
	api    *api.API
	admin  string // a token of the role admin
	plan   string // a token of the role plan
	mu     sync.Mutex
	asked  []string // method and path of each request
	agents []string
}

func newJobd(t *testing.T) *jobd {
	t.Helper()
	j := &jobd{World: apitest.NewWorld()}
	auth := authn.New(j.World, nil)
	for role, text := range map[gaea.Role]*string{gaea.RoleAdmin: &j.admin, gaea.RolePlan: &j.plan} {
		tok, err := auth.Create(t.Context(), gaea.TokenRequest{Name: "alice", Role: role})
		if err != nil {
			t.Fatal(err)
		}
		*text = tok.Secret
	}
	j.api = api.New(api.Deps{
		Archive: j.World, Runs: j.Runs, Enforcer: j.Enforcer, Verifier: j.World, Masters: j.ListMasters, Feed: j.Feed,
		Authenticator: auth, Policy: authz.Default(), Tokens: auth,
		Status: func(context.Context) gaea.ServerStatus {
			return gaea.ServerStatus{Version: "1.2.3", Master: apitest.Master, Connected: true}
		},
		Ready: func(context.Context) []string { return nil },
	})
	return j
}

// ServeHTTP notes what was asked.
func (j *jobd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	j.mu.Lock()
	j.asked = append(j.asked, r.Method+" "+r.URL.Path)
	j.agents = append(j.agents, r.UserAgent())
	j.mu.Unlock()
	j.api.ServeHTTP(w, r)
}

func (j *jobd) requests() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.asked...)
}

// serve runs a handler on loopback and returns its address.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s.URL
}

// dial makes a client and lets go of its connections at the end.
func dial(t *testing.T, cfg jobdclient.Config) *jobdclient.Client {
	t.Helper()
	c, err := jobdclient.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// connect makes a jobd and a client of it that may do everything.
func connect(t *testing.T) (*jobd, *jobdclient.Client) {
	t.Helper()
	j := newJobd(t)
	url := serve(t, j)
	t.Cleanup(j.api.Stop)
	return j, dial(t, jobdclient.Config{Endpoint: url, Token: j.admin})
}

// transport answers in place of a network. It may be used in a synctest bubble.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	return f(r)
}

// handled answers with what a handler says.
func handled(h http.Handler) transport {
	return func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result(), nil
	}
}

// streamed answers with what a handler says, while it says it.
func streamed(h http.Handler) transport {
	return func(r *http.Request) (*http.Response, error) {
		body, w := io.Pipe()
		out := &pipeWriter{w: w, header: http.Header{}, begun: make(chan struct{})}
		go func() { // ends with the handler, which ends with the request
			h.ServeHTTP(out, r)
			out.WriteHeader(http.StatusOK)
			w.Close()
		}()
		stop := context.AfterFunc(r.Context(), func() { w.CloseWithError(r.Context().Err()) })
		<-out.begun
		return &http.Response{StatusCode: out.status, Status: http.StatusText(out.status), Header: out.header, Body: &pipeBody{body, stop}, ProtoMajor: 1, ProtoMinor: 1}, nil
	}
}

// pipeWriter is an answer that is read while it is written.
type pipeWriter struct {
	w      *io.PipeWriter
	header http.Header
	begun  chan struct{} // closed with the status
	status int
}

func (p *pipeWriter) Header() http.Header { return p.header }

func (p *pipeWriter) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
		close(p.begun)
	}
}

func (p *pipeWriter) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.w.Write(b)
}

// Flush implements http.Flusher.
func (p *pipeWriter) Flush() {}

type pipeBody struct {
	*io.PipeReader
	stop func() bool
}

func (b *pipeBody) Close() error {
	b.stop()
	return b.PipeReader.Close()
}

// reply is an answer that is made up.
func reply(status int, contentType, body string) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(strings.NewReader(body)), ProtoMajor: 1, ProtoMinor: 1}
}

func problem(status int, code gaea.Code, detail string) *http.Response {
	return reply(status, "application/problem+json", `{"code":"`+string(code)+`","detail":"`+detail+`","status":0}`)
}

var errReset = errors.New("read: connection reset by peer")

// wantError checks the code of an error and what its message says.
func wantError(t *testing.T, err error, code gaea.Code, says ...string) {
	t.Helper()
	_ = errorOf(t, err, code, says...)
}

// errorOf is wantError, and returns the error.
func errorOf(t *testing.T, err error, code gaea.Code, says ...string) *gaea.Error {
	t.Helper()
	var e *gaea.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v (%s), want the code %s", err, gaea.CodeOf(err), code)
	}
	for _, s := range says {
		if !strings.Contains(e.Message, s) {
			t.Errorf("%q does not say %q", e.Message, s)
		}
	}
	return e
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// logBuffer is what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func group(name string) gaea.TargetGroup {
	return gaea.TargetGroup{Name: name, Target: gaea.Target{Type: gaea.TargetGlob, Expr: "web*"}}
}

func assignment(name, group string) gaea.AssignmentInput {
	return gaea.AssignmentInput{Assignment: gaea.Assignment{Name: name, TargetGroup: group, States: []string{"nginx"}, Remediate: true}}
}

const jid = "20260101120000000000"

func ret(minion string) gaea.Return {
	return gaea.Return{JID: jid, Minion: minion, Function: "test.ping", Outcome: gaea.OutcomeSucceeded, Body: []byte("true")}
}
