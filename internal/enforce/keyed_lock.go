package enforce

import (
	"context"
	"sync"
)

// keyedLock lets one at a time in for each key. The zero keyedLock is ready.
type keyedLock struct {
	mu   sync.Mutex
	keys map[string]*turn
}

// turn is the lock of one key; it is kept as long as somebody holds it or waits for it.
type turn struct {
	free  chan struct{} // holds one element while nobody has the lock
	users int
}

// acquire waits for the key's lock. The error is ctx's; without one, the returned function gives the lock back.
func (l *keyedLock) acquire(ctx context.Context, key string) (release func(), err error) {
	l.mu.Lock()
	if l.keys == nil {
		l.keys = map[string]*turn{}
	}
	t := l.keys[key]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		l.keys[key] = t
	}
	t.users++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(l.keys, key)
		}
	}
	select {
	case <-t.free:
		return func() {
			t.free <- struct{}{}
			leave()
		}, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
