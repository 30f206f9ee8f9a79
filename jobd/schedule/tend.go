package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

const (
	tendEvery = 10 * time.Second // how soon a change is noticed that nobody told of
	tendAgain = time.Second      // after a job could not be woken or deleted because it was under way
)

// live are the states of a job that is not over.
var live = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
}

// standing is a job that is in the queue for as long as something is so. Its key names what that is, its version changes with it.
type standing struct {
	args    river.JobArgs
	version string
}

// tend keeps the standing jobs as they should be, until the queue stops.
func (q *Queue) tend() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-q.changed:
		case <-timer.C:
		}
		next := tendEvery
		settled, err := q.compare(q.ctx)
		switch {
		case q.ctx.Err() != nil:
			return
		case err != nil:
			q.log.Warn("could not see what is to be checked by interval; trying again", "err", err)
		case !settled:
			next = tendAgain
		}
		timer.Reset(next)
	}
}

// compare makes the jobs that are missing, deletes those of what is no more, and wakes those of what has changed: each finds
// out itself when it is due. It is not settled where a job was under way and may have worked with what was before.
func (q *Queue) compare(ctx context.Context) (settled bool, err error) {
	wanted, err := q.wanted(ctx)
	if err != nil {
		return false, err
	}
	jobs, err := q.jobs(ctx, live, kindCheck, kindRetention)
	if err != nil {
		return false, err
	}
	settled = true
	var missing []river.InsertManyParams
	for _, job := range jobs {
		key := keyOf(job)
		s, ok := wanted[key]
		delete(wanted, key)
		switch {
		case !ok:
			delete(q.tended, key)
			switch _, err := q.client.JobDelete(ctx, job.ID); {
			case errors.Is(err, rivertype.ErrJobRunning):
				settled = false
			case err != nil && !errors.Is(err, rivertype.ErrNotFound):
				return false, err
			}
		case q.tended[key] == s.version:
		case job.State == rivertype.JobStateRunning:
			settled = false
		default:
			if _, err := q.client.JobRetry(ctx, job.ID); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
				return false, err
			}
			q.tended[key] = s.version
		}
	}
	for key, s := range wanted {
		missing = append(missing, river.InsertManyParams{Args: s.args, InsertOpts: q.unique()})
		q.tended[key] = s.version
	}
	if len(missing) > 0 {
		_, err = q.client.InsertMany(ctx, missing)
	}
	return settled, err
}

// wanted are the jobs that should be in the queue, by key.
func (q *Queue) wanted(ctx context.Context) (map[string]standing, error) {
	watched, err := q.o.Checks.Watched(ctx)
	if err != nil {
		return nil, err
	}
	wanted := make(map[string]standing, len(watched)+1)
	for name, ref := range watched {
		wanted[kindCheck+" "+name] = standing{args: checkArgs{Master: q.o.Master, Assignment: name}, version: ref}
	}
	if !q.o.Keep.IsZero() {
		wanted[kindRetention+" "] = standing{args: retentionArgs{Master: q.o.Master}, version: fmt.Sprint(q.o.Keep)}
	}
	return wanted, nil
}

// keyOf is the key of a standing job. What cannot be read has none that is wanted, and is deleted.
func keyOf(job *rivertype.JobRow) string {
	var args checkArgs
	if json.Unmarshal(job.EncodedArgs, &args) != nil {
		return ""
	}
	return job.Kind + " " + args.Assignment
}

// unique puts a job into the master's queue, unless the same is there and not over.
func (q *Queue) unique() *river.InsertOpts {
	return &river.InsertOpts{Queue: q.name, UniqueOpts: river.UniqueOpts{ByArgs: true, ByQueue: true, ByState: live}}
}
