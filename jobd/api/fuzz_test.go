package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
)

// FuzzBodies sends anything to the routes that take a body: the answer is JSON, and never a fault of jobd's own.
func FuzzBodies(f *testing.F) {
	paths := []string{"PUT /v1/target-groups/web", "PUT /v1/job-templates/web", "PUT /v1/assignments/web", "POST /v1/runs",
		"POST /v1/assignments/web/check", "POST /v1/assignments/web/enforce", "POST /v1/tokens",
		"POST /v1/runs/run-000001/cancel", "POST /v1/runs/run-000001/retry"}
	for i, seed := range []string{
		`{"name":"web","target":{"type":"compound","expr":"G@a:b and not E@x.*"}}`,
		`{"name":"web","function":"cmd.run","args":[1,{"a":null}],"kwargs":{"k":1e999},"batch":{"size":"10%"},"timeouts":{"job":"30m"}}`,
		`{"name":"web","target_group":"web","states":["a"],"remediate":true,"secret_version":"1","secret_pillar":{"a":[{}]},"pillar":{"b":1}}`,
		`{"function":"test.ping","target":{"type":"list","minions":["web1"]},"allow_empty":true}`,
		`{"max_age":"1h","minions":["web1"]}`, `{"ref":"web@0123456789abcdef"}`, `{"name":"ci","role":"read","ttl":"9999999h"}`,
		`{"grace":"10s"}`, `{"outcomes":["failed","skipped"]}`,
		`null`, `{"name":"web","batch":{"size":"10%","mode":"rolling","wait":"1s","canary":"1","canary_hold":"manual","max_failures":"5%","min_sample":3,"order":"random"},
			"timeouts":{"slice":"5m"},"concurrency":{"lock":"l","policy":"skip"},"pre_actions":[{"name":"a","runner":"cache.grains","kwargs":{"k":1}}],
			"post_actions":[{"name":"b","http":{"url":"https://a/b","headers":{"k":"v"}},"expect":"ret.status == 200","retries":3,"interval":"1s"}]}`, `[]`, `{"name":{}}`, `{"target":null}`, "\xff\xfe", `{"a":1}{"b":2}`, strings.Repeat("[", 20_000),
	} {
		f.Add(uint8(i), []byte(seed))
	}
	h := assemble(f)
	if _, err := h.TargetGroups().Put(f.Context(), group("web"), "applyer"); err != nil {
		f.Fatal(err)
	}
	h.Runs.End(h.Runs.Start(gaea.Run{}).ID, gaea.RunFailed, gaea.OutcomeFailed)
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		method, path, _ := strings.Cut(paths[int(which)%len(paths)], " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(string(body)))
		r.Header.Set("Authorization", "Bearer "+h.tokens[gaea.RoleAdmin])
		w := httptest.NewRecorder()
		h.api.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) || w.Code >= http.StatusInternalServerError {
			t.Fatalf("%s %s: status %d: %s", method, path, w.Code, w.Body)
		}
		if w.Code >= http.StatusBadRequest {
			var p api.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Detail == "" {
				t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
			}
		}
	})
}
