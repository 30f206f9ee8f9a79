package machine_test

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// drawCourse chooses in which slices a run goes, and what is done around them.
func (w *world) drawCourse(run *gaea.Run) {
	t := w.t
	b := &run.Batch
	if rapid.Bool().Draw(t, "slices") {
		b.Size, _ = gaea.ParseAmount(rapid.SampledFrom([]string{"1", "2", "50%"}).Draw(t, "size"))
		b.Mode = rapid.SampledFrom([]gaea.BatchMode{"", gaea.BatchRolling}).Draw(t, "mode")
	}
	if rapid.IntRange(0, 2).Draw(t, "canaries") == 0 {
		b.Canary, _ = gaea.ParseAmount(rapid.SampledFrom([]string{"1", "2", "100%"}).Draw(t, "canary"))
		b.CanaryHold, _ = gaea.ParseHold(rapid.SampledFrom([]string{"0s", "7s", "manual"}).Draw(t, "hold"))
	}
	if b.Sliced() {
		b.Order = rapid.SampledFrom([]gaea.Order{"", gaea.OrderRandom}).Draw(t, "order")
		b.Wait = gaea.Duration(rapid.SampledFrom([]time.Duration{0, 0, 3 * time.Second}).Draw(t, "wait"))
		if rapid.Bool().Draw(t, "threshold") {
			b.MaxFailures, _ = gaea.ParseAllowance(rapid.SampledFrom([]string{"0", "1", "0%", "30%"}).Draw(t, "allowed"))
			b.MinSample = rapid.IntRange(0, 3).Draw(t, "sample")
		}
		run.Seed = 7
	}
	run.Timeouts.Slice = gaea.Duration(rapid.SampledFrom([]time.Duration{0, 0, 20 * time.Second}).Draw(t, "slice limit"))
	if rapid.IntRange(0, 2).Draw(t, "lock") == 0 {
		run.Concurrency = gaea.Concurrency{Lock: "deploy", Policy: rapid.SampledFrom([]gaea.LockPolicy{"", gaea.LockSkip, gaea.LockRefuse}).Draw(t, "policy")}
	}
	if rapid.IntRange(0, 1).Draw(t, "actions") == 0 {
		run.Call.Pre = w.drawActions("pre", b.Mode != gaea.BatchRolling)
		run.Call.Post = w.drawActions("post", b.Mode != gaea.BatchRolling)
	}
}

func (w *world) drawActions(phase string, slices bool) []gaea.JobAction {
	var list []gaea.JobAction
	for i := range rapid.IntRange(0, 2).Draw(w.t, phase) {
		a := gaea.JobAction{Name: phase + string(rune('a'+i)), Function: "test.ping", Retries: rapid.IntRange(0, 2).Draw(w.t, "retries")}
		if rapid.Bool().Draw(w.t, "elsewhere") {
			a.Function, a.Runner = "", "cache.grains"
		}
		if slices {
			a.Scope = rapid.SampledFrom([]gaea.ActionScope{"", gaea.ScopeSlice}).Draw(w.t, "scope")
		}
		a.OnFailure = rapid.SampledFrom([]gaea.ActionFailure{"", gaea.FailureContinue}).Draw(w.t, "on failure")
		if phase == "post" {
			a.When = rapid.SampledFrom([]gaea.ActionWhen{"", gaea.WhenFailure, gaea.WhenAlways}).Draw(w.t, "when")
		}
		list = append(list, a)
	}
	return list
}

