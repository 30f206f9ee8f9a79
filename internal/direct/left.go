package direct

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// MetadataKey is the key of the metadata of a job that names the idempotency key of its run, as a digest.
const MetadataKey = "gaea_key"

// What else of the run a job's metadata tells.
const (
	metadataPlanned = "gaea_planned" // how many minions it has, where that is known before they are told
	metadataSlice   = "gaea_slice"   // the index of the job's slice
	metadataCanary  = "gaea_canary"  // the slice is one of the canary; else it is left out
)

// maxLeft bounds the jobs of one run that are read from the job cache.
const maxLeft = 1000

// settleTime is how long a run of an earlier process is given to have its silent minions asked.
const settleTime = 20 * time.Second

// left finds what an earlier process has told of the run with a key, the newest where there are several; nil where that is nothing,
// or where the run only made true what may have changed since and is over. The run is as the new one, r, would be, and stands where
// the master's job cache says.
func (b *Backend) left(ctx context.Context, r *gaea.Run, key string) (*gaea.Run, error) {
	jobs, more, err := b.jobsWith(ctx, r, key)
	if err != nil || len(jobs) == 0 {
		return nil, err
	}
	now := b.o.Clock()
	found := engine.Clone(r)
	found.ID, found.Target = jobs[0].Job.RunID, r.Target
	untold := resume(found, jobs, now)
	switch why := obstacle(found, jobs, untold, now); {
	case more:
		haltUnread(found, len(jobs))
	case untold > 0 && why != "":
		halt(found, untold, why)
	case untold > 0:
		found.Resolved = false // the engine asks who else there is, and goes on with those
	}
	conclude(found)
	if found.Kind == gaea.RunEnforce && found.Status.Final() { // nobody looked after it, and how the minions stand now it does not tell
		return nil, nil
	}
	if !found.Status.Final() {
		stopped, err := b.wasStopped(ctx, found.ID)
		switch {
		case err != nil:
			return nil, err
		case stopped && found.Kind == gaea.RunEnforce:
			return nil, nil
		case stopped: // the engine sees to it that nothing is left of it
			found.Resolved, found.Status, found.Verdict, found.Reason = true, gaea.RunCancelling, gaea.RunCancelled, "cancelled by an earlier process"
		}
	}
	b.log.Warn("found a run that an earlier process has left", "run", found.ID, "jobs", len(jobs), "status", found.Status)
	return found, nil
}

// jobsWith are the jobs of the newest run with a key, oldest first; none where its key was freed. For most runs this is one
// question: a job that has the target of the run has told all of it. There may be more than are read.
func (b *Backend) jobsWith(ctx context.Context, r *gaea.Run, key string) (jobs []*gaea.CachedJob, more bool, err error) {
	last, err := b.o.Salt.LastJob(ctx, map[string]any{MetadataKey: key})
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		return nil, false, nil
	case last == nil:
		return nil, false, err
	case !carries(&last.Job, MetadataKey, key) || last.Job.RunID == "" || b.runs.isFreed(last.Job.RunID):
		return nil, false, nil
	case sameTarget(last.Job.Target, r.Target):
		return []*gaea.CachedJob{last}, false, nil
	default:
		return b.published(ctx, gaea.MetadataRun, last.Job.RunID)
	}
}

func sameTarget(x, y gaea.Target) bool {
	return x.Type == y.Type && x.Expr == y.Expr && slices.Equal(x.Minions, y.Minions)
}

// regain puts a run together that an earlier process has made. CodeNotFound.
func (b *Backend) regain(ctx context.Context, id string) (*gaea.Run, error) {
	jobs, more, err := b.published(ctx, gaea.MetadataRun, id)
	switch {
	case err != nil:
		return nil, err
	case len(jobs) == 0:
		return nil, gaea.Errorf(gaea.CodeNotFound, "the master's job cache has no job of the run %s; it keeps jobs for a day (keep_jobs_seconds), and without a jobd nobody keeps them longer", id)
	}
	first := &jobs[0].Job
	run := &gaea.Run{
		ID: id, Master: master, Kind: gaea.RunJob, Function: first.Function, Args: first.Args, Target: first.Target, User: first.User, Created: first.Started,
		Timeouts: gaea.Timeouts{}.WithDefaults(), Minions: map[string]gaea.RunMinion{}, Counts: map[gaea.Outcome]int{},
	}
	switch untold := resume(run, jobs, b.o.Clock()); {
	case more:
		haltUnread(run, len(jobs))
	case untold > 0:
		halt(run, untold, "")
	}
	conclude(run)
	if _, _, err := b.runs.put(run, "", ""); err != nil {
		return nil, err
	}
	if run.Status.Final() {
		return run, nil
	}
	if _, err := b.engine.Ensure(ctx, id); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if run, err = b.engine.Wait(waiting, id); err != nil && ctx.Err() == nil {
		return b.engine.Get(ctx, id)
	}
	return run, err
}

// published reads the jobs whose metadata has a value, oldest first. There may be more than are read.
func (b *Backend) published(ctx context.Context, key, value string) (jobs []*gaea.CachedJob, more bool, err error) {
	jids, err := b.o.Salt.FindJIDs(ctx, map[string]any{key: value}, time.Time{})
	if err != nil {
		return nil, false, err
	}
	if more = len(jids) > b.maxLeft; more {
		jids = jids[:b.maxLeft]
	}
	for _, jid := range jids {
		job, err := b.journal.CachedJob(ctx, jid)
		switch {
		case gaea.CodeOf(err) == gaea.CodeNotFound:
		case job == nil:
			return nil, false, err
		case carries(&job.Job, key, value) && job.Job.RunID != "":
			jobs = append(jobs, job)
		}
	}
	return jobs, more, nil
}

// wasStopped says whether somebody has told minions to stop a run's jobs.
func (b *Backend) wasStopped(ctx context.Context, id string) (bool, error) {
	jids, err := b.o.Salt.FindJIDs(ctx, map[string]any{engine.MetadataStops: id}, time.Time{})
	return len(jids) > 0, err
}

// carries says whether a job's metadata has a value.
func carries(job *gaea.Job, key, value string) bool {
	var metadata map[string]any
	return json.Unmarshal(job.Metadata, &metadata) == nil && metadata[key] == value
}
