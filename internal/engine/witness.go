package engine

import (
	"sync"
	"time"
)

// witness remembers when each minion was last heard by any run of the engine: one that is slow to answer one run and
// answers another is not unreachable. It also remembers which minions were found unreachable and have not been heard since. It
// holds two times for each minion at most.
type witness struct {
	mu      sync.Mutex
	seen    map[string]time.Time
	missing map[string]time.Time
}

func newWitness() *witness {
	return &witness{seen: map[string]time.Time{}, missing: map[string]time.Time{}}
}

// heard notes that a minion was heard at a time, which may be older than what is known of it.
func (w *witness) heard(minion string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at.After(w.seen[minion]) {
		w.seen[minion] = at
	}
	if !at.Before(w.missing[minion]) {
		delete(w.missing, minion)
	}
}

// missed notes that a minion was asked and did not answer.
func (w *witness) missed(minion string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missing[minion] = now
}

// absent is when a minion was found unreachable; the zero time where it was not, or was heard since.
func (w *witness) absent(minion string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.missing[minion]
}

// last is when a minion was heard; the zero time where it never was.
func (w *witness) last(minion string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[minion]
}
