package machine

import (
	"fmt"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// actionEnd is how long a stopped action may take to end, on top of what stopping a run may take.
const actionEnd = 30 * time.Second

// acting is the action that goes on. There is one at most.
type acting struct {
	key     ActionKey
	minions []string
	attempt int
	out     bool      // a try is under way
	next    time.Time // when it is tried again, where none is
	endBy   time.Time // it was stopped, and is given up then; zero: it was not
}

// call is what the run does; empty where it could not be read.
func (m *Machine) call() *gaea.Call {
	if m.run.Call == nil {
		return &gaea.Call{}
	}
	return m.run.Call
}

// action is what a key names.
func (m *Machine) action(key ActionKey) *gaea.JobAction {
	if key.Phase == gaea.PhasePre {
		return &m.call().Pre[key.Index]
	}
	return &m.call().Post[key.Index]
}

// records are where the actions of a slice are written down, or those of the run.
func (m *Machine) records(slice int) *[]gaea.RunAction {
	if slice < 0 {
		return &m.run.Actions
	}
	return &m.run.Slices[slice].Actions
}

// record is how an action stands, nil where it has not begun.
func (m *Machine) record(key ActionKey) *gaea.RunAction {
	name := m.action(key).Name
	list := *m.records(key.Slice)
	i := slices.IndexFunc(list, func(r gaea.RunAction) bool { return r.Phase == key.Phase && r.Name == name })
	if i < 0 {
		return nil
	}
	return &list[i]
}

func (m *Machine) note(key ActionKey, status gaea.ActionStatus) *gaea.RunAction {
	a := m.action(key)
	list := m.records(key.Slice)
	*list = append(*list, gaea.RunAction{Name: a.Name, What: a.What(), Phase: key.Phase, Status: status})
	m.head = true
	return &(*list)[len(*list)-1]
}

// undone is the place of the first action of a scope that has not ended, or -1.
func (m *Machine) undone(actions []gaea.JobAction, phase gaea.ActionPhase, slice int) int {
	return slices.IndexFunc(actions, func(a gaea.JobAction) bool {
		if a.PerSlice() != (slice >= 0) {
			return false
		}
		list := *m.records(slice)
		return !slices.ContainsFunc(list, func(r gaea.RunAction) bool { return r.Phase == phase && r.Name == a.Name && r.Status.Final() })
	})
}

// act begins an action; one that has nothing to be done on is skipped.
func (m *Machine) act(key ActionKey, minions []string, now time.Time) {
	a := m.action(key)
	if !a.OwnMinions() {
		minions = nil
	} else if len(minions) == 0 {
		m.skip(key, "there is no minion to do it on", now)
		return
	}
	if m.run.Started.IsZero() {
		m.run.Started = now
		m.setLimit()
	}
	if key.Phase == gaea.PhasePre {
		m.status(gaea.RunPreActions)
	} else {
		m.status(gaea.RunPostActions)
	}
	m.note(key, gaea.ActionRunning).Started = now
	m.acting = &acting{key: key, minions: minions}
	m.try(now)
}

func (m *Machine) skip(key ActionKey, why string, now time.Time) {
	rec := m.note(key, gaea.ActionSkipped)
	rec.Message, rec.Ended = why, now
}

// try gives an action out.
func (m *Machine) try(now time.Time) {
	a := m.acting
	rec := m.record(a.key)
	a.attempt++
	rec.Status, rec.Attempts, rec.Next = gaea.ActionRunning, a.attempt, time.Time{}
	m.head = true
	m.giveOut(now)
}

// giveOut has the present try done.
func (m *Machine) giveOut(now time.Time) {
	a := m.acting
	action, rec := m.action(a.key), m.record(a.key)
	a.out, a.next = true, time.Time{}
	e := Act{Key: a.key, Attempt: a.attempt, Action: *action, Minions: a.minions, Limit: max(rec.Started.Add(action.Limit()).Sub(now), time.Second)}
	if action.Function != "" {
		e.RunID = m.actionRun(a.key, a.attempt)
		if !slices.Contains(rec.Runs, e.RunID) {
			rec.Runs = append(rec.Runs, e.RunID)
			m.head = true
		}
	}
	m.emit(e)
}

// actionRun is the id of the run that does one try of an action: always the same, so that after a restart it is found.
func (m *Machine) actionRun(key ActionKey, attempt int) string {
	id := fmt.Sprintf("%s-%s%d", m.run.ID, key.Phase, key.Index+1)
	if key.Slice >= 0 {
		id += fmt.Sprintf("-s%d", key.Slice+1)
	}
	return fmt.Sprintf("%s-t%d", id, attempt)
}

// acted takes how a try ended.
func (m *Machine) acted(in Acted, now time.Time) {
	a := m.acting
	if a == nil || a.key != in.Key || a.attempt != in.Attempt || !a.out {
		return
	}
	a.out = false
	action, rec := m.action(a.key), m.record(a.key)
	rec.Message = in.Message
	m.head = true
	again := now.Add(action.Pause())
	switch {
	case in.OK:
		m.actionEnded(gaea.ActionSucceeded, now)
	case !a.endBy.IsZero():
		m.actionEnded(gaea.ActionCancelled, now)
	case a.attempt <= action.Retries && again.Before(rec.Started.Add(action.Limit())):
		a.next = again
		rec.Status, rec.Next = gaea.ActionWaiting, again
	default:
		m.actionEnded(gaea.ActionFailed, now)
	}
}

// actionEnded notes how an action ended, and what follows for the run.
func (m *Machine) actionEnded(status gaea.ActionStatus, now time.Time) {
	key := m.acting.key
	m.acting = nil
	rec := m.record(key)
	rec.Status, rec.Ended, rec.Next = status, now, time.Time{}
	m.head = true
	if status != gaea.ActionFailed || !m.action(key).Aborts() {
		return
	}
	why := fmt.Sprintf("%s-action %q failed: %s", key.Phase, rec.Name, rec.Message)
	if key.Slice >= 0 {
		why = fmt.Sprintf("%s-action %q of slice %d failed: %s", key.Phase, rec.Name, key.Slice+1, rec.Message)
	}
	if m.run.Verdict == gaea.RunSucceeded {
		m.run.Verdict = "" // that was before its post-actions
	}
	m.decide(gaea.RunFailed, why, now)
}

// stopPointless ends the action that goes on where the run's end, which is decided, has made it pointless.
func (m *Machine) stopPointless(now time.Time) {
	if a := m.acting; a != nil && (a.key.Phase == gaea.PhasePre || (m.cancelled() && !m.action(a.key).Due(false))) {
		m.stopActing(now)
	}
}

// stopActing ends the action that goes on.
func (m *Machine) stopActing(now time.Time) {
	a := m.acting
	if a == nil || !a.endBy.IsZero() {
		return
	}
	if !a.out {
		m.actionEnded(gaea.ActionCancelled, now)
		return
	}
	a.endBy = now.Add(cancelLimit + actionEnd)
	m.emit(EndAct{Key: a.key})
}

// advanceAction tries an action again, and gives up one that does not end.
func (m *Machine) advanceAction(now time.Time) {
	a := m.acting
	switch {
	case a == nil:
	case due(a.endBy, now):
		m.record(a.key).Message = "it did not end when it was stopped"
		m.actionEnded(gaea.ActionCancelled, now)
	case due(a.next, now):
		m.try(now)
	}
}

// takeUpAction goes on with the action that was under way when the process before this one ended.
func (m *Machine) takeUpAction(now time.Time) {
	for slice := -1; slice < len(m.run.Slices); slice++ {
		for _, rec := range *m.records(slice) {
			if rec.Status.Final() {
				continue
			}
			list := m.call().Pre
			if rec.Phase == gaea.PhasePost {
				list = m.call().Post
			}
			i := slices.IndexFunc(list, func(a gaea.JobAction) bool { return a.Name == rec.Name })
			if i < 0 {
				continue
			}
			key := ActionKey{Phase: rec.Phase, Slice: slice, Index: i}
			m.acting = &acting{key: key, attempt: rec.Attempts, next: rec.Next, minions: m.minionsOf(key)}
			if rec.Status == gaea.ActionRunning {
				m.giveOut(now)
			}
			return
		}
	}
}

// minionsOf is on which of the run's minions an action is done.
func (m *Machine) minionsOf(key ActionKey) []string {
	switch {
	case !m.action(key).OwnMinions():
		return nil
	case key.Slice >= 0:
		return m.reached(m.run.Slices[key.Slice].Minions)
	case key.Phase == gaea.PhasePre:
		return m.chosen()
	default:
		return m.reached(m.touched())
	}
}

// reached leaves out the minions that do not answer.
func (m *Machine) reached(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return m.run.Minions[name].Outcome == gaea.OutcomeUnreachable })
}

