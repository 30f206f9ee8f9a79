package ingest

import (
	"sync"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// fate is what became of an event that was put into the queue.
type fate int

const (
	kept  fate = iota
	letGo      // the queue is full; the master's job cache still has it, so it can be fetched later
	lost       // the queue and the reserve are full, and no cache has it
)

// queue holds events between the socket, which must never wait, and the store, which may. It is bounded in bytes: past
// limit it lets go what the job cache also has, and past limit+reserve everything. One event always fits.
type queue struct {
	mu      sync.Mutex
	events  []gaea.Event
	bytes   int
	limit   int
	reserve int
	ready   chan struct{} // holds one value while there may be events
	batch   bounds
	deep    chan struct{} // holds one value where there may be a batch of them
}

// bounds are those of a batch: it is whole when it reaches one of them.
type bounds struct{ events, bytes int }

func newQueue(limit, reserve int, batch bounds) *queue {
	return &queue{limit: limit, reserve: reserve, ready: make(chan struct{}, 1), batch: batch, deep: make(chan struct{}, 1)}
}

func (q *queue) put(e gaea.Event) fate {
	size := sizeOf(&e)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes > 0 && q.bytes+size > q.limit {
		if inCache(&e) {
			return letGo
		}
		if q.bytes+size > q.limit+q.reserve {
			return lost
		}
	}
	q.events = append(q.events, e)
	q.bytes += size
	q.wake()
	return kept
}

// eventOverhead is about what an event takes beside its tag and data, so that many tiny events are bounded too.
const eventOverhead = 128

func sizeOf(e *gaea.Event) int { return len(e.Tag) + len(e.Data) + eventOverhead }

// take removes up to most events that have up to bytes together, in order, but at least one; nothing where the queue is empty.
func (q *queue) take(most, bytes int) []gaea.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < min(most, len(q.events)) {
		one := sizeOf(&q.events[n])
		if n > 0 && size+one > bytes {
			break
		}
		n, size = n+1, size+one
	}
	if n == 0 {
		return nil
	}
	taken := append([]gaea.Event(nil), q.events[:n]...)
	q.bytes -= size
	if n == len(q.events) {
		q.events = nil
	} else {
		clear(q.events[:n]) // the array behind the slice must not keep what was taken
		q.events = q.events[n:]
		q.wake()
	}
	return taken
}

// restore puts back what was taken and could not be stored.
func (q *queue) restore(events []gaea.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range events {
		q.bytes += sizeOf(&events[i])
	}
	q.events = append(events, q.events...)
}

// poke wakes who takes, though there may be nothing.
func (q *queue) poke() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wake()
}

// wake is called with the lock held.
func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
	if !q.full() {
		return
	}
	select {
	case q.deep <- struct{}{}:
	default:
	}
}

// full is called with the lock held.
func (q *queue) full() bool { return len(q.events) >= q.batch.events || q.bytes >= q.batch.bytes }

// whole says whether there is enough for a transaction.
func (q *queue) whole() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.full()
}

func (q *queue) depth() (events, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.events), q.bytes
}
