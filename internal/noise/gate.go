// Package noise keeps what goes wrong again and again from filling a log. A [Gate] says when to log, and how often it was silent
// since it did.
package noise

import (
	"sync"
	"time"
)

// Quiet is how long a [Gate] lets nothing through after it did.
const Quiet = time.Minute

// Gate lets one message through in each time of [Quiet] and counts the others. Its zero value is ready, and it may be used from
// several goroutines.
type Gate struct {
	mu      sync.Mutex
	next    time.Time
	skipped int
}

// Pass says whether to log now, and how many times it has said no since it last said yes.
func (g *Gate) Pass(now time.Time) (ok bool, skipped int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.next) {
		g.skipped++
		return false, 0
	}
	skipped, g.skipped = g.skipped, 0
	g.next = now.Add(Quiet)
	return true, skipped
}
