package schedule

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Runs is what runs runs.
type Runs interface {
	// Ensure takes up a run that is stored as not ended and that nobody runs, and says whether the run has ended.
	// CodeNotFound.
	Ensure(ctx context.Context, id string) (ended bool, err error)
}

const kindRun = "run"

// runArgs name a run of a master.
type runArgs struct {
	Master string `json:"master"`
	Run    string `json:"run"`
}

// Kind implements [river.JobArgs].
func (runArgs) Kind() string { return kindRun }

const (
	firstLook = 30 * time.Second // after a run was accepted: most have ended by then
	mostNap   = 10 * time.Minute // between two looks at a run that goes on
	runsPage  = 100              // runs that are put into the queue together
)

type runWorker struct {
	river.WorkerDefaults[runArgs]
	runs Runs
}

// Work implements [river.Worker]. The older the run, the longer until the next look.
func (w *runWorker) Work(ctx context.Context, job *river.Job[runArgs]) error {
	ended, err := w.runs.Ensure(ctx, job.Args.Run)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound: // too old to be kept
		return nil
	case err != nil:
		return err
	case ended:
		return nil
	}
	return river.JobSnooze(min(max(time.Since(job.CreatedAt), firstLook), mostNap))
}

// Accepted tells of a run that was accepted and started. It does not wait: where the queue does not keep up, the run goes
// without a job of its own.
func (q *Queue) Accepted(run string) {
	select {
	case q.accepted <- run:
	default:
		q.log.Warn("the queue does not keep up: runs go on without somebody who looks after them")
	}
}

// insertRuns puts the jobs of accepted runs into the queue, until that stops.
func (q *Queue) insertRuns() {
	for {
		select {
		case <-q.ctx.Done():
			return
		case run := <-q.accepted:
			if _, err := q.client.InsertMany(q.ctx, q.batch(run)); err != nil && q.ctx.Err() == nil {
				q.log.Warn("the queue does not take jobs: runs go on without somebody who looks after them", "err", err)
			}
		}
	}
}

// batch are the jobs of a run and of those that have come meanwhile.
func (q *Queue) batch(run string) []river.InsertManyParams {
	opts := q.unique()
	opts.ScheduledAt = time.Now().Add(firstLook)
	batch := []river.InsertManyParams{{Args: runArgs{Master: q.o.Master, Run: run}, InsertOpts: opts}}
	for len(batch) < runsPage {
		select {
		case run := <-q.accepted:
			batch = append(batch, river.InsertManyParams{Args: runArgs{Master: q.o.Master, Run: run}, InsertOpts: opts})
		default:
			return batch
		}
	}
	return batch
}
