package engine_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAPausedRunLetsItsSliceEndAndGoesOnWhenItIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		ctx := gaea.WithPrincipal(context.Background(), gaea.Principal{Name: "bob"})
		run := w.submit(inSlices(ping(glob("*")), "1"))
		w.eventually("the first slice runs", func() bool { return w.salt.Running("web1") })
		for range 2 { // the second time changes nothing
			paused, err := w.engine.Pause(ctx, run.ID)
			if err != nil || paused.Pause == nil || paused.Pause.By != "bob" || paused.Pause.Reason != gaea.PauseAsked {
				t.Fatalf("%+v, %v", paused.Pause, err)
			}
		}
		w.eventually("it stands still", func() bool { return w.stored(run.ID).Status == gaea.RunPaused })
		w.pass(time.Hour)
		if n := len(w.salt.Ran("web2")); n != 0 {
			t.Errorf("web2 was told")
		}
		w.restart()
		if run := w.stored(run.ID); run.Status != gaea.RunPaused {
			t.Errorf("after a restart: %s", run.Status)
		}
		resumed, err := w.engine.Resume(ctx, run.ID)
		if err != nil || resumed.Pause != nil || resumed.PausedFor < gaea.Duration(time.Hour) {
			t.Errorf("%+v, %v", resumed, err)
		}
		if run := w.finish(run.ID); run.Status != gaea.RunSucceeded || len(w.salt.Ran("web1")) != 1 || len(w.salt.Ran("web2")) != 1 {
			t.Errorf("%s: %s", run.Status, run.Message)
		}
	})
}

func TestARunThatIsPausedWhileOthersHoldItsMinionsStandsInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Takes: time.Minute, Answers: 100 * time.Millisecond})
		holder := w.submit(apply(gaea.ListTarget([]string{"web2"})))
		w.eventually("it runs", func() bool { return w.salt.Running("web2") })
		req := inSlices(apply(glob("*")), "1")
		req.Timeouts.Job = gaea.Duration(10 * time.Minute)
		run := w.submit(req)
		w.eventually("the first slice has ended", func() bool {
			slices := w.stored(run.ID).Slices
			return len(slices) > 0 && !slices[0].Ended.IsZero()
		})
		if paused, err := w.engine.Pause(t.Context(), run.ID); err != nil || paused.Status != gaea.RunPaused {
			t.Fatalf("%v, %v", paused, err)
		}
		w.finish(holder.ID)
		if other := w.run(apply(gaea.ListTarget([]string{"web2"}))); other.Ended.Sub(other.Created) > 2*time.Minute {
			t.Errorf("another run had to wait: %s", other.Ended.Sub(other.Created))
		}
		w.pass(time.Hour)
		if _, err := w.engine.Resume(t.Context(), run.ID); err != nil {
			t.Fatal(err)
		}
		if run := w.finish(run.ID); run.Status != gaea.RunSucceeded {
			t.Errorf("%s: %s", run.Status, run.Message)
		}
	})
}

func TestARunThatIsPausedWhileItsTargetIsResolvedForAnotherTakesNoMinions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Latency(10 * time.Second)
		w.submit(apply(glob("*")))
		synctest.Wait()
		waits := w.submit(apply(glob("*")))
		w.pass(5 * time.Second)
		if paused, err := w.engine.Pause(t.Context(), waits.ID); err != nil || paused.Status != gaea.RunPaused {
			t.Fatalf("%v, %v", paused, err)
		}
		if other := w.run(apply(gaea.ListTarget([]string{"web1"}))); other.Ended.Sub(other.Created) > time.Minute {
			t.Errorf("another run had to wait %s", other.Ended.Sub(other.Created))
		}
		if _, err := w.engine.Resume(t.Context(), waits.ID); err != nil {
			t.Fatal(err)
		}
		if run := w.finish(waits.ID); run.Status != gaea.RunSucceeded {
			t.Errorf("%s: %s", run.Status, run.Message)
		}
	})
}

func TestWhatCannotBePausedOrResumedIsAConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		ctx := context.Background()
		conflict := func(what string, run *gaea.Run, err error) {
			t.Helper()
			if gaea.CodeOf(err) != gaea.CodeConflict || run != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		ended := w.run(ping(glob("*")))
		run, err := w.engine.Pause(ctx, ended.ID)
		conflict("pausing a run that has ended", run, err)
		run, err = w.engine.Resume(ctx, ended.ID)
		conflict("resuming a run that has ended", run, err)

		w.salt.Set("web1", enginetest.Minion{Hangs: true, Unstoppable: true})
		going := w.submit(hang())
		w.eventually("it runs", func() bool { return w.salt.Running("web1") })
		run, err = w.engine.Resume(ctx, going.ID)
		conflict("resuming a run that is not paused", run, err)
		w.cancel(going.ID)
		run, err = w.engine.Pause(ctx, going.ID)
		conflict("pausing a run that is being cancelled", run, err)
		w.finish(going.ID)
		for what, do := range map[string]func(context.Context, string) (*gaea.Run, error){"pause": w.engine.Pause, "resume": w.engine.Resume} {
			if _, err := do(ctx, "run-1"); gaea.CodeOf(err) != gaea.CodeNotFound {
				t.Errorf("%s of no run: %v", what, err)
			}
		}
	})
}

func TestAGraceThatIsTooLongIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		_, err := w.engine.Cancel(context.Background(), w.submit(ping(glob("*"))).ID, gaea.CancelRequest{Grace: gaea.Duration(time.Hour)})
		if e, ok := errors.AsType[*gaea.Error](err); !ok || e.Code != gaea.CodeInvalid || e.Field != "grace" {
			t.Errorf("%v", err)
		}
	})
}

func TestARetryRepeatsWhatWentWrongAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2", "web3")
		w.salt.Set("web2", enginetest.Minion{Outcome: gaea.OutcomeFailed})
		w.salt.Set("web3", enginetest.Minion{Down: true})
		req := inSlices(apply(glob("*")), "2")
		req.Kind, req.Assignment, req.Revision, req.CheckState = gaea.RunEnforce, "web", "r1", gaea.CheckPending
		req.Concurrency.Lock, req.Template = "deploy", "rolling@abc"
		req.Post = []gaea.JobAction{{Name: "check", Function: "test.ping", When: gaea.WhenAlways}}
		req.Timeouts.Job = gaea.Duration(5 * time.Minute)
		req.Call.Kwargs = map[string]any{"pillar": map[string]any{"password": "s3cret"}}
		first := w.run(req)
		w.salt.Set("web2", enginetest.Minion{})
		w.salt.Set("web3", enginetest.Minion{})

		again, created, err := w.engine.Retry(context.Background(), first.ID, gaea.RetryRequest{}, "bob", "k")
		if err != nil || !created {
			t.Fatal(err)
		}
		same, created, err := w.engine.Retry(context.Background(), first.ID, gaea.RetryRequest{}, "bob", "k")
		if err != nil || created || same.ID != again.ID {
			t.Errorf("the same key: %v, created %v, %v", same, created, err)
		}
		run := w.finish(again.ID)
		if run.Status != gaea.RunSucceeded || run.User != "bob" || run.RetryOf != first.ID || run.Target.String() != "web2,web3" {
			t.Errorf("%s %s %s %s: %s", run.Status, run.User, run.RetryOf, run.Target.String(), run.Message)
		}
		if run.Kind != first.Kind || run.Assignment != "web" || run.Revision != "r1" || run.CheckState != gaea.CheckPending || run.Batch != first.Batch ||
			run.Timeouts != first.Timeouts || run.Concurrency != first.Concurrency || run.Template != first.Template || !reflect.DeepEqual(run.Call, first.Call) {
			t.Errorf("not what the first run was told: %+v", run)
		}
		if n := len(w.salt.Ran("web1")); n != 2 { // its own work, and the post-action
			t.Errorf("web1 ran %d jobs", n)
		}
	})
}

func TestARetryTakesTheOutcomesThatAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Set("web2", enginetest.Minion{Outcome: gaea.OutcomeFailed})
		first := w.run(ping(glob("*")))
		run, _, err := w.engine.Retry(context.Background(), first.ID, gaea.RetryRequest{Outcomes: []gaea.Outcome{gaea.OutcomeSucceeded}}, "bob", "")
		if err != nil || run.Target.String() != "web1" {
			t.Errorf("%v, %v", run, err)
		}
		for outcome, want := range map[gaea.Outcome]string{
			gaea.OutcomeKilled:  "no minion of run " + first.ID + ` has one of the outcomes "killed"; there is nothing to retry`,
			gaea.OutcomePending: `"pending" is no outcome that a minion ends with; write for example "failed"`,
			"lost":              `"lost" is no outcome that a minion ends with; write for example "failed"`,
		} {
			_, _, err := w.engine.Retry(context.Background(), first.ID, gaea.RetryRequest{Outcomes: []gaea.Outcome{outcome}}, "bob", "")
			if e, ok := errors.AsType[*gaea.Error](err); !ok || e.Code != gaea.CodeInvalid || e.Field != "outcomes" || e.Message != want {
				t.Errorf("%s: %v", outcome, err)
			}
		}
	})
}

