package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
)

// followFrom opens a stream as one who has seen it up to an event.
func (h *harness) followFrom(path, last string) *stream {
	h.t.Helper()
	return h.followAs(path, http.Header{"Last-Event-ID": {last}})
}

func decoded[T any](t *testing.T, ev event) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(ev.data), &v); err != nil {
		t.Fatalf("%v: %s", err, ev.data)
	}
	return v
}

// startRun starts a run with so many minions, web0 and up, in two slices.
func (h *harness) startRun(minions int) *gaea.Run {
	run := h.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "test.ping"})
	h.Runs.Change(run.ID, func(r *gaea.Run) {
		r.Minions = map[string]gaea.RunMinion{}
		for i := range minions {
			r.Minions[fmt.Sprintf("web%d", i)] = gaea.RunMinion{Outcome: gaea.OutcomePending}
		}
		r.Slices = []gaea.Slice{{Index: 0, JID: "1", Minions: []string{"web0"}}, {Index: 1, Minions: []string{"web1"}}}
	})
	return run
}

func (h *harness) returned(id, minion string) {
	h.Runs.Change(id, func(r *gaea.Run) { r.Minions[minion] = gaea.RunMinion{Outcome: gaea.OutcomeSucceeded} })
}

func TestARunIsSentWholeAndThenWhatChanges(t *testing.T) {
	h := serve(t)
	run := h.startRun(100)
	s := h.follow("/v1/runs/" + run.ID + "/events")
	whole := decoded[gaea.Run](t, s.want("run", "2"))
	if len(whole.Minions) != 100 || len(whole.Slices) != 2 || whole.Status != gaea.RunRunning {
		t.Fatalf("got %+v", whole)
	}
	h.returned(run.ID, "web7")
	change := decoded[gaea.RunChange](t, s.want("change", "3"))
	if len(change.Minions) != 1 || change.Minions["web7"].Outcome != gaea.OutcomeSucceeded || change.Slices != nil || change.MinionCount != 100 || change.SliceCount != 2 {
		t.Errorf("got %+v", change)
	}
	h.Runs.Change(run.ID, func(r *gaea.Run) {
		r.Slices[1].JID = "2"
		delete(r.Minions, "web99")
	})
	change = decoded[gaea.RunChange](t, s.want("change", "4"))
	if len(change.Slices) != 1 || change.Slices[0].JID != "2" || len(change.Removed) != 1 || change.Removed[0] != "web99" {
		t.Errorf("got %+v", change)
	}
	h.Runs.Change(run.ID, func(r *gaea.Run) { r.Status = gaea.RunSucceeded })
	change = decoded[gaea.RunChange](t, s.want("change", "5"))
	if change.Status != gaea.RunSucceeded || len(change.Minions) != 0 {
		t.Errorf("got %+v", change)
	}
	s.ends("complete")
	eventually(t, "nobody watches", func() bool { return h.Runs.Watched(run.ID) == 0 })
}

func TestWhoComesBackToARunIsSentWhatChangedMeanwhile(t *testing.T) {
	h := serve(t)
	run := h.startRun(100)
	at := "/v1/runs/" + run.ID + "/events"
	s := h.follow(at)
	last := s.want("run", "2").id
	s.close()
	h.returned(run.ID, "web1")
	h.returned(run.ID, "web2")
	s = h.followFrom(at, last)
	change := decoded[gaea.RunChange](t, s.want("change", "4"))
	if len(change.Minions) != 2 || change.Minions["web1"].Outcome != gaea.OutcomeSucceeded || change.MinionCount != 100 || len(change.Slices) != 2 {
		t.Errorf("got %+v", change)
	}
	h.returned(run.ID, "web3")
	if change := decoded[gaea.RunChange](t, s.want("change", "5")); len(change.Minions) != 1 {
		t.Errorf("got %+v", change)
	}
}

func TestAnIDThatTheRunNeverHadGetsTheWholeRun(t *testing.T) {
	h := serve(t)
	run := h.startRun(3)
	for _, last := range []string{"99", "-1", "web1", "1e3", "99999999999999999999"} {
		s := h.followFrom("/v1/runs/"+run.ID+"/events", last)
		if got := decoded[gaea.Run](t, s.want("run", "2")); len(got.Minions) != 3 {
			t.Errorf("%s: got %+v", last, got)
		}
		s.close()
	}
}

func TestAStreamOfARunThatHasEndedEndsAtOnce(t *testing.T) {
	h := serve(t)
	run := h.startRun(1)
	h.Runs.End(run.ID, gaea.RunFailed, gaea.OutcomeFailed)
	s := h.follow("/v1/runs/" + run.ID + "/events")
	s.want("run", "3")
	s.ends("complete")
	s = h.followFrom("/v1/runs/"+run.ID+"/events", "3")
	if change := decoded[gaea.RunChange](t, s.want("change", "3")); len(change.Minions) != 0 || change.Status != gaea.RunFailed {
		t.Errorf("got %+v", change)
	}
	s.ends("complete")
}

