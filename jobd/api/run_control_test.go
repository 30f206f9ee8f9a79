package api_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestARunIsCancelled(t *testing.T) {
	h := serve(t)
	run := h.Runs.Start(gaea.Run{})
	var got gaea.Run
	r := h.post("/v1/runs/"+run.ID+"/cancel", nil).want(http.StatusAccepted)
	r.into(&got)
	if got.Status != gaea.RunCancelling || got.Grace != 0 || r.header.Get("Location") != "/v1/runs/"+run.ID {
		t.Errorf("got %+v at %q", got, r.header.Get("Location"))
	}
	h.post("/v1/runs/none/cancel", nil).problem(http.StatusNotFound, gaea.CodeNotFound, "")
}

func TestARunIsCancelledWithAGrace(t *testing.T) {
	h := serve(t)
	run := h.Runs.Start(gaea.Run{})
	var got gaea.Run
	h.post("/v1/runs/"+run.ID+"/cancel", gaea.CancelRequest{Grace: gaea.Duration(30 * time.Second)}).want(http.StatusAccepted).into(&got)
	if got.Grace != gaea.Duration(30*time.Second) {
		t.Errorf("got %+v", got)
	}
	h.post("/v1/runs/"+run.ID+"/cancel", `{"grace":"soon"}`).problem(http.StatusBadRequest, gaea.CodeInvalid, "grace")
	h.post("/v1/runs/"+run.ID+"/cancel", `{"gracious":"1s"}`).problem(http.StatusBadRequest, gaea.CodeInvalid, "gracious")
}

func TestARunIsPausedAndResumed(t *testing.T) {
	h := serve(t)
	run := h.Runs.Start(gaea.Run{})
	at := "/v1/runs/" + run.ID
	h.post(at+"/resume", nil).problem(http.StatusConflict, gaea.CodeConflict, "")
	var got gaea.Run
	r := h.post(at+"/pause", nil).want(http.StatusAccepted)
	r.into(&got)
	if got.Status != gaea.RunPaused || got.Pause == nil || got.Pause.By != "applyer" || r.header.Get("Location") != at {
		t.Errorf("got %+v at %q", got, r.header.Get("Location"))
	}
	h.post(at+"/pause", nil).want(http.StatusAccepted)
	got = gaea.Run{}
	h.post(at+"/resume", nil).want(http.StatusAccepted).into(&got)
	if got.Status != gaea.RunRunning || got.Pause != nil {
		t.Errorf("got %+v", got)
	}
	h.Runs.End(run.ID, gaea.RunSucceeded, gaea.OutcomeSucceeded)
	h.post(at+"/pause", nil).problem(http.StatusConflict, gaea.CodeConflict, "")
	h.post("/v1/runs/none/pause", nil).problem(http.StatusNotFound, gaea.CodeNotFound, "")
	h.post("/v1/runs/none/resume", nil).problem(http.StatusNotFound, gaea.CodeNotFound, "")
}

func TestARetryIsANewRunOfWhatWentWrong(t *testing.T) {
	h := serve(t)
	first := h.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "test.ping"})
	at := "/v1/runs/" + first.ID + "/retry"
	h.post(at, nil).problem(http.StatusConflict, gaea.CodeConflict, "")
	h.Runs.End(first.ID, gaea.RunFailed, gaea.OutcomeUnreachable)

	var got gaea.Run
	r := h.post(at, nil).want(http.StatusAccepted)
	r.into(&got)
	if got.ID == first.ID || got.RetryOf != first.ID || got.User != "applyer" || !slices.Equal(got.Target.Minions, []string{"web1"}) ||
		r.header.Get("Location") != "/v1/runs/"+got.ID {
		t.Errorf("got %+v at %q", got, r.header.Get("Location"))
	}
	h.post(at, gaea.RetryRequest{Outcomes: []gaea.Outcome{gaea.OutcomeSkipped}}).problem(http.StatusBadRequest, gaea.CodeInvalid, "outcomes")
	h.post(at, `{"outcomes":["failed","pending"]}`).problem(http.StatusBadRequest, gaea.CodeInvalid, "outcomes[1]")
	h.post("/v1/runs/none/retry", nil).problem(http.StatusNotFound, gaea.CodeNotFound, "")
}

func TestTheSameKeyGivesTheSameRetry(t *testing.T) {
	h := serve(t)
	first := h.Runs.Start(gaea.Run{Function: "test.ping"})
	h.Runs.End(first.ID, gaea.RunFailed, gaea.OutcomeFailed)
	retry := func(key string) (run gaea.Run) {
		h.do(request{method: http.MethodPost, path: "/v1/runs/" + first.ID + "/retry", role: gaea.RoleApply, header: http.Header{"Idempotency-Key": {key}}}).
			want(http.StatusAccepted).into(&run)
		return run
	}
	a, b, c := retry("k1"), retry("k1"), retry("k2")
	if a.ID != b.ID || a.ID == c.ID {
		t.Errorf("got %s, %s and %s", a.ID, b.ID, c.ID)
	}
}

func TestTheRetryOfAnEnforcingRunIsLookedAtAfterwards(t *testing.T) {
	h := serve(t)
	first := h.Runs.Start(gaea.Run{Kind: gaea.RunEnforce, Assignment: "a"})
	h.Runs.End(first.ID, gaea.RunFailed, gaea.OutcomeFailed)
	job := h.Runs.Start(gaea.Run{Kind: gaea.RunJob})
	h.Runs.End(job.ID, gaea.RunFailed, gaea.OutcomeFailed)
	var got gaea.Run
	h.post("/v1/runs/"+job.ID+"/retry", nil).want(http.StatusAccepted)
	h.post("/v1/runs/"+first.ID+"/retry", nil).want(http.StatusAccepted).into(&got)
	if followed := h.Enforcer.Followed(); !slices.Equal(followed, []string{got.ID}) {
		t.Errorf("followed %q, want %q", followed, got.ID)
	}
}
