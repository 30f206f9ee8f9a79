package swarm

import (
	"context"
	"sync"
	"time"
)

// toggle is something that is on or off, such as a minion's power and its network.
type toggle struct {
	mu      sync.Mutex
	on      bool
	onAt    time.Time // when it goes on by itself; zero: never
	changed chan struct{}
	off     map[int]context.CancelFunc // ended when it goes off
	next    int
}

func newToggle(on bool) *toggle {
	return &toggle{on: on, changed: make(chan struct{}), off: map[int]context.CancelFunc{}}
}

// switchOn switches on.
func (t *toggle) switchOn() { t.set(true, time.Time{}) }

// switchOff switches off, for a while or, for 0, until switchOn.
func (t *toggle) switchOff(wait time.Duration) {
	var onAt time.Time
	if wait > 0 {
		onAt = time.Now().Add(wait)
	}
	t.set(false, onAt)
}

func (t *toggle) set(on bool, onAt time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on, t.onAt = on, onAt
	close(t.changed)
	t.changed = make(chan struct{})
	if !on {
		for key, cancel := range t.off {
			cancel()
			delete(t.off, key)
		}
	}
}

// during waits until it is on and returns a context that ends when it goes off. The error is ctx's.
func (t *toggle) during(ctx context.Context) (context.Context, context.CancelFunc, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if inner, cancel, changed, onAt := t.enter(ctx); inner != nil {
			return inner, cancel, nil
		} else if err := t.await(ctx, changed, onAt); err != nil {
			return nil, nil, err
		}
	}
}

func (t *toggle) enter(ctx context.Context) (inner context.Context, leave context.CancelFunc, changed chan struct{}, onAt time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		return nil, nil, t.changed, t.onAt
	}
	inner, cancel := context.WithCancel(ctx)
	key := t.next
	t.next++
	t.off[key] = cancel
	return inner, func() {
		cancel()
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.off, key)
	}, nil, time.Time{}
}

// await waits for a change, and switches on where it is time.
func (t *toggle) await(ctx context.Context, changed chan struct{}, onAt time.Time) error {
	var due <-chan time.Time
	if !onAt.IsZero() {
		timer := time.NewTimer(time.Until(onAt))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
		return nil
	case <-due:
	}
	t.mu.Lock()
	same := t.changed == changed
	t.mu.Unlock()
	if same {
		t.switchOn()
	}
	return nil
}

// pause waits for a time. The error is ctx's.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
