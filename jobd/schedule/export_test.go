package schedule

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Break takes the database away as a fault would.
func (q *Queue) Break() error { return q.db.close() }

// Rows lists the jobs of a kind that are not over.
func (q *Queue) Rows(ctx context.Context, kind string) ([]*rivertype.JobRow, error) {
	return q.jobs(ctx, live, kind)
}

// Prune is the retention's work without a queue.
func Prune(ctx context.Context, store Pruner, keep gaea.Retention, wholeDays bool, log *slog.Logger) (pause time.Duration, done Pruned) {
	r := newRetention(store, keep, wholeDays, log)
	return r.prune(ctx), r.pruned()
}

// LookAfter is what the job of a run that was accepted at a time does: it is over, or sleeps.
func LookAfter(ctx context.Context, runs Runs, run string, accepted time.Time) (nap time.Duration, err error) {
	job := &river.Job[runArgs]{JobRow: &rivertype.JobRow{CreatedAt: accepted}, Args: runArgs{Run: run}}
	err = (&runWorker{runs: runs}).Work(ctx, job)
	if snooze, ok := errors.AsType[*river.JobSnoozeError](err); ok {
		return snooze.Duration, nil
	}
	return 0, err
}

// RetryAfter is the pause after an attempt that failed.
func RetryAfter(attempt int) time.Duration {
	return time.Until(patience{}.NextRetry(&rivertype.JobRow{Attempt: attempt}))
}

// RiverLog is the handler that River logs to.
func RiverLog(h slog.Handler) slog.Handler { return newRiverLog(h) }