// mayPublish holds a publish against what is stored at that moment: nothing that decides it may be known only in memory.
func (w *world) mayPublish(p machine.Publish) {
	run := w.stored
	i := slices.IndexFunc(run.Slices, func(s gaea.Slice) bool { return s.JID == p.JID })
	s := &run.Slices[i]
	switch {
	case run.Verdict != "":
		w.t.Fatalf("job %s is published though the run is to end as %s", p.JID, run.Verdict)
	case machine.Locks(run) && !w.held:
		w.t.Fatalf("job %s is published to minions that other state runs may hold", p.JID)
	case run.Concurrency.Lock != "" && !run.Claimed:
		w.t.Fatalf("job %s is published without the lock", p.JID)
	case run.Pause != nil && !run.Pause.Since.IsZero():
		w.t.Fatalf("job %s is published while the run is paused", p.JID)
	}
	if s.Again || w.loads[p.JID] != nil {
		return
	}
	failed, ended, atWork, all := 0, 0, 0, 0
	for name, rm := range run.Minions {
		switch {
		case rm.JID == "" && rm.Outcome.Final():
			continue
		case rm.JID != "" && !rm.Outcome.Final() && !slices.Contains(s.Minions, name):
			if !strings.HasPrefix(rm.Message, "answered when") { // its place was taken while it was away
				atWork++
			}
		case rm.Outcome.OK():
			ended++
		case rm.JID != "" && rm.Outcome.Final():
			failed++
			ended++
		}
		all++
	}
	sample := cmp.Or(run.Batch.MinSample, gaea.DefaultMinSample)
	if run.Batch.MaxFailures.Exceeded(failed, ended, all, sample) {
		w.t.Fatalf("slice %d begins though %d of %d minions failed and %s are allowed", i, failed, ended, run.Batch.MaxFailures)
	}
	if run.Batch.Mode == gaea.BatchRolling && !s.Canary {
		if window := run.Batch.Size.Count(all); atWork+len(s.Minions) > window {
			w.t.Fatalf("%d minions at work, %d are told, and the window is %d", atWork, len(s.Minions), window)
		}
	} else if atWork > 0 {
		w.t.Fatalf("slice %d begins while %d minions of others are at work", i, atWork)
	}
	w.mayBegin(run, s)
}

// mayBegin looks at what must come before a slice.
func (w *world) mayBegin(run *gaea.Run, s *gaea.Slice) {
	for j := range run.Slices {
		o := &run.Slices[j]
		if !o.Canary || s.Canary {
			continue
		}
		for _, name := range o.Minions {
			if !run.Minions[name].Outcome.OK() {
				w.t.Fatalf("slice %d begins though the canary %s is %s", s.Index, name, run.Minions[name].Outcome)
			}
		}
	}
	if run.Batch.Mode != gaea.BatchRolling {
		for j := range run.Slices {
			if o := &run.Slices[j]; o.JID != "" && o.JID != s.JID && w.now.Before(o.Ended.Add(run.Batch.Wait.Std())) && run.Batch.CanaryHold.IsZero() {
				w.t.Fatalf("slice %d begins at %s, and slice %d ended at %s", s.Index, w.now, j, o.Ended)
			}
		}
	}
	for _, a := range run.Call.Pre {
		list := run.Actions
		if a.PerSlice() {
			list = s.Actions
		}
		if !slices.ContainsFunc(list, func(r gaea.RunAction) bool {
			return r.Phase == gaea.PhasePre && r.Name == a.Name && (r.Status == gaea.ActionSucceeded || (r.Status == gaea.ActionFailed && !a.Aborts()))
		}) {
			w.t.Fatalf("slice %d begins before the pre-action %s: %+v", s.Index, a.Name, list)
		}
	}
}

// claim answers a claim as its policy says.
func (w *world) claim(c machine.Claim) {
	if len(c.Minions) == 0 {
		w.t.Fatalf("a claim for nobody")
	}
	busy := rapid.IntRange(0, 3).Draw(w.t, "busy") == 0
	switch {
	case !busy:
		w.send(machine.Claimed{}, rapid.IntRange(0, 100).Draw(w.t, "claim"), true)
	case c.Policy == gaea.LockWait:
		w.send(machine.ClaimBlocked{Runs: []string{"run-0"}, Minions: c.Minions}, 1, true)
		w.send(machine.Claimed{}, rapid.IntRange(2, 60_000).Draw(w.t, "claim"), true)
	case c.Policy == gaea.LockSkip:
		w.send(machine.Claimed{Busy: map[string]string{c.Minions[0]: "run-0"}}, 1, true)
	default:
		w.send(machine.ClaimRefused{Runs: []string{"run-0"}, Minions: c.Minions[:1]}, 1, true)
	}
}

