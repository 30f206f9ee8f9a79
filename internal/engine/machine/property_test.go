package machine_test

import (
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// That no minion is told twice, and that nothing is published which is not stored, is checked as it happens, in world.
func TestEveryRunEndsWithEveryMinionAccountedForWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.live()
		run := w.m.Run()
		if !run.Status.Final() || run.Ended.IsZero() || run.Message == "" && len(run.Minions) > 0 {
			t.Fatalf("ended as %q at %s: %q", run.Status, run.Ended, run.Message)
		}
		for name, rm := range run.Minions {
			if !rm.Outcome.Final() {
				t.Fatalf("%s is without an outcome: %+v", name, rm)
			}
			if rm.Message == "" && !rm.Outcome.OK() {
				t.Fatalf("%s ended as %s and nobody says why", name, rm.Outcome)
			}
			s := w.minions[name]
			if s == nil {
				continue // the master does not know it
			}
			if rm.Outcome == gaea.OutcomeKilled && s.running[rm.JID] {
				t.Fatalf("%s is said to be killed and runs %s", name, rm.JID)
			}
			if living := s.procs.living(w.stored.Minions[name].Processes); rm.Outcome == gaea.OutcomeKilled && living != "" {
				t.Fatalf("%s is said to be killed (%s), and of its processes there live %s", name, rm.Message, living)
			}
			if s.procs.strays != "" {
				t.Fatalf("on %s a process was signalled that is none of the job's: %s", name, s.procs.strays)
			}
			if rm.Outcome.Heard() && w.cached[rm.JID][name].Outcome != rm.Outcome && !w.cached[rm.JID][name].Busy {
				t.Fatalf("%s is said to have returned, and has not", name)
			}
			if rm.Outcome == gaea.OutcomeSkipped && s.running[rm.JID] {
				t.Fatalf("%s is said not to have been told, and runs %s", name, rm.JID)
			}
		}
		for _, s := range run.Slices {
			for _, name := range s.Minions {
				if _, ok := run.Minions[name]; !ok {
					t.Fatalf("%s is in slice %d and not in the run", name, s.Index)
				}
			}
		}
		for name, s := range w.minions {
			// One that only a guess had put into the target leaves the run when it does not answer as part of it.
			if _, ok := run.Minions[name]; !ok && len(s.told) > 0 && !strings.Contains(run.Message, "it is not known") && !w.guessed {
				t.Fatalf("%s ran %v and is not in the run, which ended as %s: %s; %+v", name, s.told, w.stored.Status, w.stored.Message, w.stored.Slices)
			}
		}
		w.actionsEnded(run)
		if run.Verdict != run.Status {
			t.Fatalf("decided as %s, ended as %s", run.Verdict, run.Status)
		}
		if tally := run.Tally(); !maps.Equal(tally, run.Counts) {
			t.Fatalf("counted %v, are %v", run.Counts, tally)
		}
		if !maps.Equal(outcomesOf(run), outcomesOf(w.stored)) || w.stored.Status != run.Status {
			t.Fatalf("stored %v, are %v", outcomesOf(w.stored), outcomesOf(run))
		}
	})
}

func TestWithoutLossNobodyIsTakenForWhatHeIsNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.lossy, w.steady = false, true
		w.live()
		for name, rm := range w.m.Run().Minions {
			s := w.minions[name]
			if s == nil {
				continue // the master does not know it
			}
			if rm.Outcome == gaea.OutcomeUnreachable && !s.down && w.m.Run().Status != gaea.RunCancelled {
				t.Fatalf("%s is up and said to be unreachable: %s", name, rm.Message)
			}
			if rm.Outcome.Heard() && s.down {
				t.Fatalf("%s is down and said to have returned", name)
			}
		}
		for name, s := range w.minions {
			if _, ok := w.m.Run().Minions[name]; !ok && len(s.told) > 0 && !strings.Contains(w.m.Run().Message, "it is not known") {
				t.Fatalf("%s ran %v and is not in the run, which ended as %s: %s; %+v", name, s.told, w.stored.Status, w.stored.Message, w.stored.Slices)
			}
		}
	})
}

func outcomesOf(run *gaea.Run) map[string]gaea.Outcome {
	o := map[string]gaea.Outcome{}
	for name, rm := range run.Minions {
		o[name] = rm.Outcome
	}
	return o
}
