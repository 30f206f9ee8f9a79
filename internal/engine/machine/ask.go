package machine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// ask is a question that was given out: who wants the answers.
type ask struct {
	purpose Purpose
	group   *group   // nil while the run's target is resolved
	round   *round   // nil where the answer is the master's alone
	minions []string // whom it is put to, where a round has several questions
}

func (m *Machine) newAsk(a *ask) int {
	m.lastAsk++
	m.asks[m.lastAsk] = a
	return m.lastAsk
}

// ask puts a round's question to minions.
func (m *Machine) ask(g *group, r *round, names []string) {
	switch r.purpose {
	case PurposeTree:
		m.askProcesses(g, r, names, treeScript(g.jid))
		return
	case PurposeFell:
		for _, name := range names {
			g.waiting[name].stop.killing = true
		}
		m.askProcesses(g, r, names, fellScript(g.jid))
		return
	case PurposeSweep:
		m.askSweep(g, r, names)
		return
	default:
	}
	id := m.newAsk(&ask{purpose: r.purpose, group: g, round: r})
	r.asks = append(r.asks, id)
	e := Ask{ID: id, Purpose: r.purpose, Target: gaea.Target{Type: gaea.TargetList, Minions: names}, Listen: 2 * m.gather()}
	switch r.purpose {
	case PurposeKill:
		e.Function, e.Args = "saltutil.kill_job", []any{g.jid}
	case PurposeTerm:
		e.Function, e.Args = "saltutil.term_job", []any{g.jid}
	case PurposeMatch:
		e.Function, e.Target = "test.ping", within(m.run.Target, names)
	case PurposeProbe, PurposePing, PurposeResolve, PurposeTree, PurposeFell, PurposeSweep:
		e.Function, e.Args = "saltutil.find_job", []any{g.jid}
		if m.locks {
			e.Function, e.Args = "saltutil.is_running", []any{"state.*"}
		}
	}
	m.emit(e)
}

// askWhom resolves the target again for a job that was published to nobody knows whom.
func (m *Machine) askWhom(g *group) {
	id := m.newAsk(&ask{purpose: PurposeResolve, group: g})
	m.emit(Ask{ID: id, Purpose: PurposeResolve, Function: "test.ping", Target: m.run.Target, Listen: 0})
}

// asked starts the clock of a question.
func (m *Machine) asked(in Asked, now time.Time) {
	a := m.asks[in.Ask]
	if a != nil {
		m.trouble = ""
	}
	switch {
	case a == nil:
	case a.group == nil:
		m.resolveAsked(in, now)
	case a.round == nil:
		if a.group.state == stateWhom {
			delete(m.asks, in.Ask)
			m.told(a.group, in.Minions, nil, now)
		}
	default:
		m.roundAsked(a, in, now)
	}
}

func (m *Machine) roundAsked(a *ask, in Asked, now time.Time) {
	g, r := a.group, a.round
	g.troubles = 0
	if g.round != r {
		return
	}
	if r.end.IsZero() {
		m.startClock(g, r, now)
	}
	if r.purpose == PurposeMatch {
		return // the master resolves the target from the same guesses: only answers count
	}
	for _, name := range in.Missing {
		if _, ok := r.unanswered[name]; ok && g.waiting[name] != nil {
			m.settle(g, name, gaea.OutcomeUnreachable, unknownToMaster, now)
		}
	}
}

// startClock sets, when the master has taken a question, until when answers are waited for.
func (m *Machine) startClock(g *group, r *round, now time.Time) {
	r.sent = now
	if m.cancelled() {
		m.stopClock(g, r, now)
		return
	}
	r.end, r.repeatAt = now.Add(m.gather()), now.Add(m.gather()/2)
}

// askFailed puts a question off that the master did not take: it says nothing about the minions.
func (m *Machine) askFailed(in AskFailed, now time.Time) {
	a := m.asks[in.Ask]
	if a == nil {
		return
	}
	delete(m.asks, in.Ask)
	if in.Code != gaea.CodeEmptyTarget {
		m.trouble = in.Message
	}
	switch {
	case a.group == nil:
		m.resolveFailed(in, now)
	case a.round == nil:
		if a.group.state == stateWhom {
			a.group.failures++
			a.group.retryAt = now.Add(backoff(a.group.failures))
		}
	case a.group.round == a.round && len(a.minions) > 0:
		m.sweepFailed(a, in, now)
	case a.group.round == a.round && a.round.end.IsZero():
		m.roundFailed(a.group, a.round, in, now)
	}
}

func (m *Machine) roundFailed(g *group, r *round, in AskFailed, now time.Time) {
	g.round = nil
	if in.Code == gaea.CodeEmptyTarget {
		names := slices.Sorted(maps.Keys(r.unanswered))
		if r.purpose == PurposeMatch {
			m.unmatched(g, names, now)
			return
		}
		for _, name := range names {
			m.settle(g, name, gaea.OutcomeUnreachable, unknownToMaster, now)
		}
		return
	}
	g.troubles++
	again := now.Add(backoff(g.troubles))
	switch r.purpose {
	case PurposeTree, PurposeFell:
		m.treeFailed(g, r, in, now)
	case PurposeTerm:
		g.stop.termAt = again
	case PurposeKill:
		g.killAt = again
	case PurposeMatch:
		g.matchDue = false
		g.confirmAt = again
		for name := range r.unanswered {
			if w := g.waiting[name]; w != nil {
				w.match, w.judged = false, false
			}
		}
	case PurposeProbe, PurposePing, PurposeResolve, PurposeSweep:
		g.probeAt = again
	}
}

