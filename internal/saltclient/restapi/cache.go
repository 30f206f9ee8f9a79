package restapi

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// CachedJob implements [gaea.JobCache] by the runner jobs.list_job. It tells no times: the returns' Stamp is when the job started.
//
// CodeTooLarge says that the job's returns are together larger than the master's max_event_size, which then cuts the answer. The
// job is returned beside that error with the returns that came whole, unless not even it did.
func (c *Client) CachedJob(ctx context.Context, jid string) (*gaea.CachedJob, error) {
	listed, err := c.readRunner(ctx, "jobs.list_job", []any{jid}, nil)
	if err != nil {
		return nil, err
	}
	return c.listedJob(jid, listed)
}

// CachedJobParts implements [gaea.JobCache]: a runner tells a job as a whole.
func (c *Client) CachedJobParts(ctx context.Context, jid string, part func(*gaea.CachedJob) error) error {
	return gaea.InOnePart(ctx, c, jid, part)
}

// listedJob is a job as a runner listed it.
func (c *Client) listedJob(jid string, listed json.RawMessage) (*gaea.CachedJob, error) {
	job, trimmed := saltclient.ParseListedJob(listed)
	if job == nil && len(trimmed) == 0 {
		return nil, gaea.Errorf(gaea.CodeNotFound, "the Salt master has no job %s in its job cache", jid)
	}
	if job != nil {
		job.Job.JID, job.Cut = jid, trimmed
		job.Job.Started = gaea.JIDTime(jid, c.cfg.Zone).UTC()
		for i := range job.Returns {
			job.Returns[i].JID, job.Returns[i].Stamp = jid, job.Job.Started
		}
	}
	if len(trimmed) > 0 {
		return job, gaea.Errorf(gaea.CodeTooLarge, "the returns of job %s are together larger than the Salt master's max_event_size (1 MiB by default), and so salt-api cannot tell them whole (%s); raise max_event_size in the master's configuration", jid, firstFew(trimmed))
	}
	return job, nil
}

// CachedJIDs implements [gaea.JobCache] by the runner jobs.list_jobs. Between summer and winter time, jobs from up to an hour
// before may be among them too.
func (c *Client) CachedJIDs(ctx context.Context, since time.Time) ([]string, error) {
	return c.FindJIDs(ctx, nil, since)
}

// FindJIDs is CachedJIDs of the jobs whose metadata has one of these values at its place; nil: of all jobs.
func (c *Client) FindJIDs(ctx context.Context, metadata map[string]any, since time.Time) ([]string, error) {
	kwargs := map[string]any{}
	if len(metadata) > 0 {
		kwargs["search_metadata"] = metadata
	}
	if !since.IsZero() {
		// The master compares this with its own local time; no two zones are further apart.
		kwargs["start_time"] = since.In(c.cfg.Zone).Add(-27 * time.Hour).Format("2006-01-02 15:04:05")
	}
	listed, err := c.readRunner(ctx, "jobs.list_jobs", nil, kwargs)
	if err != nil {
		return nil, err
	}
	jids := slices.DeleteFunc(saltclient.ParseListedJIDs(listed), func(jid string) bool {
		return !gaea.StartedSince(jid, since, c.cfg.Zone)
	})
	slices.Sort(jids)
	return jids, nil
}

// LastJob is the newest job whose metadata has one of these values at its place, with its returns, as [Client.CachedJob] tells
// them. CodeNotFound where there is none. It is one question where to list the jobs and then to read one would be two.
func (c *Client) LastJob(ctx context.Context, metadata map[string]any) (*gaea.CachedJob, error) {
	listed, err := c.readRunner(ctx, "jobs.last_run", nil, map[string]any{"metadata": metadata})
	if err != nil {
		return nil, err
	}
	jid, job := saltclient.ParseLastJob(listed)
	if jid == "" {
		return nil, gaea.Errorf(gaea.CodeNotFound, "the Salt master has no such job in its job cache")
	}
	return c.listedJob(jid, job)
}

// firstFew lists a few names for an error.
func firstFew(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:few], ", ") + ", …"
}
