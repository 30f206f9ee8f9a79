package soak

import (
	"context"
	"sync/atomic"
	"time"
)

// longestStandstill is how long jobd may store nothing while the bus tells returns, on two cores that are busy with the master, the minions
// and ten readers.
const longestStandstill = 10 * time.Second

// standstill does something that has jobd store so many returns since its start, as it says at its end, waits until they are, and returns the
// longest time in which none was stored before one was again. What is done must not ask this jobd for its metrics.
func (s *stage) standstill(ctx context.Context, do func() (returns int, err error)) (time.Duration, error) {
	watching, end := context.WithCancel(ctx)
	var want, have atomic.Int64 // want is 0 until it is known
	ended := make(chan time.Duration, 1)
	go func() {
		longest, last := time.Duration(0), time.Now()
		defer func() { ended <- longest }()
		for want.Load() == 0 || have.Load() < want.Load() {
			// Where jobd does not answer nothing is known of what it has stored.
			if n, err := s.Jobd.Metric(watching, storedReturns); err == nil && int64(n) > have.Load() {
				longest = max(longest, time.Since(last))
				have.Store(int64(n))
				last = time.Now()
			}
			if pause(watching, poll) != nil {
				return
			}
		}
	}()
	returns, err := do()
	if err == nil {
		want.Store(int64(returns))
		err = s.settles(ctx, func() error {
			if n := have.Load(); n < int64(returns) {
				return violation("jobd has stored %d of %d returns", n, returns)
			}
			return nil
		})
	}
	end()
	return <-ended, err
}
