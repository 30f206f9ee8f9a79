package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// lose stores a run as queued that nobody runs.
func (w *world) lose(master string) string {
	w.t.Helper()
	run := w.submit(ping(glob("*")))
	w.finish(run.ID)
	lost := w.stored(run.ID)
	lost.ID, lost.Master, lost.Status, lost.Verdict = run.ID+"-lost", master, gaea.RunQueued, ""
	lost.Slices, lost.Minions, lost.Counts, lost.Started, lost.Ended = nil, map[string]gaea.RunMinion{}, map[gaea.Outcome]int{}, time.Time{}, time.Time{}
	if _, _, err := w.runs.CreateRun(context.Background(), lost, "", ""); err != nil {
		w.t.Fatal(err)
	}
	return lost.ID
}

func TestARunThatIsStoredAndThatNobodyRunsIsTakenUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		id := w.lose("m")
		before := len(w.salt.Ran("web1"))
		for range 3 {
			if ended, err := w.engine.Ensure(t.Context(), id); ended || err != nil {
				t.Fatalf("%v, %v", ended, err)
			}
		}
		if run := w.finish(id); run.Status != gaea.RunSucceeded {
			t.Errorf("%s: %s", run.Status, run.Message)
		}
		if ended, err := w.engine.Ensure(t.Context(), id); !ended || err != nil {
			t.Errorf("it has ended: %v, %v", ended, err)
		}
		if n := len(w.salt.Ran("web1")) - before; n != 1 {
			t.Errorf("ran %d times", n)
		}
	})
}

func TestARunOfAnotherMasterOrOfAStoppedEngineIsNotTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		if _, err := w.engine.Ensure(t.Context(), w.lose("elsewhere")); gaea.CodeOf(err) != gaea.CodeConflict {
			t.Errorf("another master's: %v", err)
		}
		if _, err := w.engine.Ensure(t.Context(), "run-none"); gaea.CodeOf(err) != gaea.CodeNotFound {
			t.Errorf("none: %v", err)
		}
		id := w.lose("m")
		w.stop(w.engine)
		if _, err := w.engine.Ensure(t.Context(), id); gaea.CodeOf(err) != gaea.CodeUnavailable {
			t.Errorf("stopped: %v", err)
		}
	})
}

// slowStore takes its time to give out one run.
type slowStore struct {
	gaea.RunStore
	slow atomic.Value // the id of that run, once there is one
}

func (s *slowStore) GetRun(ctx context.Context, id string) (*gaea.Run, error) {
	run, err := s.RunStore.GetRun(ctx, id)
	if id == s.slow.Load() {
		timer := time.NewTimer(10 * time.Second)
		defer timer.Stop()
		<-timer.C
	}
	return run, err
}

func TestTakingUpARunFromASlowStoreHoldsUpNobodyAndIsDoneOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowStore{}
		w := newWorldWith(t, func(d *engine.Deps) { store.RunStore, d.Runs = d.Runs, store }, "web1")
		id := w.lose("m")
		store.slow.Store(id)
		ran := len(w.salt.Ran("web1"))
		ensured := make(chan error, 2)
		for i := range 2 {
			go func() {
				w.pass(time.Duration(i) * 5 * time.Second) // the second reads it before the first has taken it up
				_, err := w.engine.Ensure(t.Context(), id)
				ensured <- err
			}()
		}
		w.pass(7 * time.Second)
		began := time.Now()
		w.submit(ping(glob("*")))
		if took := time.Since(began); took > time.Second {
			t.Errorf("a new run waited %s", took)
		}
		for range 2 {
			if err := <-ensured; err != nil {
				t.Error(err)
			}
		}
		w.finish(id)
		if n := len(w.salt.Ran("web1")) - ran; n != 2 { // that run and the new one
			t.Errorf("ran %d jobs", n)
		}
	})
}
