package engine

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	inboxSize     = 256                    // inputs that wait for the run's goroutine; senders wait when it is full
	stepsAtOnce   = 512                    // inputs taken in before the run is stored
	snapshotEvery = 100 * time.Millisecond // at most, for those who watch
	saveTimeout   = 30 * time.Second       // one attempt to store a run
	lastSave      = 5 * time.Second        // the attempt when the engine stops
)

var errRunEnded = errors.New("the run's goroutine has ended")

// runner is one run that goes on. Its goroutine alone touches the machine.
type runner struct {
	e   *Engine
	id  string
	log *slog.Logger
	m   *machine.Machine

	ctx    context.Context //nolint:containedctx // the life of the run's goroutines, ended by the engine
	cancel context.CancelFunc
	going  context.Context //nolint:containedctx // until it is decided how the run ends: nothing of its own is published then
	decide context.CancelFunc
	done   chan struct{} // closed when the loop has ended
	helper sync.WaitGroup

	inbox  chan machine.Input
	locks  chan machine.Input // the answer to the one lock that is asked for
	claims chan machine.Input // the last answer to a claim
	calls  chan func()        // each is run in the run's goroutine

	unsaved map[string]struct{} // minions with changes that are not stored
	dirty   bool                // something is not stored
	changed bool                // something has changed since the last snapshot
	shown   time.Time           // when that was

	wanted   int  // the lock that was asked for last; 0: none, or it was given back
	resolves bool // others wait to learn from this run whom its target means

	mu      sync.Mutex
	follows map[string]context.CancelFunc // by jid
	tries   map[machine.ActionKey]*trying // of actions
}

func (e *Engine) newRunner(run *gaea.Run) *runner {
	ctx, cancel := context.WithCancel(e.ctx)
	going, decide := context.WithCancel(ctx)
	m := machine.New(run, e.deps.JIDs.Next, e.witness.last)
	if e.deps.AbsentFor > 0 && run.Kind == gaea.RunCheck {
		m.BelieveAbsence(e.witness.absent, e.deps.AbsentFor)
	}
	return &runner{
		e: e, id: run.ID, log: e.deps.Logger.With("run", run.ID),
		m:   m,
		ctx: ctx, cancel: cancel, going: going, decide: decide, done: make(chan struct{}),
		inbox: make(chan machine.Input, inboxSize), locks: make(chan machine.Input, 1), claims: make(chan machine.Input, 1),
		calls: make(chan func()), unsaved: map[string]struct{}{}, follows: map[string]context.CancelFunc{}, tries: map[machine.ActionKey]*trying{},
	}
}

// regain gives a stored run what it held when its process ended, before it goes on.
func (r *runner) regain() {
	minions, every := r.m.Held()
	r.e.locks.force(r.id, minions, every)
	if lock, minions := r.m.Claims(); lock != "" {
		r.e.claims.force(lock, r.id, minions)
	}
}

// loop is the run's goroutine.
func (r *runner) loop() {
	defer r.helper.Wait()
	defer r.cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	r.step(machine.Begin{})
	for !r.m.Ended() {
		if r.flush() != nil {
			break
		}
		r.show()
		timer.Reset(r.pause())
		select {
		case in := <-r.inbox:
			r.step(in)
			r.drain()
		case in := <-r.locks:
			r.step(in)
		case in := <-r.claims:
			r.step(in)
		case call := <-r.calls:
			call()
		case <-timer.C:
			r.step(machine.Tick{})
		case <-r.ctx.Done():
		}
		if r.ctx.Err() != nil {
			break
		}
	}
	r.end()
}

// drain takes in what has come in the meantime, so that a flood of returns is stored in few transactions.
func (r *runner) drain() {
	for range stepsAtOnce {
		select {
		case in := <-r.inbox:
			r.step(in)
		default:
			return
		}
	}
}

// pause is the time to the next thing that is due.
func (r *runner) pause() time.Duration {
	next := r.m.Wake()
	if due := r.shown.Add(snapshotEvery); r.changed && r.e.watched(r.id) && (next.IsZero() || due.Before(next)) {
		next = due
	}
	if next.IsZero() {
		return time.Hour
	}
	return max(next.Sub(r.e.now()), 0)
}

// step takes in what happened and starts what is to be done about it.
func (r *runner) step(in machine.Input) {
	if r.ctx.Err() != nil {
		return
	}
	effects := r.m.Step(in, r.e.now())
	if r.m.Run().Verdict != "" {
		r.decide()
	}
	for _, effect := range effects {
		if !r.do(effect) {
			return
		}
	}
}

