package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestTwentyStateRunsOnTheSameMinionsRunOneAtATimeAndAllSucceed(t *testing.T) {
	targets := map[string]func(i int) gaea.Target{
		"a glob":      func(int) gaea.Target { return glob("*") },
		"a list":      func(int) gaea.Target { return gaea.ListTarget([]string{"web1", "web2", "web3"}) },
		"part of all": func(i int) gaea.Target { return gaea.ListTarget([]string{"web2", fmt.Sprintf("web%d", 1+i%3)}) },
	}
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				for i := range 3 {
					w.salt.Set(fmt.Sprintf("web%d", i+1), enginetest.Minion{Takes: time.Duration(i+1) * time.Second, Answers: 100 * time.Millisecond})
				}
				w.salt.Latency(20 * time.Millisecond)
				var ids []string
				for i := range 20 {
					ids = append(ids, w.submit(apply(target(i))).ID)
				}
				for _, id := range ids {
					if run := w.finish(id); run.Status != gaea.RunSucceeded {
						t.Errorf("%s: %s: %v", id, run.Status, outcomes(run))
					}
				}
				if n := w.salt.MostStates(); n != 1 {
					t.Errorf("%d state runs at once on a minion", n)
				}
			})
		})
	}
}

func TestStateRunsOfDifferentMinionsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var ids []string
		begin := time.Now()
		for i := range 10 {
			name := fmt.Sprintf("web%d", i)
			w.salt.Set(name, enginetest.Minion{Takes: 10 * time.Second})
			ids = append(ids, w.submit(apply(gaea.ListTarget([]string{name}))).ID)
		}
		for _, id := range ids {
			w.finish(id)
		}
		if took := time.Since(begin); took > 11*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestASlicedStateRunLetsOthersInBetweenItsSlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2", "web3", "web4")
		for _, name := range []string{"web1", "web2", "web3", "web4"} {
			w.salt.Set(name, enginetest.Minion{Takes: 10 * time.Second})
		}
		rolling := w.submit(inSlices(apply(glob("*")), "1")).ID
		w.eventually("the first slice is told", func() bool { return len(w.salt.Ran("web1")) > 0 })
		short := w.run(apply(gaea.ListTarget([]string{"web4"})))
		if run := w.stored(rolling); run.Status.Final() || short.Status != gaea.RunSucceeded {
			t.Errorf("the short run (%s) waited for the rolling one (%s)", short.Status, run.Status)
		}
		if run := w.finish(rolling); run.Status != gaea.RunSucceeded || w.salt.MostStates() != 1 {
			t.Errorf("%s, %d at once", run.Status, w.salt.MostStates())
		}
	})
}

func TestAMinionThatAnotherStateRunHoldsIsAskedAgainUntilItIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Busy: 3, Takes: time.Second})
		begin := time.Now()
		run := w.run(apply(glob("*")))
		if rm := run.Minions["web2"]; run.Status != gaea.RunSucceeded || rm.Outcome != gaea.OutcomeInSync || rm.Late || rm.Slice != 3 {
			t.Errorf("%s: %+v", run.Status, rm)
		}
		if took := time.Since(begin); took < 11*time.Second || took > 13*time.Second {
			t.Errorf("took %s, want four publishes with pauses of 1 s, 2 s and 4 s", took)
		}
		if len(run.Slices) != 4 || len(w.salt.Ran("web2")) != 1 || len(w.salt.Ran("web1")) != 1 {
			t.Errorf("%d slices; web2 ran %v", len(run.Slices), w.salt.Ran("web2"))
		}
	})
}

func TestAMinionThatIsHeldUntilTheJobTimeoutCouldNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Set("web1", enginetest.Minion{Busy: 1000})
		req := apply(glob("*"))
		req.Timeouts.Job = gaea.Duration(2 * time.Minute)
		run := w.run(req)
		rm := run.Minions["web1"]
		if run.Status != gaea.RunTimedOut || rm.Outcome != gaea.OutcomeCouldNotRun || !strings.Contains(rm.Message, "is running as PID 4711") {
			t.Errorf("%s: %+v", run.Status, rm)
		}
		if n := len(w.salt.Published("state.apply")); n > 20 {
			t.Errorf("asked %d times in two minutes", n)
		}
	})
}

