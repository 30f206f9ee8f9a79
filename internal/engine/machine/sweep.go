package machine

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// maxNotedAtOnce bounds, in bytes, the noted processes that one question names; each of its minions gets them all.
const maxNotedAtOnce = 48 << 10

// askProcesses has minions run one script about the processes of a job.
func (m *Machine) askProcesses(g *group, r *round, names []string, script string) {
	m.emit(Ask{
		ID: m.askOf(g, r, nil), Purpose: r.purpose, Target: gaea.Target{Type: gaea.TargetList, Minions: names}, Listen: 2 * m.gather(),
		Function: "cmd.run", Args: []any{script}, Kwargs: shellKwargs(),
	})
}

// askSweep asks minions for what lives of the processes that were noted there, and has it killed where no grace is left.
// Each minion has processes of its own, so many minions are asked with several questions.
func (m *Machine) askSweep(g *group, r *round, names []string) {
	list, size := map[string]string{}, 0
	flush := func() {
		if len(list) == 0 {
			return
		}
		minions := slices.Sorted(maps.Keys(list))
		m.emit(Ask{
			ID: m.askOf(g, r, minions), Purpose: PurposeSweep, Target: gaea.Target{Type: gaea.TargetList, Minions: minions}, Listen: 2 * m.gather(),
			Function: "cmd.run", Args: []any{sweepScript(g.jid, list, !r.inGrace)}, Kwargs: shellKwargs(),
		})
		list, size = map[string]string{}, 0
	}
	for _, name := range names {
		w := g.waiting[name]
		w.stop.killing = w.stop.killing || !r.inGrace
		noted := w.stop.noted.String()
		if size += len(name) + len(noted); size > maxNotedAtOnce {
			flush()
			size = len(name) + len(noted)
		}
		list[name] = noted
	}
	flush()
}

// askOf enters a question of a round; minions are those it is put to where they are not all of the round's.
func (m *Machine) askOf(g *group, r *round, minions []string) int {
	id := m.newAsk(&ask{purpose: r.purpose, group: g, round: r, minions: minions})
	r.asks = append(r.asks, id)
	return id
}

// stopClock sets when the silence of minions that stop a job means something.
func (m *Machine) stopClock(g *group, r *round, now time.Time) {
	switch r.purpose {
	case PurposeTree, PurposeFell:
		r.end = now.Add(treeAnswer)
	case PurposeTerm, PurposeKill:
		r.end = now.Add(killAnswer)
	case PurposeSweep, PurposeProbe:
		r.end = m.believed(g, r, now)
		r.repeatAt = now.Add(m.gather() / 2)
		if r.inGrace {
			r.end = earlier(r.end, g.stop.graceEnd)
		}
	case PurposeResolve, PurposePing, PurposeMatch:
	}
}

// believed is when the silence of minions means that they are not there. Where none of them has answered anything since the job
// was to be stopped, that time counts.
func (m *Machine) believed(g *group, r *round, now time.Time) time.Time {
	var since time.Time
	for name := range r.unanswered {
		w := g.waiting[name]
		if w == nil || w.stop.silent.IsZero() {
			return now.Add(m.gather())
		}
		if w.stop.silent.After(since) {
			since = w.stop.silent
		}
	}
	end := since.Add(m.gather())
	if soonest := earlier(now.Add(treeAnswer), now.Add(m.gather())); end.Before(soonest) {
		return soonest
	}
	return end
}

// letFell waits longer for a kill that takes minions their time, as long as some of them answer.
func (m *Machine) letFell(r *round, now time.Time) {
	if end := earlier(now.Add(quietMost), r.sent.Add(m.gather())); end.After(r.end) {
		r.end = end
	}
}

// sweepFailed notes that the master did not take one of several questions: nothing was learned of its minions.
func (m *Machine) sweepFailed(a *ask, in AskFailed, now time.Time) {
	for _, name := range a.minions {
		if _, ok := a.round.unanswered[name]; !ok {
			continue
		}
		delete(a.round.unanswered, name)
		if in.Code == gaea.CodeEmptyTarget && a.group.waiting[name] != nil {
			m.settle(a.group, name, gaea.OutcomeUnreachable, unknownToMaster, now)
		}
	}
	if g := a.group; len(a.round.unanswered) == 0 && a.round.end.IsZero() && m.byJID[g.jid] == g {
		g.round = nil
		g.troubles++
		g.probeAt = now.Add(backoff(g.troubles))
	}
}

