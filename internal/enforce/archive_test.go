package enforce_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// machine is what a minion's states find: a file that somebody may have changed, a command that runs each time, and a state
// that fails in a real run and that test mode calls fine.
type machine struct {
	drifted bool
	command bool
	failing bool
	words   string // it cannot run, and says this
}

// archive keeps what the scripted master's minions return, with the states of their machines put in. It is the engine's feed
// and the service's stores.
type archive struct {
	salt *enginetest.Salt

	mu        sync.Mutex
	fail      error
	machines  map[string]*machine
	returns   map[[2]string]gaea.Return // by jid and minion
	silences  map[[2]string]gaea.Evidence
	unsettled map[[2]string]map[string][]gaea.UnsettledState
	secrets   map[[2]string]json.RawMessage
	byHand    int
}

func newArchive(salt *enginetest.Salt) *archive {
	return &archive{
		salt: salt, machines: map[string]*machine{}, returns: map[[2]string]gaea.Return{}, silences: map[[2]string]gaea.Evidence{},
		unsettled: map[[2]string]map[string][]gaea.UnsettledState{}, secrets: map[[2]string]json.RawMessage{},
	}
}

// set changes a minion's machine, which is made if there is none.
func (a *archive) set(name string, change func(*machine)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.machines[name] == nil {
		a.machines[name] = &machine{}
	}
	change(a.machines[name])
}

// breakDown makes the evidence store fail. Nil: it works.
func (a *archive) breakDown(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail = err
}

// whole puts the states into a return of a state run, once; what a real run changes stays changed.
func (a *archive) whole(ret gaea.Return) gaea.Return {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := [2]string{ret.JID, ret.Minion}
	if have, ok := a.returns[k]; ok {
		return have
	}
	for _, p := range a.salt.Published("state.apply") {
		if p.JID != ret.JID {
			continue
		}
		args, err := json.Marshal(append(slices.Clone(p.Args), withMark(p.Kwargs)))
		if err != nil {
			panic(err)
		}
		ret.StateKey, ret.Test = drift.NewFingerprinter(keyedDigest).Job(p.Function, args)
		a.machines[ret.Minion].apply(&ret)
	}
	a.returns[k] = ret
	return ret
}

func withMark(kwargs map[string]any) map[string]any {
	m := maps.Clone(kwargs)
	m["__kwarg__"] = true
	return m
}

func (m *machine) apply(ret *gaea.Return) {
	if m.words != "" {
		ret.Outcome, ret.Message = gaea.OutcomeCouldNotRun, m.words
		return
	}
	add := func(fun, id string, outcome gaea.Outcome, comment, changes string) {
		s := gaea.StateResult{Key: fun + id, Module: "m", Function: fun, ID: id, Name: id, Outcome: outcome, Comment: comment}
		if changes != "" {
			s.Changes = json.RawMessage(changes)
		}
		ret.States = append(ret.States, s)
		for _, o := range []gaea.Outcome{gaea.OutcomeChanged, gaea.OutcomeWouldChange, gaea.OutcomeFailed} {
			if outcome == o && ret.Outcome != gaea.OutcomeFailed {
				ret.Outcome = o
			}
		}
	}
	ret.Outcome = gaea.OutcomeInSync
	would := gaea.OutcomeChanged
	if ret.Test {
		would = gaea.OutcomeWouldChange
	}
	if m.drifted {
		add("file", "motd", would, "The file motd is set to be changed", "")
		m.drifted = ret.Test
	} else {
		add("file", "motd", gaea.OutcomeInSync, "in the correct state", "")
	}
	if m.command {
		add("cmd", "deploy", would, fmt.Sprintf("would have been executed at %s", time.Now().Format(time.RFC3339)), "")
	}
	if m.failing {
		outcome := gaea.OutcomeFailed
		if ret.Test {
			outcome = gaea.OutcomeInSync
		}
		add("nop", "after", outcome, "One or more requisite failed", "")
	}
}

// saltCommand is a state run that somebody makes by hand.
func (a *archive) saltCommand(minion string, args string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byHand++
	ret := gaea.Return{Master: "m", JID: fmt.Sprintf("byhand%014d", a.byHand), Minion: minion, Function: "state.apply", Stamp: time.Now()}
	ret.StateKey, ret.Test = drift.NewFingerprinter(keyedDigest).Job("state.apply", json.RawMessage(args))
	a.machines[minion].apply(&ret)
	a.returns[[2]string{ret.JID, minion}] = ret
}

// Follow implements [gaea.Feed].
func (a *archive) Follow(jid string) gaea.Subscription {
	sub := &subscription{Subscription: a.salt.Follow(jid), whole: make(chan gaea.Return, 64), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case ret := <-sub.Subscription.Returns():
				select {
				case sub.whole <- a.whole(ret):
				case <-sub.closed:
					return
				}
			case <-sub.closed:
				return
			}
		}
	}()
	return sub
}

type subscription struct {
	gaea.Subscription
	whole  chan gaea.Return
	closed chan struct{}
	once   sync.Once
}

func (s *subscription) Returns() <-chan gaea.Return { return s.whole }

func (s *subscription) Close() {
	s.once.Do(func() { close(s.closed) })
	s.Subscription.Close()
}

// EachReturn implements [gaea.ReturnStore].
func (a *archive) EachReturn(ctx context.Context, master, jid string, take func(*gaea.Return) error) error {
	a.mu.Lock()
	err := a.fail
	a.mu.Unlock()
	if err != nil {
		return err
	}
	return a.salt.EachReturn(ctx, master, jid, func(r *gaea.Return) error {
		whole := a.whole(*r)
		return take(&whole)
	})
}

