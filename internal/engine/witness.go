package engine

import (
	"sync"
	"time"
)

// witness remembers when each minion was last heard by any run of the engine: one that is slow to answer one run and
// answers another is not unreachable. It holds one time for each minion.
type witness struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

func newWitness() *witness { return &witness{seen: map[string]time.Time{}} }

func (w *witness) heard(minion string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[minion] = now
}

// last is when a minion was heard; the zero time where it never was.
func (w *witness) last(minion string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[minion]
}
