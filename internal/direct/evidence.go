package direct

import (
	"context"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// evidence is a [gaea.EvidenceStore] of what this process has seen.
type evidence struct {
	mu        sync.Mutex
	newest    map[string]map[string]gaea.Evidence            // by state key and minion
	unsettled map[[2]string]map[string][]gaea.UnsettledState // by assignment and revision, and minion
}

func newEvidence() *evidence {
	return &evidence{newest: map[string]map[string]gaea.Evidence{}, unsettled: map[[2]string]map[string][]gaea.UnsettledState{}}
}

// take takes a return that is evidence; of others it takes no notice.
func (e *evidence) take(ret *gaea.Return) {
	if ret.StateKey == "" || ret.Busy() {
		return
	}
	e.put(ret.StateKey, gaea.Evidence{
		Minion: ret.Minion, JID: ret.JID, At: ret.Stamp, Test: ret.Test, Outcome: ret.Outcome, Message: ret.Message, States: ret.States,
	})
}

func (e *evidence) put(key string, ev gaea.Evidence) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.newest[key] == nil {
		e.newest[key] = map[string]gaea.Evidence{}
	}
	if have, ok := e.newest[key][ev.Minion]; !ok || !ev.At.Before(have.At) {
		e.newest[key][ev.Minion] = ev
	}
}

// Evidence implements [gaea.EvidenceStore].
func (e *evidence) Evidence(_ context.Context, _, key string, minions []string) ([]gaea.Evidence, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []gaea.Evidence
	for _, name := range minions {
		if ev, ok := e.newest[key][name]; ok {
			found = append(found, ev)
		}
	}
	return found, nil
}

// PutSilence implements [gaea.EvidenceStore].
func (e *evidence) PutSilence(_ context.Context, _, key string, minions []string, jid string, at time.Time) error {
	for _, name := range minions {
		e.put(key, gaea.Evidence{Minion: name, JID: jid, At: at, Outcome: gaea.OutcomeUnreachable})
	}
	return nil
}

// Unsettled implements [gaea.EvidenceStore].
func (e *evidence) Unsettled(_ context.Context, assignment, revision string) ([]gaea.UnsettledState, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []gaea.UnsettledState
	for _, states := range e.unsettled[[2]string{assignment, revision}] {
		all = append(all, states...)
	}
	return all, nil
}

// PutUnsettled implements [gaea.EvidenceStore].
func (e *evidence) PutUnsettled(_ context.Context, assignment, revision string, minions []string, states []gaea.UnsettledState) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	k := [2]string{assignment, revision}
	if e.unsettled[k] == nil {
		e.unsettled[k] = map[string][]gaea.UnsettledState{}
	}
	for _, name := range minions {
		delete(e.unsettled[k], name)
	}
	for _, st := range states {
		e.unsettled[k][st.Minion] = append(e.unsettled[k][st.Minion], st)
	}
	return nil
}
