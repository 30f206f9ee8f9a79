package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// openAPI is what the tests look at of the document.
type openAPI struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string                `json:"operationId"`
		Summary     string                `json:"summary"`
		Tags        []string              `json:"tags"`
		Action      gaea.Action           `json:"x-gaea-action"`
		Security    []map[string][]string `json:"security"`
	} `json:"paths"`
}

func document(t *testing.T, raw []byte) openAPI {
	t.Helper()
	var doc openAPI
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// fill puts something into the parameters of a path.
var fill = strings.NewReplacer("{name}", "web", "{ref}", "web", "{jid}", "20260101000000000000", "{minion}", "web1", "{id}", "run-1")

func TestEveryRouteButTheProbesWantsAToken(t *testing.T) {
	h := serve(t)
	open := map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true, "/openapi.json": true}
	for path, methods := range document(t, h.api.OpenAPI()).Paths {
		for method, op := range methods {
			if open[path] != (op.Action == "") || open[path] != (len(op.Security) == 0) {
				t.Errorf("%s %s: action %q, security %v", method, path, op.Action, op.Security)
			}
			if open[path] {
				continue
			}
			r := h.do(request{method: strings.ToUpper(method), path: fill.Replace(path)})
			r.problem(http.StatusUnauthorized, gaea.CodeUnauthenticated, "")
			if got := r.header.Get("WWW-Authenticate"); got != `Bearer realm="jobd"` {
				t.Errorf("%s %s: WWW-Authenticate %q", method, path, got)
			}
		}
	}
}

func TestEachRouteTakesTheRolesThatItsActionNeeds(t *testing.T) {
	h := serve(t)
	least := map[gaea.Action]gaea.Role{
		gaea.ActionRead: gaea.RoleRead, gaea.ActionCheck: gaea.RolePlan, gaea.ActionDefine: gaea.RoleApply, gaea.ActionApply: gaea.RoleApply,
		gaea.ActionRun: gaea.RoleApply, gaea.ActionCancel: gaea.RoleApply, gaea.ActionTokens: gaea.RoleAdmin,
		gaea.ActionHold: gaea.RoleAdmin,
	}
	for path, methods := range document(t, h.api.OpenAPI()).Paths {
		for method, op := range methods {
			for _, role := range gaea.Roles() {
				if op.Action == "" {
					continue
				}
				if least[op.Action] == "" {
					t.Fatalf("%s %s: unknown action %q", method, path, op.Action)
				}
				// A field that nobody has: what is let in fails at that, or finds nothing, and changes nothing.
				r := h.do(request{method: strings.ToUpper(method), path: fill.Replace(path) + "?nobody=has", role: role})
				if allowed := role.Includes(least[op.Action]); allowed == (r.status == http.StatusForbidden) {
					t.Errorf("%s %s with role %s: status %d", method, path, role, r.status)
				}
			}
		}
	}
}

func TestAPlanTokenCannotApply(t *testing.T) {
	h := serve(t)
	p := h.do(request{method: http.MethodPost, path: "/v1/assignments/web/enforce", role: gaea.RolePlan}).problem(http.StatusForbidden, gaea.CodeForbidden, "")
	if want := `the token "planer" has the role plan; applying needs the role apply. Make one with: jobd token create --role apply`; p.Detail != want {
		t.Errorf("got %q", p.Detail)
	}
}

func TestATokenIsTakenFromTheHeaderOnly(t *testing.T) {
	h := serve(t)
	h.do(request{method: http.MethodGet, path: "/v1/whoami?access_token=" + h.tokens[gaea.RoleAdmin]}).problem(http.StatusUnauthorized, gaea.CodeUnauthenticated, "")
	h.do(request{method: http.MethodGet, path: "/v1/whoami", header: http.Header{"Authorization": {"Basic " + h.tokens[gaea.RoleAdmin]}}}).
		problem(http.StatusUnauthorized, gaea.CodeUnauthenticated, "")
	h.do(request{method: http.MethodGet, path: "/v1/whoami", header: http.Header{"Authorization": {"bearer " + h.tokens[gaea.RoleAdmin]}}}).want(http.StatusOK)
}

