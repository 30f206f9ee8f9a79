package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAFrontAcceptsRunsThatAnotherEngineCarriesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		front := engine.New(engine.Deps{Master: "m", Runs: w.runs, Front: true, TakeBy: time.Now().Add(time.Minute)})
		req := ping(glob("*"))
		req.Master, req.Key = "m", "key"
		run, created, err := front.Submit(t.Context(), req)
		if err != nil || !created || run.Status != gaea.RunQueued || run.TakeBy.IsZero() {
			t.Fatalf("%+v, %t, %v", run, created, err)
		}
		if again, created, err := front.Submit(t.Context(), req); err != nil || created || again.ID != run.ID {
			t.Errorf("the same key makes %s, %t, %v", again.ID, created, err)
		}
		if w.engine.Going(run.ID) || len(w.salt.Ran("web1")) > 0 {
			t.Error("it goes on before it was taken up")
		}
		if _, err := w.engine.Ensure(t.Context(), run.ID); err != nil || !w.engine.Going(run.ID) || front.Going(run.ID) {
			t.Errorf("it is not taken up: %v", err)
		}
		if got := w.finish(run.ID); got.Status != gaea.RunSucceeded || !got.TakeBy.IsZero() {
			t.Errorf("%s: %s, to be taken up by %s", got.Status, got.Message, got.TakeBy)
		}
		if again, created, err := front.Retry(t.Context(), run.ID, gaea.RetryRequest{Outcomes: []gaea.Outcome{gaea.OutcomeSucceeded}}, "ann", ""); err != nil || !created || again.RetryOf != run.ID {
			t.Errorf("a retry: %+v, %v", again, err)
		}
		if _, err := front.Pause(t.Context(), run.ID); gaea.CodeOf(err) != gaea.CodeConflict {
			t.Errorf("a run that has ended is paused: %v", err)
		}
	})
}

func TestARunOfAnotherMastersMinionsIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		req := ping(glob("*"))
		req.Master = "elsewhere"
		if _, _, err := w.engine.Submit(t.Context(), req); gaea.CodeOf(err) != gaea.CodeInvalid {
			t.Errorf("the error is %v", err)
		}
	})
}
