package api_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAnUnknownRouteIsAProblem(t *testing.T) {
	h := serve(t)
	for _, path := range []string{"/", "/v1/jobz", "/v1", "/docs", "/openapi.yaml"} {
		h.get(path).problem(http.StatusNotFound, gaea.CodeNotFound, "")
	}
}

func TestAnUnknownMethodIsAProblemThatNamesTheRightOnes(t *testing.T) {
	h := serve(t)
	r := h.do(request{method: http.MethodPatch, path: "/v1/target-groups/web", role: gaea.RoleApply})
	p := r.problem(http.StatusMethodNotAllowed, gaea.CodeInvalid, "")
	if !strings.Contains(p.Detail, "PUT") || !strings.Contains(r.header.Get("Allow"), "PUT") {
		t.Errorf("got %q, Allow %q", p.Detail, r.header.Get("Allow"))
	}
}

func TestEveryAnswerHasARequestIDAndSecurityHeaders(t *testing.T) {
	h := serve(t)
	for _, path := range []string{"/healthz", "/v1/whoami", "/nowhere", "/openapi.json", "/metrics"} {
		r := h.get(path)
		if len(r.header.Get("X-Request-Id")) != 16 || r.header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, r.header)
		}
	}
	r := h.do(request{method: http.MethodGet, path: "/healthz", header: http.Header{"X-Request-Id": {"ci-7.1_a"}}})
	if got := r.header.Get("X-Request-Id"); got != "ci-7.1_a" {
		t.Errorf("a caller's id became %q", got)
	}
	r = h.do(request{method: http.MethodGet, path: "/healthz", header: http.Header{"X-Request-Id": {"a b<script>"}}})
	if got := r.header.Get("X-Request-Id"); len(got) != 16 {
		t.Errorf("a strange id became %q", got)
	}
}

// lines returns what was logged with a message.
func (h *harness) lines(msg string) []map[string]any {
	var out []map[string]any
	for s := bufio.NewScanner(strings.NewReader(h.log.String())); s.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			h.t.Fatal(err)
		}
		if line["msg"] == msg {
			out = append(out, line)
		}
	}
	return out
}

func TestAPanicIsAProblemAndItsCauseIsInTheLog(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	h.put("/v1/assignments/a", assignment("a", "web")).want(http.StatusOK)
	h.Enforcer.Panic = true
	p := h.get("/v1/assignments/a/drift").problem(http.StatusInternalServerError, gaea.CodeInternal, "")
	if strings.Contains(p.Detail, "upside") {
		t.Errorf("the caller reads %q", p.Detail)
	}
	logged := h.lines("request panicked")
	if len(logged) != 1 || logged[0]["panic"] != "the archive is upside down" || !strings.HasSuffix(p.Instance, fmt.Sprint(logged[0]["request"])) {
		t.Errorf("logged %v", logged)
	}
	h.get("/healthz").want(http.StatusOK)
}

func TestAFailureOfJobdsOwnIsHiddenFromTheCallerAndLogged(t *testing.T) {
	h := serve(t)
	h.Fail(errors.New("SQL logic error near token=hunter2"))
	p := h.get("/v1/jobs").problem(http.StatusInternalServerError, gaea.CodeInternal, "")
	if strings.Contains(p.Detail, "SQL") {
		t.Errorf("the caller reads %q", p.Detail)
	}
	if logged := h.lines("request failed"); len(logged) != 1 || !strings.Contains(fmt.Sprint(logged[0]["error"]), "SQL logic error") {
		t.Errorf("logged %v", logged)
	}
}

func TestEachCodeHasItsStatus(t *testing.T) {
	h := serve(t)
	for code, status := range map[gaea.Code]int{
		gaea.CodeInvalid: 400, gaea.CodeNotFound: 404, gaea.CodeConflict: 409, gaea.CodeUnauthenticated: 401, gaea.CodeForbidden: 403,
		gaea.CodeEmptyTarget: 422, gaea.CodeTooLarge: 413, gaea.CodeTimeout: 504, gaea.CodeUnavailable: 503, gaea.CodeSalt: 502,
		gaea.CodeCancelled: 409, gaea.CodeInternal: 500,
	} {
		h.Fail(&gaea.Error{Code: code, Message: "words for people", Field: "some.field", Err: errors.New("the cause")})
		p := h.get("/v1/jobs").problem(status, code, "some.field")
		if p.Detail != "words for people" {
			t.Errorf("%s: %q", code, p.Detail)
		}
	}
	h.Fail(gaea.Errorf("made_up", "words"))
	h.get("/v1/jobs").problem(http.StatusInternalServerError, gaea.CodeInternal, "")
}

func TestTheLogHasNeitherTokensNorQueries(t *testing.T) {
	h := serve(t)
	h.get("/v1/jobs?user=alice&token=" + h.tokens[gaea.RoleAdmin])
	h.do(request{method: http.MethodPost, path: "/v1/tokens", role: gaea.RoleAdmin, body: gaea.TokenRequest{Name: "ci", Role: gaea.RoleRead}}).want(http.StatusCreated)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	logged := h.log.String()
	for _, role := range gaea.Roles() {
		if strings.Contains(logged, h.tokens[role]) {
			t.Errorf("the %s token is in the log", role)
		}
	}
	if strings.Contains(logged, "alice") || strings.Contains(logged, "gaea_") {
		t.Errorf("logged: %s", logged)
	}
	var put map[string]any
	for _, line := range h.lines("request") {
		if line["method"] == http.MethodPut {
			put = line
		}
	}
	if put["caller"] != "applyer" || put["path"] != "/v1/target-groups/web" || put["status"] != 200.0 || put["level"] != "INFO" {
		t.Errorf("the line of a change: %v", put)
	}
}

func TestProbesNeedNoToken(t *testing.T) {
	h := serve(t)
	bare := func(path string) reply { return h.do(request{method: http.MethodGet, path: path}) }
	bare("/healthz").want(http.StatusOK)
	if r := bare("/metrics").want(http.StatusOK); string(r.body) != "gaea_up 1\n" {
		t.Errorf("metrics: %s", r.body)
	}
	if r := bare("/readyz").want(http.StatusOK); strings.TrimSpace(string(r.body)) != `{"ready":true}` {
		t.Errorf("ready: %s", r.body)
	}
	h.ready = []string{"the event bus of m1 is not connected"}
	if r := bare("/readyz").want(http.StatusServiceUnavailable); strings.TrimSpace(string(r.body)) != `{"ready":false,"problems":["the event bus of m1 is not connected"]}` {
		t.Errorf("not ready: %s", r.body)
	}
}

func TestWhoamiAndStatus(t *testing.T) {
	h := serve(t)
	var who gaea.Principal
	h.get("/v1/whoami").want(http.StatusOK).into(&who)
	if who != (gaea.Principal{Name: "reader", Role: gaea.RoleRead}) {
		t.Errorf("got %+v", who)
	}
	var s gaea.ServerStatus
	h.get("/v1/status").want(http.StatusOK).into(&s)
	if s.Version != "1.2.3" || !s.Connected || s.Database != "sqlite" {
		t.Errorf("got %+v", s)
	}
}