func TestABodyMayBeFourMebibytes(t *testing.T) {
	h := serve(t)
	g := group("web")
	g.Description = strings.Repeat("x", 4<<20)
	p := h.put("/v1/target-groups/web", g).problem(http.StatusRequestEntityTooLarge, gaea.CodeTooLarge, "")
	if !strings.Contains(p.Detail, "4 MiB") {
		t.Errorf("got %q", p.Detail)
	}
	list := gaea.TargetGroup{Name: "web", Target: gaea.Target{Type: gaea.TargetList}}
	for range 20_000 {
		list.Target.Minions = append(list.Target.Minions, strings.Repeat("m", 40))
	}
	h.put("/v1/target-groups/web", list).want(http.StatusOK)
}

func TestAWrongBodyNamesTheFieldAndNoValueThatMayBeASecret(t *testing.T) {
	h := serve(t)
	const secret = "s3cr3t-value"
	for _, row := range []struct {
		name, path, body, field, says string
	}{
		{"unknown", "/v1/target-groups/web", `{"name":"web","target":{"type":"glob","expresion":"` + secret + `","expr":"*"}}`, "target.expresion", "no such field"},
		{"wrong case", "/v1/target-groups/web", `{"Name":"web","target":{"type":"glob","expr":"*"}}`, "name", "missing"},
		{"missing", "/v1/target-groups/web", `{"name":"web","target":{"expr":"*"}}`, "target.type", "missing"},
		{"not one of", "/v1/target-groups/web", `{"name":"web","target":{"type":"regex","expr":"*"}}`, "target.type", "compound"},
		{"wrong type", "/v1/target-groups/web", `{"name":"web","target":{"type":"glob","expr":5}}`, "target.expr", "string"},
		{"no object", "/v1/job-templates/web", `{"name":"web","function":"test.ping","kwargs":["` + secret + `"]}`, "kwargs", "object"},
		{"duration", "/v1/job-templates/web", `{"name":"web","timeouts":{"job":"soon"}}`, "timeouts.job", `"soon" is not a duration, for example "30s"`},
		{"negative duration", "/v1/job-templates/web", `{"name":"web","timeouts":{"job":"-5s"}}`, "timeouts.job", "1h30m"},
		{"number as duration", "/v1/job-templates/web", `{"name":"web","timeouts":{"job":30}}`, "timeouts.job", "string"},
		{"share", "/v1/job-templates/web", `{"name":"web","batch":{"size":"110%"}}`, "batch.size", "10%"},
		{"in an array", "/v1/assignments/web", `{"name":"web","target_group":"web","remediate":true,"states":["a",` + `{"k":"` + secret + `"}]}`, "states[1]", "string"},
		{"no JSON", "/v1/target-groups/web", `{"name": ` + secret, "", "not JSON"},
		{"nothing", "/v1/target-groups/web", ``, "", "required"},
		{"two values", "/v1/target-groups/web", `{"name":"web","target":{"type":"glob","expr":"*"}} {}`, "", "more than one"},
		{"null", "/v1/target-groups/web", `null`, "", "object"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h.t = t
			p := h.put(row.path, row.body).problem(http.StatusBadRequest, gaea.CodeInvalid, row.field)
			if !strings.Contains(p.Detail, row.says) {
				t.Errorf("got %q, which should say %q", p.Detail, row.says)
			}
			if strings.Contains(p.Detail, secret) {
				t.Errorf("the value is repeated: %q", p.Detail)
			}
		})
	}
	if strings.Contains(h.log.String(), secret) {
		t.Error("the value is in the log")
	}
}

func TestSeveralWrongFieldsAreNamedAtOnce(t *testing.T) {
	h := serve(t)
	p := h.put("/v1/job-templates/web", `{"name":"web","batch":{"size":"x"},"timeouts":{"job":"y"}}`).problem(http.StatusBadRequest, gaea.CodeInvalid, "batch.size")
	if !strings.Contains(p.Detail, "also timeouts.job") {
		t.Errorf("got %q", p.Detail)
	}
}