// do carries out one effect. False: the engine is stopping, and what was to be stored first is not.
func (r *runner) do(effect machine.Effect) bool {
	switch effect := effect.(type) {
	case machine.Save:
		for _, name := range effect.Minions {
			r.unsaved[name] = struct{}{}
			if rm := r.m.Run().Minions[name]; rm.Outcome == gaea.OutcomeUnreachable && !rm.At.IsZero() && r.e.witness.last(name).Before(rm.At) {
				r.e.witness.missed(name, rm.At)
			}
		}
		r.dirty, r.changed = true, true
	case machine.Lock, machine.Narrow, machine.Unlock, machine.Free, machine.Claim, machine.Disclaim:
		r.hold(effect)
	case machine.Act:
		if r.flush() != nil {
			return false
		}
		r.act(effect)
	case machine.EndAct:
		r.endAct(effect.Key)
	case machine.Follow:
		r.follow(effect.JID, true)
	case machine.Forget:
		r.forget(effect.JID)
	case machine.LookUp:
		r.lookUp(effect)
	case machine.Publish:
		if r.flush() != nil {
			return false
		}
		r.publish(effect)
	case machine.Ask:
		if r.flush() != nil {
			return false
		}
		if effect.Listen > 0 {
			r.ask(effect)
		} else {
			r.askWhom(effect)
		}
	case machine.Finish:
		return r.flush() == nil
	}
	return true
}

// hold carries out an effect that is about which minions are the run's.
func (r *runner) hold(effect machine.Effect) {
	switch effect := effect.(type) {
	case machine.Lock:
		r.wanted = effect.ID
		r.lock(effect.ID, effect.Minions)
	case machine.Narrow:
		r.resolved(effect.Minions)
		r.e.locks.narrow(r.id, effect.Minions)
	case machine.Unlock:
		r.wanted = 0
		r.resolved(nil)
		r.e.locks.release(r.id)
	case machine.Free:
		r.e.locks.free(r.id, effect.Minions)
	case machine.Claim:
		r.claim(effect)
	case machine.Disclaim:
		r.e.claims.release(r.id)
	}
}

// flush stores what has changed. A store that fails is tried again until it works: nothing may happen in the world that
// is not written down. The error is the context's.
func (r *runner) flush() error {
	for failures := 1; r.dirty; failures++ {
		err := r.save(r.ctx, saveTimeout)
		if err == nil {
			return nil
		}
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		r.log.Error("run not stored; trying again", "failures", failures, "err", err)
		if err := wait(r.ctx, retryPause(failures)); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) save(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	run := r.m.Run()
	names := slices.Sorted(maps.Keys(r.unsaved))
	if len(names) == 0 {
		names = headOnly(run)
	}
	if err := r.e.deps.Runs.SaveRun(ctx, run, names...); err != nil {
		return err
	}
	r.unsaved = map[string]struct{}{} // a new one: to go through a map that was large takes as long as when it was
	r.dirty = false
	return nil
}

// headOnly names one minion, because to name none means all.
func headOnly(run *gaea.Run) []string {
	for name := range run.Minions {
		return []string{name}
	}
	return nil
}

// show gives those who watch a snapshot, not too often.
func (r *runner) show() {
	if !r.changed || !r.e.watched(r.id) {
		return
	}
	if now := r.e.now(); now.Sub(r.shown) >= snapshotEvery {
		r.shown, r.changed = now, false
		r.e.deliver(Clone(r.m.Run()))
	}
}

// end lets go of the run: stored as it ended, or left as it is for the next process.
func (r *runner) end() {
	r.cancel()
	r.resolved(nil)
	run := r.m.Run()
	if !r.m.Ended() || r.dirty {
		if r.dirty {
			if err := r.save(context.WithoutCancel(r.ctx), lastSave); err != nil {
				r.log.Error("run not stored when the engine stopped; it is taken up as it was stored before", "err", err)
			}
		}
		r.e.leave(r)
		return
	}
	r.e.locks.release(r.id)
	r.e.claims.release(r.id)
	r.e.leave(r)
	r.log.Info("run ended", "status", run.Status, "message", run.Message, "took", run.Ended.Sub(run.Created).Round(time.Millisecond))
	r.e.deliver(Clone(run))
	if r.e.deps.OnEnd != nil {
		r.e.deps.OnEnd(Clone(run))
	}
}

// call runs f in the run's goroutine and returns its error; errRunEnded where that goroutine has ended.
func (r *runner) call(ctx context.Context, f func() error) error {
	ran := make(chan error, 1)
	select {
	case r.calls <- func() { ran <- f() }:
	case <-r.done:
		return errRunEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-ran // the loop has taken it, and f waits for nothing but the store
}

// send hands an input to the run's goroutine; it waits while that is busy, and gives up when the run ends.
func (r *runner) send(in machine.Input) {
	select {
	case r.inbox <- in:
	case <-r.ctx.Done():
	}
}

// start runs a helper goroutine, which the runner waits for.
func (r *runner) start(f func(ctx context.Context)) {
	r.helper.Go(func() { f(r.ctx) })
}

// wait waits, or returns the context's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryPause is the pause after n failures in a row: 200 ms, doubled up to 10 s.
func retryPause(n int) time.Duration {
	return min(200*time.Millisecond<<min(n-1, 10), 10*time.Second)
}
