package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	heardLately = 30 * time.Second // a minion that was heard so short a time ago is there
	rosterMost  = 100              // targets whose names are remembered
)

// roster remembers whom the master named for targets of minion ids, which it answers from the keys that it has accepted. The
// names hold until those keys may have changed, and no longer than [Deps.RosterFor].
type roster struct {
	mu    sync.Mutex
	named map[string]naming
	turn  int       // how often the keys may have changed
	since time.Time // when they last did
}

type naming struct {
	minions, missing []string
	at               time.Time
}

func newRoster() *roster { return &roster{named: map[string]naming{}} }

// began is what note is given: the state of the keys before the master is asked.
func (r *roster) began() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.turn
}

// note remembers the master's answer, unless the keys may have changed since began.
func (r *roster) note(t gaea.Target, answer gaea.Published, began int, now time.Time) {
	if !t.OfIDs() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if began != r.turn {
		return
	}
	if len(r.named) >= rosterMost {
		clear(r.named) // rare, and costs one question each
	}
	r.named[targetKey(t)] = naming{minions: slices.Clone(answer.Minions), missing: slices.Clone(answer.Missing), at: now}
}

// find returns what is remembered of a target and is not older than life.
func (r *roster) find(t gaea.Target, life time.Duration, now time.Time) (naming, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.named[targetKey(t)]
	return known, ok && now.Sub(known.at) < life && len(known.minions) > 0
}

// forget is for keys that may have changed at a time.
func (r *roster) forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn++
	r.since = now
	clear(r.named)
}

// changed is when the keys last may have changed.
func (r *roster) changed() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since
}

// KeysChanged tells that the master may know other minions than before: a key was accepted, rejected or deleted, or nobody
// knows because its events were not heard for a while. It never waits.
func (e *Engine) KeysChanged() { e.roster.forget(e.now()) }

// Authenticated tells that the master let a minion in, as it does each time one starts: a change of keys, unless the minion was
// heard since the last one. It never waits.
func (e *Engine) Authenticated(minion string) {
	if !e.witness.last(minion).After(e.roster.changed()) {
		e.roster.forget(e.now())
	}
}

// Heard tells of returns that have come over the bus, of whatever jobs: their minions were there when they came, which may be long
// ago where the archive was away. It never waits.
func (e *Engine) Heard(returns []gaea.Return) {
	for i := range returns {
		if returns[i].Outcome.Heard() {
			e.heard(&returns[i])
		}
	}
}

// heard notes the minion of a return, where that came over the bus.
func (e *Engine) heard(r *gaea.Return) {
	if r.Source != gaea.SourceBus {
		return
	}
	at := e.now()
	if !r.Stamp.IsZero() && r.Stamp.Before(at) {
		at = r.Stamp
	}
	e.witness.heard(r.Minion, at)
}

// lately picks those out that were heard a moment ago, and have not been found away since.
func (e *Engine) lately(names []string) (there, others []string) {
	now := e.now()
	for _, name := range names {
		if last := e.witness.last(name); !last.IsZero() && now.Sub(last) < heardLately && e.witness.absent(name).IsZero() {
			there = append(there, name)
		} else {
			others = append(others, name)
		}
	}
	return there, others
}

// answerKnown answers the question whom a target of ids means by what is known: of the minions that the master named a
// moment ago, those that were heard a moment ago are not asked again, for a ping tells no more than that. The others are, by
// name. It returns false where the whole target is to be asked.
func (r *runner) answerKnown(ctx context.Context, a machine.Ask) bool {
	known, ok := r.e.roster.find(a.Target, r.e.deps.RosterFor, r.e.now())
	if !ok {
		return false
	}
	there, others := r.e.lately(known.minions)
	if len(there) == 0 {
		return false
	}
	answered := func(minion string) { r.send(machine.Answered{Ask: a.ID, Minion: minion}) }
	asked := machine.Asked{Ask: a.ID, Minions: known.minions, Missing: known.missing}
	if len(others) == 0 {
		r.send(asked)
		for _, name := range there {
			answered(name)
		}
		return true
	}
	byName := a
	byName.Target = gaea.ListTarget(others)
	publication := r.question(byName)
	sub := r.e.deps.Feed.Follow(publication.JID)
	defer sub.Close()
	answer, err := r.e.publish(ctx, publication)
	if err != nil || len(answer.Missing) > 0 {
		r.e.roster.forget(r.e.now()) // the keys are not those that they were
		r.log.Debug("asking the whole target", "target", a.Target, "missing", answer.Missing, "err", err)
		return false
	}
	r.send(asked)
	for _, name := range there {
		answered(name)
	}
	r.answers(ctx, publication.JID, sub, a.Listen, answer.Minions, func(ret *gaea.Return) { answered(ret.Minion) })
	return true
}
