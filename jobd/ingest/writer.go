package ingest

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest/spill"
)

// writer stores what the bus tells, in order. It is one goroutine, which never waits for the archive: one write is on its way
// (the flight), at most one batch is decoded ahead of it, and where the archive is away or slow everything goes into the spill,
// from whose front the flights are then taken. Only where there is no spill, or it takes nothing, does the queue fill.
//
// It measures waits by the clock that cannot be set.
type writer struct {
	*Ingester
	flight  *flight
	landed  chan error
	waiting []*batch // decoded, in order, newer than the spill: neither written nor spilled yet

	pause    time.Duration // after a failed flight; 0 while the archive takes events
	again    time.Time     // when the next flight may begin
	slow     bool          // the flight takes so long that nothing waits for it
	linger   time.Time     // until when a busy bus may fill a batch
	spillAt  time.Time     // when the spill is tried again that took nothing
	spillOK  bool          // it took the last batch
	draining bool          // nothing more comes
	said     time.Time     // when the backlog was last logged
}

// flight is a write that is on its way.
type flight struct {
	*batch
	rows   []spill.Row // that hold it on disk too; none while it is in memory alone
	began  time.Time
	cancel context.CancelFunc
}

// busyBatch is the size of a batch from which on the next one is given time to fill.
const busyBatch = 4

// write stores what is in the queue, in order, until the queue is drained after the end of reading, or ctx ends. What could
// not be stored is in the spill then, or in the queue.
func (i *Ingester) write(ctx context.Context) {
	w := &writer{Ingester: i, landed: make(chan error, 1), spillOK: true}
	defer w.leave(ctx)
	if d := i.depth(); d.Records > 0 {
		w.behindNow()
		i.o.Logger.Info("forwarding to the archive what the jobd before has left in the spill", "records", d.Records, "bytes", d.Bytes, "spill", i.place())
	}
	for {
		if ctx.Err() != nil {
			return
		}
		progress := w.launch(ctx)
		progress = w.spill(ctx) || progress
		if w.draining && w.done() {
			return
		}
		if progress {
			select {
			case err := <-w.landed:
				w.land(ctx, err)
			default:
			}
			continue
		}
		if !w.wait(ctx) {
			return
		}
	}
}

// done says whether all is stored or spilled. A flight that is on disk too is not waited for where the archive is slow.
func (w *writer) done() bool {
	queued, _ := w.queue.depth()
	if queued > 0 || len(w.waiting) > 0 {
		return false
	}
	return w.flight == nil || w.slow && len(w.flight.rows) > 0
}

// wait waits until there may be something to do. False where ctx ended.
func (w *writer) wait(ctx context.Context) bool {
	var timer <-chan time.Time
	next := w.next()
	if !next.IsZero() {
		t := time.NewTimer(time.Until(next))
		defer t.Stop()
		timer = t.C
	}
	ready, drain := w.queue.ready, w.drain
	switch {
	case len(w.waiting) > 0:
		ready = nil
	case w.flight != nil && !w.away(), w.flight == nil && !next.IsZero() && next.Equal(w.linger):
		ready = w.queue.deep // it is left to fill while another batch is on its way, or the bus is busy
	}
	if w.draining {
		drain = nil
	}
	select {
	case <-ready:
	case err := <-w.landed:
		w.land(ctx, err)
	case <-timer:
	case <-drain:
		w.draining = true
	case <-ctx.Done():
		return false
	}
	return true
}

// next is when something is to be done though nothing happens; zero for never.
func (w *writer) next() time.Time {
	queued, _ := w.queue.depth()
	flight, batch := w.nextFlight(queued), w.nextBatch(queued)
	if flight.IsZero() || !batch.IsZero() && batch.Before(flight) {
		return batch
	}
	return flight
}

