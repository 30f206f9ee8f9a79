package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestNoCrashMakesAMinionRunTwiceOrLosesAReturn(t *testing.T) {
	requests := map[string]engine.Request{
		"straight":       ping(glob("*")),
		"in slices":      inSlices(ping(glob("*")), "3"),
		"states":         apply(glob("*")),
		"states, slices": inSlices(apply(glob("*")), "25%"),
	}
	for name, req := range requests {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(50) {
				synctest.Test(t, func(t *testing.T) { crashAtRandom(t, req, rand.New(rand.NewPCG(seed, 0))) })
			}
		})
	}
}

func crashAtRandom(t *testing.T, req engine.Request, chance *rand.Rand) {
	w := newWorld(t)
	w.salt.Latency(20 * time.Millisecond)
	for i := range 12 {
		w.salt.Set(fmt.Sprintf("web%02d", i), enginetest.Minion{
			Takes: time.Duration(chance.IntN(1500)) * time.Millisecond, Answers: 50 * time.Millisecond, Loses: chance.IntN(6) == 0,
		})
	}
	id := w.submit(req).ID
	for range 1 + chance.IntN(4) {
		timer := time.NewTimer(time.Duration(chance.IntN(1200)) * time.Millisecond)
		<-timer.C
		w.crash()
	}
	run := w.finish(id)
	if run.Status != gaea.RunSucceeded || len(run.Minions) != 12 {
		t.Errorf("%s: %s", run.Status, run.Message)
	}
	for name := range run.Minions {
		if ran := w.salt.Ran(name); len(ran) != 1 {
			t.Errorf("%s ran %v", name, ran)
		}
	}
}

func TestAStopAndAStartLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2", "web3", "web4")
		id := w.submit(inSlices(ping(glob("*")), "1")).ID
		w.eventually("the second slice is told", func() bool { return len(w.salt.Ran("web2")) > 0 })
		w.restart()
		if run := w.finish(id); run.Status != gaea.RunSucceeded || len(w.salt.Ran("web2")) != 1 {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
	})
}

func TestARunThatIsTakenUpAfterItsTimeoutStillLearnsWhatBecameOfItsJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Takes: time.Minute})
		w.salt.Set("web2", enginetest.Minion{Hangs: true})
		req := ping(glob("*"))
		req.Timeouts.Job = gaea.Duration(2 * time.Minute)
		id := w.submit(req).ID
		w.eventually("it runs", func() bool { return w.salt.Running("web2") })
		w.line.cut.Store(true)
		w.stop(w.engine)
		timer := time.NewTimer(time.Hour)
		<-timer.C
		w.start()
		run := w.finish(id)
		if run.Status != gaea.RunTimedOut || run.Minions["web1"].Outcome != gaea.OutcomeSucceeded || run.Minions["web2"].Outcome != gaea.OutcomeNoReturn {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
	})
}

func TestSlicesThatAreTakenUpAfterTheTimeoutAreNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web1", enginetest.Minion{Takes: time.Minute})
		req := inSlices(ping(glob("*")), "1")
		req.Timeouts.Job = gaea.Duration(2 * time.Minute)
		id := w.submit(req).ID
		w.eventually("it runs", func() bool { return w.salt.Running("web1") })
		w.line.cut.Store(true)
		w.stop(w.engine)
		timer := time.NewTimer(time.Hour)
		<-timer.C
		w.start()
		run := w.finish(id)
		if run.Status != gaea.RunTimedOut || run.Minions["web1"].Outcome != gaea.OutcomeSucceeded || run.Minions["web2"].Outcome != gaea.OutcomeSkipped {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
	})
}

func TestAJobWhoseMinionsTheCacheForgotIsResolvedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Takes: 20 * time.Second})
		w.salt.Set("web2", enginetest.Minion{Takes: 20 * time.Second})
		w.salt.Latency(time.Second)
		id := w.submit(ping(glob("*"))).ID
		w.eventually("it is stored", func() bool { return len(w.stored(id).Slices) > 0 })
		synctest.Wait() // the publication is on its way
		w.line.cut.Store(true)
		w.eventually("it is published all the same", func() bool { return w.salt.Running("web1") })
		w.salt.ForgetMinions()
		w.restart()
		if run := w.finish(id); run.Status != gaea.RunSucceeded || len(run.Minions) != 2 || len(w.salt.Ran("web1")) != 1 {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
	})
}

func TestStateRunsThatAreTakenUpHoldTheirMinionsBeforeOthersMayHaveThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Takes: 10 * time.Second})
		var ids []string
		for range 5 {
			ids = append(ids, w.submit(apply(glob("*"))).ID)
		}
		w.eventually("the first runs", func() bool { return w.salt.Running("web1") })
		w.crash()
		ids = append(ids, w.submit(apply(gaea.ListTarget([]string{"web1"}))).ID)
		for _, id := range ids {
			if run := w.finish(id); run.Status != gaea.RunSucceeded {
				t.Errorf("%s: %v", run.Status, outcomes(run))
			}
		}
		if n := w.salt.MostStates(); n != 1 {
			t.Errorf("%d state runs at once", n)
		}
	})
}

func TestRunsOfOtherMastersAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		other := &gaea.Run{
			ID: "run-other", Master: "other", Function: "test.ping", Target: glob("*"), Status: gaea.RunQueued, Created: time.Now(),
			Call: &gaea.Call{Function: "test.ping"},
		}
		if _, _, err := w.runs.CreateRun(context.Background(), other, "", ""); err != nil {
			t.Fatal(err)
		}
		w.restart()
		w.run(ping(glob("*")))
		if run := w.stored(other.ID); run.Status != gaea.RunQueued {
			t.Errorf("%s", run.Status)
		}
		if _, err := w.engine.Cancel(context.Background(), other.ID, gaea.CancelRequest{}); gaea.CodeOf(err) != gaea.CodeConflict {
			t.Errorf("cancel: %v", err)
		}
	})
}
