package schedule

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
)

// Pruner deletes what is older than a time, at most limit things at once, and returns how many that were.
type Pruner interface {
	Prune(ctx context.Context, before time.Time, limit int) (deleted int, err error)
}

const (
	// pruneEvery is how often old things are looked for.
	pruneEvery = time.Hour
	// pruneStep bounds one transaction, so that the writer of the archive never waits long.
	pruneStep = 500
	// pruneTurn bounds how long old things are deleted without letting go of the worker.
	pruneTurn = jobTimeout / 4
)

const kindRetention = "retention"

// retentionArgs name a master whose archive is kept small.
type retentionArgs struct {
	Master string `json:"master"`
}

// Kind implements [river.JobArgs].
func (retentionArgs) Kind() string { return kindRetention }

// retention deletes what is older than keep.
type retention struct {
	store Pruner
	keep  time.Duration
	log   *slog.Logger
}

func newRetention(store Pruner, keep time.Duration, log *slog.Logger) *retention {
	return &retention{store: store, keep: keep, log: log}
}

// prune deletes what is old, and says after what pause to go on.
func (r *retention) prune(ctx context.Context) (pause time.Duration) {
	began, total := time.Now(), 0
	before := began.Add(-r.keep)
	defer func() {
		if total > 0 {
			r.log.Info("deleted what is older than the retention", "before", before, "deleted", total)
		}
	}()
	for time.Since(began) < pruneTurn {
		n, err := r.store.Prune(ctx, before, pruneStep)
		total += n
		switch {
		case ctx.Err() != nil:
			return 0
		case err != nil:
			r.log.Error("could not delete what is older than the retention; trying again in an hour", "before", before, "err", err)
			return pruneEvery
		case n == 0:
			return pruneEvery
		}
	}
	return leastNap
}

type retentionWorker struct {
	river.WorkerDefaults[retentionArgs]
	retention *retention
}

// Work implements [river.Worker].
func (w *retentionWorker) Work(ctx context.Context, _ *river.Job[retentionArgs]) error {
	if w.retention.keep <= 0 { // of a setting that was
		return nil
	}
	return river.JobSnooze(w.retention.prune(ctx))
}
