package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api/apitest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authn"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authz"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is the API over a world in memory, behind a real server.
type harness struct {
	*apitest.World
	t      testing.TB
	api    *api.API
	server *httptest.Server
	tokens map[gaea.Role]string
	log    *logBuffer
	ready  []string
}

// logBuffer is what was logged, as JSON lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
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

// assemble makes the API over a world, without a server.
func assemble(t testing.TB) *harness {
	t.Helper()
	h := &harness{World: apitest.NewWorld(), t: t, tokens: map[gaea.Role]string{}, log: &logBuffer{}}
	auth := authn.New(h.World, nil)
	for _, role := range gaea.Roles() {
		tok, err := auth.Create(t.Context(), gaea.TokenRequest{Name: string(role) + "er", Role: role})
		if err != nil {
			t.Fatal(err)
		}
		h.tokens[role] = tok.Secret
	}
	h.api = api.New(api.Deps{
		Archive: h.World, Runs: h.Runs, Enforcer: h.Enforcer, Verifier: h.World, Masters: h.ListMasters, Feed: h.Feed,
		Authenticator: auth, Policy: authz.Default(), Tokens: auth,
		CompileExpect: func(expr string) error {
			if strings.Contains(expr, "((") {
				return gaea.Errorf(gaea.CodeInvalid, "line 1, column %d: a bracket is not closed", strings.Index(expr, "((")+1)
			}
			return nil
		},
		Status: func(context.Context) gaea.ServerStatus {
			return gaea.ServerStatus{Version: "1.2.3", Master: apitest.Master, Connected: true, Database: "sqlite", Since: time.Unix(1, 0).UTC()}
		},
		Ready: func(context.Context) []string { return h.ready },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "gaea_up 1\n")
		}),
		Logger: slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	return h
}

// serve makes the API over a world behind a server.
func serve(t *testing.T) *harness {
	t.Helper()
	h := assemble(t)
	h.server = httptest.NewServer(h.api)
	t.Cleanup(h.server.Close)
	t.Cleanup(h.server.CloseClientConnections)
	t.Cleanup(h.api.Stop)
	return h
}

// reply is an answer that was read whole.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// request describes a request; the token is that of a role.
type request struct {
	method string
	path   string
	role   gaea.Role
	body   any // a string goes as it is, anything else as JSON
	header http.Header
}

func (h *harness) do(r request) reply {
	h.t.Helper()
	var body io.Reader
	switch b := r.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			h.t.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), r.method, h.server.URL+r.path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	maps.Copy(req.Header, r.header)
	if r.role != "" {
		req.Header.Set("Authorization", "Bearer "+h.tokens[r.role])
	}
	resp, err := h.server.Client().Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{t: h.t, status: resp.StatusCode, header: resp.Header, body: raw}
}

func (h *harness) get(path string) reply {
	h.t.Helper()
	return h.do(request{method: http.MethodGet, path: path, role: gaea.RoleRead})
}

func (h *harness) put(path string, body any) reply {
	h.t.Helper()
	return h.do(request{method: http.MethodPut, path: path, role: gaea.RoleApply, body: body})
}

func (h *harness) post(path string, body any) reply {
	h.t.Helper()
	return h.do(request{method: http.MethodPost, path: path, role: gaea.RoleApply, body: body})
}

func (h *harness) remove(path string) reply {
	h.t.Helper()
	return h.do(request{method: http.MethodDelete, path: path, role: gaea.RoleApply})
}

// want checks the status.
func (r reply) want(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// into decodes the body.
func (r reply) into(v any) {
	r.t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		r.t.Fatalf("%v: %s", err, r.body)
	}
}

// problem checks that the answer is a problem with a status, a code and a field, and returns it.
func (r reply) problem(status int, code gaea.Code, field string) api.Problem {
	r.t.Helper()
	r.want(status)
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		r.t.Errorf("the content type is %q", got)
	}
	var p api.Problem
	r.into(&p)
	if p.Status != status || p.Code != code || p.Field != field || p.Detail == "" || p.Title == "" || p.Type != "urn:gaea:problem:"+string(code) {
		r.t.Errorf("got %+v, want code %s and field %q", p, code, field)
	}
	if p.Instance != "urn:gaea:request:"+r.header.Get("X-Request-Id") {
		r.t.Errorf("the instance is %q, the request %q", p.Instance, r.header.Get("X-Request-Id"))
	}
	return p
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

func group(name string) gaea.TargetGroup {
	return gaea.TargetGroup{Name: name, Target: gaea.Target{Type: gaea.TargetGlob, Expr: "web*"}}
}

func assignment(name, group string) gaea.AssignmentInput {
	return gaea.AssignmentInput{Assignment: gaea.Assignment{Name: name, TargetGroup: group, States: []string{"nginx"}, Remediate: true}}
}
