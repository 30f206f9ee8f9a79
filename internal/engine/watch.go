package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// watcher is one who watches a run. Its channel holds one snapshot, which the next replaces.
type watcher struct {
	mu     sync.Mutex
	c      chan *gaea.Run
	seen   bool // a snapshot was delivered
	closed bool
}

// deliver puts a snapshot into the channel, in the place of one that was not taken.
func (w *watcher) deliver(run *gaea.Run, first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || (first && w.seen) {
		return
	}
	w.seen = true
	select {
	case <-w.c:
	default:
	}
	w.c <- run
	if run.Complete() {
		w.closed = true
		close(w.c)
	}
}

func (w *watcher) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		close(w.c)
	}
}

// Watch delivers the run as it stands, then again when it has changed, at most ten times a second; a snapshot that is not
// taken is replaced by the next. The channel is closed after the snapshot in which the run is complete, when the engine
// stops, and at once where there is no such run. The returned function ends the watch; it must be called. Snapshots are
// shared between those who watch: they are for reading.
func (e *Engine) Watch(id string) (<-chan *gaea.Run, func()) {
	w := &watcher{c: make(chan *gaea.Run, 1)}
	e.mu.Lock()
	e.watchers[id] = append(e.watchers[id], w)
	stopped := e.state == engineStopped
	e.mu.Unlock()
	end := func() {
		e.mu.Lock()
		e.watchers[id] = slices.DeleteFunc(e.watchers[id], func(other *watcher) bool { return other == w })
		if len(e.watchers[id]) == 0 {
			delete(e.watchers, id)
		}
		e.mu.Unlock()
		w.close()
	}
	ctx, cancel := context.WithTimeout(e.ctx, firstSnapshot)
	defer cancel()
	if run, err := e.Get(ctx, id); err != nil {
		w.close()
	} else {
		w.deliver(run, true)
	}
	if stopped {
		w.close()
	}
	return w.c, end
}

const firstSnapshot = 10 * time.Second // for the store to give a run to somebody who watches

// Wait returns the run when it has ended. Where ctx ends first it returns the run as it stood last and ctx's error.
// CodeNotFound; CodeUnavailable where the engine stops.
func (e *Engine) Wait(ctx context.Context, id string) (*gaea.Run, error) {
	return e.waitFor(ctx, id, func(run *gaea.Run) bool { return run.Status.Final() })
}

// WaitComplete is [Engine.Wait] for a run and the check after it: see [gaea.Run.Complete].
func (e *Engine) WaitComplete(ctx context.Context, id string) (*gaea.Run, error) {
	return e.waitFor(ctx, id, (*gaea.Run).Complete)
}

func (e *Engine) waitFor(ctx context.Context, id string, ready func(*gaea.Run) bool) (*gaea.Run, error) {
	last, err := e.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if ready(last) {
		return last, nil
	}
	snapshots, end := e.Watch(id)
	defer end()
	for {
		select {
		case run, ok := <-snapshots:
			if !ok {
				return last, gaea.Errorf(gaea.CodeUnavailable, "%s is stopping; run %s goes on when it is started again", e.deps.Process, id)
			}
			last = run
			if ready(run) {
				return run, nil
			}
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
}

// watched says whether anybody watches the run.
func (e *Engine) watched(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.watchers[id]) > 0
}

// deliver gives a snapshot to all who watch the run.
func (e *Engine) deliver(run *gaea.Run) {
	e.mu.Lock()
	watchers := slices.Clone(e.watchers[run.ID])
	e.mu.Unlock()
	for _, w := range watchers {
		w.deliver(run, false)
	}
}

func (e *Engine) closeWatchers() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, watchers := range e.watchers {
		for _, w := range watchers {
			w.close()
		}
	}
}

// Clone copies a run as far as an engine changes it. The call is shared, and what the run waits for: nobody changes them.
func Clone(run *gaea.Run) *gaea.Run {
	c := *run
	c.Minions = maps.Clone(run.Minions)
	c.Counts = maps.Clone(run.Counts)
	c.Slices = slices.Clone(run.Slices)
	for i := range c.Slices {
		c.Slices[i].Minions = slices.Clone(c.Slices[i].Minions)
		c.Slices[i].Actions = cloneActions(c.Slices[i].Actions)
	}
	c.Actions = cloneActions(run.Actions)
	if run.Pause != nil {
		pause := *run.Pause
		c.Pause = &pause
	}
	return &c
}

func cloneActions(actions []gaea.RunAction) []gaea.RunAction {
	c := slices.Clone(actions)
	for i := range c {
		c[i].Runs = slices.Clone(c[i].Runs)
	}
	return c
}
