package engine_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func (w *world) cancel(id string) *gaea.Run {
	w.t.Helper()
	ctx := gaea.WithPrincipal(context.Background(), gaea.Principal{Name: "bob"})
	run, err := w.engine.Cancel(ctx, id, gaea.CancelRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

func hang() engine.Request {
	req := ping(glob("*"))
	req.Call = gaea.Call{Function: "cmd.run", Args: []any{"sleep 600"}}
	return req
}

func TestCancelKillsWhatRunsAndVerifiesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"web1", "web2", "web3"} {
			w.salt.Set(name, enginetest.Minion{Hangs: true, Answers: 200 * time.Millisecond})
		}
		id := w.submit(hang()).ID
		w.eventually("all run", func() bool { return w.salt.Running("web3") })
		begin := time.Now()
		if run := w.cancel(id); run.Status != gaea.RunCancelling || w.stored(id).Status != gaea.RunCancelling {
			t.Errorf("%s at once, stored %s", run.Status, w.stored(id).Status)
		}
		run := w.finish(id)
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("took %s", took)
		}
		if run.Status != gaea.RunCancelled || run.Counts[gaea.OutcomeKilled] != 3 || w.salt.Running("web1") {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
		if want := "cancelled by bob; 3 killed (web1, web2, web3)"; run.Message != want {
			t.Errorf("message %q, want %q", run.Message, want)
		}
		if again := w.cancel(id); again.Status != gaea.RunCancelled {
			t.Errorf("cancelled again: %s", again.Status)
		}
	})
}

func TestCancelSkipsWhatWasNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2", "web3")
		w.salt.Set("web2", enginetest.Minion{Hangs: true})
		id := w.submit(inSlices(hang(), "1")).ID
		w.eventually("the second slice runs", func() bool { return w.salt.Running("web2") })
		w.cancel(id)
		run := w.finish(id)
		if run.Minions["web1"].Outcome != gaea.OutcomeSucceeded || run.Minions["web2"].Outcome != gaea.OutcomeKilled || run.Minions["web3"].Outcome != gaea.OutcomeSkipped {
			t.Errorf("%v", outcomes(run))
		}
		if len(w.salt.Ran("web3")) != 0 {
			t.Error("web3 was told after the cancel")
		}
	})
}

func TestAKillThatCannotBeVerifiedIsSaidToBeSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Hangs: true})
		id := w.submit(hang()).ID
		w.eventually("it runs", func() bool { return w.salt.Running("web1") })
		w.salt.Set("web1", enginetest.Minion{Hangs: true, Down: true})
		w.cancel(id)
		run := w.finish(id)
		want := "did not answer within 5s: the kill could not be verified, the job may still run there"
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeUnreachable || rm.Message != want {
			t.Errorf("%+v", rm)
		}
	})
}

func TestAJobThatNoKillStopsIsReportedAndTheRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Hangs: true, Unstoppable: true})
		id := w.submit(hang()).ID
		w.eventually("it runs", func() bool { return w.salt.Running("web1") })
		w.cancel(id)
		run := w.finish(id)
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeNoReturn || !strings.Contains(rm.Message, "still running") {
			t.Errorf("%+v", rm)
		}
		if n := len(w.salt.Published("saltutil.kill_job")); n < 10 {
			t.Errorf("killed %d times in two minutes", n)
		}
	})
}

func TestAReturnThatArrivesWhileAKillIsVerifiedWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Takes: time.Second, Late: 1500 * time.Millisecond, Answers: 100 * time.Millisecond})
		id := w.submit(hang()).ID
		w.eventually("the job has ended", func() bool { return len(w.salt.Ran("web1")) > 0 && !w.salt.Running("web1") })
		w.cancel(id)
		run := w.finish(id)
		if rm := run.Minions["web1"]; run.Status != gaea.RunCancelled || rm.Outcome != gaea.OutcomeSucceeded {
			t.Errorf("%s: %+v", run.Status, rm)
		}
	})
}

func TestCancelWhileThePublishIsUnderWayKillsWhatItReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Hangs: true})
		w.salt.Latency(2 * time.Second)
		id := w.submit(hang()).ID
		w.eventually("the job id is stored", func() bool { return len(w.stored(id).Slices) > 0 })
		w.cancel(id)
		run := w.finish(id)
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeKilled || w.salt.Running("web1") {
			t.Errorf("%+v", rm)
		}
	})
}

func TestCancelOfARunThatWaitsForOthersTellsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Takes: time.Minute})
		first := w.submit(apply(glob("*"))).ID
		w.eventually("the first runs", func() bool { return w.salt.Running("web1") })
		second := w.submit(apply(gaea.ListTarget([]string{"web1"}))).ID
		third := w.submit(apply(gaea.ListTarget([]string{"web1"}))).ID
		w.cancel(second)
		if run := w.finish(second); run.Status != gaea.RunCancelled || run.Counts[gaea.OutcomeSkipped] != 1 || len(w.salt.Ran("web1")) != 1 {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
		if w.finish(first).Status != gaea.RunSucceeded || w.finish(third).Status != gaea.RunSucceeded {
			t.Error("the others did not succeed")
		}
	})
}

func TestCancelWhileTheTargetIsResolvedTellsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Latency(time.Second)
		id := w.submit(inSlices(hang(), "1")).ID
		synctest.Wait()
		w.cancel(id)
		if run := w.finish(id); run.Status != gaea.RunCancelled || run.Message != "cancelled by bob" || len(w.salt.Ran("web1")) != 0 {
			t.Errorf("%s: %q", run.Status, run.Message)
		}
	})
}

func TestCancelOfAMinionThatAnotherStateRunHoldsSkipsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Busy: 1000})
		id := w.submit(apply(glob("*"))).ID
		w.eventually("it was refused", func() bool { return len(w.salt.Published("state.apply")) > 1 })
		w.cancel(id)
		if rm := w.finish(id).Minions["web1"]; rm.Outcome != gaea.OutcomeSkipped || !strings.HasPrefix(rm.Message, "not begun") {
			t.Errorf("%+v", rm)
		}
	})
}

func TestCancelGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Hangs: true, Answers: time.Second})
		id := w.submit(hang()).ID
		w.eventually("it runs", func() bool { return w.salt.Running("web1") })
		w.cancel(id)
		w.restart()
		run := w.finish(id)
		if run.Status != gaea.RunCancelled || run.Minions["web1"].Outcome != gaea.OutcomeKilled || w.salt.Running("web1") {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
	})
}

func TestCancelOfARunThatIsNotThereIsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if _, err := w.engine.Cancel(context.Background(), "run-1", gaea.CancelRequest{}); gaea.CodeOf(err) != gaea.CodeNotFound {
			t.Errorf("%v", err)
		}
	})
}
