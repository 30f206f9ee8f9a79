package engine

import (
	"context"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	resolutionLife = 5 * time.Minute  // how long it is remembered whom a target means
	resolutionMost = 1000             // targets that are remembered
	resolveAtOnce  = 4                // targets that are being resolved: so many processes a minion starts at most
	resolveSettle  = 3 * time.Second  // the minions' answers are waited for so long, before others are made to answer
	queueTold      = 10 * time.Second // how often, at least, a run is told that its question waits
)

// resolutions remembers which minions targets were last resolved to, so that state runs can lock minions of which only
// the master knows the names. Twenty runs of one target at once have it resolved once. What is remembered may be old: a
// minion that is not locked for that is at worst found busy.
type resolutions struct {
	mu    sync.Mutex
	known map[string]resolution
	going map[string]chan struct{} // targets that are being resolved; closed at the end
	slots chan struct{}            // one element for each that may be begun
}

type resolution struct {
	minions []string
	at      time.Time
}

func newResolutions() *resolutions {
	r := &resolutions{known: map[string]resolution{}, going: map[string]chan struct{}{}, slots: make(chan struct{}, resolveAtOnce)}
	for range resolveAtOnce {
		r.slots <- struct{}{}
	}
	return r
}

func targetKey(t gaea.Target) string { return string(t.Type) + ":" + t.String() }

// find returns what is remembered of a target. Where it is being resolved, wait is closed at the end of that; where
// neither is so, and begin is set, the caller is to resolve it and to call done.
func (r *resolutions) find(t gaea.Target, now time.Time, begin bool) (minions []string, wait <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := targetKey(t)
	if known, ok := r.known[key]; ok && now.Sub(known.at) < resolutionLife {
		return known.minions, nil
	}
	delete(r.known, key)
	if going := r.going[key]; going != nil {
		return nil, going
	}
	if begin {
		r.going[key] = make(chan struct{})
	}
	return nil, nil
}

// done ends a resolving; without minions where it gave nothing.
func (r *resolutions) done(t gaea.Target, minions []string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := targetKey(t)
	if len(minions) > 0 {
		if len(r.known) >= resolutionMost {
			clear(r.known) // rare, and costs one question each
		}
		r.known[key] = resolution{minions: minions, at: now}
	}
	if going := r.going[key]; going != nil {
		close(going)
		delete(r.going, key)
	}
}

// waiting is how a question waits for those of others.
type waiting struct {
	r     *runner
	ask   int
	every time.Duration // how often the machine is told
}

// waiting is for a question that may have to wait. The machine is read here.
func (r *runner) waiting(a machine.Ask) waiting {
	return waiting{r: r, ask: a.ID, every: min(queueTold, r.m.Run().Timeouts.Job.Std()/4)}
}

// until waits for c. The machine is told, so that it does not count the time.
func (w waiting) until(ctx context.Context, c <-chan struct{}) error {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	for {
		select {
		case <-c:
			w.r.send(machine.Asking{Ask: w.ask})
			return nil
		case <-ticker.C:
			w.r.send(machine.Asking{Ask: w.ask})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// turn waits until fewer than resolveAtOnce targets are being resolved. The returned function lets the next one go on; it
// may be called more than once.
func (w waiting) turn(ctx context.Context) (release func(), err error) {
	slots := w.r.e.resolutions.slots
	if err := w.until(ctx, slots); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { slots <- struct{}{} }), nil
}

// lock asks for the minions of a state run.
func (r *runner) lock(id int, minions []string) {
	if minions == nil {
		r.lockTarget(id)
		return
	}
	r.e.locks.acquire(r.id, minions, func() { r.answerLock(machine.Locked{Lock: id}) })
}

// answerLock answers the lock that was asked for last, in the place of an answer to one that was withdrawn and that nobody
// has taken. It does not wait: a lock is asked for when the one before is answered or withdrawn, so there is one who answers.
func (r *runner) answerLock(in machine.Input) {
	select {
	case <-r.locks:
	default:
	}
	r.locks <- in
}

// lockTarget asks for the minions of a target that only the master can resolve. A run that has the engine's state runs to
// itself needs no names: it holds every minion for the moment until the master has named its own.
func (r *runner) lockTarget(id int) {
	if r.wanted != id {
		return // it was withdrawn while the target was being resolved
	}
	target := r.m.Run().Target
	known, going := r.e.resolutions.find(target, r.e.now(), false)
	switch {
	case known != nil:
		r.lock(id, known)
	case going == nil && r.e.locks.acquireEvery(r.id):
		r.resolves = true
		r.e.resolutions.find(target, r.e.now(), true)
		r.answerLock(machine.Locked{Lock: id})
	case going == nil:
		r.answerLock(machine.LockUnknown{Lock: id})
	default:
		r.start(func(ctx context.Context) {
			select {
			case <-going:
			case <-ctx.Done():
				return
			}
			again := func() error {
				r.lockTarget(id)
				return nil
			}
			if err := r.call(ctx, again); err != nil {
				r.log.Debug("the run ended while its target was resolved", "err", err)
			}
		})
	}
}

// resolved ends what lockTarget has begun, when the master has named the minions or the run has come to nothing.
func (r *runner) resolved(minions []string) {
	if r.resolves || len(minions) > 0 {
		r.resolves = false
		r.e.resolutions.done(r.m.Run().Target, minions, r.e.now())
	}
}

// askWhom answers a question for which the master's own answer is enough. Runs that ask for the same target at once share
// the answer.
func (r *runner) askWhom(a machine.Ask) {
	waiting := r.waiting(a)
	r.start(func(ctx context.Context) {
		for {
			known, going := r.e.resolutions.find(a.Target, r.e.now(), true)
			if known != nil {
				r.send(machine.Asked{Ask: a.ID, Minions: known})
				return
			}
			if going == nil {
				break
			}
			if waiting.until(ctx, going) != nil {
				return
			}
		}
		var minions []string
		defer func() { r.e.resolutions.done(a.Target, minions, r.e.now()) }()
		release, err := waiting.turn(ctx)
		if err != nil {
			return
		}
		defer release()
		publication := r.question(a)
		sub := r.e.deps.Feed.Follow(publication.JID)
		defer sub.Close()
		answer, ok := r.publishQuestion(ctx, a, publication)
		if !ok {
			return
		}
		minions = answer.Minions
		r.e.resolutions.done(a.Target, minions, r.e.now())
		r.answers(ctx, publication.JID, sub, resolveSettle, minions, func(*gaea.Return) {})
	})
}
