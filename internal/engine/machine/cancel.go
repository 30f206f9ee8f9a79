package machine

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The times of stopping a job, besides those of kills.
const (
	treeAnswer  = 2 * time.Second        // how long a script's answer is waited for before the processes are listed, or killed unseen
	lookFirst   = 300 * time.Millisecond // from telling a job to end to the first look whether it has; doubled up to lookMost
	lookMost    = 5 * time.Second        //
	namedAtMost = 5                      // processes that are named in a message
)

// stopping is what is known of stopping one job.
type stopping struct {
	treeAt   time.Time     // its processes are to be noted, or killed at once
	stepwise bool          // they are to be noted first: there is a grace, or not all could be killed at once
	termAt   time.Time     // it is to be told to end
	told     time.Time     // when it was
	graceEnd time.Time     // until when it is let end by itself, once it was told
	lookGap  time.Duration // between looks whether it has
	letting  bool          // the last look was in that time
}

// stoppingOf is what is known of stopping the job on one minion.
type stoppingOf struct {
	noted   processes // the job's own, and what it has started
	more    bool      // there were more than could be noted
	asked   bool      // the processes were asked for, and the minion had time to answer
	blind   string    // why the minion's processes cannot be looked at, for users
	thread  bool      // the job runs inside the minion's daemon: a kill would end that
	left    processes // of the noted ones and what they have started: those that lived at the last look
	clean   bool      // none lived at the last look
	grown   *round    // the question under way when some were noted last: it does not ask about those
	ended   bool      // the job itself was gone at the last look, as Salt's kill finds nothing then
	killing bool      // a kill was sent
	silent  time.Time // since when it has answered nothing; zero: it has answered what it was asked last
}

// cancel begins to stop the run. Who cancels a second time gives up the actions that the first still lets go on, and may
// shorten the grace.
func (m *Machine) cancel(in Cancel, now time.Time) {
	grace := min(max(in.Grace, 0), gaea.MaxGrace)
	if m.cancelled() {
		m.shorten(grace, now)
		m.run.Hurried, m.head = true, true
		m.stopActing(now)
		return
	}
	reason := "cancelled"
	if in.By != "" {
		reason = "cancelled by " + in.By
	}
	m.run.Message = reason
	m.run.Grace = grace
	m.run.Status = gaea.RunCancelling
	m.decide(gaea.RunCancelled, reason, now)
	if m.phase != phaseNew { // else Begin finds the run as if it had been stored so
		m.stop(now)
	}
}

// shorten takes a shorter grace in the place of the one that jobs have.
func (m *Machine) shorten(grace gaea.Duration, now time.Time) {
	if grace >= m.run.Grace || len(m.groups) == 0 {
		return
	}
	m.run.Grace = grace
	m.head = true
	m.limit = earlier(m.limit, now.Add(m.stopLimit()))
	for _, g := range m.groups {
		if end := g.stop.told.Add(grace.Std()); !g.stop.told.IsZero() && now.Before(g.stop.graceEnd) && end.Before(g.stop.graceEnd) {
			g.stop.graceEnd = end
			g.killAt = end
			if g.round != nil && !g.round.end.IsZero() {
				g.round.end = earlier(g.round.end, end)
			}
		}
	}
}

// stopLimit is how long stopping may take.
func (m *Machine) stopLimit() time.Duration { return cancelLimit + m.run.Grace.Std() }

// stop publishes nothing more and has the minions that were told stop the job.
func (m *Machine) stop(now time.Time) {
	m.limit = now.Add(m.stopLimit())
	m.resolving = nil
	m.withdraw()
	m.endBusy("", now)
	for _, g := range m.groups {
		if g.state == stateDone { // once it is known that it was published; advancePublish gives it up otherwise
			m.stopJob(g, now)
		}
	}
}

// stopJob begins to stop one job. What was noted before a restart is gone on with; a grace begins anew.
func (m *Machine) stopJob(g *group, now time.Time) {
	g.round = nil
	g.probeAt, g.confirmAt, g.killAt, g.matchDue = time.Time{}, time.Time{}, time.Time{}, false
	g.stop = stopping{treeAt: now, stepwise: m.run.Grace > 0}
	for name, w := range g.waiting {
		w.gone, w.judged, w.match = 0, false, false
		w.stop.noted = parseProcesses(m.run.Minions[name].Processes)
		w.stop.more = len(w.stop.noted) == maxNoted
		w.stop.asked = noted(w)
	}
}

// nextStop asks what is due to be asked of a job that is being stopped.
func (m *Machine) nextStop(g *group, now time.Time) {
	switch {
	case due(g.stop.treeAt, now):
		g.stop.treeAt = time.Time{}
		switch names := g.names(func(w *wait) bool { return !w.stop.asked }); {
		case len(names) == 0:
			m.afterTree(g, now)
			m.nextStop(g, now)
		case g.stop.stepwise:
			m.startRound(g, PurposeTree, names)
		default:
			m.startRound(g, PurposeFell, names)
		}
	case due(g.stop.termAt, now):
		g.stop.termAt = time.Time{}
		m.signal(g, PurposeTerm, now)
	case due(g.killAt, now):
		g.killAt = time.Time{}
		m.signal(g, PurposeKill, now)
	case due(g.probeAt, now):
		g.probeAt = time.Time{}
		if names := g.names(noted); len(names) > 0 {
			m.check(g, PurposeSweep, names, now)
		} else {
			m.check(g, PurposeProbe, g.names(nil), now)
		}
	}
}