func TestStateFunctionsQueueOnTheMinionUnlessTheCallerSaysOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.run(apply(glob("*")))
		own := apply(glob("*"))
		own.Call.Kwargs = map[string]any{"queue": false, "test": true}
		w.run(own)
		parallel := apply(glob("*"))
		parallel.Call.Kwargs = map[string]any{"concurrent": true}
		w.run(parallel)
		w.run(ping(glob("*")))
		var queues []any
		for _, p := range w.salt.Published("") {
			queues = append(queues, p.Kwargs["queue"])
		}
		if fmt.Sprint(queues) != "[true false <nil> <nil>]" {
			t.Errorf("queue was %v", queues)
		}
		if len(own.Call.Kwargs) != 2 {
			t.Error("the caller's arguments were changed")
		}
	})
}

// A state run of somebody else holds the minion, and Salt has put ours into its queue on the minion's disk, where
// find_job does not see it.
func TestAStateRunInSaltsOwnQueueIsNotTakenForLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Set("web1", enginetest.Minion{Takes: 10 * time.Second, Queues: time.Minute})
		run := w.run(apply(glob("*")))
		if run.Status != gaea.RunSucceeded || len(w.salt.Published("saltutil.find_job")) != 0 {
			t.Errorf("%s: %+v", run.Status, run.Minions["web1"])
		}
	})
}

func TestStateRunsOfOneTargetHaveItResolvedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Latency(50 * time.Millisecond)
		holder := w.submit(apply(gaea.ListTarget([]string{"web1"}))).ID // so that no run has the engine to itself
		w.eventually("it runs", func() bool { return w.salt.Running("web1") })
		ids := []string{holder}
		for range 10 {
			ids = append(ids, w.submit(apply(glob("web*"))).ID)
		}
		for _, id := range ids {
			if run := w.finish(id); run.Status != gaea.RunSucceeded {
				t.Errorf("%s: %v", run.Status, outcomes(run))
			}
		}
		if n := len(w.salt.Published("test.ping")); n != 1 {
			t.Errorf("resolved %d times", n)
		}
	})
}

func TestARunThatIsCancelledWhileItsTargetIsResolvedLetsTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Latency(time.Second)
		var ids []string
		for range 3 {
			ids = append(ids, w.submit(apply(glob("*"))).ID)
		}
		synctest.Wait()
		for _, id := range ids[:2] {
			w.cancel(id)
		}
		for _, id := range ids[:2] {
			if run := w.finish(id); run.Status != gaea.RunCancelled {
				t.Errorf("%s", run.Status)
			}
		}
		if run := w.finish(ids[2]); run.Status != gaea.RunSucceeded {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
	})
}

func TestAStateRunWhoseTargetMatchesNobodyDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		first, second := w.submit(apply(glob("db*"))).ID, w.submit(apply(glob("db*"))).ID
		third := w.submit(apply(glob("*"))).ID
		for _, id := range []string{first, second} {
			if run := w.finish(id); run.Status != gaea.RunFailed || !strings.Contains(run.Message, "matches no minion") {
				t.Errorf("%s: %q", run.Status, run.Message)
			}
		}
		if run := w.finish(third); run.Status != gaea.RunSucceeded {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
	})
}

func TestRunsInSlicesDoNotAllMakeTheMinionsAnswerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Down: true})
		var ids []string
		for range 6 {
			ids = append(ids, w.submit(inSlices(apply(glob("*")), "1")).ID)
		}
		synctest.Wait()
		if n := len(w.salt.Published("test.ping")); n != 4 {
			t.Errorf("%d targets are being resolved at once", n)
		}
		for _, id := range ids {
			if run := w.finish(id); run.Minions["web1"].Outcome != gaea.OutcomeInSync || run.Minions["web2"].Outcome != gaea.OutcomeUnreachable {
				t.Errorf("%v", outcomes(run))
			}
		}
	})
}
