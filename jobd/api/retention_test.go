package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestHoldsAreReadByAllAndMadeAndReleasedByAdminsInTheirName(t *testing.T) {
	h := serve(t)
	h.AddJob(gaea.Job{JID: "1", Function: "test.ping", Known: true})
	hold := request{method: http.MethodPost, path: "/v1/archive/holds", role: gaea.RoleApply, body: gaea.HoldRequest{JID: "1", Reason: "case 4711"}}
	h.do(hold).want(http.StatusForbidden)
	hold.role = gaea.RoleAdmin
	if r := h.do(hold).want(http.StatusCreated); !strings.Contains(string(r.body), `"reason":"case 4711"`) || strings.Contains(string(r.body), `"holder":""`) {
		t.Errorf("held: %s", r.body)
	}
	for _, body := range []gaea.HoldRequest{{JID: "1"}, {Reason: "r"}, {JID: "1", RunID: "run-1", Reason: "r"}} {
		hold.body = body
		if r := h.do(hold); r.status != http.StatusUnprocessableEntity && r.status != http.StatusBadRequest {
			t.Errorf("%+v is answered with %d: %s", body, r.status, r.body)
		}
	}
	list := request{method: http.MethodGet, path: "/v1/archive/holds", role: gaea.RoleRead}
	if r := h.do(list).want(http.StatusOK); !strings.Contains(string(r.body), `"jid":"1"`) {
		t.Errorf("the holds: %s", r.body)
	}
	release := request{method: http.MethodPost, path: "/v1/archive/holds/hold-1/release", role: gaea.RoleApply, body: gaea.ReleaseRequest{Reason: "closed"}}
	h.do(release).want(http.StatusForbidden)
	release.role = gaea.RoleAdmin
	if r := h.do(release).want(http.StatusOK); !strings.Contains(string(r.body), `"release_reason":"closed"`) {
		t.Errorf("released: %s", r.body)
	}
	if r := h.do(list).want(http.StatusOK); !strings.Contains(string(r.body), `"items":[]`) {
		t.Errorf("the holds after: %s", r.body)
	}
	list.path += "?released=true"
	if r := h.do(list).want(http.StatusOK); !strings.Contains(string(r.body), "case 4711") {
		t.Errorf("the holds that there were: %s", r.body)
	}
}

func TestTheStatsAreReadByAll(t *testing.T) {
	h := serve(t)
	h.PutStats(gaea.ArchiveStats{Database: "sqlite", UsedBytes: 7})
	if r := h.do(request{method: http.MethodGet, path: "/v1/archive/stats", role: gaea.RoleRead}).want(http.StatusOK); !strings.Contains(string(r.body), `"used_bytes":7`) {
		t.Errorf("the stats: %s", r.body)
	}
}