// signal has a job told to end, or killed, on the minions where there is one and that does not end the minion's daemon.
func (m *Machine) signal(g *group, p Purpose, now time.Time) {
	names := g.names(func(w *wait) bool {
		// Salt's own kill is for where a sweep, which ends the known processes and looks in one, knows none or does not do.
		return !w.stop.thread && !w.stop.ended && (p == PurposeTerm || !noted(w) || w.stop.blind != "" || len(w.stop.left) > 0)
	})
	if len(names) == 0 {
		m.afterSignal(g, &round{purpose: p, sent: now}, now)
		m.nextStop(g, now)
		return
	}
	for _, name := range names {
		g.waiting[name].stop.killing = p == PurposeKill
	}
	m.startRound(g, p, names)
}

func noted(w *wait) bool { return len(w.stop.noted) > 0 }

// inGrace says whether a job is let end by itself at the moment.
func (g *group) inGrace(now time.Time) bool { return now.Before(g.stop.graceEnd) }

// endStop draws the conclusions from a question to minions that stop a job, and from the silence of some.
func (m *Machine) endStop(g *group, r *round, silent []string, now time.Time) {
	for _, name := range silent {
		if w := g.waiting[name]; w != nil && w.stop.silent.IsZero() {
			w.stop.silent = r.sent
		}
	}
	switch r.purpose {
	case PurposeFell:
		m.afterFell(g, r, silent, now)
	case PurposeTree:
		for _, name := range silent {
			if w := g.waiting[name]; w != nil && !w.stop.asked {
				w.stop.asked, w.stop.blind = true, "the minion did not list them in time"
			}
		}
		m.afterTree(g, now)
	case PurposeTerm, PurposeKill:
		m.afterSignal(g, r, now)
	case PurposeSweep, PurposeProbe:
		m.unheard(g, r, silent, now)
		if m.byJID[g.jid] != g {
			return
		}
		if names := g.names(func(w *wait) bool { return !noted(w) }); r.purpose == PurposeSweep && len(names) > 0 {
			m.check(g, PurposeProbe, names, now)
			return
		}
		m.verified(g, now)
	case PurposeResolve, PurposePing, PurposeMatch:
	}
}

// check asks minions whether the job is gone. As long as there is grace nothing is killed with that.
func (m *Machine) check(g *group, p Purpose, names []string, now time.Time) {
	g.stop.letting = g.inGrace(now)
	m.startRound(g, p, names)
}

// afterFell goes on step by step where a job was not killed at once, or it is not known.
func (m *Machine) afterFell(g *group, r *round, silent []string, now time.Time) {
	g.stop.stepwise = true
	if len(silent) > 0 || r.unread {
		g.stop.treeAt = now
		return
	}
	m.afterTree(g, now)
}

// afterTree goes on when the processes are noted: what is to be ended can be found again.
func (m *Machine) afterTree(g *group, now time.Time) {
	switch {
	case m.run.Grace > 0 && g.stop.told.IsZero():
		g.stop.termAt = now
	case !g.inGrace(now):
		g.killAt = now
	case g.probeAt.IsZero():
		g.probeAt = now.Add(g.stop.lookGap)
	}
}

// afterSignal plans the first look whether a job that was told to end, or killed, is gone.
func (m *Machine) afterSignal(g *group, r *round, now time.Time) {
	if r.purpose == PurposeTerm {
		g.stop.told = r.sent
		g.stop.graceEnd = r.sent.Add(m.run.Grace.Std())
		g.killAt = g.stop.graceEnd
		g.stop.lookGap = lookFirst
		g.probeAt = now.Add(lookFirst)
		return
	}
	g.lastKill = now
	g.probeAt = now
	if len(g.names(func(w *wait) bool { return !noted(w) })) > 0 {
		g.probeAt = now.Add(killSettle)
	}
}

// unheard settles the minions that do not answer whether the job is gone. As long as there is grace it means nothing.
func (m *Machine) unheard(g *group, r *round, silent []string, now time.Time) {
	if r.inGrace {
		return
	}
	for _, name := range silent {
		if !m.heard(name).After(r.sent) { // else it answered somebody else: it is slow, not away
			m.settle(g, name, gaea.OutcomeUnreachable, m.silence()+g.waiting[name].stop.living(), now)
		}
	}
}

