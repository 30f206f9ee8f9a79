package machine

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The machine's own times; those that users set are in the run's Timeouts.
const (
	quiet         = time.Second            // silence before anybody is asked, while nobody has returned or answered
	quietLeast    = 200 * time.Millisecond // silence before the others are asked, when most have returned: half of the time that
	quietMost     = 500 * time.Millisecond // the job has taken by then, between these two; before that, the longer one
	probeGap      = time.Second            // doubled, from the first question to the second
	quietState    = 3 * time.Second        // the same for state runs, none of which is done sooner
	confirmGap    = 2 * time.Second        // from one "not running" to the question that confirms it
	maxProbeGap   = 30 * time.Second       // between questions to a job that goes on
	keptRounds    = 8                      // questions to a job of which late answers count
	busyTogether  = 300 * time.Millisecond // minions due this close together are told with one publish
	backoffFirst  = time.Second            // before a minion that another state run held is told again, and before what failed is repeated
	backoffMost   = 15 * time.Second       // doubled up to this
	lookUpTries   = 3                      // look-ups for a lost return before the run goes on without
	takeUpGrace   = 30 * time.Second       // for a run that is taken up after its job timeout, with gather on top
	cancelLimit   = 2 * time.Minute        // from the cancel to the end of the run
	killAnswer    = time.Second            // how long the answers to a kill are waited for before it is verified
	killSettle    = 300 * time.Millisecond // from the answers to a kill to the first verification
	killVerify    = 500 * time.Millisecond // to the second verification; doubled up to killVerifyMax
	killVerifyMax = 2 * time.Second        //
	killAgain     = 4 * time.Second        // between kills of a job that still runs
)

type phase string

const (
	phaseNew     phase = "new"     // Begin is to come
	phaseResolve phase = "resolve" // asking which minions the target has
	phaseClaim   phase = "claim"   // waiting for other runs with the same lock
	phaseLock    phase = "lock"    // waiting for other state runs
	phaseWork    phase = "work"    // publishing, gathering, acting or stopping
	phaseEnd     phase = "end"
)

// Machine is one run. Its methods are for one goroutine.
type Machine struct {
	run     *gaea.Run
	nextJID func(now time.Time) string
	heard   func(minion string) time.Time
	absent  func(minion string) time.Time // nil: nobody tells
	believe time.Duration                 // for how long that is believed

	locks   bool // a state run, of which a minion runs one at a time
	guessed bool // the master resolves the target from cached grains or pillar and may name too many

	phase        phase
	began        time.Time
	limit        time.Time // when the run is ended whatever is missing; zero: no limit yet
	publishUntil time.Time // nothing is published from here on
	lastHeard    time.Time // when a minion of this run last answered
	trouble      string    // the last thing that went wrong between us and the master, for messages

	resolving  *resolving
	candidates []string    // minions that the run is for, until it has them under its lock
	first      int         // the first planned slice that may not be published yet
	left       int         // the first slice that may have post-actions left to be done
	rest       []string    // minions in line: no slice has them yet; in the order in which they are told
	among      int         // the minions that have a slice or stand in line
	gone       int         // the minions that did not, and were never told
	waitUntil  time.Time   // nothing is due before that; zero: other things decide
	rollAt     time.Time   // when free places are filled though there are few
	cooling    []time.Time // when the places of minions that have ended may be taken, in order
	acting     *acting
	groups     []*group           // published jobs with something left to do, in order of publication
	byJID      map[string]*group  // the same
	busy       map[string]refusal // minions that another state run held
	asks       map[int]*ask
	lastAsk    int
	lastLock   int // the lock that is waited for; an answer to one before that was withdrawn says nothing

	dirty map[string]struct{} // minions to be stored
	head  bool                // the run's head is to be stored
	out   []Effect
}

// New returns the machine of a run, which it takes over: a new one with status queued, or a stored one that is to be
// taken up. The function nextJID gives job ids that were not used before; heard tells when a minion last answered
// anything, whoever asked, and the zero time where it never did.
func New(run *gaea.Run, nextJID func(now time.Time) string, heard func(minion string) time.Time) *Machine {
	if run.Minions == nil {
		run.Minions = map[string]gaea.RunMinion{}
	}
	run.Counts = run.Tally()
	run.Timeouts = run.Timeouts.WithDefaults()
	m := &Machine{
		run: run, nextJID: nextJID, heard: heard, phase: phaseNew,
		locks:   Locks(run),
		guessed: guessed(run.Target.Type),
		byJID:   map[string]*group{}, busy: map[string]refusal{}, asks: map[int]*ask{}, dirty: map[string]struct{}{},
	}
	if run.Status.Final() {
		m.phase = phaseEnd
	}
	return m
}

// BelieveAbsence has the machine not wait for minions that somebody else found unreachable, and that nobody has heard since,
// for as long as that is believed. They are told nevertheless, and a return of theirs counts as a late one.
func (m *Machine) BelieveAbsence(absent func(minion string) time.Time, believe time.Duration) {
	m.absent, m.believe = absent, believe
}

