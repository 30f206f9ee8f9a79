package machine

import (
	"fmt"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// group is one published job with the minions that have not answered it.
type group struct {
	slice int
	jid   string

	state    publishState
	failures int       // of publishing or looking up in a row
	retryAt  time.Time // for stateRetry and stateLookAgain
	early    []Returned

	waiting map[string]*wait

	round     *round
	probeAt   time.Time     // all that wait are asked
	confirmAt time.Time     // those that said "not running" are asked; zero: none did
	gap       time.Duration // to the next probeAt
	probed    bool          // they were asked before
	since     time.Time     // when its minions were told for the first time, where this is not it
	rounds    []*round      // the last questions, of which late answers count
	troubles  int           // questions in a row that the master did not take

	reading   int  // the look-up whose answer counts; an older one may not know of a publish
	lookingUp bool // the cache is being read for lost returns
	lookOnce  bool // and is to be read once more after that
	lookTries int
	lookAt    time.Time // it is to be read again, after a failure

	matchDue  bool      // there are minions whose place in the target is to be asked
	killAt    time.Time // a kill is due
	lastKill  time.Time
	verifyGap time.Duration // between questions whether a kill did it
	stop      stopping
}

// publishState is what is known of a job's publication.
type publishState string

const (
	stateSent      publishState = "sent"       // the master's answer is awaited
	stateUnsure    publishState = "unsure"     // the job cache is being asked whether the master has the job
	stateLookAgain publishState = "look again" // the same, after a failure, at retryAt
	stateRetry     publishState = "retry"      // the master does not have it: it is published at retryAt
	stateWhom      publishState = "whom"       // published, but not known to whom: the target is being resolved
	stateDone      publishState = "done"       // published
)

// wait is what is known of a minion that was told and has not returned.
type wait struct {
	gone      int  // answers in a row that it does not run the job
	running   bool // its last answer was that it runs the job
	behind    bool // its last answer was that another state run is going on there
	seen      bool // it has said that it runs the job
	looked    bool // the cache was read for it since it was behind
	judged    bool // gone for certain: settled when the cache has nothing
	match     bool // to be asked whether the target means it
	alien     bool // it did not answer as part of the target; dropped when it answers to its name once more
	signalled bool // it said that it told the job to end, or killed it
	stop      stoppingOf
}

// refusal is a minion that another state run held.
type refusal struct {
	until time.Time
	words string // Salt's
}

// publishNext publishes the next slice; the straight one, of which the master will name the minions, where none is planned.
func (m *Machine) publishNext(now time.Time) {
	if len(m.run.Slices) == 0 {
		m.run.Slices = []gaea.Slice{{Index: 0}}
	}
	m.tell(m.unpublished(), now)
}

// tell gives a slice its job id and has it stored and published.
func (m *Machine) tell(s *gaea.Slice, now time.Time) {
	if m.run.Started.IsZero() {
		m.run.Started = now
		m.setLimit()
	}
	m.status(gaea.RunRunning)
	s.JID = m.nextJID(now)
	for _, name := range s.Minions {
		rm := m.run.Minions[name]
		rm.JID, rm.Slice, rm.Message = s.JID, s.Index, ""
		m.set(name, rm)
	}
	m.head = true
	g := m.newGroup(s)
	g.state = stateSent
	m.emit(Publish{JID: s.JID, Target: m.targetOf(s)})
}

// targetOf is what a slice is published to.
func (m *Machine) targetOf(s *gaea.Slice) gaea.Target {
	if len(s.Minions) == 0 {
		return m.run.Target
	}
	return gaea.Target{Type: gaea.TargetList, Minions: slices.Clone(s.Minions)}
}

func (m *Machine) newGroup(s *gaea.Slice) *group {
	g := &group{slice: s.Index, jid: s.JID, waiting: make(map[string]*wait, len(s.Minions))}
	for _, name := range m.silent(s) {
		g.waiting[name] = &wait{seen: m.run.Minions[name].Message != ""}
	}
	if s.Again && m.run.Timeouts.Slice > 0 {
		for _, name := range s.Minions {
			if first := m.firstTold(name); g.since.IsZero() || first.Before(g.since) {
				g.since = first
			}
		}
	}
	m.groups = append(m.groups, g)
	m.byJID[g.jid] = g
	return g
}

// takeUp goes on with a slice of a stored run that has a job id. Where the master's answer was not stored it is not
// known whether it was published: the job cache tells.
func (m *Machine) takeUp(s *gaea.Slice, now time.Time) {
	g := m.newGroup(s)
	m.emit(Follow{JID: g.jid})
	if s.Started.IsZero() {
		g.state = stateUnsure
	} else {
		m.startGather(g, now)
		g.lookingUp = true
	}
	m.readCache(g)
}

// straight says whether it is the master who names the slice's minions, and has not yet.
func (m *Machine) straight(g *group) bool {
	return len(m.run.Slices[g.slice].Minions) == 0
}

// published takes the master's word for whom it told.
func (m *Machine) published(in Published, now time.Time) {
	if g := m.byJID[in.JID]; g != nil && g.state != stateDone {
		m.trouble = ""
		m.told(g, in.Minions, in.Missing, now)
	}
}

func (m *Machine) told(g *group, minions, missing []string, now time.Time) {
	s := &m.run.Slices[g.slice]
	if m.straight(g) {
		s.Minions = slices.Compact(slices.Sorted(slices.Values(minions)))
		for _, name := range s.Minions {
			m.set(name, gaea.RunMinion{Outcome: gaea.OutcomePending, JID: g.jid, Slice: g.slice})
			g.waiting[name] = &wait{}
		}
		if m.locks {
			m.emit(Narrow{Minions: slices.Clone(s.Minions)})
		}
	}
	m.confirmed(g, now)
	for _, name := range missing {
		if g.waiting[name] != nil {
			m.settle(g, name, gaea.OutcomeUnreachable, unknownToMaster, now)
		}
	}
	m.passAbsent(g, now)
	early := g.early
	g.early = nil
	for _, r := range early {
		m.returned(r, now)
	}
}

// passAbsent does not wait for the minions of a job that are known to be away.
func (m *Machine) passAbsent(g *group, now time.Time) {
	if m.absent == nil {
		return
	}
	for _, name := range g.names(nil) {
		if at := m.absent(name); !at.IsZero() && now.Sub(at) < m.believe {
			m.settle(g, name, gaea.OutcomeUnreachable, "the minion did not answer another run just before", at)
		}
	}
}

// confirmed notes that a job was published.
func (m *Machine) confirmed(g *group, now time.Time) {
	if s := &m.run.Slices[g.slice]; s.Started.IsZero() {
		s.Started = now
	}
	m.head = true
	m.startGather(g, now)
}

// publishFailed decides what to do about a publish that was refused or not answered.
func (m *Machine) publishFailed(in PublishFailed, now time.Time) {
	g := m.byJID[in.JID]
	if g == nil || g.state != stateSent {
		return
	}
	m.trouble = in.Message
	switch in.Code {
	case gaea.CodeEmptyTarget:
		m.matchedNothing(g, now)
	case gaea.CodeForbidden, gaea.CodeUnauthenticated, gaea.CodeInvalid, gaea.CodeSalt, gaea.CodeTooLarge:
		m.giveUp(g, "not told: "+in.Message, now)
		m.decide(gaea.RunFailed, in.Message, now)
	default:
		// The master may have taken it all the same.
		g.failures++
		g.state = stateUnsure
		m.readCache(g)
	}
}

// matchedNothing ends a publish that the master says reaches nobody.
func (m *Machine) matchedNothing(g *group, now time.Time) {
	if m.straight(g) {
		m.remove(g, now)
		m.decideEmpty(now)
		return
	}
	m.confirmed(g, now)
	for _, name := range g.names(nil) {
		m.settle(g, name, gaea.OutcomeUnreachable, unknownToMaster, now)
	}
}

// giveUp ends a job that was not published.
func (m *Machine) giveUp(g *group, why string, now time.Time) {
	for _, name := range g.names(nil) {
		m.settle(g, name, gaea.OutcomeSkipped, why, now)
	}
	m.remove(g, now)
}

// cachedPublication takes the job cache's word on whether a job was published.
func (m *Machine) cachedPublication(g *group, in Cached, now time.Time) {
	switch {
	case in.Found && m.straight(g) && len(in.Minions) == 0 && len(in.Returns) == 0:
		// The cache forgot whom the job went to; the target has to be resolved once more.
		g.state = stateWhom
		m.askWhom(g)
	case in.Found:
		minions := slices.Clone(in.Minions)
		for _, r := range in.Returns {
			minions = append(minions, r.Minion)
		}
		m.told(g, minions, nil, now)
	case m.stopped():
		m.giveUp(g, m.notTold(), now)
	default:
		g.state = stateRetry
		g.retryAt = now
		if g.failures > 0 {
			g.retryAt = now.Add(backoff(g.failures))
		}
	}
}

// advancePublish repeats what failed on the way to a published job.
func (m *Machine) advancePublish(g *group, now time.Time) {
	if g.state == stateRetry && m.stopped() {
		m.giveUp(g, m.notTold(), now)
		return
	}
	if now.Before(g.retryAt) {
		return
	}
	switch g.state {
	case stateRetry:
		if m.tooLate(now) {
			m.giveUp(g, m.notInTime(), now)
			m.decide(gaea.RunTimedOut, m.outOfTimeReason(), now)
			return
		}
		g.state = stateSent
		m.emit(Publish{JID: g.jid, Target: m.targetOf(&m.run.Slices[g.slice])})
	case stateLookAgain:
		g.state = stateUnsure
		m.readCache(g)
	case stateWhom:
		if !g.retryAt.IsZero() {
			g.retryAt = time.Time{}
			m.askWhom(g)
		}
	case stateSent, stateUnsure, stateDone:
	}
}

// hold puts a minion aside that another state run held; it is told again later.
func (m *Machine) hold(g *group, r Returned, now time.Time) {
	times := 0
	for i := range m.run.Slices {
		if _, ok := slices.BinarySearch(m.run.Slices[i].Minions, r.Minion); ok && m.run.Slices[i].JID != "" {
			times++
		}
	}
	m.busy[r.Minion] = refusal{until: now.Add(backoff(times)), words: r.Message}
	rm := m.run.Minions[r.Minion]
	rm.Outcome, rm.Late, rm.At = gaea.OutcomePending, false, time.Time{}
	rm.Message = fmt.Sprintf("another state run holds the minion; it is asked again: %s", r.Message)
	m.set(r.Minion, rm)
	if g != nil {
		m.unwait(g, r.Minion, now)
	}
}

// tellAgain publishes to the minions whose pause is over, under a job id and in a slice of their own: a minion ignores a
// job id that it has seen.
func (m *Machine) tellAgain(now time.Time) {
	if len(m.busy) == 0 || (m.phase != phaseWork && m.phase != phaseLock) {
		return
	}
	if m.stopped() {
		m.endBusy(m.run.Reason, now)
		return
	}
	var due []string
	ripe := false
	for name, p := range m.busy {
		if !p.until.After(now) {
			ripe = true
		}
		if !p.until.After(now.Add(busyTogether)) {
			due = append(due, name)
		}
	}
	if !ripe {
		return
	}
	if m.tooLate(now) {
		m.decide(gaea.RunTimedOut, m.outOfTimeReason(), now)
		m.endBusy(m.outOfTimeReason(), now)
		return
	}
	slices.Sort(due)
	due = slices.DeleteFunc(due, func(name string) bool {
		refused := m.busy[name]
		delete(m.busy, name)
		limit := m.run.Timeouts.Slice
		if limit == 0 || now.Before(m.firstTold(name).Add(limit.Std())) {
			return false
		}
		rm := m.run.Minions[name]
		rm.Outcome, rm.At = gaea.OutcomeCouldNotRun, now
		rm.Message = fmt.Sprintf("another state run held the minion (%s); the slice limit of %s passed", refused.words, limit)
		m.set(name, rm)
		return true
	})
	if len(due) == 0 {
		return
	}
	m.run.Slices = append(m.run.Slices, gaea.Slice{Index: len(m.run.Slices), Minions: due, Again: true})
	m.tell(&m.run.Slices[len(m.run.Slices)-1], now)
}

// firstTold is when a minion was told for the first time: being told again takes nothing from its slice's limit.
func (m *Machine) firstTold(name string) time.Time {
	for i := range m.run.Slices {
		s := &m.run.Slices[i]
		if _, ok := slices.BinarySearch(s.Minions, name); ok && !s.Started.IsZero() {
			return s.Started
		}
	}
	return time.Time{}
}

// endBusy settles the minions that were told, did not begin and will not be told again.
func (m *Machine) endBusy(why string, now time.Time) {
	if len(m.busy) == 0 {
		return
	}
	for name, p := range m.busy {
		rm := m.run.Minions[name]
		switch m.run.Verdict {
		case gaea.RunCancelled, gaea.RunHalted:
			rm.Outcome, rm.Message = gaea.OutcomeSkipped, m.notBegun()
		default:
			rm.Outcome = gaea.OutcomeCouldNotRun
			rm.Message = fmt.Sprintf("another state run held the minion (%s); %s", p.words, why)
		}
		rm.At = now
		m.set(name, rm)
	}
	clear(m.busy)
	if m.locks && len(m.groups) == 0 {
		m.emit(Unlock{}) // else they are given back with the last job; an action on them must not wait for its own run
	}
}

// notBegun says why a minion that another state run held is not asked again.
func (m *Machine) notBegun() string {
	return fmt.Sprintf("not begun: another state run held the minion until the run was %s", m.run.Verdict)
}

const unknownToMaster = "the master knows no minion of this name; accept its key, or take it out of the list"
