package ingest

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// trimmedPatience is how long the job cache is asked for a return that the master cut short on the bus: it writes its cache a
// moment after it sends the event.
const trimmedPatience = 10 * time.Second

// postpone hands a return that was cut short to the goroutine that fetches it whole. False where too many wait: then it is
// stored as it came.
func (i *Ingester) postpone(r gaea.Return) bool {
	select {
	case i.trimmed <- r:
		return true
	default:
		i.metrics.errors.WithLabelValues("trimmed").Inc()
		return false
	}
}

// completeReturns stores returns that were cut short, whole where the job cache has them. What still waits when reading ends
// is left: the next start finds it missing, and fetches it from the job cache.
func (i *Ingester) completeReturns(ctx, writeCtx context.Context) {
	for {
		select {
		case r := <-i.trimmed:
			whole, source := i.whole(ctx, r)
			if ctx.Err() != nil {
				return
			}
			records := &records{}
			i.addReturn(records, whole, source)
			i.store(writeCtx, records)
		case <-ctx.Done():
			return
		}
	}
}

func (i *Ingester) whole(ctx context.Context, r gaea.Return) (gaea.Return, gaea.Source) {
	deadline := i.o.Now().Add(trimmedPatience)
	for pause := firstPause; ; pause *= 2 {
		cached, err := i.fromCache(ctx, r)
		if err == nil {
			cached.Stamp, cached.Metadata, cached.RunID = r.Stamp, r.Metadata, r.RunID
			return *cached, gaea.SourceCache
		}
		if i.o.Now().Add(pause).After(deadline) || !sleep(ctx, pause) {
			i.metrics.errors.WithLabelValues("trimmed").Inc()
			i.o.Logger.Warn("a return was too large for the master's event bus and is not in its job cache; it is stored as the bus had it",
				"jid", r.JID, "minion", r.Minion, "error", err)
			return r, gaea.SourceBus
		}
	}
}

func (i *Ingester) fromCache(ctx context.Context, r gaea.Return) (*gaea.Return, error) {
	job, err := i.o.Cache.CachedJob(ctx, r.JID)
	if err != nil {
		return nil, err
	}
	for k := range job.Returns {
		if job.Returns[k].Minion == r.Minion {
			return &job.Returns[k], nil
		}
	}
	return nil, gaea.Errorf(gaea.CodeNotFound, "the job cache has no return of %s for job %s", r.Minion, r.JID)
}
