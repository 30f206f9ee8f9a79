package machine

import (
	"fmt"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// cancel begins to stop the run. Who cancels a second time gives up the actions that the first still lets go on.
func (m *Machine) cancel(in Cancel, now time.Time) {
	if m.cancelled() {
		m.hurry = true
		m.stopActing(now)
		return
	}
	reason := "cancelled"
	if in.By != "" {
		reason = "cancelled by " + in.By
	}
	m.run.Message = reason
	m.run.Grace = in.Grace
	m.run.Status = gaea.RunCancelling
	m.decide(gaea.RunCancelled, reason, now)
	if m.phase != phaseNew { // else Begin finds the run as if it had been stored so
		m.stop(now)
	}
}

// stop publishes nothing more and has the minions that were told kill the job.
func (m *Machine) stop(now time.Time) {
	m.limit = now.Add(cancelLimit)
	m.resolving = nil
	m.withdraw()
	m.endBusy("", now)
	for _, g := range m.groups {
		if g.state != stateDone {
			continue // once it is known that it was published; advancePublish gives it up otherwise
		}
		g.round = nil
		g.probeAt, g.confirmAt, g.matchDue = time.Time{}, time.Time{}, false
		g.killAt = now
		for _, w := range g.waiting {
			w.gone, w.judged, w.match = 0, false, false
		}
	}
}

// verified draws the conclusions from the question whether killed jobs are gone.
func (m *Machine) verified(g *group, now time.Time) {
	lookUp, running := false, false
	for _, name := range g.names(nil) {
		w := g.waiting[name]
		switch {
		case w.gone > 0 && w.signalled:
			m.settle(g, name, gaea.OutcomeKilled, stoppedWords(w), now)
		case w.gone > 1:
			// Nothing was there to be killed: the job may have ended by itself, and its return been lost.
			w.judged = true
			lookUp = true
		case w.running || w.behind:
			running = true
		}
	}
	if m.byJID[g.jid] != g {
		return
	}
	if lookUp {
		m.lookUp(g)
	}
	g.verifyGap = min(max(2*g.verifyGap, killVerify), killVerifyMax)
	if again := g.lastKill.Add(killAgain); running && !now.Before(again) {
		g.killAt = now.Add(g.verifyGap)
		return
	}
	if len(g.names(func(w *wait) bool { return w.gone == 1 })) > 0 {
		// Its process may not have been there yet when it was asked.
		g.probeAt = now.Add(max(g.verifyGap, killVerifyMax))
		return
	}
	g.probeAt = now.Add(g.verifyGap)
}

func stoppedWords(w *wait) string {
	if w.signalled {
		return "killed; the minion confirms that the job is gone"
	}
	return "the minion confirms that the job is not running; there was nothing left to kill"
}

// unverified settles the minions of which it could not be learned in time whether the job is gone.
func (m *Machine) unverified(g *group, now time.Time) {
	for _, name := range g.names(nil) {
		w := g.waiting[name]
		outcome, why := gaea.OutcomeUnreachable, "the kill could not be verified, the job may still run there"
		switch {
		case w.running:
			outcome = gaea.OutcomeNoReturn
			why = fmt.Sprintf("the job was still running %s after the first kill; look at the minion", cancelLimit)
		case w.behind:
			outcome = gaea.OutcomeNoReturn
			why = "another state run holds the minion, and the job may wait in Salt's queue there: it cannot be killed before it begins"
		case m.trouble != "":
			why += ": " + m.trouble
		}
		m.settle(g, name, outcome, why, now)
	}
	m.abandon(g, now)
}
