package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const jid = "20260101120000000000"

func job(minions ...string) gaea.Job {
	return gaea.Job{JID: jid, Function: "test.ping", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, User: "root", Minions: minions,
		Started: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), Known: true}
}

func ret(minion string) gaea.Return {
	return gaea.Return{JID: jid, Minion: minion, Function: "test.ping", Outcome: gaea.OutcomeSucceeded, Body: []byte("true")}
}

func TestAJobTellsHowItStandsForEachMinion(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1", "web2"))
	h.AddReturn(ret("web1"))
	var d gaea.JobDetail
	h.get("/v1/jobs/" + jid).want(http.StatusOK).into(&d)
	if d.Function != "test.ping" || d.Returns["web1"].Outcome != gaea.OutcomeSucceeded || d.Returns["web2"].Outcome != gaea.OutcomePending {
		t.Errorf("got %+v", d)
	}
	var r gaea.Return
	h.get("/v1/jobs/" + jid + "/returns/web1").want(http.StatusOK).into(&r)
	if string(r.Body) != "true" {
		t.Errorf("got %+v", r)
	}
	h.get("/v1/jobs/"+jid+"/returns/web2").problem(http.StatusNotFound, gaea.CodeNotFound, "")
	h.get("/v1/jobs/20250101000000000000").problem(http.StatusNotFound, gaea.CodeNotFound, "")
}

func TestJobsAndReturnsAreFiltered(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1"))
	other := job("db1")
	other.JID, other.Function, other.User, other.Started = "20260102120000000000", "state.apply", "gaea", other.Started.AddDate(0, 0, 1)
	h.AddJob(other)
	h.AddReturn(ret("web1"))
	failed := ret("db1")
	failed.JID, failed.Function, failed.Outcome = other.JID, other.Function, gaea.OutcomeFailed
	h.AddReturn(failed)
	for query, want := range map[string]string{
		"":                           other.JID + " " + jid,
		"function=state.*":           other.JID,
		"user=root":                  jid,
		"outcome=failed":             other.JID,
		"minion=web1":                jid,
		"target=" + "%2A":            other.JID + " " + jid,
		"until=2026-01-02T00:00:00Z": jid,
		"since=2026-01-02T00:00:00Z": other.JID,
		"run=run-1":                  "",
		"user=root&function=state.*": "",
	} {
		var page gaea.Page[gaea.Job]
		h.get("/v1/jobs?" + query).want(http.StatusOK).into(&page)
		var got []string
		for _, j := range page.Items {
			got = append(got, j.JID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", query, got, want)
		}
	}
	var page gaea.Page[gaea.Return]
	h.get("/v1/returns?outcome=failed").want(http.StatusOK).into(&page)
	if len(page.Items) != 1 || page.Items[0].Minion != "db1" || page.Items[0].Body != nil {
		t.Errorf("got %+v", page)
	}
}

func TestAnOrchestrationIsShownWithItsJobs(t *testing.T) {
	h := serve(t)
	parent, child := job("salt_master"), job("web1")
	parent.Function, parent.Origin = "runner.state.orchestrate", gaea.OriginOrchestration
	child.JID, child.Parent, child.Origin = "20260101120000000001", jid, gaea.OriginBatch
	child.Batch = &gaea.JobBatch{Status: gaea.JobBatchHalted, Reason: "failhard", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Size: 1, Minions: 3, Done: 1, Waiting: 2,
		Untold: []string{"web2", "web3"}}
	stranger := job("web1")
	stranger.JID = "20260101120000000002"
	for _, j := range []gaea.Job{parent, child, stranger} {
		h.AddJob(j)
	}
	var d gaea.JobDetail
	h.get("/v1/jobs/" + jid).want(http.StatusOK).into(&d)
	if d.Origin != gaea.OriginOrchestration || len(d.Children) != 1 || d.Children[0].JID != child.JID {
		t.Errorf("got %+v", d)
	}
	if b := d.Children[0].Batch; b == nil || b.Status != gaea.JobBatchHalted || b.Reason != "failhard" || len(b.Untold) != 2 {
		t.Errorf("the child's batch is %+v", b)
	}
	var page gaea.Page[gaea.Job]
	h.get("/v1/jobs?parent=" + jid).want(http.StatusOK).into(&page)
	if len(page.Items) != 1 || page.Items[0].Parent != jid {
		t.Errorf("got %+v", page)
	}
}

func TestTheReturnsOfAJobComeInPages(t *testing.T) {
	h := serve(t)
	h.AddJob(job("silent"))
	want := []string{"a b", "ä", "web1", "web2", "web3"} // whatever Salt calls a minion
	for _, m := range want {
		h.AddReturn(ret(m))
	}
	slices.Sort(want)
	var got []string
	for cursor := ""; ; {
		var page gaea.Page[gaea.Return]
		h.get("/v1/jobs/" + jid + "/returns?limit=2&cursor=" + url.QueryEscape(cursor)).want(http.StatusOK).into(&page)
		if len(page.Items) > 2 {
			t.Fatalf("a page of %d", len(page.Items))
		}
		for _, r := range page.Items {
			got = append(got, r.Minion)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	h.get("/v1/jobs/"+jid+"/returns?cursor=%21").problem(http.StatusBadRequest, gaea.CodeInvalid, "cursor")
}

func TestAPageOfLargeReturnsEndsEarly(t *testing.T) {
	h := serve(t)
	h.AddJob(job())
	for i := range 3 {
		r := ret(fmt.Sprintf("web%d", i))
		r.Body = []byte(`"` + strings.Repeat("x", 10<<20) + `"`)
		h.AddReturn(r)
	}
	var page gaea.Page[gaea.Return]
	h.get("/v1/jobs/" + jid + "/returns").want(http.StatusOK).into(&page)
	if len(page.Items) != 2 || page.Next == "" {
		t.Errorf("%d returns, next %q", len(page.Items), page.Next)
	}
}

func TestEventsAreListed(t *testing.T) {
	h := serve(t)
	h.AddEvent(gaea.Event{Tag: "salt/beacon/web1/load/", Stamp: time.Unix(1, 0).UTC(), Data: []byte(`{"id":"web1"}`)})
	h.AddEvent(gaea.Event{Tag: "salt/minion/web1/start", Stamp: time.Unix(2, 0).UTC(), Data: []byte(`{}`)})
	var page gaea.Page[gaea.Event]
	h.get("/v1/events?tag=" + url.QueryEscape("salt/beacon/*")).want(http.StatusOK).into(&page)
	if len(page.Items) != 1 || string(page.Items[0].Data) != `{"id":"web1"}` {
		t.Errorf("got %+v", page)
	}
}