// answered takes a minion's answer to a question.
func (m *Machine) answered(in Answered, now time.Time) {
	a := m.asks[in.Ask]
	switch {
	case a == nil:
	case a.group == nil:
		m.resolveAnswered(a, in, now)
	case a.round != nil:
		m.roundAnswered(a, in, now)
	}
}

func (m *Machine) roundAnswered(a *ask, in Answered, now time.Time) {
	g, r := a.group, a.round
	w := g.waiting[in.Minion]
	if w == nil {
		m.revive(g, in.Minion)
		return
	}
	w.stop.silent = time.Time{}
	_, awaited := r.unanswered[in.Minion]
	awaited = awaited && g.round == r
	if r.purpose == PurposeTree {
		m.tree(g, in.Minion, w, in.Body) // also when it comes late: what is noted can be killed
	}
	if r.purpose == PurposeFell {
		if awaited {
			if r.end.IsZero() {
				m.startClock(g, r, now) // an answer says that the master took the question
			}
			m.letFell(r, now)
		}
		m.felled(g, r, in.Minion, w, in.Body, awaited, now) // the same
	}
	if r.purpose == PurposeKill || r.purpose == PurposeTerm {
		w.signalled = w.signalled || strings.HasPrefix(text(in.Body), "Signal ") // also when it comes late
	}
	if !awaited || g.waiting[in.Minion] != w {
		return // about an earlier moment than what is being asked now, or doubled
	}
	delete(r.unanswered, in.Minion)
	m.lastHeard = now
	if r.end.IsZero() {
		m.startClock(g, r, now) // an answer says that the master took the question
	}
	switch r.purpose {
	case PurposeProbe:
		m.learn(g, in.Minion, w, in.Body)
	case PurposeSweep:
		m.swept(g, in.Minion, w, in.Body, now)
	case PurposeKill, PurposeTerm:
		w.gone = 0
	case PurposeMatch:
		m.settle(g, in.Minion, gaea.OutcomeNoReturn, "the minion answers and is in the target, but does not run the job and sent no return; it may have been down when the job was published", now)
	case PurposeResolve, PurposePing, PurposeTree, PurposeFell:
	}
}

// revive takes back that a minion is unreachable, now that it has answered, while others of its job are still waited for.
func (m *Machine) revive(g *group, name string) {
	rm, ok := m.run.Minions[name]
	if !ok || rm.JID != g.jid || rm.Outcome != gaea.OutcomeUnreachable || m.byJID[g.jid] != g || m.cancelled() {
		return
	}
	g.waiting[name] = &wait{seen: true}
	m.set(name, gaea.RunMinion{Outcome: gaea.OutcomePending, JID: g.jid, Slice: rm.Slice, Message: "answered when it had been taken for unreachable"})
}

// learn takes in what a minion says of its job.
func (m *Machine) learn(g *group, name string, w *wait, body json.RawMessage) {
	running, behind, gone := m.standing(g.jid, body)
	w.running, w.behind = running, behind
	if gone {
		w.gone++
		return
	}
	w.gone, w.judged = 0, false
	if running && !w.seen {
		// Stored, so that a run that is taken up knows that the minion had begun.
		w.seen = true
		rm := m.run.Minions[name]
		rm.Message = "runs the job"
		m.set(name, rm)
	}
}

// standing reads the answer to a probe. An answer that is none of the three leaves everything as it is.
func (m *Machine) standing(jid string, body json.RawMessage) (running, behind, gone bool) {
	if !m.locks {
		var job map[string]json.RawMessage
		if err := json.Unmarshal(body, &job); err != nil {
			return false, false, false
		}
		return len(job) > 0, false, len(job) == 0
	}
	var jobs []struct {
		JID string `json:"jid"`
	}
	if err := json.Unmarshal(body, &jobs); err != nil {
		return false, false, false
	}
	for _, job := range jobs {
		if job.JID == jid {
			return true, false, false
		}
	}
	return false, len(jobs) > 0, len(jobs) == 0
}

// text reads a JSON string; other JSON stays as it is.
func text(body json.RawMessage) string {
	var s string
	if json.Unmarshal(body, &s) != nil {
		return string(bytes.TrimSpace(body))
	}
	return s
}

// within narrows a target to minions by name, in Salt's compound syntax where that is possible.
func within(t gaea.Target, names []string) gaea.Target {
	letters := map[gaea.TargetType]string{
		gaea.TargetGrain: "G", gaea.TargetGrainPCRE: "P", gaea.TargetPillar: "I", gaea.TargetPillarPCRE: "J",
		gaea.TargetNodegroup: "N", gaea.TargetRange: "R", gaea.TargetIPCIDR: "S",
	}
	list := "L@" + strings.Join(names, ",")
	letter, ok := letters[t.Type]
	switch {
	case t.Type == gaea.TargetCompound:
		return gaea.Target{Type: gaea.TargetCompound, Expr: fmt.Sprintf("( %s ) and %s", t.Expr, list)}
	case ok && !slices.Contains([]byte(t.Expr), ' '):
		return gaea.Target{Type: gaea.TargetCompound, Expr: fmt.Sprintf("%s@%s and %s", letter, t.Expr, list)}
	default:
		return t // not to be said in compound syntax: the whole target is asked
	}
}

// resolveListen is how long answers to the resolving ping are of use.
func (m *Machine) resolveListen() time.Duration { return 3 * m.gather() }
