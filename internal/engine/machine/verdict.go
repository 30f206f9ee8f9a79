package machine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// stopped says whether it is decided how the run ends, so that nothing more of its own is published.
func (m *Machine) stopped() bool { return m.run.Verdict != "" }

func (m *Machine) cancelled() bool { return m.run.Verdict == gaea.RunCancelled }

// decide says how the run will end, and why. The first word stands; only somebody who stops the run has a later one.
func (m *Machine) decide(verdict gaea.RunStatus, reason string, now time.Time) {
	run := m.run
	if run.Verdict != "" && (verdict != gaea.RunCancelled || run.Verdict == gaea.RunCancelled) {
		return
	}
	run.Verdict, run.Reason = verdict, join(reason, run.Reason)
	run.Blocked = nil
	m.resume(now)
	m.skipRest(now)
	m.head = true
	if m.phase == phaseLock || m.phase == phaseResolve {
		m.withdraw() // there is nothing to wait for any more
	}
	m.resolving = nil
	m.stopPointless(now)
}

// decideByOutcomes ends a run of which everything was done.
func (m *Machine) decideByOutcomes(now time.Time) {
	switch {
	case len(m.run.Minions) == 0: // the master had guessed them all
		m.decideEmpty(now)
	case allOK(m.run):
		m.decide(gaea.RunSucceeded, "", now)
	default:
		m.decide(gaea.RunFailed, "", now)
	}
}

// decideEmpty ends a run that is for nobody.
func (m *Machine) decideEmpty(now time.Time) {
	if m.run.AllowEmpty {
		m.decide(gaea.RunSucceeded, "the target matches no minion", now)
		return
	}
	t := m.run.Target
	m.decide(gaea.RunFailed, fmt.Sprintf("the target %q (%s) matches no minion; correct it, or allow an empty target", t.String(), t.Type), now)
}

// skipRest settles the minions that will not be told any more.
func (m *Machine) skipRest(now time.Time) {
	why := m.notTold()
	for _, name := range m.candidates {
		m.leaveOut(name, why, now)
	}
	m.candidates = nil
	line := m.rest
	m.rest = nil
	switch {
	case len(line) == 0:
	case m.unresolved() && m.run.Batch.Mode != gaea.BatchRolling:
		m.cut(line) // as if all of them were there
	default:
		m.newSlice(line)
	}
	for i := range m.run.Slices {
		if m.run.Slices[i].JID != "" {
			continue
		}
		for _, name := range m.run.Slices[i].Minions {
			if rm := m.run.Minions[name]; !rm.Outcome.Final() {
				m.set(name, gaea.RunMinion{Outcome: gaea.OutcomeSkipped, Slice: rm.Slice, Message: why, At: now})
			}
		}
	}
}

// notTold says why a minion was not told.
func (m *Machine) notTold() string {
	switch m.run.Verdict {
	case gaea.RunCancelled:
		return "not told: the run was cancelled before"
	case gaea.RunHalted:
		return "not told: the run was halted before"
	case gaea.RunTimedOut:
		return m.notInTime()
	default:
		return "not told: " + m.run.Reason
	}
}

// judgeFailures halts the run when more went wrong than is allowed.
func (m *Machine) judgeFailures(now time.Time) {
	allowed := m.run.Batch.MaxFailures
	if m.stopped() || !allowed.IsSet() {
		return
	}
	if working := len(m.groups) > 0 || len(m.busy) > 0; working && allowed.IsShare() && m.run.Batch.Mode != gaea.BatchRolling {
		return // the slice is judged as a whole: which of its minions ends first is chance
	}
	c := m.run.Counts
	failed := c[gaea.OutcomeFailed] + c[gaea.OutcomeCouldNotRun] + c[gaea.OutcomeNoReturn] + c[gaea.OutcomeUnreachable] - m.gone
	ended := failed + c[gaea.OutcomeSucceeded] + c[gaea.OutcomeInSync] + c[gaea.OutcomeChanged] + c[gaea.OutcomeWouldChange]
	sample := m.run.Batch.MinSample
	if sample == 0 {
		sample = gaea.DefaultMinSample
	}
	if allowed.Exceeded(failed, ended, m.among, sample) {
		m.decide(gaea.RunHalted, fmt.Sprintf("halted: %d of the %d minions that have ended went wrong, of %d in all, and max_failures is %s", failed, ended, m.among, allowed), now)
	}
}

// judgeCanary halts the run when a canary did not end well, and lets it go on to the others when all have.
func (m *Machine) judgeCanary(now time.Time) {
	if m.stopped() || m.run.CanaryDone || m.run.Batch.Canary.IsZero() || len(m.run.Slices) == 0 {
		return
	}
	var bad []string
	done := true
	for i := range m.run.Slices {
		s := &m.run.Slices[i]
		if !s.Canary {
			break
		}
		if s.JID == "" {
			done = false
			break
		}
		for _, name := range s.Minions {
			if !m.run.Minions[name].Outcome.OK() {
				bad = append(bad, name)
			}
		}
	}
	switch {
	case len(bad) > 0:
		m.decide(gaea.RunHalted, fmt.Sprintf("halted: the canary did not end well on %s", first(bad)), now)
	case done && !m.nobodyNext():
		m.run.CanaryDone = true
		m.head = true
		if m.run.Batch.CanaryHold.Manual() && m.run.Pause == nil && m.more() {
			m.run.Pause = &gaea.Pause{Reason: gaea.PauseCanary, Asked: now}
		}
	}
}

// conclude sets the run's final status, and says why.
func (m *Machine) conclude() {
	run := m.run
	run.Status = run.Verdict
	run.Message = join(run.Reason, m.passedOver(), Summary(run))
}

// passedOver names the actions that failed and did not end the run.
func (m *Machine) passedOver() string {
	var names []string
	note := func(list []gaea.RunAction, of string) {
		for _, r := range list {
			if r.Status == gaea.ActionFailed && !strings.Contains(m.run.Reason, fmt.Sprintf("%s-action %q", r.Phase, r.Name)) {
				names = append(names, fmt.Sprintf("%s-action %q%s", r.Phase, r.Name, of))
			}
		}
	}
	note(m.run.Actions, "")
	for i := range m.run.Slices {
		note(m.run.Slices[i].Actions, fmt.Sprintf(" of slice %d", i+1))
	}
	if len(names) == 0 {
		return ""
	}
	return first(names) + " failed"
}

func allOK(run *gaea.Run) bool {
	for o := range run.Counts {
		if !o.OK() {
			return false
		}
	}
	return true
}

const namedMinions = 5 // at most this many are named for each outcome in a run's message

// Summary counts a run's minions by outcome in words, and names the first of those that need somebody to look at them.
func Summary(run *gaea.Run) string {
	bad := map[gaea.Outcome][]string{}
	for name, rm := range run.Minions {
		if !rm.Outcome.OK() {
			bad[rm.Outcome] = append(bad[rm.Outcome], name)
		}
	}
	var parts []string
	for _, o := range gaea.Outcomes() {
		n := run.Counts[o]
		if n == 0 {
			continue
		}
		part := fmt.Sprintf("%d %s", n, strings.ReplaceAll(string(o), "_", " "))
		if names := bad[o]; len(names) > 0 {
			slices.Sort(names)
			part += " (" + first(names) + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}