func TestAStreamOfAnEnforcingRunGoesOnUntilItsCheckHasEnded(t *testing.T) {
	h := serve(t)
	run := h.Runs.Start(gaea.Run{Kind: gaea.RunEnforce, CheckState: gaea.CheckPending})
	s := h.follow("/v1/runs/" + run.ID + "/events")
	s.want("run", "1")
	h.Runs.End(run.ID, gaea.RunSucceeded, gaea.OutcomeChanged)
	s.want("change", "2")
	h.Runs.Change(run.ID, func(r *gaea.Run) { r.CheckState = gaea.CheckDone })
	s.want("change", "3")
	s.ends("complete")
}

func TestAStreamOfAnUnknownRunIsAProblem(t *testing.T) {
	h := serve(t)
	h.get("/v1/runs/none/events").problem(http.StatusNotFound, gaea.CodeNotFound, "")
}

func TestStoppingEndsStreamsOfRuns(t *testing.T) {
	h := serve(t)
	run := h.startRun(1)
	s := h.follow("/v1/runs/" + run.ID + "/events")
	s.want("run", "2")
	h.api.Stop()
	s.ends("shutdown")
}

func TestAClientThatLeavesARunIsLetGo(t *testing.T) {
	h := serve(t)
	run := h.startRun(1)
	s := h.follow("/v1/runs/" + run.ID + "/events")
	s.want("run", "2")
	s.close()
	eventually(t, "nobody watches", func() bool { return h.Runs.Watched(run.ID) == 0 })
}

// TestARunOfAnotherJobdIsLookedAtAgainAndAgain follows a run that cannot be watched.
func TestARunOfAnotherJobdIsLookedAtAgainAndAgain(t *testing.T) {
	h := serve(t)
	run := h.startRun(2)
	h.Runs.Unwatched(run.ID)
	s := h.follow("/v1/runs/" + run.ID + "/events")
	s.want("run", "2")
	h.returned(run.ID, "web1")
	if change := decoded[gaea.RunChange](t, s.want("change", "3")); len(change.Minions) != 1 {
		t.Errorf("got %+v", change)
	}
	h.Runs.Fail(gaea.Wrap(errors.New("disk I/O error"), gaea.CodeUnavailable, "the database does not answer"))
	s.ends("unavailable")
	if logged := h.lines("request failed"); len(logged) != 1 || !strings.Contains(fmt.Sprint(logged[0]["error"]), "disk I/O error") {
		t.Errorf("logged %v", logged)
	}
}

// TestASilentRunShowsThatItsStreamLives runs the handler in a bubble, where an hour passes at once.
func TestASilentRunShowsThatItsStreamLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := assemble(t)
		run := h.startRun(1)
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/runs/"+run.ID+"/events", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+h.tokens[gaea.RoleRead])
		started := time.Now()
		h.api.ServeHTTP(w, r)
		if took := time.Since(started); took != time.Hour {
			t.Errorf("the stream lived %s", took)
		}
		if n := strings.Count(w.Body.String(), ": alive\n\n"); n < 239 || n > 240 {
			t.Errorf("%d signs of life in an hour", n)
		}
		if n := strings.Count(w.Body.String(), "event: "); n != 2 || !strings.HasSuffix(w.Body.String(), "event: end\ndata: {\"reason\":\"limit\"}\n\n") {
			t.Errorf("%d events, and it ended with %q", n, w.Body.String()[w.Body.Len()-60:])
		}
	})
}

func TestAStreamKeepsNoRoomForTheWholeRunThatItBeganWith(t *testing.T) {
	w := httptest.NewRecorder()
	room, err := api.RoomAfter(w, strings.Repeat("x", 2<<20))
	if err != nil || w.Body.Len() < 2<<20 || room > 64<<10 {
		t.Errorf("%v; %d bytes sent, room for %d kept", err, w.Body.Len(), room)
	}
}

func TestAChangeDoesNotRepeatWhatNeverChanges(t *testing.T) {
	h := serve(t)
	run := h.Runs.Start(gaea.Run{Args: json.RawMessage(`["a"]`), Target: gaea.ListTarget([]string{"web1", "web2"})})
	s := h.follow("/v1/runs/" + run.ID + "/events")
	whole := decoded[gaea.Run](t, s.want("run", "1"))
	h.Runs.Change(run.ID, func(r *gaea.Run) { r.Message = "on its way" })
	change := decoded[gaea.RunChange](t, s.want("change", "2"))
	if change.Args != nil || change.Target.Minions != nil {
		t.Errorf("sent again: %s, %v", change.Args, change.Target)
	}
	got, err := change.Apply(&whole)
	if err != nil || string(got.Args) != `["a"]` || len(got.Target.Minions) != 2 || got.Message != "on its way" {
		t.Errorf("%v: %+v", err, got)
	}
}
