package schedule

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

const (
	firstPause = 5 * time.Second
	mostPause  = 5 * time.Minute
)

// patience says when a job that failed is tried again: after 5 s, doubled up to 5 min.
type patience struct{}

// NextRetry implements [river.ClientRetryPolicy].
func (patience) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(min(firstPause<<min(max(job.Attempt-1, 0), 10), mostPause))
}

// failures logs the jobs that failed.
type failures struct{ log *slog.Logger }

// HandleError implements [river.ErrorHandler].
func (f *failures) HandleError(_ context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	f.log.Warn("a job of the queue failed; it is tried again", "kind", job.Kind, "args", string(job.EncodedArgs), "attempt", job.Attempt, "err", err)
	return nil
}

// HandlePanic implements [river.ErrorHandler].
func (f *failures) HandlePanic(_ context.Context, job *rivertype.JobRow, panicked any, trace string) *river.ErrorHandlerResult {
	f.log.Error("a job of the queue panicked, which is a fault of jobd; it is tried again", "kind", job.Kind, "args", string(job.EncodedArgs), "panic", panicked, "trace", trace)
	return nil
}
