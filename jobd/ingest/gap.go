package ingest

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// gap is a time in which events may have been missed.
type gap struct {
	id   int64 // of the archive's record; 0 while it has none
	from time.Time
}

const (
	// gapMargin is how far before a gap's known start is looked: clocks differ a little, and the last events before the
	// link broke may not have come through.
	gapMargin = time.Minute
	// longJob is how long before a gap a job may have been published whose returns fell into it.
	longJob = 24 * time.Hour
)

// start finds out since when events may be missing: since the last one stored, or since a gap that was never closed.
func (i *Ingester) start(ctx context.Context) (time.Time, error) {
	from, err := i.o.Store.LastStamp(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if !from.IsZero() {
		from = from.Add(-gapMargin)
	}
	open, err := i.o.Store.OpenGaps(ctx)
	if err != nil {
		return time.Time{}, err
	}
	for id, start := range open {
		if start.Before(from) {
			from = start
		}
		// The gap that the connection opens covers this one.
		if err := i.o.Store.CloseGap(ctx, id, start, 0); err != nil {
			return time.Time{}, err
		}
	}
	return from, nil
}

// noteGap hands a gap to the goroutine that closes gaps. It does not wait: where many are under way already, the last one
// that starts earliest is looked at anyway, because each look goes on to the present.
func (i *Ingester) noteGap(from time.Time) {
	i.metrics.gaps.Inc()
	i.openGaps.Add(1)
	select {
	case i.gaps <- gap{from: from}:
	default:
		i.openGaps.Add(-1)
		i.o.Logger.Warn("many gaps at once; the ones under way cover the newest", "from", from)
	}
}

func (i *Ingester) recoverGaps(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case g := <-i.gaps:
			i.closeGap(ctx, g)
			i.openGaps.Add(-1)
		}
	}
}

// closeGap fetches what the job cache has and the archive has not, twice: the master sends an event a moment before it
// writes its cache, so what fell between is seen the second time.
func (i *Ingester) closeGap(ctx context.Context, g gap) {
	log := i.o.Logger.With("from", g.from)
	pause := firstPause
	total := 0
	for pass := 0; pass < 2; {
		n, err := i.fetch(ctx, &g)
		total += n
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			i.metrics.errors.WithLabelValues("recovery").Inc()
			log.Warn("could not fetch what was missed from the job cache; trying again", "error", err)
			if !sleep(ctx, pause) {
				return
			}
			pause = min(pause*2, lastPause)
			continue
		}
		if pass++; pass < 2 && !sleep(ctx, i.o.Settle) {
			return
		}
	}
	if err := i.o.Store.CloseGap(ctx, g.id, i.o.Now(), total); err != nil && ctx.Err() == nil {
		log.Error("could not record that the gap is closed; the next start looks again", "error", err)
		return
	}
	log.Info("the archive has all that the job cache has", "recovered", total)
}

func (i *Ingester) fetch(ctx context.Context, g *gap) (recovered int, err error) {
	if g.id == 0 {
		if g.id, err = i.o.Store.OpenGap(ctx, g.from); err != nil {
			return 0, err
		}
	}
	since := g.from
	if !since.IsZero() {
		since = since.Add(-longJob)
	}
	jids, err := i.o.Cache.CachedJIDs(ctx, since)
	if err != nil {
		return 0, err
	}
	for _, jid := range jids {
		n, err := i.fetchJob(ctx, jid, g.from)
		if err != nil {
			return recovered, err
		}
		recovered += n
		i.metrics.recovered.Add(float64(n))
	}
	return recovered, nil
}

// fetchJob stores what the cache has of one job and the archive has not, and returns how many returns that was.
func (i *Ingester) fetchJob(ctx context.Context, jid string, from time.Time) (int, error) {
	have, err := i.o.Store.Job(ctx, jid)
	if err != nil && gaea.CodeOf(err) != gaea.CodeNotFound {
		return 0, err
	}
	if have != nil && complete(have) && gaea.JIDTime(jid, time.Local).Before(from) {
		return 0, nil
	}
	cached, err := i.o.Cache.CachedJob(ctx, jid)
	if gaea.CodeOf(err) == gaea.CodeNotFound { // cleaned up meanwhile
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	r := &records{}
	if (have == nil || !have.Known) && cached.Job.Function != "" {
		i.addJob(r, cached.Job, gaea.SourceCache)
	}
	for _, ret := range cached.Returns {
		if have == nil || !have.Returns[ret.Minion].Outcome.Heard() {
			i.addReturn(r, ret, gaea.SourceCache)
		}
	}
	if !i.store(ctx, r) {
		return 0, ctx.Err()
	}
	return len(r.returns), nil
}

// complete says whether every minion that the job expects has returned.
func complete(j *gaea.JobDetail) bool {
	for _, r := range j.Returns {
		if !r.Outcome.Heard() {
			return false
		}
	}
	return j.Known
}
