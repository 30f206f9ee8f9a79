package ingest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// trimmedPatience is how long the job cache is asked for a return that the master cut short on the bus: it writes its
	// cache a moment after it sends the event.
	trimmedPatience = 10 * time.Second
	// trimmedFirst is the pause before the first look: returns of one job come together, and one look tells all of them.
	trimmedFirst = 100 * time.Millisecond
	// trimmedBytes bounds what waits. The master cuts events down to its max_event_size, 1 MiB by default.
	trimmedBytes = 16 << 20
)

// trimmed holds returns that the master cut short, by job, until the job cache tells them whole.
type trimmed struct {
	mu    sync.Mutex
	jobs  map[string]*trimmedJob
	bytes int
	added chan struct{} // holds one value while there may be new jobs
}

// trimmedJob is the cut returns of one job.
type trimmedJob struct {
	jid      string
	returns  []gaea.Return
	next     time.Time // when the cache is asked again
	pause    time.Duration
	patience time.Time // until when the cache is asked
}

func newTrimmed() *trimmed {
	return &trimmed{jobs: map[string]*trimmedJob{}, added: make(chan struct{}, 1)}
}

func sizeOfReturn(r *gaea.Return) int { return len(r.Body) + len(r.Args) + eventOverhead }

// add takes a return. False where too many wait.
func (t *trimmed) add(r gaea.Return, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	size := sizeOfReturn(&r)
	if t.bytes > 0 && t.bytes+size > trimmedBytes {
		return false
	}
	t.bytes += size
	j := t.jobs[r.JID]
	if j == nil {
		j = &trimmedJob{jid: r.JID, next: now.Add(trimmedFirst), pause: trimmedFirst}
		t.jobs[r.JID] = j
	}
	j.patience = now.Add(trimmedPatience)
	j.returns = append(j.returns, r)
	select {
	case t.added <- struct{}{}:
	default:
	}
	return true
}

// first is when the next job is due; false where there is none.
func (t *trimmed) first() (due time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, j := range t.jobs {
		if !ok || j.next.Before(due) {
			due, ok = j.next, true
		}
	}
	return due, ok
}

// due takes out a job that is due; nil where there is none.
func (t *trimmed) due(now time.Time) *trimmedJob {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, j := range t.jobs {
		if j.next.After(now) {
			continue
		}
		delete(t.jobs, j.jid)
		for k := range j.returns {
			t.bytes -= sizeOfReturn(&j.returns[k])
		}
		return j
	}
	return nil
}

// back puts back what the cache did not tell yet.
func (t *trimmed) back(j *trimmedJob, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range j.returns {
		t.bytes += sizeOfReturn(&j.returns[k])
	}
	if newer := t.jobs[j.jid]; newer != nil {
		j.returns, j.patience = append(j.returns, newer.returns...), newer.patience
	}
	j.pause *= 2
	j.next = now.Add(j.pause)
	t.jobs[j.jid] = j
}

// postpone keeps a return that was cut short until the job cache tells it whole. Where too many wait it is left to be fetched
// as what a gap has swallowed.
func (i *Ingester) postpone(r gaea.Return) {
	if i.trimmed.add(r, i.o.Now()) {
		return
	}
	i.metrics.letGo.Inc()
	i.noteGap(r.Stamp.Add(-gapMargin))
	i.lookSoon()
}

// completeReturns stores returns that were cut short, whole where the job cache has them. What still waits when reading ends
// is left: the next start finds it missing, and fetches it from the job cache.
func (i *Ingester) completeReturns(ctx, writeCtx context.Context) {
	for {
		wait := time.Hour
		if due, ok := i.trimmed.first(); ok {
			wait = due.Sub(i.o.Now())
		}
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-i.trimmed.added:
		case <-timer.C:
		}
		timer.Stop()
		for j := i.trimmed.due(i.o.Now()); j != nil && ctx.Err() == nil; j = i.trimmed.due(i.o.Now()) {
			i.complete(ctx, writeCtx, j)
		}
	}
}

// complete stores what the job cache has of one job's cut returns, and what it does not have in time as the bus had it.
func (i *Ingester) complete(ctx, writeCtx context.Context, j *trimmedJob) {
	whole := map[string]*gaea.Return{}
	for k := range j.returns {
		whole[j.returns[k].Minion] = nil
	}
	err := i.o.Cache.CachedJobParts(ctx, j.jid, func(part *gaea.CachedJob) error { // before an error there are returns that are whole
		for k := range part.Returns {
			if _, asked := whole[part.Returns[k].Minion]; asked {
				whole[part.Returns[k].Minion] = &part.Returns[k]
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return
	}
	b := &batch{}
	j.returns = slices.DeleteFunc(j.returns, func(cut gaea.Return) bool {
		w := whole[cut.Minion]
		if w == nil {
			return false
		}
		if w.Stamp = cut.Stamp; cut.RunID != "" {
			w.Metadata, w.RunID = cut.Metadata, cut.RunID
		}
		i.addReturn(&b.cached, *w, gaea.SourceCache)
		return true
	})
	now := i.o.Now()
	switch {
	case len(j.returns) == 0:
	case now.Before(j.patience):
		i.trimmed.back(j, now)
	default:
		for k := range j.returns {
			i.metrics.errors.WithLabelValues("trimmed").Inc()
			i.o.Logger.Warn("a return was too large for the master's event bus and is not in its job cache; it is stored as the bus had it",
				"jid", j.jid, "minion", j.returns[k].Minion, "error", err)
			i.addReturn(&b.others, j.returns[k], gaea.SourceBus) // no cache has it
		}
	}
	i.storeOrKeep(writeCtx, b)
}

// storeOrKeep stores a batch, or where the archive is away puts it into the spill, so that a stop need not wait for it.
func (i *Ingester) storeOrKeep(ctx context.Context, b *batch) {
	r := b.all()
	if r.size() == 0 {
		return
	}
	if i.o.Spill != nil {
		writing, cancel := context.WithTimeout(ctx, i.o.SpillAfter)
		err := i.attempt(writing, r)
		cancel()
		if err == nil {
			return
		}
		if _, err := i.keep(context.WithoutCancel(ctx), b); err == nil {
			i.queue.poke() // the writer forwards it
			return
		}
	}
	i.store(ctx, r)
}
