package engine

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// claimTable gives runs their minions under locks that have names, for the whole length of a run. As in [lockTable] a run
// gets all at once or waits holding nothing, and nobody overtakes an earlier run that wants a minion in common; runs that
// do not wait leave out what is busy, or are refused. Locks of different names have nothing to do with each other.
type claimTable struct {
	mu    sync.Mutex
	locks map[string]*namedLock
	under map[string]string // run to the lock that it has claimed, or waits to claim, minions under
}

// namedLock is one lock. One that nobody holds or waits for is not kept.
type namedLock struct {
	held  map[string]string   // minion to the run that holds it
	owned map[string][]string // run to the minions that it holds
	queue []*claim            // in the order in which the runs were made
}

// claim asks for minions. Its answers are told without waiting: an answer that was not taken is replaced by the next.
type claim struct {
	run     string
	created time.Time
	minions []string
	policy  gaea.LockPolicy
	tell    func(machine.Input) // must not block
	told    machine.ClaimBlocked
}

func newClaimTable() *claimTable {
	return &claimTable{locks: map[string]*namedLock{}, under: map[string]string{}}
}

// request answers a claim: with [machine.Claimed] or [machine.ClaimRefused], or where it is to wait with
// [machine.ClaimBlocked], again when others are waited for, and [machine.Claimed] in the end.
func (t *claimTable) request(lock string, c *claim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lock(lock)
	t.under[c.run] = lock
	if c.policy == gaea.LockSkip || c.policy == gaea.LockRefuse {
		l.atOnce(c)
		t.drop(lock)
		return
	}
	at, _ := slices.BinarySearchFunc(l.queue, c, func(a, b *claim) int { return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.run, b.run)) })
	l.queue = slices.Insert(l.queue, at, c)
	l.serve()
}

// force gives a run what it held when an earlier process ended, before any other run is begun.
func (t *claimTable) force(lock, run string, minions []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.under[run] = lock
	t.lock(lock).take(run, minions)
}

// release gives back all that a run holds, and withdraws what it waits for.
func (t *claimTable) release(run string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lock, ok := t.under[run]
	if !ok {
		return
	}
	delete(t.under, run)
	l := t.lock(lock)
	for _, name := range l.owned[run] {
		delete(l.held, name)
	}
	delete(l.owned, run)
	l.queue = slices.DeleteFunc(l.queue, func(c *claim) bool { return c.run == run })
	l.serve()
	t.drop(lock)
}

func (t *claimTable) lock(name string) *namedLock {
	l := t.locks[name]
	if l == nil {
		l = &namedLock{held: map[string]string{}, owned: map[string][]string{}}
		t.locks[name] = l
	}
	return l
}

func (t *claimTable) drop(name string) {
	if l := t.locks[name]; len(l.owned) == 0 && len(l.queue) == 0 {
		delete(t.locks, name)
	}
}

func (l *namedLock) take(run string, minions []string) {
	for _, name := range minions {
		l.held[name] = run
	}
	l.owned[run] = append(l.owned[run], minions...)
}

// busy tells which of a claim's minions are not free, and for whom: the run that holds one, or the first that waits for it.
func (l *namedLock) busy(c *claim, wanted map[string]string) map[string]string {
	busy := map[string]string{}
	for _, name := range c.minions {
		if holder := cmp.Or(l.held[name], wanted[name]); holder != "" && holder != c.run {
			busy[name] = holder
		}
	}
	return busy
}

// want notes that a claim goes on waiting.
func want(c *claim, wanted map[string]string) {
	for _, name := range c.minions {
		if _, ok := wanted[name]; !ok {
			wanted[name] = c.run
		}
	}
}

// atOnce answers a claim that does not wait.
func (l *namedLock) atOnce(c *claim) {
	wanted := map[string]string{}
	for _, waiting := range l.queue {
		want(waiting, wanted)
	}
	busy := l.busy(c, wanted)
	if len(busy) > 0 && c.policy == gaea.LockRefuse {
		runs, minions := sides(busy)
		c.tell(machine.ClaimRefused{Runs: runs, Minions: minions})
		return
	}
	free := slices.DeleteFunc(slices.Clone(c.minions), func(name string) bool { return busy[name] != "" })
	if len(free) > 0 {
		l.take(c.run, free)
	}
	c.tell(machine.Claimed{Busy: busy})
}

// serve grants what can be granted, oldest run first, and tells the others what they wait for where that has changed.
func (l *namedLock) serve() {
	wanted := map[string]string{}
	l.queue = slices.DeleteFunc(l.queue, func(c *claim) bool {
		busy := l.busy(c, wanted)
		if len(busy) == 0 {
			l.take(c.run, c.minions)
			c.tell(machine.Claimed{})
			return true
		}
		want(c, wanted)
		runs, minions := sides(busy)
		if !slices.Equal(runs, c.told.Runs) || !slices.Equal(minions, c.told.Minions) {
			c.told = machine.ClaimBlocked{Runs: runs, Minions: minions}
			c.tell(c.told)
		}
		return false
	})
}

// sides lists the runs and the minions of what is busy.
func sides(busy map[string]string) (runs, minions []string) {
	runs = slices.Compact(slices.Sorted(maps.Values(busy)))
	return runs, slices.Sorted(maps.Keys(busy))
}

// claim asks for the run's minions under its lock.
func (r *runner) claim(c machine.Claim) {
	r.e.claims.request(c.Lock, &claim{
		run: r.id, created: r.m.Run().Created, minions: c.Minions, policy: c.Policy,
		tell: func(in machine.Input) {
			select { // the table's lock is held: nobody else puts anything in
			case <-r.claims:
			default:
			}
			r.claims <- in
		},
	})
}
