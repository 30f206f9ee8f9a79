package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAWatcherSeesTheRunGrowAndTheChannelIsClosedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 5 {
			w.salt.Set(fmt.Sprintf("web%d", i), enginetest.Minion{Takes: time.Duration(i+1) * 500 * time.Millisecond})
		}
		snapshots, end := w.engine.Watch(w.submit(ping(glob("*"))).ID)
		defer end()
		last, grew := -1, 0
		var run *gaea.Run
		for run = range snapshots {
			if n := run.Counts[gaea.OutcomeSucceeded]; n > last {
				grew++
				last = n
			}
		}
		if run == nil || run.Status != gaea.RunSucceeded || last != 5 || grew != 6 {
			t.Errorf("last %d of 5, seen to grow %d times", last, grew)
		}
	})
}

func TestASlowWatcherGetsTheLatestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		id := w.submit(ping(glob("*"))).ID
		snapshots, end := w.engine.Watch(id)
		defer end()
		w.finish(id)
		run, ok := <-snapshots
		if !ok || run.Status != gaea.RunSucceeded {
			t.Errorf("%v", run)
		}
		if _, ok := <-snapshots; ok {
			t.Error("the channel is not closed")
		}
	})
}

func TestAFloodOfReturnsGivesAtMostTenSnapshotsASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 1000 {
			w.salt.Set(fmt.Sprintf("web%03d", i), enginetest.Minion{Takes: time.Duration(i) * time.Millisecond})
		}
		snapshots, end := w.engine.Watch(w.submit(ping(glob("*"))).ID)
		defer end()
		n := 0
		for range snapshots {
			n++
		}
		if n < 5 || n > 15 {
			t.Errorf("%d snapshots in a second", n)
		}
	})
}

func TestAWatchOfARunThatHasEndedOrIsNotThereEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		id := w.run(ping(glob("*"))).ID
		snapshots, end := w.engine.Watch(id)
		defer end()
		if run := <-snapshots; run == nil || run.Status != gaea.RunSucceeded {
			t.Errorf("%v", run)
		}
		if _, ok := <-snapshots; ok {
			t.Error("the channel is not closed")
		}
		nothing, end := w.engine.Watch("run-none")
		defer end()
		if _, ok := <-nothing; ok {
			t.Error("there is a snapshot of no run")
		}
	})
}

func TestWaitGivesTheRunAsItStandsWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Hangs: true})
		id := w.submit(ping(glob("*"))).ID
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		run, err := w.engine.Wait(ctx, id)
		if !errors.Is(err, context.DeadlineExceeded) || run.Minions["web1"].Outcome != gaea.OutcomeSucceeded || run.Status != gaea.RunRunning {
			t.Errorf("%v: %+v", err, run)
		}
		if _, err := w.engine.Wait(ctx, "run-none"); gaea.CodeOf(err) != gaea.CodeNotFound {
			t.Errorf("a run that is not there: %v", err)
		}
	})
}

func TestWhoWaitsIsToldThatTheEngineStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Hangs: true})
		id := w.submit(ping(glob("*"))).ID
		waited := make(chan error)
		go func() {
			_, err := w.engine.Wait(context.Background(), id)
			waited <- err
		}()
		synctest.Wait()
		w.stop(w.engine)
		if err := <-waited; gaea.CodeOf(err) != gaea.CodeUnavailable {
			t.Errorf("%v", err)
		}
	})
}

func TestACheckAfterTheRunIsPartOfItsCompletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		req := apply(glob("*"))
		req.Kind, req.CheckState = gaea.RunEnforce, gaea.CheckPending
		id := w.submit(req).ID
		completed := make(chan *gaea.Run)
		go func() {
			run, err := w.engine.WaitComplete(context.Background(), id)
			if err != nil {
				t.Error(err)
			}
			completed <- run
		}()
		if run := <-w.ended; run.ID != id || run.Status != gaea.RunSucceeded || run.CheckState != gaea.CheckPending {
			t.Fatalf("%s: %s, %s", run.ID, run.Status, run.CheckState)
		}
		synctest.Wait()
		select {
		case <-completed:
			t.Fatal("complete before the check")
		default:
		}
		set := func(run *gaea.Run) { run.CheckRun, run.CheckState = "run-check", gaea.CheckDone }
		if err := w.engine.Finish(context.Background(), id, set); err != nil {
			t.Fatal(err)
		}
		if run := <-completed; run.CheckRun != "run-check" {
			t.Errorf("%q", run.CheckRun)
		}
		if run := w.stored(id); run.CheckState != gaea.CheckDone || len(run.Minions) != 1 {
			t.Errorf("stored %q, %v", run.CheckState, run.Minions)
		}
	})
}

func TestFinishChangesARunThatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		id := w.submit(ping(glob("*"))).ID
		set := func(run *gaea.Run) { run.CheckRun = "run-check" }
		if err := w.engine.Finish(context.Background(), id, set); err != nil {
			t.Fatal(err)
		}
		if run := w.finish(id); run.CheckRun != "run-check" || run.Status != gaea.RunSucceeded {
			t.Errorf("%q, %s", run.CheckRun, run.Status)
		}
		if err := w.engine.Finish(context.Background(), "run-none", set); gaea.CodeOf(err) != gaea.CodeNotFound {
			t.Errorf("a run that is not there: %v", err)
		}
	})
}

func TestOnlyALateReturnOfARunChangesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Down: true})
		run := w.run(ping(gaea.ListTarget([]string{"web1", "web2"})))
		jid := run.Slices[0].JID
		saves := w.runs.Saves()
		nothing := []gaea.Return{
			{RunID: "", JID: jid, Minion: "web2", Outcome: gaea.OutcomeSucceeded},
			{RunID: "run-none", JID: jid, Minion: "web2", Outcome: gaea.OutcomeSucceeded},
			{RunID: run.ID, JID: "20260101000000000000", Minion: "web2", Outcome: gaea.OutcomeSucceeded},
			{RunID: run.ID, JID: jid, Minion: "web1", Outcome: gaea.OutcomeFailed},
			{RunID: run.ID, JID: jid, Minion: "other", Outcome: gaea.OutcomeFailed},
		}
		for _, ret := range nothing {
			if err := w.engine.Late(context.Background(), ret); err != nil {
				t.Error(err)
			}
		}
		if n := w.runs.Saves(); n != saves {
			t.Errorf("stored %d times", n-saves)
		}
		late := gaea.Return{RunID: run.ID, JID: jid, Minion: "web2", Outcome: gaea.OutcomeFailed, Message: "exit code 1"}
		if err := w.engine.Late(context.Background(), late); err != nil {
			t.Fatal(err)
		}
		if rm := w.stored(run.ID).Minions["web2"]; rm.Outcome != gaea.OutcomeFailed || !rm.Late || rm.Message != "exit code 1" {
			t.Errorf("%+v", rm)
		}
	})
}
