package apitest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Runs is a run engine in which nothing happens until a test says so.
type Runs struct {
	mu       sync.Mutex
	runs     map[string]*gaea.Run
	keys     map[string]string
	watches  map[string][]chan *gaea.Run
	away     map[string]bool // runs that another jobd has
	fail     error
	Requests []engine.Request // what was submitted
}

// Unwatched makes a run another jobd's: it can be looked at and not be watched.
func (r *Runs) Unwatched(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away[id] = true
}

// Fail makes looking at runs fail from now on, or work again with nil.
func (r *Runs) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

// Submit implements api.Runs. Nothing may run with the function "no.such".
func (r *Runs) Submit(_ context.Context, req engine.Request) (*gaea.Run, bool, error) {
	if req.Call.Function == "no.such" {
		return nil, false, gaea.Errorf(gaea.CodeEmptyTarget, "the target matches no minion")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Requests = append(r.Requests, req)
	key := req.User + " " + req.Key
	if id, ok := r.keys[key]; ok && req.Key != "" {
		if r.runs[id].Function != req.Call.Function {
			return nil, false, gaea.Errorf(gaea.CodeConflict, "the idempotency key %q was used for another request", req.Key)
		}
		return clone(r.runs[id]), false, nil
	}
	run := r.add(gaea.Run{Kind: req.Kind, Function: req.Call.Function, Target: req.Target, Batch: req.Batch, Timeouts: req.Timeouts.WithDefaults(),
		Concurrency: req.Concurrency, Template: req.Template, Assignment: req.Assignment, RetryOf: req.RetryOf, CheckState: req.CheckState,
		User: req.User, Call: &req.Call})
	if req.Key != "" {
		r.keys[key] = run.ID
	}
	return clone(run), true, nil
}

func (r *Runs) add(run gaea.Run) *gaea.Run {
	run.ID = fmt.Sprintf("run-%06d", len(r.runs)+1)
	run.Master, run.Status, run.Seq = Master, gaea.RunRunning, 1
	run.Minions = map[string]gaea.RunMinion{"web1": {Outcome: gaea.OutcomePending, Seq: 1}}
	r.runs[run.ID] = &run
	return &run
}

// Start adds a run that goes on.
func (r *Runs) Start(run gaea.Run) *gaea.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return clone(r.add(run))
}

// Change changes a run and tells who watches.
func (r *Runs) Change(id string, f func(*gaea.Run)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := clone(r.runs[id]) // whoever watches has the one before
	before := maps.Clone(run.Minions)
	f(run)
	run.Seq++
	for name, m := range run.Minions {
		if before[name] != m {
			m.Seq = run.Seq
			run.Minions[name] = m
		}
	}
	r.runs[id] = run
	for _, c := range r.watches[id] {
		select { // the latest wins
		case <-c:
		default:
		}
		c <- clone(run)
		if run.Complete() {
			close(c)
		}
	}
	if run.Complete() {
		delete(r.watches, id)
	}
}

// End ends a run.
func (r *Runs) End(id string, status gaea.RunStatus, outcome gaea.Outcome) {
	r.Change(id, func(run *gaea.Run) {
		run.Status = status
		run.Minions = map[string]gaea.RunMinion{"web1": {Outcome: outcome}}
	})
}

// Watched says how many watch a run.
func (r *Runs) Watched(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.watches[id])
}

// Get implements api.Runs.
func (r *Runs) Get(_ context.Context, id string) (*gaea.Run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return nil, r.fail
	}
	run, ok := r.runs[id]
	if !ok {
		return nil, gaea.Errorf(gaea.CodeNotFound, "there is no run %q", id)
	}
	return clone(run), nil
}

// Cancel implements api.Runs.
func (r *Runs) Cancel(ctx context.Context, id string, req gaea.CancelRequest) (*gaea.Run, error) {
	run, err := r.Get(ctx, id)
	if err != nil || run.Status.Final() {
		return run, err
	}
	r.Change(id, func(run *gaea.Run) { run.Status, run.Grace = gaea.RunCancelling, req.Grace })
	return r.Get(ctx, id)
}

// Pause implements api.Runs: it takes effect at once.
func (r *Runs) Pause(ctx context.Context, id string) (*gaea.Run, error) {
	run, err := r.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if run.Status.Final() || run.Status == gaea.RunCancelling {
		return nil, gaea.Errorf(gaea.CodeConflict, "run %s cannot be paused any more (%s)", id, run.Status)
	}
	r.Change(id, func(run *gaea.Run) {
		run.Status, run.Pause = gaea.RunPaused, &gaea.Pause{Reason: gaea.PauseAsked, By: gaea.PrincipalFrom(ctx).Name}
	})
	return r.Get(ctx, id)
}

// Resume implements api.Runs.
func (r *Runs) Resume(ctx context.Context, id string) (*gaea.Run, error) {
	run, err := r.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if run.Pause == nil {
		return nil, gaea.Errorf(gaea.CodeConflict, "run %s is not paused", id)
	}
	r.Change(id, func(run *gaea.Run) { run.Status, run.Pause = gaea.RunRunning, nil })
	return r.Get(ctx, id)
}

// Retry implements api.Runs.
func (r *Runs) Retry(ctx context.Context, id string, req gaea.RetryRequest, user, key string) (*gaea.Run, bool, error) {
	run, err := r.Get(ctx, id)
	if err != nil {
		return nil, false, err
	}
	if !run.Status.Final() {
		return nil, false, gaea.Errorf(gaea.CodeConflict, "run %s has not ended", id)
	}
	outcomes := req.Outcomes
	if len(outcomes) == 0 {
		outcomes = gaea.RetryOutcomes()
	}
	var minions []string
	for name, m := range run.Minions {
		if slices.Contains(outcomes, m.Outcome) {
			minions = append(minions, name)
		}
	}
	if len(minions) == 0 {
		return nil, false, gaea.Invalid("outcomes", "no minion of run %s has one of these outcomes", id)
	}
	again := engine.Request{Kind: run.Kind, Call: gaea.Call{Function: run.Function}, Target: gaea.ListTarget(minions), Assignment: run.Assignment,
		RetryOf: id, User: user, Key: key}
	if run.Kind == gaea.RunEnforce {
		again.CheckState = gaea.CheckPending
	}
	return r.Submit(ctx, again)
}

// Watch implements api.Runs.
func (r *Runs) Watch(id string) (<-chan *gaea.Run, func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := make(chan *gaea.Run, 1)
	run, ok := r.runs[id]
	if !ok || run.Complete() || r.away[id] {
		close(c)
		return c, func() {}
	}
	c <- clone(run)
	r.watches[id] = append(r.watches[id], c)
	return c, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.watches[id] = slices.DeleteFunc(r.watches[id], func(other chan *gaea.Run) bool { return other == c })
	}
}

func (r *Runs) list(f gaea.RunFilter, p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []gaea.Run
	for _, run := range r.runs {
		if f.Status != "" && f.Status != run.Status || f.Kind != "" && f.Kind != run.Kind || f.User != "" && f.User != run.User ||
			f.Assignment != "" && f.Assignment != run.Assignment || f.Active && run.Complete() ||
			f.Parent != "" && f.Parent != run.Parent || f.RetryOf != "" && f.RetryOf != run.RetryOf || f.NoActions && run.Kind == gaea.RunForAction {
			continue
		}
		short := *clone(run)
		short.Counts, short.Minions = run.Tally(), nil
		out = append(out, short)
	}
	slices.SortFunc(out, func(a, b gaea.Run) int { return strings.Compare(b.ID, a.ID) })
	return cut(out, p, func(run gaea.Run) string { return run.ID })
}

func clone(r *gaea.Run) *gaea.Run {
	c := *r
	c.Minions, c.Slices = maps.Clone(r.Minions), slices.Clone(r.Slices)
	return &c
}

// forgetKey frees the key that a user's run was made with.
func (r *Runs) forgetKey(user, runID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.keys, func(key, id string) bool { return id == runID && strings.HasPrefix(key, user+" ") })
}
