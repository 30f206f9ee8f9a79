package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestTheLedgerIsReadByAllAndVerifyNeedsTheRolePlan(t *testing.T) {
	h := serve(t)
	h.AddJob(gaea.Job{JID: "1", Function: "test.ping", Minions: []string{"web1"}, Started: time.Now(), Known: true})
	for path, want := range map[string]string{
		"/v1/archive/ledger":                      `"missing":1`,
		"/v1/archive/ledger/jobs?incomplete=true": `"jid":"1"`,
		"/v1/jobs/1":                              `"ledger":{`,
	} {
		if r := h.do(request{method: http.MethodGet, path: path, role: gaea.RoleRead}).want(http.StatusOK); !strings.Contains(string(r.body), want) {
			t.Errorf("%s answers %s", path, r.body)
		}
	}
	verify := request{method: http.MethodPost, path: "/v1/archive/verify", role: gaea.RoleRead, body: gaea.VerifyRequest{}}
	h.do(verify).want(http.StatusForbidden)
	verify.role = gaea.RolePlan
	if r := h.do(verify).want(http.StatusOK); !strings.Contains(string(r.body), `"differences":[]`) {
		t.Errorf("verify answers %s", r.body)
	}
}
