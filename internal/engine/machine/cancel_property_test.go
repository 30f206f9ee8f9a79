package machine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// newBusyWorld is a world in which minions are at work on something long.
func newBusyWorld(t *rapid.T) *world {
	w := &world{
		t: t, now: epoch, minions: map[string]*sim{}, loads: map[string][]string{},
		cached: map[string]map[string]machine.Returned{}, archive: map[string]map[string]machine.Returned{},
		lossy: rapid.Bool().Draw(t, "lossy"), steady: rapid.Bool().Draw(t, "steady"),
	}
	var names []string
	for i := range rapid.IntRange(1, 4).Draw(t, "minions") {
		name := fmt.Sprintf("web%d", i)
		names = append(names, name)
		w.minions[name] = &sim{
			name: name, target: true, procs: newProcs(t),
			takes:   time.Duration(rapid.SampledFrom([]int{-1, -1, 8000, 20_000}).Draw(t, "takes")) * time.Millisecond,
			running: map[string]bool{}, seen: map[string]bool{}, refused: map[string]bool{},
		}
	}
	function := rapid.SampledFrom([]string{"test.ping", "state.apply"}).Draw(t, "function")
	w.stored = copyOf(&gaea.Run{
		ID: "run-1", Function: function, Target: gaea.ListTarget(names), Status: gaea.RunQueued, Created: epoch, Call: &gaea.Call{Function: function},
		Timeouts: gaea.Timeouts{Job: gaea.Duration(time.Hour), Gather: gaea.Duration(5 * time.Second)},
	})
	w.restart()
	for !w.finished && !slices.ContainsFunc(names, func(name string) bool { return len(w.minions[name].running) > 0 }) {
		w.next()
	}
	for range rapid.IntRange(0, 10).Draw(t, "later") {
		if !w.finished {
			w.next()
		}
	}
	return w
}

// That nothing is asked about or killed which is not stored is checked as it happens, in world.
func TestNothingIsSaidToBeKilledOfWhichAProcessLivesAndNothingElseIsSignalled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newBusyWorld(t)
		grace := gaea.Duration(rapid.SampledFrom([]int{0, 2, 30}).Draw(t, "grace")) * gaea.Duration(time.Second)
		began := w.now
		if !w.finished {
			w.do(w.m.Step(machine.Cancel{By: "ann", Grace: grace}, w.now))
			w.cancelled = w.stored.Verdict == gaea.RunCancelled
		}
		w.live()
		run := w.m.Run()
		for name, rm := range run.Minions {
			s := w.minions[name]
			if !rm.Outcome.Final() {
				t.Errorf("%s is without an outcome: %+v", name, rm)
			}
			if s.procs.strays != "" {
				t.Errorf("on %s processes were killed that are none of the job's:%s", name, s.procs.strays)
			}
			if rm.Outcome != gaea.OutcomeKilled {
				continue
			}
			if living := s.procs.living(w.stored.Minions[name].Processes); living != "" {
				t.Errorf("%s is said to be killed (%s), and of its processes there live %s", name, rm.Message, living)
			}
			if living := s.procs.living(s.procs.halted); living != "" && !strings.Contains(rm.Message, "not looked at") {
				t.Errorf("%s is said to be killed (%s), and of what was to be killed at once there live %s", name, rm.Message, living)
			}
			if s.running[rm.JID] {
				t.Errorf("%s is said to be killed and runs %s", name, rm.JID)
			}
		}
		// A process that takes the run up has the whole time again.
		if took := w.now.Sub(began); w.crashes == 0 && took > 2*time.Minute+grace.Std() {
			t.Errorf("stopping took %s", took)
		}
	})
}