// Evidence implements [gaea.EvidenceStore].
func (a *archive) Evidence(_ context.Context, _, stateKey string, minions []string) ([]gaea.Evidence, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	newest := map[string]gaea.Evidence{}
	for _, r := range a.returns {
		if r.StateKey != stateKey || !slices.Contains(minions, r.Minion) || newest[r.Minion].At.After(r.Stamp) {
			continue
		}
		e := gaea.Evidence{Minion: r.Minion, JID: r.JID, At: r.Stamp, Test: r.Test, Outcome: r.Outcome, Message: r.Message}
		for _, s := range r.States {
			if s.Outcome != gaea.OutcomeInSync {
				e.States = append(e.States, s)
			}
		}
		newest[r.Minion] = e
	}
	for k, e := range a.silences {
		if k[0] == stateKey && slices.Contains(minions, e.Minion) && e.At.After(newest[e.Minion].At) {
			newest[e.Minion] = e
		}
	}
	return slices.Collect(maps.Values(newest)), a.fail
}

// PutSilence implements [gaea.EvidenceStore].
func (a *archive) PutSilence(_ context.Context, _, stateKey string, minions []string, jid string, at time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range minions {
		a.silences[[2]string{stateKey, m}] = gaea.Evidence{Minion: m, JID: jid, At: at, Test: true, Outcome: gaea.OutcomeUnreachable}
	}
	return a.fail
}

// Unsettled implements [gaea.EvidenceStore].
func (a *archive) Unsettled(_ context.Context, assignment, revision string) ([]gaea.UnsettledState, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []gaea.UnsettledState
	for _, states := range a.unsettled[[2]string{assignment, revision}] {
		all = append(all, states...)
	}
	return all, a.fail
}

// PutUnsettled implements [gaea.EvidenceStore].
func (a *archive) PutUnsettled(_ context.Context, assignment, revision string, minions []string, states []gaea.UnsettledState) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return a.fail
	}
	k := [2]string{assignment, revision}
	if a.unsettled[k] == nil {
		a.unsettled[k] = map[string][]gaea.UnsettledState{}
	}
	for _, m := range minions {
		delete(a.unsettled[k], m)
	}
	for _, s := range states {
		a.unsettled[k][s.Minion] = append(a.unsettled[k][s.Minion], s)
	}
	return nil
}

// PutSecretPillar implements [gaea.SecretStore].
func (a *archive) PutSecretPillar(_ context.Context, assignment, version string, pillar json.RawMessage) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets[[2]string{assignment, version}] = pillar
	return nil
}

// SecretPillar implements [gaea.SecretStore].
func (a *archive) SecretPillar(_ context.Context, assignment, version string) (json.RawMessage, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.secrets[[2]string{assignment, version}], nil
}

// definitions is a [gaea.DefinitionStore] in memory.
type definitions[T gaea.Definition] struct {
	mu       sync.Mutex
	versions map[string][]gaea.Version[T]
}

func newDefinitions[T gaea.Definition]() *definitions[T] {
	return &definitions[T]{versions: map[string][]gaea.Version[T]{}}
}

func (d *definitions[T]) put(t *testing.T, def T) (ref string) {
	t.Helper()
	if err := def.Validate(); err != nil {
		t.Fatal(err)
	}
	v, err := d.Put(t.Context(), def, "ann")
	if err != nil {
		t.Fatal(err)
	}
	return v.Ref
}

// Put implements [gaea.DefinitionStore].
func (d *definitions[T]) Put(_ context.Context, def T, author string) (gaea.Version[T], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := def.DefinitionName()
	v := gaea.Version[T]{Definition: def, Ref: gaea.RefOf(def), Number: len(d.versions[name]) + 1, Author: author, Created: time.Now()}
	d.versions[name] = append(d.versions[name], v)
	return v, nil
}

// Get implements [gaea.DefinitionStore].
func (d *definitions[T]) Get(_ context.Context, ref gaea.Ref) (gaea.Version[T], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range slices.Backward(d.versions[ref.Name]) {
		if ref.Digest == "" && v.Deleted {
			break
		}
		if ref.Digest == "" || v.Ref == ref.String() {
			return v, nil
		}
	}
	return gaea.Version[T]{}, gaea.Errorf(gaea.CodeNotFound, "there is no %s", ref)
}

// Delete implements [gaea.DefinitionStore].
func (d *definitions[T]) Delete(_ context.Context, name, _ string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := d.versions[name][len(d.versions[name])-1]
	last.Deleted, last.Ref = true, ""
	d.versions[name] = append(d.versions[name], last)
	return nil
}

// List implements [gaea.DefinitionStore].
func (d *definitions[T]) List(_ context.Context, p gaea.PageRequest) (gaea.Page[gaea.Version[T]], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var page gaea.Page[gaea.Version[T]]
	for _, name := range slices.Sorted(maps.Keys(d.versions)) {
		if v := d.versions[name][len(d.versions[name])-1]; !v.Deleted && name > p.Cursor {
			page.Items = append(page.Items, v)
		}
	}
	return page, nil
}

// History implements [gaea.DefinitionStore].
func (d *definitions[T]) History(_ context.Context, name string) ([]gaea.Version[T], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	history := slices.Clone(d.versions[name])
	slices.Reverse(history)
	return history, nil
}
