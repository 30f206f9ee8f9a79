package machine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// expire ends the wait: the job timeout passed, or the time to stop the run.
func (m *Machine) expire(now time.Time) {
	if m.phase == phaseEnd {
		return
	}
	cancelling := m.run.Status == gaea.RunCancelling
	m.timeout = !cancelling
	m.phase = phaseWork
	m.resolving = nil
	for _, g := range slices.Clone(m.groups) {
		if cancelling {
			m.unverified(g, now)
		} else {
			m.outOfTime(g, now)
		}
	}
	m.endPaused(fmt.Sprintf("the job timeout of %s passed", m.run.Timeouts.Job), now)
	m.limit = time.Time{}
}

// outOfTime settles what a job's minions have not said by the job timeout.
func (m *Machine) outOfTime(g *group, now time.Time) {
	limit := m.run.Timeouts.Job
	for _, name := range g.names(nil) {
		w := g.waiting[name]
		why := fmt.Sprintf("no return when the job timeout of %s passed", limit)
		switch {
		case g.state == stateRetry: // the master said that it does not have the job
			m.settle(g, name, gaea.OutcomeSkipped, m.notInTime(), now)
			continue
		case g.state != stateDone:
			why = fmt.Sprintf("the master had not confirmed the job when the job timeout of %s passed", limit)
			if m.trouble != "" {
				why += ": " + m.trouble
			}
		case w.running:
			why = fmt.Sprintf("still running when the job timeout of %s passed", limit)
		case w.behind:
			why = fmt.Sprintf("another state run held the minion when the job timeout of %s passed", limit)
		}
		m.settle(g, name, gaea.OutcomeNoReturn, why, now)
	}
	m.abandon(g, now)
}

// abandon ends a group whose publication was never confirmed.
func (m *Machine) abandon(g *group, now time.Time) {
	if g.state == stateDone {
		return
	}
	if m.straight(g) && g.state != stateRetry {
		m.unsure = fmt.Sprintf("it is not known whether the master published job %s, and to whom; look there for it", g.jid)
	}
	m.remove(g, now)
}

// finish ends the run.
func (m *Machine) finish(now time.Time) {
	run := m.run
	why := "not told: the run ended before"
	switch {
	case run.Status == gaea.RunCancelling:
		why = "not told: the run was cancelled before"
	case m.timeout:
		why = m.notInTime()
	case m.fatal != "":
		why = "not told: " + m.fatal
	}
	for i := range run.Slices {
		if run.Slices[i].JID != "" {
			continue
		}
		for _, name := range run.Slices[i].Minions {
			if rm := run.Minions[name]; !rm.Outcome.Final() {
				m.set(name, gaea.RunMinion{Outcome: gaea.OutcomeSkipped, Slice: rm.Slice, Message: why, At: now})
			}
		}
	}
	m.conclude()
	run.Ended = now
	m.head = true
	m.phase = phaseEnd
	if m.locks {
		m.emit(Unlock{})
	}
	m.emit(Finish{})
}

func (m *Machine) notInTime() string {
	return join(fmt.Sprintf("not told: the job timeout of %s passed before", m.run.Timeouts.Job), m.trouble)
}

// conclude sets the run's final status, and says why.
func (m *Machine) conclude() {
	run := m.run
	tally := Summary(run)
	switch {
	case run.Status == gaea.RunCancelling:
		run.Status = gaea.RunCancelled
		run.Message = join(run.Message, m.unsure, tally)
	case m.timeout:
		run.Status = gaea.RunTimedOut
		run.Message = join(fmt.Sprintf("the job timeout of %s passed", run.Timeouts.Job), m.trouble, m.unsure, tally)
	case m.fatal != "":
		run.Status = gaea.RunFailed
		run.Message = join(m.fatal, tally)
	case len(run.Minions) == 0 && run.AllowEmpty:
		run.Status = gaea.RunSucceeded
		run.Message = "the target matches no minion"
	case len(run.Minions) == 0:
		run.Status = gaea.RunFailed
		run.Message = fmt.Sprintf("the target %q (%s) matches no minion; correct it, or allow an empty target", run.Target.String(), run.Target.Type)
	case allOK(run):
		run.Status = gaea.RunSucceeded
		run.Message = tally
	default:
		run.Status = gaea.RunFailed
		run.Message = tally
	}
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
			part += " (" + strings.Join(names[:min(len(names), namedMinions)], ", ")
			if len(names) > namedMinions {
				part += ", …"
			}
			part += ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

// silence says how it was found that a minion cannot be reached.
func (m *Machine) silence() string {
	if m.run.Status == gaea.RunCancelling {
		return fmt.Sprintf("did not answer within %s: the kill could not be verified, the job may still run there", m.run.Timeouts.Gather)
	}
	return fmt.Sprintf("did not answer within %s when it was asked", m.run.Timeouts.Gather)
}

// Late takes a return of a run that has ended, and says whether it changed the run: it replaces an outcome that the
// minion had not sent itself. The run's status stays as it ended; its counts and its message follow.
func Late(run *gaea.Run, r Returned, now time.Time) bool {
	if !run.Status.Final() {
		return false
	}
	rm, ok := run.Minions[r.Minion]
	if !ok {
		if !Admit(run, r) {
			return false
		}
		rm = gaea.RunMinion{JID: r.JID}
	}
	if rm.JID == "" || rm.JID != r.JID || rm.Outcome.Heard() {
		return false
	}
	was := rm.Outcome
	rm.Outcome, rm.Retcode, rm.Message, rm.Late, rm.At = r.Outcome, r.Retcode, r.Message, true, now
	if run.Minions == nil {
		run.Minions = map[string]gaea.RunMinion{}
	}
	run.Minions[r.Minion] = rm
	run.Counts = run.Tally()
	note := fmt.Sprintf("%s returned late (%s)", r.Minion, strings.ReplaceAll(string(r.Outcome), "_", " "))
	if was.Final() {
		note = fmt.Sprintf("%s returned late (%s, not %s)", r.Minion,
			strings.ReplaceAll(string(r.Outcome), "_", " "), strings.ReplaceAll(string(was), "_", " "))
	}
	const most = 1000 // characters; a thousand minions that come back are told by the counts
	if len(run.Message)+len(note) < most {
		run.Message = join(run.Message, note)
	}
	return true
}
