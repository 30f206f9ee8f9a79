package schedule

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// Checks is what knows which assignments are checked by interval, and checks them.
type Checks interface {
	// Watched returns the assignments that are checked by interval: by name, the version that says so.
	Watched(ctx context.Context) (map[string]string, error)
	// Look checks an assignment if that is due, and says when to call it again; the zero time where it is not checked by
	// interval (any more). It does not wait for the check's end.
	Look(ctx context.Context, assignment string) (again time.Time, err error)
}

const kindCheck = "drift_check"

// checkArgs name an assignment of a master.
type checkArgs struct {
	Master     string `json:"master"`
	Assignment string `json:"assignment"`
}

// Kind implements [river.JobArgs].
func (checkArgs) Kind() string { return kindCheck }

// leastNap keeps a job whose time has come while it worked from going round without a pause.
const leastNap = 500 * time.Millisecond

type checkWorker struct {
	river.WorkerDefaults[checkArgs]
	checks Checks
}

// Work implements [river.Worker].
func (w *checkWorker) Work(ctx context.Context, job *river.Job[checkArgs]) error {
	again, err := w.checks.Look(ctx, job.Args.Assignment)
	if err != nil || again.IsZero() {
		return err
	}
	return river.JobSnooze(max(time.Until(again), leastNap))
}
