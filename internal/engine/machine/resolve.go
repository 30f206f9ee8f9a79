package machine

import (
	"maps"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// resolving is the question which minions the target has. In full it is asked of the minions, as part of the target and
// then those that were silent by name, so that a run in slices tells nobody whom the master has only guessed. Otherwise
// the master's word is enough: it names too many rather than too few, which is right for a lock.
type resolving struct {
	full     bool
	ask      int
	queued   time.Time // since when the question waits for its turn, as far as is known
	asked    bool
	failures int
	retryAt  time.Time

	silent  map[string]struct{} // named by the master, not heard as part of the target
	members map[string]struct{} // heard as part of the target, and in no slice
	missing []string
	ready   int  // so many at the head of the line are members
	heard   bool // a minion has answered

	last time.Time // when the master or a minion last answered

	ping     int // the question by name
	pinged   bool
	pingAt   time.Time // when it is put; zero once it is
	pingSent time.Time // when the master took it
	end      time.Time // when silence means something
	again    bool      // it was put once more, because nobody answered at all
	answered map[string]struct{}
}

// resolve asks which minions the target has.
func (m *Machine) resolve(full bool, now time.Time) {
	m.phase = phaseResolve
	m.resolving = &resolving{full: full, silent: map[string]struct{}{}, members: map[string]struct{}{}, answered: map[string]struct{}{}}
	if m.run.Started.IsZero() {
		m.limit = now.Add(m.run.Timeouts.Job.Std())
	}
	for name, rm := range m.run.Minions { // of a resolving that was not finished when the process ended
		if rm.Slice < 0 && rm.Outcome.Final() {
			m.strike(name)
		}
	}
	if m.gone = 0; m.run.Resolved {
		m.run.Resolved, m.head = false, true
	}
	m.askResolve(now)
}

func (m *Machine) askResolve(now time.Time) {
	r := m.resolving
	r.retryAt, r.queued = time.Time{}, now
	r.ask = m.newAsk(&ask{purpose: PurposeResolve})
	e := Ask{ID: r.ask, Purpose: PurposeResolve, Function: "test.ping", Target: m.run.Target}
	if r.full {
		e.Listen = m.resolveListen()
	}
	m.emit(e)
}

// resolveAsking takes off the limit what the question has waited for its turn.
func (m *Machine) resolveAsking(in Asking, now time.Time) {
	r := m.resolving
	if r == nil || in.Ask != r.ask || r.asked || !m.run.Started.IsZero() {
		return
	}
	m.limit = m.limit.Add(now.Sub(r.queued))
	r.queued = now
}

func (m *Machine) resolveAsked(in Asked, now time.Time) {
	r := m.resolving
	if r == nil {
		return
	}
	switch in.Ask {
	case r.ask:
		if r.asked {
			return
		}
		r.asked, r.last = true, now
		if !r.full {
			m.resolving = nil
			m.phase = phaseWork
			m.limit = time.Time{}
			m.setLimit()
			if len(in.Minions) == 0 {
				m.decideEmpty(now)
				return
			}
			m.lock(slices.Compact(slices.Sorted(slices.Values(in.Minions))))
			return
		}
		r.missing = slices.Clone(in.Missing)
		for _, name := range in.Minions {
			if !m.inSlice(name) {
				r.silent[name] = struct{}{}
			}
		}
		for name := range r.members { // heard before the master's own answer
			delete(r.silent, name)
		}
		m.lineUp()
		r.pingAt = now.Add(quiet)
	case r.ping:
		if !r.pinged {
			r.pinged = true
			r.pingSent = now
			r.end = now.Add(m.gather())
			r.missing = append(r.missing, in.Missing...)
			for _, name := range in.Missing {
				delete(r.silent, name)
			}
		}
	}
}

func (m *Machine) resolveFailed(in AskFailed, now time.Time) {
	r := m.resolving
	if r == nil || (in.Ask != r.ask && in.Ask != r.ping) {
		return
	}
	again := func() {
		r.failures++
		r.retryAt = now.Add(backoff(r.failures))
	}
	if in.Ask == r.ping {
		switch {
		case r.pinged:
		case in.Code == gaea.CodeEmptyTarget:
			r.missing = append(r.missing, slices.Sorted(maps.Keys(r.silent))...)
			clear(r.silent)
		default:
			r.ping = 0
			again()
			r.pingAt, r.retryAt = r.retryAt, time.Time{}
		}
		return
	}
	switch in.Code {
	case gaea.CodeEmptyTarget:
		if len(m.run.Slices) > 0 {
			m.resolvedToNobody(now)
			return
		}
		m.resolving = nil
		m.phase = phaseWork
		if m.run.Target.Type == gaea.TargetList {
			m.unreachable(gaea.ListTarget(m.run.Target.Minions).Minions, unknownToMaster, now)
			m.decide(gaea.RunFailed, "the master knows none of these minions; accept their keys, or correct the list", now)
		} else {
			m.decideEmpty(now)
		}
	case gaea.CodeForbidden, gaea.CodeUnauthenticated, gaea.CodeInvalid, gaea.CodeSalt, gaea.CodeTooLarge:
		m.resolving = nil
		m.phase = phaseWork
		m.decide(gaea.RunFailed, in.Message, now)
	default:
		if !r.asked {
			r.ask = 0 // an Asking that is late takes nothing off
			again()
		}
	}
}

func (m *Machine) resolveAnswered(a *ask, in Answered, now time.Time) {
	r := m.resolving
	if r == nil || !r.full {
		return
	}
	r.heard = true
	_, silent := r.silent[in.Minion]
	if a.purpose == PurposePing && m.guessed {
		if silent {
			r.answered[in.Minion] = struct{}{}
			r.last = now
		}
		return
	}
	if _, ok := r.members[in.Minion]; ok || (r.asked && !silent && m.run.Target.Type == gaea.TargetList) {
		return // heard before, or not in the list
	}
	if m.inSlice(in.Minion) {
		return
	}
	delete(r.silent, in.Minion)
	delete(r.answered, in.Minion)
	r.members[in.Minion] = struct{}{}
	r.last = now
	if r.asked && !silent {
		m.join(in.Minion)
	}
}

// advanceResolve asks the silent ones by name, and ends the resolving when everybody is accounted for.
func (m *Machine) advanceResolve(now time.Time) {
	r := m.resolving
	if due(r.retryAt, now) {
		m.askResolve(now)
	}
	if !r.full || !r.asked {
		return
	}
	silent := len(r.silent) - len(r.answered)
	switch {
	case len(r.silent) == 0:
		m.resolved(now)
	case r.pinged && !r.again && !now.Before(r.end) && !r.heard:
		r.again, r.pinged, r.ping = true, false, 0
		m.askByName()
	case r.pinged && (!now.Before(r.end) || (silent <= 0 && !now.Before(r.last.Add(confirmGap)))):
		m.resolved(now)
	case r.ping == 0 && due(r.pingAt, now):
		if wait := r.last.Add(quiet); now.Before(wait) {
			r.pingAt = wait // answers are coming in
			break
		}
		m.askByName()
	}
	m.goAhead()
}

// askByName asks those that were silent as part of the target.
func (m *Machine) askByName() {
	r := m.resolving
	r.pingAt = time.Time{}
	r.ping = m.newAsk(&ask{purpose: PurposePing})
	m.emit(Ask{
		ID: r.ping, Purpose: PurposePing, Function: "test.ping", Listen: m.resolveListen(),
		Target: gaea.Target{Type: gaea.TargetList, Minions: slices.Sorted(maps.Keys(r.silent))},
	})
}

// resolved cuts the minions that are there, and have no slice yet, into slices. The others are unreachable, but those that
// answer to their name and not to the target: the master had guessed them.
func (m *Machine) resolved(now time.Time) {
	r := m.resolving
	m.resolving = nil
	if m.phase == phaseResolve {
		m.phase = phaseWork
	}
	m.limit = time.Time{}
	m.setLimit()
	var gone []string
	for _, name := range slices.Sorted(maps.Keys(r.silent)) {
		_, answers := r.answered[name]
		switch {
		case !answers && !m.guessed && m.heard(name).After(r.pingSent):
			r.members[name] = struct{}{} // slow, not away: it answered somebody else
		case !answers:
			gone = append(gone, name)
		}
	}
	m.leaveLine()
	m.unreachable(gone, m.silence(), now)
	m.unreachable(slices.DeleteFunc(r.missing, m.inSlice), unknownToMaster, now)
	m.run.Resolved = true
	m.head = true
	switch members := slices.Sorted(maps.Keys(r.members)); {
	case len(members) > 0:
		m.choose(members)
	case len(m.run.Slices) > 0:
		m.among = m.sliced()
	case len(m.run.Minions) == 0:
		m.decideEmpty(now)
	default:
		m.decide(gaea.RunFailed, "none of the target's minions answers", now)
	}
}

// resolvedToNobody ends the resolving of a run that has begun before a crash, where the master knows nobody of its target any
// more: those that were told keep what they have, and nobody comes after them.
func (m *Machine) resolvedToNobody(now time.Time) {
	r := m.resolving
	clear(r.silent)
	clear(r.members)
	r.missing = nil
	if m.run.Target.Type == gaea.TargetList {
		r.missing = gaea.ListTarget(m.run.Target.Minions).Minions
	}
	m.resolved(now)
}

// unreachable enters minions that will not be told, because they do not answer.
func (m *Machine) unreachable(names []string, why string, now time.Time) {
	for _, name := range names {
		m.set(name, gaea.RunMinion{Outcome: gaea.OutcomeUnreachable, Slice: -1, Message: why, At: now})
		m.gone++
	}
}

func (r *resolving) wake(at func(time.Time)) {
	at(r.retryAt)
	at(r.pingAt)
	if r.pinged {
		at(r.end)
		if len(r.silent) <= len(r.answered) {
			at(r.last.Add(confirmGap))
		}
	}
}