// verified draws the conclusions from the question whether stopped jobs are gone.
func (m *Machine) verified(g *group, now time.Time) {
	lookUp, running, begun := false, false, false
	for _, name := range g.names(nil) {
		w := g.waiting[name]
		switch {
		case w.stopped():
			m.settle(g, name, gaea.OutcomeKilled, stoppedWords(w), now)
		case w.gone > 1 && w.unseen(), w.gone == 1 && noted(w) && w.stop.clean:
			// It is not known that it was stopped: the job may have ended by itself, and its return been lost. Where no process
			// of it was ever seen, it may not have been there yet when it was asked about for the first time.
			w.judged = true
			lookUp = true
		case w.running || w.behind || len(w.stop.left) > 0 || (noted(w) && w.stop.blind != ""):
			running = true
			if w.running && !w.stop.asked {
				begun = true
			}
		}
	}
	if m.byJID[g.jid] != g {
		return
	}
	if lookUp {
		m.lookUp(g)
	}
	if begun {
		g.stop.treeAt = now.Add(killVerify) // it has begun, or begun anew, since its processes were noted
	}
	m.planCheck(g, running, now)
}

// planCheck says when it is looked again whether a job is gone, or when what is left of it is killed again.
func (m *Machine) planCheck(g *group, running bool, now time.Time) {
	if g.inGrace(now) {
		g.probeAt = now.Add(g.stop.lookGap)
		g.stop.lookGap = min(2*g.stop.lookGap, lookMost)
		return // the kill comes first where the grace ends before
	}
	if !g.stop.graceEnd.IsZero() && g.lastKill.Before(g.stop.graceEnd) {
		g.killAt = now
		return
	}
	g.verifyGap = min(max(2*g.verifyGap, killVerify), killVerifyMax)
	if again := g.lastKill.Add(killAgain); running && !now.Before(again) {
		g.killAt = now.Add(g.verifyGap)
		return
	}
	if len(g.names(func(w *wait) bool { return w.gone == 1 && !noted(w) })) > 0 {
		// Its process may not have been there yet when it was asked.
		g.probeAt = now.Add(max(g.verifyGap, killVerifyMax))
		return
	}
	g.probeAt = now.Add(g.verifyGap)
}

// stopped says whether a job was there to be ended, was told so, and is gone with all that was noted of it.
func (w *wait) stopped() bool { return w.gone > 0 && w.signalled && w.unseen() }

// unseen says whether none of what was noted of a job lives.
func (w *wait) unseen() bool { return !noted(w) || w.stop.clean }

func stoppedWords(w *wait) string {
	words := "ended when it was told to; the minion confirms that the job is gone"
	switch {
	case !w.signalled && noted(w):
		return "the minion confirms that the job is gone with its processes: it was killed, or had just ended"
	case !w.signalled:
		return "the minion confirms that the job is not running; there was nothing left to kill"
	case w.stop.killing:
		words = "killed; the minion confirms that the job is gone"
	}
	switch {
	case w.stop.more:
		return fmt.Sprintf("%s with its first %d processes; it had more, which were not looked at", words, maxNoted)
	case noted(w):
		return words + " with its processes"
	case w.stop.blind != "":
		return words + "; its child processes were not looked at: " + w.stop.blind
	default:
		return words + "; its child processes were not looked at: it had not begun when they were to be listed"
	}
}

// living names the job's processes that lived at the last look.
func (s *stoppingOf) living() string {
	if len(s.left) == 0 {
		return ""
	}
	var pids []string
	for _, p := range s.left[:min(len(s.left), namedAtMost)] {
		pids = append(pids, strconv.Itoa(p.pid))
	}
	if len(s.left) > namedAtMost {
		pids = append(pids, "…")
	}
	return "; of the job's processes there were left: " + strings.Join(pids, ", ")
}

// unverified settles the minions of which it could not be learned in time whether the job is gone.
func (m *Machine) unverified(g *group, now time.Time) {
	for _, name := range g.names(nil) {
		w := g.waiting[name]
		outcome, why := gaea.OutcomeUnreachable, "the kill could not be verified, the job may still run there"
		switch {
		case w.stop.thread && w.running:
			outcome = gaea.OutcomeNoReturn
			why = "the job is still running and was not killed: the minion runs its jobs inside its daemon (multiprocessing: False), which a kill would end"
		case w.stop.blind != "" && noted(w):
			why += ": its processes cannot be looked at any more: " + w.stop.blind
		case w.running:
			outcome = gaea.OutcomeNoReturn
			why = fmt.Sprintf("the job was still running %s after the first kill; look at the minion", cancelLimit)
		case w.behind:
			outcome = gaea.OutcomeNoReturn
			why = "another state run holds the minion, and the job may wait in Salt's queue there: it cannot be killed before it begins"
		case len(w.stop.left) > 0:
			outcome = gaea.OutcomeNoReturn
			why = fmt.Sprintf("the job is gone and was killed, but %s later some of its processes were not: look at the minion", cancelLimit)
		case m.trouble != "":
			why += ": " + m.trouble
		}
		m.settle(g, name, outcome, why+w.stop.living(), now)
	}
	m.abandon(g, now)
}

// earlier is the first of two times.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
