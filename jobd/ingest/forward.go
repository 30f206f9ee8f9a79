package ingest

import (
	"context"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest/spill"
)

// away says whether what comes goes into the spill: the archive fails, or is slow, or older events are there already.
func (w *writer) away() bool {
	if w.o.Spill == nil {
		return false
	}
	if w.flight != nil && !w.slow && time.Since(w.flight.began) >= w.o.SpillAfter {
		w.slow = true
		if w.failing.Load() == nil && len(w.flight.rows) == 0 {
			w.o.Logger.Warn("the archive is slow; events are kept in the spill until it has caught up", "no_answer_for", time.Since(w.flight.began).Round(time.Millisecond).String(), "spill", w.place())
		}
	}
	return w.pause > 0 || w.slow || w.depth().Records > 0
}

// spill puts the oldest of what is in memory alone into the spill where the archive does not take it. It returns whether more
// may follow at once.
func (w *writer) spill(ctx context.Context) bool {
	if !w.away() || !w.spillOK && time.Now().Before(w.spillAt) {
		return false
	}
	if w.inMemory() {
		if !w.slow { // a moment, and it is stored
			return false
		}
		f := w.flight
		rows, ok := w.put(ctx, f.batch)
		if f.rows = rows; ok {
			f.events = nil
		}
		return ok
	}
	if len(w.waiting) == 0 && (w.lingers() || !w.take()) {
		return false
	}
	if _, ok := w.put(ctx, w.waiting[0]); !ok {
		return false
	}
	w.fill(w.waiting[0])
	w.waiting = w.waiting[1:]
	return true
}

// put puts one batch into the spill, and says whether it need not be kept in memory any more.
func (w *writer) put(ctx context.Context, b *batch) ([]spill.Row, bool) {
	// What is on its way to the disk is not given up where jobd is told to stop.
	rows, err := w.keep(context.WithoutCancel(ctx), b)
	if err != nil {
		w.metrics.errors.WithLabelValues("spill").Inc()
		if w.spillOK {
			w.o.Logger.Error("the spill takes no events; they wait in memory, and returns that have no room there are left to be fetched from the job cache", "error", err)
		}
		w.spillOK, w.spillAt = false, time.Now().Add(spillPause)
		return nil, false
	}
	if !w.spillOK {
		w.spillOK = true
		w.o.Logger.Info("the spill takes events again", "spill", w.place())
	}
	w.behindNow()
	return rows, true
}

// spillPause is between two tries to put something into a spill that takes nothing.
const spillPause = time.Second

// behindNow notes since when events wait in the spill, and says now and then how many.
func (w *writer) behindNow() {
	d, now := w.depth(), time.Now()
	if d.Records == 0 { // all was let go
		return
	}
	if w.behind.CompareAndSwap(nil, &now) {
		w.said = now
	}
	if now.Sub(w.said) >= sayAgain {
		w.said = now
		w.o.Logger.Warn("events wait in the spill for the archive", "records", d.Records, "bytes", d.Bytes, "since", w.behind.Load().UTC().Format(time.RFC3339), "spill", w.place())
	}
}

// forward begins to write the oldest of the spill. It returns whether more may follow at once.
func (w *writer) forward(ctx context.Context) bool {
	w.behindNow()
	rows, err := w.o.Spill.Oldest(ctx, w.o.BatchEvents)
	if err != nil || len(rows) == 0 {
		w.stuck(err)
		return false
	}
	r, err := recordsOf(rows)
	if err != nil {
		return w.unreadable(ctx, rows, err)
	}
	for k := range rows {
		rows[k].Body = nil
	}
	w.fly(ctx, &flight{batch: &batch{others: *r, size: r.size()}, rows: rows})
	return true
}

// stuck has the spill tried again later.
func (w *writer) stuck(err error) {
	w.metrics.errors.WithLabelValues("spill").Inc()
	if w.pause == 0 {
		w.o.Logger.Error("the spill cannot be read, or what the archive has taken cannot be removed from it; trying again until it can", "error", err, "spill", w.place())
	}
	w.pause = min(max(w.pause*2, firstPause), lastPause)
	w.again = time.Now().Add(w.pause)
}

// unreadable finds the row that is none of ours, and skips it: it must not hold up all others. False where it cannot.
func (w *writer) unreadable(ctx context.Context, rows []spill.Row, cause error) bool {
	for k := range rows {
		if _, err := recordsOf(rows[k : k+1]); err == nil {
			continue
		}
		w.metrics.errors.WithLabelValues("refused").Inc()
		w.o.Logger.Error("a part of the spill cannot be read and is skipped; jobs and returns in it are fetched from the job cache", "records", rows[k].Records, "error", cause)
		w.noteGap(earlier(rows[k].From, w.o.Now()).Add(-gapMargin))
		w.overflow.on.Store(true)
		if err := w.o.Spill.Remove(ctx, rows[k:k+1]); err != nil {
			w.stuck(err)
			return false
		}
	}
	if w.depth().Records == 0 {
		w.behind.Store(nil)
	}
	w.relax()
	return true
}

// remove removes from the spill what the archive has taken.
func (w *writer) remove(ctx context.Context, f *flight) {
	if err := w.o.Spill.Remove(context.WithoutCancel(ctx), f.rows); err != nil {
		w.stuck(err) // what is in the file still the next start writes again, which changes nothing
	}
	w.metrics.forwarded.Add(float64(f.size))
	w.spillAt = time.Time{} // there is more room than before
	if w.depth().Records > 0 {
		w.behindNow()
		return
	}
	if since := w.behind.Swap(nil); since != nil {
		w.o.Logger.Info("the archive has all that was in the spill", "behind_for", time.Since(*since).Round(time.Millisecond).String())
	}
}

// leave sees to what is not stored when the writer ends: into the spill, or where there is none back into the queue.
func (w *writer) leave(ctx context.Context) {
	if f := w.flight; f != nil {
		f.cancel()
		given, cancel := context.WithCancel(ctx)
		cancel() // that it failed says nothing about the archive
		w.land(given, <-w.landed)
	}
	for w.o.Spill != nil {
		if len(w.waiting) == 0 && !w.take() {
			break
		}
		if _, ok := w.put(ctx, w.waiting[0]); !ok {
			break
		}
		w.waiting = w.waiting[1:]
	}
	for _, b := range slices.Backward(w.waiting) {
		w.queue.restore(b.events)
	}
	if d := w.depth(); d.Records > 0 {
		w.o.Logger.Warn("the archive did not take all; the next start forwards what waits in the spill", "records", d.Records, "bytes", d.Bytes, "spill", w.place())
	}
}