// nextFlight is when a write is to begin, or the one that is on its way becomes slow; zero for not by the clock.
func (w *writer) nextFlight(queued int) time.Time {
	spilled := w.depth().Records > 0
	switch {
	case w.flight != nil && (w.slow || w.o.Spill == nil), w.flight == nil && w.pause == 0:
		return time.Time{}
	case w.flight != nil:
		return w.flight.began.Add(w.o.SpillAfter)
	case spilled && w.leaves():
		return time.Time{}
	case !spilled && len(w.waiting) == 0 && queued > 0 && w.linger.After(w.again):
		return w.linger
	default:
		return w.again
	}
}

// nextBatch is when a batch is to be taken from the queue, or put into a spill that took nothing; zero for not by the clock.
func (w *writer) nextBatch(queued int) time.Time {
	away := w.away()
	switch {
	case queued+len(w.waiting) == 0, away && w.inMemory() && !w.slow:
		return time.Time{}
	case away && !w.spillOK:
		return w.spillAt
	case len(w.waiting) == 0 && (away || w.flight == nil && w.pause == 0):
		return w.linger
	default:
		return time.Time{}
	}
}

// leaves says whether what is in the spill is left to the next start: nothing more comes, and what is in memory goes there, too. A
// spill that takes nothing is forwarded until it has room for that.
func (w *writer) leaves() bool { return w.draining && w.spillOK }

// inMemory says whether a write is on its way that is not on disk too.
func (w *writer) inMemory() bool {
	return w.flight != nil && len(w.flight.rows) == 0 && w.flight.events != nil
}

// launch begins the next write where none is on its way, and decodes ahead of one that is.
func (w *writer) launch(ctx context.Context) bool {
	if w.flight != nil {
		if len(w.waiting) > 0 || !w.queue.whole() || w.away() {
			return false
		}
		return w.take()
	}
	if w.pause > 0 && time.Now().Before(w.again) {
		return false
	}
	if w.depth().Records > 0 {
		return !w.leaves() && w.forward(ctx)
	}
	if len(w.waiting) == 0 && !w.lingers() {
		w.take()
	}
	if len(w.waiting) == 0 {
		if n, _ := w.queue.depth(); n == 0 { // all that came may have been let go: the job cache is to tell, once the archive takes it
			w.pause = 0
			w.relax()
		}
		return false
	}
	b := w.waiting[0]
	w.waiting = w.waiting[1:]
	w.fly(ctx, &flight{batch: b})
	return true
}

// lingers says whether a busy bus is given time to fill a batch, so that a transaction pays. A quiet bus is stored event by
// event, at once.
func (w *writer) lingers() bool {
	return !w.queue.whole() && !w.draining && time.Now().Before(w.linger)
}

// take decodes a batch of the queue. False where the queue is empty.
func (w *writer) take() bool {
	events := w.queue.take(w.o.BatchEvents, w.o.BatchBytes)
	if events == nil {
		w.linger = time.Time{}
		return false
	}
	w.waiting = append(w.waiting, w.decode(events))
	return true
}

// fly begins a write.
func (w *writer) fly(ctx context.Context, f *flight) {
	writing, cancel := context.WithCancel(ctx)
	f.began, f.cancel = time.Now(), cancel
	w.flight, w.slow = f, false
	r := f.all()
	go func() { w.landed <- w.attempt(writing, r) }() // its end is waited for by land, or leave
}

// land is called with the end of the write that was on its way.
func (w *writer) land(ctx context.Context, err error) {
	f := w.flight
	f.cancel()
	w.flight, w.slow = nil, false
	if ctx.Err() == nil || err == nil {
		w.took(err)
	}
	if err != nil {
		if len(f.rows) == 0 && f.events != nil {
			w.waiting = append([]*batch{f.batch}, w.waiting...)
		}
		w.pause = min(max(w.pause*2, firstPause), lastPause)
		w.again = time.Now().Add(w.pause)
		return
	}
	w.pause = 0
	if len(f.rows) > 0 {
		w.remove(ctx, f)
	}
	w.fill(f.batch)
	w.relax()
}

// fill gives the next batch time to fill where this was a large one.
func (w *writer) fill(b *batch) {
	if w.linger = (time.Time{}); b.size >= busyBatch {
		w.linger = time.Now().Add(w.o.Linger)
	}
}
