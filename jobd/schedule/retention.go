package schedule

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Pruner is the archive as retention knows it.
type Pruner interface {
	// Prune deletes what has expired, at most limit things at once, and returns how many that were.
	Prune(ctx context.Context, e gaea.Expiry, limit int) (deleted int, err error)
	// UsedBytes is how much of the database is in use.
	UsedBytes(ctx context.Context) (int64, error)
	// Oldest is when the oldest thing is from that is not older than a time; zero where there is none.
	Oldest(ctx context.Context, after time.Time) (time.Time, error)
	// GiveBack gives free space back to the disk, one step a call, and returns whether there may be more.
	GiveBack(ctx context.Context) (more bool, err error)
	// Measure notes how much is stored.
	Measure(ctx context.Context) error
}

// Pruned is what retention has done since this process began, for metrics.
type Pruned struct {
	ByAge, BySize int64 // things that were deleted
	Over          bool  // the archive is larger than it may be, and nothing is left that may be deleted
}

const (
	// pruneEvery is how often old things are looked for.
	pruneEvery = time.Hour
	// pruneStep bounds one transaction, so that the writer of the archive never waits long.
	pruneStep = 500
	// pruneTurn bounds how long old things are deleted without letting go of the worker.
	pruneTurn = jobTimeout / 4
	// wholeDay is how much is deleted at once where the archive is kept by the day.
	wholeDay = 24 * time.Hour
	// measureFirst is when it is measured first how much is stored, and measureEvery how often after that.
	measureFirst = time.Minute
	measureEvery = wholeDay
)

const kindRetention = "retention"

// retentionArgs name a master whose archive is kept small.
type retentionArgs struct {
	Master string `json:"master"`
}

// Kind implements [river.JobArgs].
func (retentionArgs) Kind() string { return kindRetention }

// retention deletes what is too old, and then the oldest while there is too much.
type retention struct {
	store Pruner
	keep  gaea.Retention
	// unit is how much goes at once where there is too much. What is too old goes by the unit where that is a day: to delete
	// what is a few hours older row by row would take each day apart before its partitions can be dropped.
	unit time.Duration
	log  *slog.Logger

	byAge, bySize atomic.Int64
	over          atomic.Bool
}

func newRetention(store Pruner, keep gaea.Retention, wholeDays bool, log *slog.Logger) *retention {
	r := &retention{store: store, keep: keep, unit: time.Hour, log: log}
	if wholeDays {
		r.unit = wholeDay
	}
	return r
}

// pruned is what was done.
func (r *retention) pruned() Pruned {
	return Pruned{ByAge: r.byAge.Load(), BySize: r.bySize.Load(), Over: r.over.Load()}
}

// prune deletes what is old and what is too much, and says after what pause to go on.
func (r *retention) prune(ctx context.Context) (pause time.Duration) {
	until := time.Now().Add(pruneTurn)
	for _, part := range []func(ctx context.Context, until time.Time) (done bool, err error){r.tooOld, r.tooMuch, r.giveBack} {
		done, err := part(ctx, until)
		switch {
		case ctx.Err() != nil:
			return 0
		case err != nil:
			r.log.Error("retention could not go on; trying again in an hour", "err", err)
			return pruneEvery
		case !done:
			return leastNap
		}
	}
	return pruneEvery
}

// steps deletes what has expired until nothing is left of it, or enough says so, or the time is up, and returns how much went.
func (r *retention) steps(ctx context.Context, e gaea.Expiry, until time.Time, enough func() (bool, error)) (total int, done bool, err error) {
	for time.Now().Before(until) {
		n, err := r.store.Prune(ctx, e, pruneStep)
		total += n
		if err != nil || n == 0 {
			return total, true, err
		}
		if done, err := enough(); done || err != nil {
			return total, true, err
		}
	}
	return total, false, nil
}