// treeFailed takes that the master did not take the question for processes. Where it was refused, it will always be, and
// the job is stopped without; else it is put again.
func (m *Machine) treeFailed(g *group, r *round, in AskFailed, now time.Time) {
	switch in.Code {
	case gaea.CodeForbidden, gaea.CodeUnauthenticated, gaea.CodeInvalid, gaea.CodeSalt, gaea.CodeTooLarge:
		for name := range r.unanswered {
			if w := g.waiting[name]; w != nil {
				w.stop.asked, w.stop.blind = true, in.Message
			}
		}
		m.afterTree(g, now)
	default:
		g.stop.treeAt = now.Add(backoff(g.troubles))
	}
}

// tree notes the processes of a job, to be stored before anything is done to them.
func (m *Machine) tree(g *group, name string, w *wait, body json.RawMessage) {
	w.stop.asked, w.stop.blind = true, ""
	l, err := parseLooked(body, PurposeTree)
	if err != nil {
		w.stop.blind = err.Error()
		return
	}
	w.stop.thread = l.job == jobThread
	w.stop.more = w.stop.more || l.more
	w.running = l.job == jobRunning || l.job == jobThread
	if l.job == jobRunning && len(l.processes) == 0 {
		w.stop.asked = false // it waits for its turn on the minion, and has processes when that has come
	}
	m.keep(g, name, w, l.processes)
}

// felled takes in what was killed of a job at once; also when it is late, for what was killed then stays so. An answer that
// cannot be read says nothing: a minion that cannot list processes says so when it is asked for them alone.
func (m *Machine) felled(g *group, r *round, name string, w *wait, body json.RawMessage, awaited bool, now time.Time) {
	l, err := parseLooked(body, PurposeFell)
	if err != nil {
		r.unread = r.unread || awaited
		return
	}
	whole := !slices.ContainsFunc(w.stop.noted, func(p process) bool { return !slices.Contains(l.processes, p) })
	m.keep(g, name, w, l.processes)
	w.signalled = w.signalled || l.killed
	w.stop.thread = w.stop.thread || l.job == jobThread // a minion stays of that kind: a kill would end its daemon
	if awaited {
		w.running = l.job == jobRunning || l.job == jobThread
		w.stop.asked = l.job != jobRunning || len(l.processes) > 0 // else it waits for its turn on the minion
	}
	if len(l.left) > 0 {
		w.stop.more = w.stop.more || l.more
		return
	}
	if whole && l.job == jobGone && l.killed {
		w.gone, w.running, w.stop.clean, w.stop.more = 1, false, true, false // all was looked at, however much could be noted
		m.settle(g, name, gaea.OutcomeKilled, stoppedWords(w), now)
	}
}

func (m *Machine) keep(g *group, name string, w *wait, ps processes) {
	merged := w.stop.noted.merge(ps)
	if len(merged) == len(w.stop.noted) {
		return
	}
	w.stop.noted, w.stop.clean, w.stop.grown = merged, false, g.round
	w.gone, w.judged = 0, false
	w.stop.more = w.stop.more || len(merged) == maxNoted
	rm := m.run.Minions[name]
	rm.Processes = merged.String()
	m.set(name, rm)
}

// swept takes in what lives of the processes that were noted on a minion.
func (m *Machine) swept(g *group, name string, w *wait, body json.RawMessage, now time.Time) {
	l, err := parseLooked(body, PurposeSweep)
	if err != nil {
		w.stop.blind = err.Error() // it could be looked at before, and is asked again
		return
	}
	w.stop.blind = ""
	w.signalled = w.signalled || l.killed
	w.running, w.behind = l.job == jobRunning, false
	w.stop.ended, w.stop.left = l.job == jobGone, l.processes
	m.keep(g, name, w, l.processes)
	if l.job == jobRunning && l.pid > 0 && !w.stop.noted.has(l.pid) {
		w.stop.asked = false // it has begun anew
	}
	w.stop.clean = len(l.processes) == 0 && w.stop.grown != g.round
	if l.job != jobGone || !w.stop.clean {
		w.gone, w.judged = 0, false
		return
	}
	w.gone++
	if w.stopped() { // others may take their time
		m.settle(g, name, gaea.OutcomeKilled, stoppedWords(w), now)
	}
}
