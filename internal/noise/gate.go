package ingest

import (
	"sync"
	"time"
)

// noiseGate lets one message through a minute and counts the others.
type noiseGate struct {
	mu      sync.Mutex
	next    time.Time
	skipped int
}

// pass says whether to log now, and how many times it has said no since it last said yes.
func (g *noiseGate) pass(now time.Time) (ok bool, skipped int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.next) {
		g.skipped++
		return false, 0
	}
	skipped, g.skipped = g.skipped, 0
	g.next = now.Add(sayAgain)
	return true, skipped
}
