package app

import (
	"slices"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// unledFor is how long a return that came while this jobd did not lead may still be its to note: longer than it takes until
// somebody leads after a leader that is gone. The leader notes it where there is one.
const unledFor = time.Minute

// unled keeps returns of runs, without their bodies, that came while this jobd did not lead: it may be that nobody did.
type unled struct {
	mu      sync.Mutex
	returns []unledReturn // oldest first, at most twice lateQueue
}

type unledReturn struct {
	ret gaea.Return
	at  time.Time
}

// keep keeps a return, and lets go of the oldest where there are too many.
func (u *unled) keep(r gaea.Return, now time.Time) {
	r.Body, r.States = nil, nil
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.returns) == 2*lateQueue {
		u.returns = slices.Delete(u.returns, 0, lateQueue)
	}
	u.returns = append(u.returns, unledReturn{r, now})
}

// take gives what is kept and is not too old, once.
func (u *unled) take(now time.Time) []gaea.Return {
	u.mu.Lock()
	defer u.mu.Unlock()
	var list []gaea.Return
	for _, r := range u.returns {
		if now.Sub(r.at) <= unledFor {
			list = append(list, r.ret)
		}
	}
	u.returns = nil
	return list
}
