package machine

import (
	"maps"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// round is one question to minions of a group, and what is awaited of it.
type round struct {
	purpose    Purpose
	asks       []int // the question, and its repetition
	unanswered map[string]struct{}
	sent       time.Time // when the master took the question
	inGrace    bool      // whether a job is gone that is still let end by itself
	unread     bool      // an answer was none
	again      bool      // put once more, because nobody answered at all
	repeatAt   time.Time // when those that are silent are asked once more; zero: not yet, or done
	end        time.Time // when silence means something; zero until the master took the question
}

// startGather begins to listen to a published job.
func (m *Machine) startGather(g *group, now time.Time) {
	g.state = stateDone
	g.retryAt = time.Time{}
	if m.cancelled() {
		m.stopJob(g, now)
		return
	}
	g.gap = probeGap
	g.probeAt = now.Add(m.quiet())
}

// quiet is how long a job is only listened to.
func (m *Machine) quiet() time.Duration {
	if m.locks {
		return quietState
	}
	return quiet
}

// quietAfter is how long returns have to have stopped before those that are missing are asked about. Where most of the minions
// took a moment only, one that says nothing for half as long again is likely away.
func (m *Machine) quietAfter(g *group, now time.Time) time.Duration {
	s := &m.run.Slices[g.slice]
	if 2*len(g.waiting) > len(s.Minions) {
		return quietMost
	}
	return min(max(now.Sub(s.Started)/2, quietLeast), quietMost)
}

// returned takes a return: it wins over everything that was settled without one.
func (m *Machine) returned(r Returned, now time.Time) {
	g := m.byJID[r.JID]
	if g != nil && g.state != stateDone {
		if m.straight(g) {
			g.early = append(g.early, r)
			return
		}
		if rm, ok := m.run.Minions[r.Minion]; !ok || rm.JID != r.JID {
			return
		}
		m.confirmed(g, now) // whatever the master's answer was: a minion has the job
	}
	m.lastHeard = now
	rm, ok := m.run.Minions[r.Minion]
	if !ok {
		if !Admit(m.run, r) {
			return
		}
		rm = gaea.RunMinion{Outcome: gaea.OutcomePending, JID: r.JID, Slice: 0}
		m.set(r.Minion, rm)
	}
	switch {
	case rm.JID != r.JID || rm.Outcome.Heard():
		return
	case r.Busy && m.stopped():
		r.Outcome, r.Message = gaea.OutcomeSkipped, m.notBegun()
	case r.Busy:
		if _, held := m.busy[r.Minion]; !held {
			m.hold(g, r, now)
		}
		return
	}
	late := rm.Outcome.Final()
	rm.Outcome, rm.Retcode, rm.Message, rm.Late, rm.At = r.Outcome, r.Retcode, r.Message, late, now
	m.set(r.Minion, rm)
	if g != nil {
		m.unwait(g, r.Minion, now)
		if soon := now.Add(m.quietAfter(g, now)); !m.cancelled() && (g.probeAt.Before(soon) || (!g.probed && !m.locks)) {
			g.probeAt = soon // returns are coming in: let them
		}
	}
}

// Admit says whether a return of a minion that is not in the run belongs to it all the same: the run was published
// straight to a target expression, and the minion says that it is in the target though the master did not know. It
// enters the minion into the run's slice.
func Admit(run *gaea.Run, r Returned) bool {
	if run.Planned() || len(run.Slices) == 0 || run.Slices[0].JID != r.JID {
		return false
	}
	s := &run.Slices[0]
	if i, ok := slices.BinarySearch(s.Minions, r.Minion); !ok {
		s.Minions = slices.Insert(s.Minions, i, r.Minion)
	}
	return true
}

// settle gives a minion that was told an outcome without a return.
func (m *Machine) settle(g *group, name string, o gaea.Outcome, why string, now time.Time) {
	rm := m.run.Minions[name]
	rm.Outcome, rm.Message, rm.At = o, why, now
	m.set(name, rm)
	m.unwait(g, name, now)
}

// unwait stops waiting for a minion.
func (m *Machine) unwait(g *group, name string, now time.Time) {
	delete(g.waiting, name)
	if b := m.run.Batch; b.Mode == gaea.BatchRolling && b.Wait > 0 && !m.stillBusy(name) {
		m.cooling = append(m.cooling, now.Add(b.Wait.Std()))
	}
	if g.round != nil {
		delete(g.round.unanswered, name)
	}
	if len(g.waiting) == 0 && g.state == stateDone {
		m.remove(g, now)
	}
}

// remove ends a group: nothing is left to do for its job.
func (m *Machine) remove(g *group, now time.Time) {
	if m.byJID[g.jid] != g {
		return
	}
	delete(m.byJID, g.jid)
	m.groups = slices.DeleteFunc(m.groups, func(other *group) bool { return other == g })
	for id, a := range m.asks {
		if a.group == g {
			delete(m.asks, id)
		}
	}
	s := &m.run.Slices[g.slice]
	s.Ended = now
	m.head = true
	m.emit(Forget{JID: g.jid})
	switch {
	case !m.locks:
	case len(m.groups) == 0 && len(m.busy) == 0 && m.phase != phaseLock:
		m.emit(Unlock{})
	default:
		if free := slices.DeleteFunc(slices.Clone(s.Minions), m.stillBusy); len(free) > 0 {
			m.emit(Free{Minions: free})
		}
	}
}

// stillBusy says whether a minion is to be told again, and kept for that.
func (m *Machine) stillBusy(name string) bool {
	_, ok := m.busy[name]
	return ok
}

// advanceGroup does what is due for one job.
func (m *Machine) advanceGroup(g *group, now time.Time) {
	if m.byJID[g.jid] != g {
		return
	}
	if g.state != stateDone {
		m.advancePublish(g, now)
		return
	}
	if len(g.waiting) == 0 {
		m.remove(g, now)
		return
	}
	if due(m.sliceEnd(g), now) && !m.cancelled() {
		m.sliceOutOfTime(g, now)
		return
	}
	if due(g.lookAt, now) {
		g.lookAt = time.Time{}
		g.lookingUp = true
		m.readCache(g)
	}
	if r := g.round; r != nil {
		m.advanceRound(g, r, now)
		if m.byJID[g.jid] != g {
			return
		}
	}
	if g.round == nil {
		m.nextRound(g, now)
	}
}

// advanceRound repeats a question to those that are silent, and ends it.
func (m *Machine) advanceRound(g *group, r *round, now time.Time) {
	switch {
	case r.end.IsZero():
	case len(r.unanswered) == 0 || !now.Before(r.end):
		g.round = nil
		m.endRound(g, r, now)
	case due(r.repeatAt, now):
		r.repeatAt = time.Time{}
		m.ask(g, r, slices.Sorted(maps.Keys(r.unanswered)))
	}
}

// nextRound asks what is due to be asked.
func (m *Machine) nextRound(g *group, now time.Time) {
	if m.cancelled() {
		m.nextStop(g, now)
		return
	}
	switch {
	case g.matchDue:
		g.matchDue = false
		if names := g.names(func(w *wait) bool { return w.match }); len(names) > 0 {
			m.startRound(g, PurposeMatch, names)
		}
	case due(g.probeAt, now):
		g.probeAt, g.confirmAt = time.Time{}, time.Time{}
		m.startRound(g, PurposeProbe, g.names(nil))
	case due(g.confirmAt, now):
		g.confirmAt = time.Time{}
		if names := g.names(func(w *wait) bool { return w.gone > 0 }); len(names) > 0 {
			m.startRound(g, PurposeProbe, names)
		}
	}
}

func (m *Machine) startRound(g *group, p Purpose, names []string) {
	g.probed = g.probed || p == PurposeProbe
	g.round = &round{purpose: p, inGrace: g.stop.letting, unanswered: make(map[string]struct{}, len(names))}
	for _, name := range names {
		g.round.unanswered[name] = struct{}{}
	}
	g.rounds = append(g.rounds, g.round)
	if len(g.rounds) > keptRounds { // nobody listens to answers to the oldest any more
		for _, id := range g.rounds[0].asks {
			delete(m.asks, id)
		}
		g.rounds = slices.Delete(g.rounds, 0, 1)
	}
	m.ask(g, g.round, names)
}

// endRound draws the conclusions from a question's answers, and from the silence of the others.
func (m *Machine) endRound(g *group, r *round, now time.Time) {
	silent := slices.Sorted(maps.Keys(r.unanswered))
	if m.cancelled() {
		m.endStop(g, r, silent, now)
		return
	}
	switch r.purpose {
	case PurposeProbe:
		if m.nobodyAnswers(r, now) {
			m.startRound(g, PurposeProbe, silent)
			g.round.again = true
			return
		}
		for _, name := range silent {
			if !m.heard(name).After(r.sent) { // else it answered somebody else: it is slow, not away
				m.settle(g, name, gaea.OutcomeUnreachable, m.silence(), now)
			}
		}
		if m.byJID[g.jid] != g {
			return
		}
		m.probed(g, now)
	case PurposeMatch:
		m.unmatched(g, silent, now)
	case PurposeResolve, PurposePing, PurposeTree, PurposeFell, PurposeTerm, PurposeKill, PurposeSweep:
	}
}

// nobodyAnswers says whether a question is to be put once more before silence is believed: not one of those that were asked
// has answered, and none of the run has been heard for long, so that it may be the way to the minions that is at fault.
func (m *Machine) nobodyAnswers(r *round, now time.Time) bool {
	return !r.again && len(r.unanswered) > 0 && now.Sub(m.lastHeard) > 2*m.gather()
}

// probed plans what follows a question whether minions still run the job.
func (m *Machine) probed(g *group, now time.Time) {
	lookUp := false
	confirm := false
	if aliens := g.names(func(w *wait) bool { return w.alien && w.gone > 0 }); len(aliens) > 0 {
		m.drop(&m.run.Slices[g.slice], aliens)
		for _, name := range aliens {
			m.unwait(g, name, now)
		}
	}
	for _, name := range g.names(nil) {
		w := g.waiting[name]
		switch {
		case w.gone > 1:
			w.judged = true
			lookUp = true
		case w.gone == 1:
			confirm, lookUp = true, true
		case w.behind && !w.looked:
			w.looked = true
			lookUp = true
		}
	}
	if confirm {
		g.confirmAt = now.Add(confirmGap)
	}
	if g.probeAt.IsZero() {
		g.gap = min(2*g.gap, maxProbeGap)
		g.probeAt = now.Add(g.gap)
	}
	if lookUp {
		m.lookUp(g)
	}
}

// lookUp reads the job cache for returns that were lost.
func (m *Machine) lookUp(g *group) {
	g.lookTries = 0
	if g.lookingUp {
		g.lookOnce = true // what is being read may be older than what was just learned
		return
	}
	g.lookingUp = true
	g.lookAt = time.Time{}
	m.readCache(g)
}

// readCache asks the job cache. Only the answer to the last question counts.
func (m *Machine) readCache(g *group) {
	m.lastAsk++
	g.reading = m.lastAsk
	m.emit(LookUp{ID: g.reading, JID: g.jid})
}

// cached takes what the job cache has.
func (m *Machine) cached(in Cached, now time.Time) {
	g := m.byJID[in.JID]
	current := g != nil && in.LookUp == g.reading
	if current && g.state == stateUnsure {
		m.cachedPublication(g, in, now)
	}
	for _, r := range in.Returns {
		m.returned(r, now)
	}
	if current && g.lookingUp && m.byJID[in.JID] == g {
		g.lookingUp, g.lookTries = false, 0
		if g.lookOnce {
			g.lookOnce = false
			m.lookUp(g)
			return
		}
		cache := "the master's job cache has none either"
		if in.Trouble != "" {
			cache = "the master's job cache could not be read whole: " + in.Trouble
		}
		m.judge(g, cache, now)
	}
}

// cacheFailed tries again: without end where it decides whether to publish, a few times where it may have a lost return.
func (m *Machine) cacheFailed(in CacheFailed, now time.Time) {
	g := m.byJID[in.JID]
	if g == nil || in.LookUp != g.reading {
		return
	}
	m.trouble = in.Message
	if g.state == stateUnsure {
		g.failures++
		g.state = stateLookAgain
		g.retryAt = now.Add(backoff(g.failures))
		return
	}
	if !g.lookingUp {
		return
	}
	g.lookingUp = false
	if g.lookTries++; g.lookTries < lookUpTries {
		g.lookAt = now.Add(backoff(g.lookTries))
		return
	}
	m.judge(g, "the master's job cache could not be read: "+in.Message, now)
}

// judge settles the minions that do not run the job and have no return anywhere.
func (m *Machine) judge(g *group, cache string, now time.Time) {
	cancelling := m.cancelled()
	for _, name := range g.names(func(w *wait) bool { return w.judged && !w.match }) {
		w := g.waiting[name]
		switch {
		case cancelling:
			m.settle(g, name, gaea.OutcomeKilled, stoppedWords(w), now)
		case m.guessed && !m.run.Planned() && !w.seen:
			w.match = true
			g.matchDue = true
		default:
			m.settle(g, name, gaea.OutcomeNoReturn, "the minion answers, but does not run the job and sent no return; "+cache, now)
		}
	}
}

// unmatched notes minions that do not answer as part of the target. They leave the run when they answer to their names
// once more: else they went away in between, and it is not known whether the target means them.
func (m *Machine) unmatched(g *group, names []string, now time.Time) {
	for _, name := range names {
		if w := g.waiting[name]; w != nil {
			w.match, w.judged, w.alien, w.gone = false, false, true, 0
			g.probeAt = now
		}
	}
}

// names lists the minions that the group waits for and that fit, sorted; all of them where fit is nil.
func (g *group) names(fit func(*wait) bool) []string {
	names := make([]string, 0, len(g.waiting))
	for name, w := range g.waiting {
		if fit == nil || fit(w) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sliceEnd is when a group's slice has taken as long as it may; the zero time where there is no limit. A slice that is
// taken up later than that gets a moment to learn what became of it.
func (m *Machine) sliceEnd(g *group) time.Time {
	limit, started := m.run.Timeouts.Slice.Std(), m.run.Slices[g.slice].Started
	if limit == 0 || started.IsZero() {
		return time.Time{}
	}
	end := started.Add(limit)
	if !g.since.IsZero() {
		end = g.since.Add(limit)
	}
	if grace := m.began.Add(takeUpGrace + m.gather()); m.began.After(started) && grace.After(end) {
		return grace
	}
	return end
}

// wake names the times at which something is due for the group.
func (m *Machine) wake(g *group, at func(time.Time)) {
	if g.state == stateDone && !m.cancelled() {
		at(m.sliceEnd(g))
	}
	if g.state != stateDone {
		if g.state != stateSent && g.state != stateUnsure {
			at(g.retryAt)
		}
		return
	}
	at(g.lookAt)
	if g.round != nil {
		at(g.round.repeatAt)
		at(g.round.end)
		return
	}
	at(g.stop.treeAt)
	at(g.stop.termAt)
	at(g.killAt)
	at(g.probeAt)
	at(g.confirmAt)
}

func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }
