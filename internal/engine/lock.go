package engine

import (
	"slices"
	"sync"
)

// lockTable gives runs the sole right to run states on minions. A run gets all that it asks for at once or waits, holding
// nothing of what it waits for, so that two runs never wait for each other; and no run overtakes an earlier one that
// wants a minion in common, so that none waits for ever. Runs without a minion in common do not wait for each other.
type lockTable struct {
	mu    sync.Mutex
	held  map[string]string   // minion to the run that holds it
	owned map[string][]string // run to the minions that it holds
	every map[string]struct{} // runs that hold every minion, whichever they are
	queue []*lockRequest      // in order of arrival
}

type lockRequest struct {
	run     string
	minions []string
	grant   func() // must not block
}

func newLockTable() *lockTable {
	return &lockTable{held: map[string]string{}, owned: map[string][]string{}, every: map[string]struct{}{}}
}

// acquire asks for minions. The grant is called when the run has them, possibly before acquire returns.
func (t *lockTable) acquire(run string, minions []string, grant func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = append(t.queue, &lockRequest{run: run, minions: minions, grant: grant})
	t.serve()
}

// acquireEvery takes every minion, if no other run holds or waits for any. It does not wait.
func (t *lockTable) acquireEvery(run string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.held) > 0 || len(t.every) > 0 || len(t.queue) > 0 {
		return false
	}
	t.every[run] = struct{}{}
	return true
}

// narrow turns the hold on every minion into one on these. A run that does not hold every minion keeps what it has.
func (t *lockTable) narrow(run string, minions []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.every[run]; !ok {
		return
	}
	delete(t.every, run)
	t.take(run, minions)
	t.serve()
}

// force gives a run what it held when an earlier process ended, before any other run is started.
func (t *lockTable) force(run string, minions []string, every bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if every {
		t.every[run] = struct{}{}
		return
	}
	t.take(run, minions)
}

// free gives back some of what a run holds.
func (t *lockTable) free(run string, minions []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	back := make(map[string]struct{}, len(minions))
	for _, name := range minions {
		back[name] = struct{}{}
		if t.held[name] == run {
			delete(t.held, name)
		}
	}
	t.owned[run] = slices.DeleteFunc(t.owned[run], func(name string) bool {
		_, ok := back[name]
		return ok
	})
	if len(t.owned[run]) == 0 {
		delete(t.owned, run)
	}
	t.serve()
}

// release gives back all that a run holds, and withdraws what it waits for.
func (t *lockTable) release(run string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.every, run)
	for _, name := range t.owned[run] {
		if t.held[name] == run {
			delete(t.held, name)
		}
	}
	delete(t.owned, run)
	t.queue = slices.DeleteFunc(t.queue, func(r *lockRequest) bool { return r.run == run })
	t.serve()
}

func (t *lockTable) take(run string, minions []string) {
	for _, name := range minions {
		t.held[name] = run
	}
	t.owned[run] = append(t.owned[run], minions...)
}

// serve grants what can be granted, in order of arrival.
func (t *lockTable) serve() {
	if len(t.every) > 0 || len(t.queue) == 0 {
		return
	}
	wanted := map[string]struct{}{} // by those that go on waiting
	free := func(name string) bool {
		_, held := t.held[name]
		_, first := wanted[name]
		return !held && !first
	}
	t.queue = slices.DeleteFunc(t.queue, func(r *lockRequest) bool {
		for _, name := range r.minions {
			if !free(name) {
				for _, name := range r.minions {
					wanted[name] = struct{}{}
				}
				return false
			}
		}
		t.take(r.run, r.minions)
		r.grant()
		return true
	})
}