// tooOld deletes what is older than its kind is kept.
func (r *retention) tooOld(ctx context.Context, until time.Time) (done bool, err error) {
	e := r.keep.Expiry(time.Now())
	if r.unit == wholeDay {
		e = gaea.Expiry{Returns: startOf(e.Returns), Events: startOf(e.Events), Runs: startOf(e.Runs)}
	}
	total, done, err := r.steps(ctx, e, until, func() (bool, error) { return false, nil })
	r.byAge.Add(int64(total))
	if total > 0 {
		r.log.Info("deleted what is older than the retention", "returns_before", e.Returns, "events_before", e.Events, "runs_before", e.Runs, "deleted", total)
	}
	return done, err
}

// startOf is the start of a time's day; of the zero time that itself.
func startOf(t time.Time) time.Time { return t.UTC().Truncate(wholeDay) }

// tooMuch deletes the oldest, whatever its kind, while more is in use than may be.
func (r *retention) tooMuch(ctx context.Context, until time.Time) (done bool, err error) {
	if r.keep.MaxSize <= 0 {
		return true, nil
	}
	used, err := r.store.UsedBytes(ctx)
	if err != nil || used <= r.keep.MaxSize {
		r.over.Store(false)
		return true, err
	}
	was, total, cut := used, 0, time.Time{}
	defer func() {
		r.bySize.Add(int64(total))
		if total > 0 {
			r.log.Warn("the archive was larger than max_size: deleted the oldest of it", "max_size", gaea.Size(r.keep.MaxSize).String(), "was", gaea.Size(was).String(),
				"is", gaea.Size(used).String(), "before", cut, "deleted", total)
		}
	}()
	small := func() (bool, error) {
		if r.unit == wholeDay { // nothing is won before the day is gone
			return false, nil
		}
		used, err = r.store.UsedBytes(ctx)
		return used <= r.keep.MaxSize, err
	}
	for used > r.keep.MaxSize {
		oldest, err := r.store.Oldest(ctx, cut)
		if err != nil {
			return true, err
		}
		next := oldest.UTC().Truncate(r.unit).Add(r.unit)
		if oldest.IsZero() || next.After(time.Now().UTC().Truncate(r.unit)) {
			r.over.Store(true)
			r.log.Error("the archive is larger than max_size, and nothing is left to delete: what is there is of the current hour (in PostgreSQL day), held, of active runs, or the newest evidence. "+
				"Give retention a larger max_size, or release holds (jobd archive holds)", "max_size", gaea.Size(r.keep.MaxSize).String(), "is", gaea.Size(used).String())
			return true, nil
		}
		cut = next
		n, done, err := r.steps(ctx, gaea.ExpireAll(cut), until, small)
		total += n
		if err != nil || !done {
			return done, err
		}
		if used, err = r.store.UsedBytes(ctx); err != nil {
			return true, err
		}
	}
	r.over.Store(false)
	return true, nil
}

// giveBack gives what is free back to the disk.
func (r *retention) giveBack(ctx context.Context, until time.Time) (done bool, err error) {
	for more := true; more; {
		if time.Now().After(until) {
			return false, nil
		}
		if more, err = r.store.GiveBack(ctx); err != nil {
			return true, err
		}
	}
	return true, nil
}

type retentionWorker struct {
	river.WorkerDefaults[retentionArgs]
	retention *retention
}

// Work implements [river.Worker].
func (w *retentionWorker) Work(ctx context.Context, _ *river.Job[retentionArgs]) error {
	if w.retention.keep.IsZero() { // of a setting that was
		return nil
	}
	return river.JobSnooze(w.retention.prune(ctx))
}

// measure notes every day how much is stored, until the queue stops. That may take as long as it takes to read the archive.
func (q *Queue) measure() {
	timer := time.NewTimer(measureFirst)
	defer timer.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-timer.C:
		}
		if err := q.o.Store.Measure(q.ctx); err != nil && q.ctx.Err() == nil {
			q.log.Warn("could not measure how much is stored; trying again tomorrow", "err", err)
		}
		timer.Reset(measureEvery)
	}
}

// Pruned is what retention has done since this process began.
func (q *Queue) Pruned() Pruned { return q.keep.pruned() }