// act is an action that is done somewhere. One that is given out again answers as the first time.
func (w *world) act(a machine.Act) {
	if a.Action.OwnMinions() && len(a.Minions) == 0 {
		w.t.Fatalf("the action %s is done on nobody", a.Action.Name)
	}
	if a.Attempt > a.Action.Retries+1 || a.Attempt > w.acts[a.Key]+1 {
		w.t.Fatalf("try %d of %s, after %d, with %d retries", a.Attempt, a.Action.Name, w.acts[a.Key], a.Action.Retries)
	}
	if a.Action.Function != "" && a.RunID == "" {
		w.t.Fatalf("the action %s is to be done without a run", a.Action.Name)
	}
	if a.Key.Phase == gaea.PhasePre && w.stored.Verdict != "" && a.Attempt > w.acts[a.Key] {
		w.t.Fatalf("the pre-action %s begins though the run is to end as %s", a.Action.Name, w.stored.Verdict)
	}
	w.acts[a.Key] = max(w.acts[a.Key], a.Attempt)
	ok := !w.flaky || rapid.IntRange(0, 2).Draw(w.t, "action") > 0
	w.later(machine.Acted{Key: a.Key, Attempt: a.Attempt, OK: ok, Message: "done"}, true)
	w.send(machine.Acted{Key: a.Key, Attempt: a.Attempt, OK: ok, Message: "done"}, rapid.IntRange(800, 30_000).Draw(w.t, "takes"), true)
}

func (w *world) endAct(e machine.EndAct) {
	if rapid.IntRange(0, 5).Draw(w.t, "ends") > 0 {
		w.send(machine.Acted{Key: e.Key, Attempt: w.acts[e.Key], Message: "stopped"}, rapid.IntRange(0, 3000).Draw(w.t, "end"), true)
	}
}

// interfere is somebody who pauses, resumes, or cancels once more.
func (w *world) interfere() bool {
	switch {
	case w.stored.Pause != nil && rapid.IntRange(0, 8).Draw(w.t, "resume") == 0:
		w.do(w.m.Step(machine.Resume{}, w.now))
	case w.stored.Pause == nil && rapid.IntRange(0, 120).Draw(w.t, "pause") == 0:
		w.do(w.m.Step(machine.Pause{By: "bob"}, w.now))
	case w.cancelled && rapid.IntRange(0, 60).Draw(w.t, "again") == 0:
		w.hurried = true
		w.do(w.m.Step(machine.Cancel{By: "ann"}, w.now))
	default:
		return false
	}
	return true
}

// actionsEnded holds what became of a run's actions against when they are to be done.
func (w *world) actionsEnded(run *gaea.Run) {
	check := func(list []gaea.RunAction, slice *gaea.Slice) {
		for _, r := range list {
			if !r.Status.Final() || r.Ended.IsZero() {
				w.t.Fatalf("the action %s is left as %+v", r.Name, r)
			}
		}
		for _, a := range run.Call.Post {
			if a.PerSlice() != (slice != nil) || (slice != nil && (slice.Again || (slice.JID == "" && len(slice.Actions) == 0))) {
				continue
			}
			i := slices.IndexFunc(list, func(r gaea.RunAction) bool { return r.Phase == gaea.PhasePost && r.Name == a.Name })
			switch {
			case i < 0 && slice == nil && !slices.ContainsFunc(run.Slices, func(s gaea.Slice) bool { return !s.Started.IsZero() }) && len(list) == 0:
			case i < 0:
				w.t.Fatalf("the post-action %s was forgotten: %+v", a.Name, run)
			case a.When == gaea.WhenAlways && !w.hurried && a.Runner != "" && list[i].Attempts == 0:
				w.t.Fatalf("the post-action %s is always to be done, and was not: %+v", a.Name, list[i])
			}
		}
	}
	check(run.Actions, nil)
	for i := range run.Slices {
		check(run.Slices[i].Actions, &run.Slices[i])
	}
}
