package machine

import (
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// A run in slices does not wait for the slowest of its minions to begin: as soon as the master has named those that the
// target may have, they stand in line, and the head of the line is told when all of it has answered, while others behind
// are still waited for. It goes to the same minions in the same slices as when all had been known from the start; where
// that is not certain, it waits.

// unresolved says whether it is still to be found out which minions the run has. One in slices may have begun all the same.
func (m *Machine) unresolved() bool { return !m.run.Resolved && m.resolves() }

// inSlice says whether a minion has a slice. It keeps that, whatever a later question gives.
func (m *Machine) inSlice(name string) bool {
	rm, ok := m.run.Minions[name]
	return ok && rm.Slice >= 0
}

// sliced counts the minions that have a slice.
func (m *Machine) sliced() int {
	n := 0
	for i := range m.run.Slices {
		if !m.run.Slices[i].Again {
			n += len(m.run.Slices[i].Minions)
		}
	}
	return n
}

// lineUp puts the minions in line that the target may have and that no slice has.
func (m *Machine) lineUp() {
	r := m.resolving
	line := make([]string, 0, len(r.silent)+len(r.members))
	named := make(map[string]struct{}, len(r.silent)+len(r.members))
	for _, names := range []map[string]struct{}{r.silent, r.members} {
		for name := range names {
			line = append(line, name)
			named[name] = struct{}{}
		}
	}
	for _, name := range m.rest { // of a resolving that was not finished when the process ended
		if _, ok := named[name]; !ok {
			m.strike(name)
		}
	}
	m.rest = m.ordered(line)
	m.among = m.sliced() + len(m.rest)
	r.ready = 0
}

// join puts a minion in line that answers though the master did not name it.
func (m *Machine) join(name string) {
	m.rest = m.ordered(append(m.rest, name))
	m.among++
	m.resolving.ready = 0
	if m.phase != phaseResolve {
		m.set(name, gaea.RunMinion{Outcome: gaea.OutcomePending, Slice: -1})
	}
}

// leaveLine takes those out of the run that stand in line, to enter those of them again that are there.
func (m *Machine) leaveLine() {
	for _, name := range m.rest {
		m.strike(name)
	}
	m.rest = nil
}

// ready counts the minions at the head of the line that are the run's for certain.
func (m *Machine) ready() int {
	switch r := m.resolving; {
	case !m.unresolved():
		return len(m.rest)
	case r == nil || !r.asked:
		return 0
	default:
		for r.ready < len(m.rest) {
			if _, ok := r.members[m.rest[r.ready]]; !ok {
				break
			}
			r.ready++
		}
		return r.ready
	}
}

// amount is how many minions an amount means, most at most, and whether that is certain: whichever of the minions that are
// waited for turn out not to be there.
func (m *Machine) amount(a gaea.Amount, most int) (n int, certain bool) {
	n = min(a.Count(m.among), most)
	if !m.unresolved() {
		return n, true
	}
	fewest := m.among - len(m.rest)
	if m.resolving != nil {
		fewest += len(m.resolving.members)
	}
	return n, n == min(a.Count(fewest), most)
}

// aheadOfAll says whether a run may begin before all of its minions are known: nothing that comes before its slices, or
// decides whether there is a next one, asks how many there are.
func (m *Machine) aheadOfAll() bool {
	return m.run.Concurrency.Lock == "" && !m.run.Batch.MaxFailures.IsShare() && m.undone(m.call().Pre, gaea.PhasePre, -1) < 0
}

// goAhead begins with the slices while minions are waited for.
func (m *Machine) goAhead() {
	if m.resolving == nil || m.phase != phaseResolve || !m.aheadOfAll() || (m.unpublished() == nil && m.nextTake() == 0) {
		return
	}
	for _, name := range m.rest {
		m.set(name, gaea.RunMinion{Outcome: gaea.OutcomePending, Slice: -1})
	}
	m.phase = phaseWork
}

// nextTake is how many minions are taken from the head of the line next: the canary, a slice, or the first of a rolling
// run; 0 while that is not certain.
func (m *Machine) nextTake() int {
	b := m.run.Batch
	size := b.Size
	if m.canaryToCut() {
		size = b.Canary
	}
	n, certain := m.amount(size, m.among)
	if m.canaryToCut() {
		_, each := m.amount(b.Size, n)
		certain = certain && each
	}
	if !certain || m.ready() < n {
		return 0
	}
	return n
}

func (m *Machine) canaryToCut() bool { return !m.run.Batch.Canary.IsZero() && len(m.run.Slices) == 0 }

// cutAhead plans what comes next while minions are waited for; nil where that is not certain. In rolling mode it plans the
// canary alone.
func (m *Machine) cutAhead() *gaea.Slice {
	canary := m.canaryToCut()
	if m.resolving == nil || (!canary && m.run.Batch.Mode == gaea.BatchRolling) {
		return nil
	}
	n := m.nextTake()
	if n == 0 {
		return nil
	}
	size := n
	if canary {
		size, _ = m.amount(m.run.Batch.Size, n)
	}
	m.planSlices(m.take(n), size, canary)
	return m.unpublished()
}

// take takes minions from the head of the line.
func (m *Machine) take(n int) []string {
	names := m.rest[:n]
	m.rest = m.rest[n:]
	if r := m.resolving; r != nil {
		r.ready -= n
		for _, name := range names {
			delete(r.members, name)
		}
	}
	return names
}

// fillWhole says whether the first minions of a rolling run, after its canary, are to be told together and not all of them
// are certain.
func (m *Machine) fillWhole(places int) bool {
	return m.resolving != nil && m.sliced() == m.canaries() && m.ready() < min(places, len(m.rest))
}

// nobodyNext says whether no minion is known that would be told after those that were, and there may be one.
func (m *Machine) nobodyNext() bool { return m.resolving != nil && len(m.resolving.members) == 0 }
