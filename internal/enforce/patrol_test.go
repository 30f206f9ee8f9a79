package enforce_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func every(d time.Duration) func(*gaea.Assignment) {
	return func(a *gaea.Assignment) { a.DriftCheck.Interval = gaea.Duration(d) }
}

// pauses are the times between an assignment's checks.
func (w *world) pauses() []time.Duration {
	var pauses []time.Duration
	runs := w.stateRuns(gaea.RunCheck)
	for i := 1; i < len(runs); i++ {
		pauses = append(pauses, runs[i].Created.Sub(runs[i-1].Created))
	}
	return pauses
}

func TestAnAssignmentWithAnIntervalIsCheckedByItself(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.change(every(10 * time.Minute))
		w.archive.set("m1", func(m *machine) { m.drifted = true })
		pass(2 * time.Minute)
		if w.report().Summary.Drifted != 1 {
			t.Error("not checked soon after it was defined")
		}
		pass(58 * time.Minute)
		runs := w.stateRuns(gaea.RunCheck)
		if len(runs) < 5 || len(runs) > 6 || runs[0].User != "jobd" || runs[0].Target.Expr != "*" {
			t.Errorf("%d checks in an hour, the first %+v", len(runs), runs[0])
		}
		for _, p := range w.pauses() {
			if p < 10*time.Minute || p > 12*time.Minute {
				t.Errorf("pauses %v", w.pauses())
			}
		}
	})
}

func TestTheShortestIntervalIsKept(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.change(every(gaea.MinCheckInterval.Std()))
		pass(5 * time.Minute)
		for _, p := range w.pauses() {
			if p < 10*time.Second || p > 12*time.Second {
				t.Errorf("pauses %v", w.pauses())
				break
			}
		}
	})
}

func TestAnyCheckOfTheWholeCountsForTheInterval(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.change(every(10 * time.Minute))
		pass(9 * time.Minute)
		w.enforce(gaea.EnforceRequest{})
		before := len(w.stateRuns(gaea.RunCheck))
		pass(9 * time.Minute)
		if n := len(w.stateRuns(gaea.RunCheck)); n != before {
			t.Errorf("%d checks within an interval after an enforcing run", n-before)
		}
		w.restart()
		pass(4 * time.Minute)
		if n := len(w.stateRuns(gaea.RunCheck)); n != before+1 {
			t.Errorf("%d checks when the interval was over", n-before)
		}
	})
}

func TestNothingIsCheckedThatIsNotToBe(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		pass(time.Hour)
		w.change(func(a *gaea.Assignment) { a.DriftCheck = gaea.DriftCheck{Mode: gaea.CheckOff, Interval: hour / 6} })
		pass(time.Hour)
		if n := len(w.stateRuns(gaea.RunCheck)); n != 0 {
			t.Errorf("%d checks", n)
		}
		w.change(func(a *gaea.Assignment) { a.DriftCheck.Mode = gaea.CheckArchive })
		pass(5 * time.Minute)
		before := len(w.stateRuns(gaea.RunCheck))
		if err := w.assignments.Delete(t.Context(), "web", "ann"); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if n := len(w.stateRuns(gaea.RunCheck)); before != 1 || n != before {
			t.Errorf("%d checks, %d after it was deleted", before, n)
		}
	})
}

func TestIntervalChecksAreFewAtATime(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		for i := range 12 {
			target := w.group(fmt.Sprintf("g%d", i), gaea.Target{Type: gaea.TargetGlob, Expr: fmt.Sprintf("n%d", i)})
			w.salt.Set(fmt.Sprintf("n%d", i), enginetest.Minion{Takes: 20 * time.Minute, Answers: time.Second})
			w.archive.set(fmt.Sprintf("n%d", i), func(*machine) {})
			w.assign(gaea.Assignment{Name: fmt.Sprintf("a%d", i), TargetGroup: target, States: []string{"x"}, DriftCheck: gaea.DriftCheck{Interval: hour * 10}})
		}
		most := 0
		for range 90 {
			pass(time.Minute)
			going := 0
			for _, run := range w.stateRuns(gaea.RunCheck) {
				if !run.Complete() {
					going++
				}
			}
			most = max(most, going)
		}
		if n := len(w.stateRuns(gaea.RunCheck)); most != 4 || n != 12 {
			t.Errorf("%d checks, at most %d at once", n, most)
		}
	})
}

func TestACheckThatCannotBeMadeIsNotTriedWithoutAPause(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.change(every(time.Hour))
		tries := 0
		w.engine.failSubmit(func(engine.Request) error {
			tries++
			return gaea.Errorf(gaea.CodeUnavailable, "full")
		})
		pass(10 * time.Minute)
		if tries < 2 || tries > 60 {
			t.Errorf("%d tries in ten minutes", tries)
		}
		if err := w.groups.Delete(t.Context(), "all", "ann"); err != nil {
			t.Fatal(err)
		}
		w.engine.failSubmit(nil)
		pass(10 * time.Minute)
		if n := len(w.stateRuns(gaea.RunCheck)); n != 0 {
			t.Errorf("%d runs without a target group", n)
		}
	})
}

func TestALookThatComesTwiceMakesOneCheck(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.change(every(10 * time.Minute))
		w.alarms.stop()
		pass(2 * time.Minute)
		for range 3 {
			again, err := w.service.Look(t.Context(), "web")
			if err != nil || !again.After(time.Now()) {
				t.Fatalf("%v, %v", again, err)
			}
		}
		if n := len(w.stateRuns(gaea.RunCheck)); n != 1 {
			t.Errorf("%d checks", n)
		}
	})
}

func TestWhatIsNotCheckedByIntervalIsNotLookedAtAgain(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		for _, name := range []string{"web", "none"} {
			if again, err := w.service.Look(t.Context(), name); err != nil || !again.IsZero() {
				t.Errorf("%s: %v, %v", name, again, err)
			}
		}
		if n := len(w.stateRuns(gaea.RunCheck)); n != 0 {
			t.Errorf("%d checks", n)
		}
	})
}

func TestARestartDoesNotShiftAnIntervalAndAShorterOneCountsAtOnce(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.change(every(time.Hour))
		pass(50 * time.Minute)
		w.restart()
		pass(8 * time.Minute)
		if n := len(w.stateRuns(gaea.RunCheck)); n != 1 {
			t.Errorf("%d checks within the hour", n)
		}
		pass(6 * time.Minute)
		if n := len(w.stateRuns(gaea.RunCheck)); n != 2 {
			t.Errorf("%d checks when the hour was over", n)
		}
		w.change(every(2 * time.Minute))
		pass(5 * time.Minute)
		if n := len(w.stateRuns(gaea.RunCheck)); n < 3 {
			t.Errorf("%d checks after the interval was made shorter", n)
		}
	})
}

func TestAnOverdueCheckIsMadeSoonAfterAStart(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.change(every(time.Hour))
		pass(5 * time.Minute)
		w.stop()
		pass(5 * time.Hour)
		w.start()
		pass(90 * time.Second)
		if n := len(w.stateRuns(gaea.RunCheck)); n != 2 {
			t.Errorf("%d checks", n)
		}
	})
}