// touched lists the minions that were told, or on which a pre-action of the whole run was done.
func (m *Machine) touched() []string {
	all := slices.ContainsFunc(m.call().Pre, func(a gaea.JobAction) bool {
		return !a.PerSlice() && a.OwnMinions() && slices.ContainsFunc(m.run.Actions, func(r gaea.RunAction) bool {
			return r.Phase == gaea.PhasePre && r.Name == a.Name && r.Attempts > 0
		})
	})
	names := m.chosen()
	if !all {
		names = slices.DeleteFunc(names, func(name string) bool {
			rm := m.run.Minions[name]
			return rm.JID == "" || rm.Outcome == gaea.OutcomeSkipped // it may have been given a job that was never published
		})
	}
	return names
}

// anyDone says whether anything was done that a post-action could follow.
func (m *Machine) anyDone() bool {
	return len(m.run.Actions) > 0 || slices.ContainsFunc(m.run.Slices, func(s gaea.Slice) bool { return !s.Started.IsZero() || len(s.Actions) > 0 })
}

// toLeave is the first slice that has ended with post-actions of its own left to be done, and the place of the next.
func (m *Machine) toLeave() (*gaea.Slice, int) {
	post := m.call().Post
	if !slices.ContainsFunc(post, func(a gaea.JobAction) bool { return a.PerSlice() }) {
		return nil, 0
	}
	for ; m.left < len(m.run.Slices); m.left++ {
		s := &m.run.Slices[m.left]
		if s.JID == "" && !m.stopped() {
			return nil, 0 // it is still to be told, and those after it
		}
		if s.Again || (s.JID == "" && len(s.Actions) == 0) {
			continue
		}
		if next := m.undone(post, gaea.PhasePost, s.Index); next >= 0 {
			return s, next
		}
	}
	return nil, 0
}