func TestAnotherContentTypeIsRefused(t *testing.T) {
	h := serve(t)
	r := h.do(request{method: http.MethodPut, path: "/v1/target-groups/web", role: gaea.RoleApply, body: "name: web", header: http.Header{"Content-Type": {"application/yaml"}}})
	if p := r.problem(http.StatusBadRequest, gaea.CodeInvalid, ""); !strings.Contains(p.Detail, "application/json") {
		t.Errorf("got %q", p.Detail)
	}
}

func TestAWrongParameterNamesItself(t *testing.T) {
	h := serve(t)
	for field, path := range map[string]string{
		"minnion": "/v1/jobs?minnion=web1",
		"limit":   "/v1/jobs?limit=1001",
		"outcome": "/v1/jobs?outcome=green",
		"since":   "/v1/jobs?since=yesterday",
		"status":  "/v1/runs?status=on",
		"wait":    "/v1/runs/run-1?wait=soon",
		"cursor":  "/v1/jobs?cursor=nonsense",
		"name":    "/v1/target-groups/-web/versions",
		"active":  "/v1/runs?active=perhaps",
	} {
		h.get(path).problem(http.StatusBadRequest, gaea.CodeInvalid, field)
	}
	h.get("/v1/target-groups/web@123").problem(http.StatusBadRequest, gaea.CodeInvalid, "")
	long := h.do(request{method: http.MethodPost, path: "/v1/runs", role: gaea.RoleApply, body: `{"function":"test.ping"}`,
		header: http.Header{"Idempotency-Key": {strings.Repeat("k", 256)}}})
	long.problem(http.StatusBadRequest, gaea.CodeInvalid, "Idempotency-Key")
}

func TestABodyThatDoesNotArriveIsNotWaitedForLong(t *testing.T) {
	h := serve(t)
	h.api.SetBodyTimeout(50 * time.Millisecond)
	for token, status := range map[string]int{h.tokens[gaea.RoleApply]: http.StatusGatewayTimeout, "none": http.StatusUnauthorized} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", h.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "PUT /v1/target-groups/web HTTP/1.1\r\nHost: jobd\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", token)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("status %d, want %d", resp.StatusCode, status)
		}
	}
}

func TestTheLimitForABodyDoesNotCutOffALongPoll(t *testing.T) {
	h := serve(t)
	h.api.SetBodyTimeout(20 * time.Millisecond)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	h.put("/v1/assignments/a", assignment("a", "web")).want(http.StatusOK)
	var out gaea.CheckResult
	started := time.Now()
	h.do(request{method: http.MethodPost, path: "/v1/assignments/a/check?wait=200ms", role: gaea.RolePlan, body: gaea.CheckRequest{}}).want(http.StatusOK).into(&out)
	if took := time.Since(started); out.Run == nil || out.Report != nil || took < 200*time.Millisecond {
		t.Errorf("after %s: %+v", took, out)
	}
}

func TestStreamsAndLongPollsAreBounded(t *testing.T) {
	h := serve(t)
	h.api.SetMaxStreams(1)
	h.AddJob(job("web1"))
	s := h.follow("/v1/jobs/" + jid + "/events")
	s.want("job", "")
	run := h.Runs.Start(gaea.Run{})
	h.get("/v1/runs/"+run.ID+"?wait=1s").problem(http.StatusServiceUnavailable, gaea.CodeUnavailable, "")
	h.get("/v1/jobs/"+jid+"/events").problem(http.StatusServiceUnavailable, gaea.CodeUnavailable, "")
	h.get("/v1/runs/" + run.ID).want(http.StatusOK)
	s.close()
	eventually(t, "the place is free again", func() bool { return h.get("/v1/runs/"+run.ID+"?wait=1ms").status == http.StatusOK })
}
