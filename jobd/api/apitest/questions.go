package apitest

import (
	"context"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Answers are what the archive answers to questions, whatever is asked for, in pages.
type Answers struct {
	History  []gaea.HistoryItem
	States   []gaea.LatestState
	Changes  []gaea.StateChange
	Failures []gaea.FailedMinion
	Slow     gaea.Measured[gaea.SlowState]
	Runs     gaea.Measured[gaea.RunDurations]
}

// Answer says what the archive answers from now on.
func (w *World) Answer(a Answers) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = a
}

// Questions are the filters that were asked with.
func (w *World) Questions() []any {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.questions)
}

// ask notes a question, and pages its answer.
func ask[T any](w *World, filter any, answer func(*Answers) []T, p gaea.PageRequest, place func(T) string) (gaea.Page[T], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.questions = append(w.questions, filter)
	if w.fail != nil {
		return gaea.Page[T]{}, w.fail
	}
	return cut(answer(&w.answers), p, place)
}

// History implements api.Archive.
func (w *World) History(_ context.Context, f gaea.HistoryFilter, p gaea.PageRequest) (gaea.Page[gaea.HistoryItem], error) {
	return ask(w, f, func(a *Answers) []gaea.HistoryItem { return a.History }, p, func(i gaea.HistoryItem) string { return i.JID })
}

// States implements api.Archive.
func (w *World) States(_ context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.LatestState], error) {
	return ask(w, f, func(a *Answers) []gaea.LatestState { return a.States }, p, func(s gaea.LatestState) string { return s.Minion + s.Key })
}

// Changes implements api.Archive.
func (w *World) Changes(_ context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.StateChange], error) {
	return ask(w, f, func(a *Answers) []gaea.StateChange { return a.Changes }, p, func(c gaea.StateChange) string { return c.JID + c.Minion })
}

// FailedMinions implements api.Archive.
func (w *World) FailedMinions(_ context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.FailedMinion], error) {
	return ask(w, f, func(a *Answers) []gaea.FailedMinion { return a.Failures }, p, func(m gaea.FailedMinion) string { return m.Minion })
}

// SlowStates implements api.Archive.
func (w *World) SlowStates(_ context.Context, f gaea.SlowStateFilter, p gaea.PageRequest) (gaea.Measured[gaea.SlowState], error) {
	page, err := ask(w, f, func(a *Answers) []gaea.SlowState { return a.Slow.Items }, p, func(s gaea.SlowState) string { return s.Key })
	return gaea.Measured[gaea.SlowState]{Page: page, Since: w.answers.Slow.Since}, err
}

// RunDurations implements api.Archive.
func (w *World) RunDurations(_ context.Context, f gaea.RunDurationFilter, p gaea.PageRequest) (gaea.Measured[gaea.RunDurations], error) {
	page, err := ask(w, f, func(a *Answers) []gaea.RunDurations { return a.Runs.Items }, p, func(r gaea.RunDurations) string { return r.Day })
	return gaea.Measured[gaea.RunDurations]{Page: page, Since: w.answers.Runs.Since}, err
}