// leave does the next post-action of a slice.
func (m *Machine) leave(s *gaea.Slice, i int, now time.Time) bool {
	key := ActionKey{Phase: gaea.PhasePost, Slice: s.Index, Index: i}
	success := s.JID != "" && !m.cancelled() && !slices.ContainsFunc(s.Minions, func(name string) bool { return !m.run.Minions[name].Outcome.OK() })
	m.actWhen(key, success, now)
	return true
}

// actWhen does a post-action if it is for such an end.
func (m *Machine) actWhen(key ActionKey, success bool, now time.Time) {
	a := m.action(key)
	switch {
	case m.run.Hurried:
		m.skip(key, "the run was cancelled twice", now)
	case a.Due(success):
		m.act(key, m.minionsOf(key), now)
	case success:
		m.skip(key, "for after a failure, and there was none", now)
	default:
		m.skip(key, "for after success", now)
	}
}

// wrapUp does the post-actions of the run, and ends it.
func (m *Machine) wrapUp(now time.Time) bool {
	m.limit = time.Time{}
	if i := m.undone(m.call().Post, gaea.PhasePost, -1); i >= 0 && m.anyDone() {
		m.actWhen(ActionKey{Phase: gaea.PhasePost, Slice: -1, Index: i}, m.run.Verdict == gaea.RunSucceeded, now)
		return true
	}
	m.finish(now)
	return false
}
