package machine

import (
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// proceed goes on from where the run has come to, until it has to wait for something.
func (m *Machine) proceed(now time.Time) {
	m.waitUntil = time.Time{}
	if m.phase == phaseLock && m.run.Pause != nil && len(m.groups) == 0 && len(m.busy) == 0 {
		m.withdraw() // a run that stands still waits for nothing, and stands in nobody's way
	}
	for m.phase == phaseWork && m.acting == nil {
		if len(m.groups) > 0 || len(m.busy) > 0 {
			m.refill(now)
			return
		}
		if !m.next(now) {
			return
		}
	}
}

// next does the next thing while no minion is at work, and says whether there may be another at once.
func (m *Machine) next(now time.Time) bool {
	if s, i := m.toLeave(); s != nil {
		return m.leave(s, i, now)
	}
	m.judgeCanary(now)
	switch {
	case m.stopped():
		return m.wrapUp(now)
	case !m.more():
		m.decideByOutcomes(now)
		return true
	case m.pausing(now):
		return false
	case m.planned() || m.resolving != nil:
		return m.goOn(now)
	default:
		return m.plan(now)
	}
}

// more says whether anything is left to be started before the run can end by itself.
func (m *Machine) more() bool {
	return !m.planned() || len(m.rest) > 0 || m.unpublished() != nil
}

// planned says whether it is known in which slices the run goes.
func (m *Machine) planned() bool {
	return !m.unresolved() && (len(m.run.Slices) > 0 || len(m.rest) > 0)
}

// plan finds out which minions there are; a run that needs no plan is published at once, and the master names them.
func (m *Machine) plan(now time.Time) bool {
	switch {
	case m.resolves():
		m.resolve(true, now)
		return false
	case m.run.Target.Type == gaea.TargetList:
		return m.choose(gaea.ListTarget(m.run.Target.Minions).Minions)
	case m.locks:
		m.lock(nil)
		return false
	default:
		m.publishNext(now)
		return false
	}
}

// resolves says whether the run asks its minions before any of them is told.
func (m *Machine) resolves() bool {
	run := m.run
	return run.Batch.Sliced() || (run.Target.Type != gaea.TargetList && (run.Concurrency.Lock != "" || len(m.call().Pre) > 0))
}

// goOn does the pre-actions, and then the next slice with its own.
func (m *Machine) goOn(now time.Time) bool {
	if m.tooLate(now) {
		m.decide(gaea.RunTimedOut, m.outOfTimeReason(), now)
		return true
	}
	if i := m.undone(m.call().Pre, gaea.PhasePre, -1); i >= 0 {
		m.act(ActionKey{Phase: gaea.PhasePre, Slice: -1, Index: i}, m.chosen(), now)
		return true
	}
	s := m.unpublished()
	if s == nil {
		s = m.cutAhead()
	}
	if s == nil {
		m.refill(now)
		return false
	}
	if wait := m.slotAt(s); now.Before(wait) {
		m.status(gaea.RunRunning)
		m.waitUntil = wait
		return false
	}
	if i := m.undone(m.call().Pre, gaea.PhasePre, s.Index); i >= 0 {
		m.act(ActionKey{Phase: gaea.PhasePre, Slice: s.Index, Index: i}, s.Minions, now)
		return true
	}
	m.enter(s, now)
	return false
}

// enter tells a planned slice, once its minions are free.
func (m *Machine) enter(s *gaea.Slice, now time.Time) {
	if m.locks {
		m.lock(s.Minions)
		return
	}
	m.tell(s, now)
}

// unpublished is the first planned slice that is not published, or nil.
func (m *Machine) unpublished() *gaea.Slice {
	for m.first < len(m.run.Slices) && m.run.Slices[m.first].JID != "" {
		m.first++
	}
	if m.first == len(m.run.Slices) {
		return nil
	}
	return &m.run.Slices[m.first]
}

// slotAt is when a slice may begin: a while after the last one has ended.
func (m *Machine) slotAt(s *gaea.Slice) time.Time {
	var last *gaea.Slice
	for i := range m.run.Slices {
		if o := &m.run.Slices[i]; o.JID != "" && (last == nil || !o.Ended.Before(last.Ended)) {
			last = o
		}
	}
	if last == nil || last.Ended.IsZero() {
		return time.Time{}
	}
	return last.Ended.Add(m.gapBefore(s))
}

// gapBefore is the pause before a slice: the hold after the canary, or the wait between slices.
func (m *Machine) gapBefore(s *gaea.Slice) time.Duration {
	b := m.run.Batch
	if b.Canary.IsZero() || s.Canary || slices.ContainsFunc(m.run.Slices, func(o gaea.Slice) bool { return o.JID != "" && !o.Canary && !o.Again }) {
		return b.Wait.Std()
	}
	if b.CanaryHold.Manual() {
		return 0 // somebody has resumed the run
	}
	return b.CanaryHold.For(b.Wait)
}

// status sets where the run stands.
func (m *Machine) status(s gaea.RunStatus) {
	if m.run.Status != s {
		m.run.Status = s
		m.head = true
	}
}
