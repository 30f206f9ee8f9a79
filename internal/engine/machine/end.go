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
	m.limit = time.Time{}
	m.resolving = nil
	m.withdraw()
	if m.cancelled() {
		for _, g := range slices.Clone(m.groups) {
			m.unverified(g, now)
		}
	} else {
		m.decide(gaea.RunTimedOut, join(m.outOfTimeReason(), m.trouble), now)
		for _, g := range slices.Clone(m.groups) {
			m.outOfTime(g, now)
		}
	}
	m.endBusy(m.outOfTimeReason(), now)
}

func (m *Machine) outOfTimeReason() string {
	return fmt.Sprintf("the job timeout of %s passed", m.run.Timeouts.Job)
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
		unsure := fmt.Sprintf("it is not known whether the master published job %s, and to whom; look there for it", g.jid)
		m.run.Reason = join(m.run.Reason, unsure)
		m.head = true
	}
	m.remove(g, now)
}

// finish ends the run.
func (m *Machine) finish(now time.Time) {
	m.conclude()
	m.run.Ended = now
	m.head = true
	m.phase = phaseEnd
	if m.locks {
		m.emit(Unlock{})
	}
	if m.run.Concurrency.Lock != "" {
		m.emit(Disclaim{})
	}
	m.emit(Finish{})
}

// Untaken ends a stored run that nobody has taken up by its time. Nothing of it was begun.
func Untaken(run *gaea.Run, why string, now time.Time) {
	run.Status, run.Verdict, run.Reason, run.Message = gaea.RunFailed, gaea.RunFailed, why, why
	run.Ended, run.TakeBy = now, time.Time{}
	if run.CheckState == gaea.CheckPending {
		run.CheckState = gaea.CheckFailed
	}
	run.Seq++
}

// sliceOutOfTime settles what a slice's minions have not said by its limit. The run goes on.
func (m *Machine) sliceOutOfTime(g *group, now time.Time) {
	for _, name := range g.names(nil) {
		why := "no return"
		switch w := g.waiting[name]; {
		case w.running:
			why = "still running"
		case w.behind:
			why = "behind another state run"
		}
		m.settle(g, name, gaea.OutcomeNoReturn, fmt.Sprintf("%s when the slice limit of %s passed", why, m.run.Timeouts.Slice), now)
	}
}

func (m *Machine) notInTime() string {
	return join(fmt.Sprintf("not told: the job timeout of %s passed before", m.run.Timeouts.Job), m.trouble)
}

// silence says how it was found that a minion cannot be reached.
func (m *Machine) silence() string {
	if m.cancelled() {
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
	run.Seq++
	rm.Seq = run.Seq
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