// Run is the run as it stands. It is the machine's: to be read between steps, and copied to be kept.
func (m *Machine) Run() *gaea.Run { return m.run }

// Ended says whether the last effect was given out.
func (m *Machine) Ended() bool { return m.phase == phaseEnd }

// Step takes in what happened and returns what is to be done about it.
func (m *Machine) Step(in Input, now time.Time) []Effect {
	if m.phase == phaseEnd {
		return nil
	}
	m.out = nil
	switch in := in.(type) {
	case Begin:
		m.begin(now)
	case Locked:
		m.locked(in, now)
	case LockUnknown:
		if m.phase == phaseLock && in.Lock == m.lastLock {
			m.resolve(false, now)
		}
	case Cancel:
		m.cancel(in, now)
	case Pause:
		m.pause(in, now)
	case Resume:
		m.resume(now)
	case Acted:
		m.acted(in, now)
	case Claimed:
		m.claimed(in, now)
	case ClaimBlocked:
		m.claimBlocked(in, now)
	case ClaimRefused:
		m.claimRefused(in, now)
	default:
		m.fromSalt(in, now)
	}
	if m.phase != phaseNew {
		m.advance(now)
	}
	return m.effects()
}

// fromSalt takes in what the master and the minions say. A [Tick] says nothing.
func (m *Machine) fromSalt(in Input, now time.Time) {
	switch in := in.(type) {
	case Published:
		m.published(in, now)
	case PublishFailed:
		m.publishFailed(in, now)
	case Returned:
		m.returned(in, now)
	case Asking:
		m.resolveAsking(in, now)
	case Asked:
		m.asked(in, now)
	case AskFailed:
		m.askFailed(in, now)
	case Answered:
		m.answered(in, now)
	case Cached:
		m.cached(in, now)
	case CacheFailed:
		m.cacheFailed(in, now)
	}
}

// Wake is when the machine wants a [Tick] at the latest; the zero time where only events bring it on.
func (m *Machine) Wake() time.Time {
	var wake time.Time
	at := func(t time.Time) {
		if !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	if m.phase == phaseEnd || m.phase == phaseNew {
		return wake
	}
	at(m.limit)
	if m.resolving != nil {
		m.resolving.wake(at)
	}
	for _, g := range m.groups {
		m.wake(g, at)
	}
	for _, p := range m.busy {
		at(p.until)
	}
	if m.acting != nil {
		at(m.acting.next)
		at(m.acting.endBy)
	}
	at(m.waitUntil)
	return wake
}

// Held is what a stored run held when its process ended and must hold again before another run is begun: the minions that
// were told and have no outcome; all is true where it is not known whom it told.
func (m *Machine) Held() (minions []string, all bool) {
	if !m.locks {
		return nil, false
	}
	for i := range m.run.Slices {
		s := &m.run.Slices[i]
		if m.unnamed(s) {
			return nil, true
		}
		minions = append(minions, m.silent(s)...)
	}
	slices.Sort(minions)
	return minions, false
}

// begin starts a new run, or finds out where a stored one stands.
func (m *Machine) begin(now time.Time) {
	if m.phase != phaseNew {
		return
	}
	m.began = now
	m.phase = phaseWork
	if m.run.Status == gaea.RunCancelling && m.run.Verdict == "" {
		m.run.Verdict, m.run.Reason = gaea.RunCancelled, m.run.Message // stored before there were verdicts
	}
	if !m.run.TakeBy.IsZero() { // it is taken up now
		m.run.TakeBy, m.head = time.Time{}, true
	}
	m.setLimit()
	m.findPlace()
	for i := range m.run.Slices {
		if s := &m.run.Slices[i]; m.unnamed(s) || len(m.silent(s)) > 0 {
			m.takeUp(s, now)
		}
	}
	m.takeUpAction(now)
	if m.stopped() {
		m.skipRest(now)
		m.stopPointless(now)
	}
	if m.cancelled() {
		m.stop(now)
	}
}

// unnamed says whether a slice was, or may have been, published to minions that only the master can name.
func (m *Machine) unnamed(s *gaea.Slice) bool {
	return s.JID != "" && len(s.Minions) == 0 && s.Ended.IsZero()
}

// silent lists the minions that were told with a slice's job and have no outcome; also where the slice has ended, for a
// minion that another state run held leaves its slice, to be told again.
func (m *Machine) silent(s *gaea.Slice) []string {
	if s.JID == "" {
		return nil
	}
	var names []string
	for _, name := range s.Minions {
		if rm := m.run.Minions[name]; rm.JID == s.JID && !rm.Outcome.Final() {
			names = append(names, name)
		}
	}
	return names
}

// setLimit derives from the run's start how long it may go on.
func (m *Machine) setLimit() {
	m.publishUntil, m.limit = time.Time{}, time.Time{}
	if m.run.Started.IsZero() || (m.run.Pause != nil && !m.run.Pause.Since.IsZero()) {
		return
	}
	m.publishUntil = m.run.Started.Add(m.run.Timeouts.Job.Std() + m.run.PausedFor.Std())
	m.limit = m.publishUntil
	if grace := m.began.Add(takeUpGrace + m.gather()); m.began.After(m.run.Started) && grace.After(m.limit) {
		m.limit = grace
	}
}

// advance does what is due by now.
func (m *Machine) advance(now time.Time) {
	switch {
	case !due(m.limit, now):
	case m.accounted():
		m.limit = time.Time{} // what is left are post-actions, which have limits of their own
	default:
		m.expire(now)
	}
	if m.resolving != nil {
		m.advanceResolve(now)
	}
	for _, g := range slices.Clone(m.groups) {
		m.advanceGroup(g, now)
	}
	m.tellAgain(now)
	m.advanceAction(now)
	m.judgeFailures(now)
	m.proceed(now)
}

// lock waits for other state runs on these minions; on all of them where they are not known.
func (m *Machine) lock(minions []string) {
	m.phase = phaseLock
	m.lastLock++
	m.emit(Lock{ID: m.lastLock, Minions: minions})
}

// withdraw goes back to work from whatever the run waits for. Minions that it was to have are given back with the last job
// where there is one, so that an action on them does not wait for the run that it is part of.
func (m *Machine) withdraw() {
	if m.phase == phaseLock && len(m.groups) == 0 {
		m.emit(Unlock{})
	}
	m.phase = phaseWork
}

// locked goes on with minions that no other state run holds now, unless the run is not to go on.
func (m *Machine) locked(in Locked, now time.Time) {
	if m.phase != phaseLock || in.Lock != m.lastLock {
		return
	}
	m.phase = phaseWork
	s := m.unpublished()
	switch {
	case !m.stopped() && m.run.Pause == nil && !m.tooLate(now):
		m.publishNext(now)
	case s != nil:
		m.emit(Free{Minions: slices.Clone(s.Minions)})
	default:
		m.emit(Unlock{})
	}
}

// set writes a minion's entry and keeps the counts.
func (m *Machine) set(name string, rm gaea.RunMinion) {
	if old, ok := m.run.Minions[name]; ok {
		m.count(old.Outcome, -1)
	}
	m.run.Minions[name] = rm
	m.count(rm.Outcome, 1)
	m.dirty[name] = struct{}{}
}

// drop takes minions out of the run: they were never in its target.
func (m *Machine) drop(s *gaea.Slice, names []string) {
	gone := make(map[string]struct{}, len(names))
	for _, name := range names {
		gone[name] = struct{}{}
		m.strike(name)
	}
	s.Minions = slices.DeleteFunc(s.Minions, func(name string) bool {
		_, ok := gone[name]
		return ok
	})
}

// strike takes a minion's entry away, if there is one.
func (m *Machine) strike(name string) {
	if rm, ok := m.run.Minions[name]; ok {
		m.count(rm.Outcome, -1)
		delete(m.run.Minions, name)
		m.dirty[name] = struct{}{}
	}
}

func (m *Machine) count(o gaea.Outcome, n int) {
	if m.run.Counts[o] += n; m.run.Counts[o] == 0 {
		delete(m.run.Counts, o)
	}
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

// effects is what a step gives out. What changed is stored first and as a whole: no effect may outrun it, and a run whose
// head says that it has ended must not be stored without the outcomes.
func (m *Machine) effects() []Effect {
	out := m.out
	m.out = nil
	if len(m.dirty) == 0 && !m.head {
		return out
	}
	m.run.Seq++
	names := slices.Sorted(maps.Keys(m.dirty))
	for _, name := range names {
		if rm, ok := m.run.Minions[name]; ok {
			rm.Seq = m.run.Seq
			m.run.Minions[name] = rm
		}
	}
	m.dirty = map[string]struct{}{} // a new one: to go through a map that was large takes as long as when it was
	m.head = false
	return slices.Insert(out, 0, Effect(Save{Minions: names}))
}

// accounted says whether every minion has an outcome, so that nothing of the run's own work is left.
func (m *Machine) accounted() bool {
	return m.phase == phaseWork && len(m.groups) == 0 && len(m.busy) == 0 && !m.more()
}

// tooLate says whether the job timeout has passed, after which nothing is published.
func (m *Machine) tooLate(now time.Time) bool { return due(m.publishUntil, now) }

func (m *Machine) gather() time.Duration { return m.run.Timeouts.Gather.Std() }

// Locks says whether a run's function is one of which Salt lets a minion run one at a time.
func Locks(run *gaea.Run) bool {
	if !strings.HasPrefix(run.Function, "state.") {
		return false
	}
	if run.Call != nil {
		if concurrent, ok := run.Call.Kwargs["concurrent"].(bool); ok && concurrent {
			return false
		}
	}
	return true
}

// guessed says whether a master resolves the target type from what it has cached of the minions.
func guessed(t gaea.TargetType) bool {
	switch t {
	case gaea.TargetGlob, gaea.TargetPCRE, gaea.TargetList:
		return false
	default:
		return true
	}
}

// backoff is the pause after n failures or refusals in a row, n from 1.
func backoff(n int) time.Duration { return min(backoffFirst<<min(n-1, 10), backoffMost) }