func TestARunThatHasNotEndedOrIsAPartOfAnotherIsNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Set("web1", enginetest.Minion{Outcome: gaea.OutcomeFailed, Takes: time.Second})
		run := w.submit(before(ping(glob("*")), action("cmd.run", "")))
		if _, _, err := w.engine.Retry(context.Background(), run.ID, gaea.RetryRequest{}, "bob", ""); gaea.CodeOf(err) != gaea.CodeConflict {
			t.Errorf("a run that goes on: %v", err)
		}
		w.finish(run.ID)
		child := w.children(run.ID)[0]
		if _, _, err := w.engine.Retry(context.Background(), child.ID, gaea.RetryRequest{}, "bob", ""); gaea.CodeOf(err) != gaea.CodeConflict || !strings.Contains(err.Error(), run.ID) {
			t.Errorf("a run for an action: %v", err)
		}
		if _, _, err := w.engine.Retry(context.Background(), "run-1", gaea.RetryRequest{}, "bob", ""); gaea.CodeOf(err) != gaea.CodeNotFound {
			t.Errorf("no run: %v", err)
		}
	})
}

// locked is a ping under the lock "deploy".
func locked(policy gaea.LockPolicy) engine.Request {
	req := ping(glob("*"))
	req.Concurrency = gaea.Concurrency{Lock: "deploy", Policy: policy}
	return req
}

func TestARunWaitsForAnotherOfItsLockAndSaysForWhom(t *testing.T) {
	for name, interrupt := range map[string]func(w *world){"undisturbed": func(*world) {}, "with a crash": (*world).crash, "with a restart": (*world).restart} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "web1", "web2")
			w.salt.Set("web1", enginetest.Minion{Takes: time.Minute, Answers: 100 * time.Millisecond})
			first := w.submit(locked(""))
			w.eventually("the first runs", func() bool { return w.salt.Running("web1") })
			second := w.submit(locked(gaea.LockWait))
			waits := func() bool { return w.stored(second.ID).Blocked != nil }
			w.eventually("the second waits", waits)
			interrupt(w)
			w.eventually("the second waits", waits)
			run := w.stored(second.ID)
			if b := run.Blocked; b.Lock != "deploy" || !reflect.DeepEqual(b.Runs, []string{first.ID}) || !reflect.DeepEqual(b.Minions, []string{"web1", "web2"}) {
				t.Errorf("%s: %+v", name, b)
			}
			one, two := w.finish(first.ID), w.finish(second.ID)
			if one.Status != gaea.RunSucceeded || two.Status != gaea.RunSucceeded || two.Blocked != nil || two.Started.Before(one.Ended) {
				t.Errorf("%s: %s, %s; the second began at %s, the first ended at %s", name, one.Message, two.Message, two.Started, one.Ended)
			}
		})
	}
}

func TestARunThatDoesNotWaitSkipsOrIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web1", enginetest.Minion{Hangs: true, Answers: 100 * time.Millisecond})
		req := locked("")
		req.Target = gaea.ListTarget([]string{"web1"})
		first := w.submit(req)
		w.eventually("the first runs", func() bool { return w.salt.Running("web1") })
		skips := w.run(locked(gaea.LockSkip))
		if o := outcomes(skips); o["web1"] != gaea.OutcomeSkipped || o["web2"] != gaea.OutcomeSucceeded || !strings.Contains(skips.Minions["web1"].Message, first.ID) {
			t.Errorf("%v: %v", o, skips.Minions["web1"])
		}
		refused := w.run(locked(gaea.LockRefuse))
		if refused.Status != gaea.RunFailed || !strings.Contains(refused.Reason, first.ID) || !strings.Contains(refused.Reason, "web1") {
			t.Errorf("%s: %s", refused.Status, refused.Reason)
		}
		w.cancel(first.ID)
		w.finish(first.ID)
		w.salt.Set("web1", enginetest.Minion{})
		if run := w.run(locked(gaea.LockRefuse)); run.Status != gaea.RunSucceeded {
			t.Errorf("when the first has ended: %s", run.Message)
		}
	})
}

func TestARunThatIsCancelledWhileItWaitsForItsLockLetsOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Set("web1", enginetest.Minion{Takes: time.Minute, Answers: 100 * time.Millisecond})
		first := w.submit(locked(""))
		w.eventually("the first runs", func() bool { return w.salt.Running("web1") })
		second := w.submit(locked(""))
		w.eventually("the second waits", func() bool { return w.stored(second.ID).Blocked != nil })
		third := w.submit(locked(""))
		w.eventually("the third waits", func() bool { return w.stored(third.ID).Blocked != nil })
		w.cancel(second.ID)
		if run := w.finish(second.ID); run.Status != gaea.RunCancelled {
			t.Errorf("%s", run.Status)
		}
		w.finish(first.ID)
		if run := w.finish(third.ID); run.Status != gaea.RunSucceeded {
			t.Errorf("%s", run.Message)
		}
	})
}
