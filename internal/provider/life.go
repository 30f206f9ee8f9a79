package provider

import (
	"context"
	"errors"
	"sync"
)

// Life is how long what a provider has started goes on: goroutines that outlive its requests. The zero Life is ready. Whoever
// serves the provider ends it when that is over.
type Life struct {
	mu    sync.Mutex
	stops []func(context.Context) error
	ended bool
}

// add has something stopped at the end; at once where that was before.
func (l *Life) add(stop func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.stops = append(l.stops, stop)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = stop(ctx) // it has nothing to wait for yet
}

// End stops everything, and returns when it has ended or ctx has. It may be called again.
func (l *Life) End(ctx context.Context) error {
	l.mu.Lock()
	stops := l.stops
	l.stops, l.ended = nil, true
	l.mu.Unlock()
	errs := make([]error, len(stops))
	var all sync.WaitGroup
	for i, stop := range stops {
		all.Go(func() { errs[i] = stop(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}
