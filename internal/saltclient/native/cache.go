package native

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// CachedJob implements [gaea.JobCache]: from the job cache on disk where that may be read, else by the runner jobs.list_job.
// Both tell the same, but for the returns' Stamp: on disk it is when the master wrote the return, a runner tells no time and it
// is when the job started. A master writes a return into its cache some milliseconds after it has told it on the event bus.
//
// CodeTooLarge says that the answer of the runner was larger than the master's max_event_size, which then cuts it. The job is
// returned beside that error with the returns that came whole, unless not even it did.
func (c *Client) CachedJob(ctx context.Context, jid string) (job *gaea.CachedJob, err error) {
	err = c.CachedJobParts(ctx, jid, func(part *gaea.CachedJob) error {
		if job == nil {
			job = part
		} else {
			job.Returns = append(job.Returns, part.Returns...)
		}
		return nil
	})
	return job, err
}

// CachedJobParts tells what CachedJob does in parts, each with the job and some of its returns: one more return than there is room for
// in partBytes at most, where the job cache is read from disk. A runner tells no more than the master's max_event_size. An error of
// part ends it.
func (c *Client) CachedJobParts(ctx context.Context, jid string, part func(*gaea.CachedJob) error) error {
	config := c.Config()
	if disk, ok := newDiskCache(config, c.opts); ok {
		told := false
		err := disk.job(jid, c.logger, func(p *gaea.CachedJob) error {
			told = true
			return part(p)
		})
		if told || !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	job, err := c.runnerJob(ctx, jid, config)
	if job == nil {
		return err
	}
	if err := part(job); err != nil {
		return err
	}
	return err
}

// CachedJIDs implements [gaea.JobCache], from the same places as CachedJob. On disk the jobs that started before and had a
// return since are among them; a runner does not tell those. Between summer and winter time, jobs from up to an hour before
// may be among them too.
func (c *Client) CachedJIDs(ctx context.Context, since time.Time) ([]string, error) {
	config := c.Config()
	if disk, ok := newDiskCache(config, c.opts); ok {
		jids, err := disk.jids(since, c.logger)
		if !errors.Is(err, fs.ErrPermission) {
			return jids, err
		}
	}
	listed, err := c.Runner(ctx, "jobs.list_jobs", nil, nil)
	if err != nil {
		return nil, err
	}
	jids := slices.DeleteFunc(saltclient.ParseListedJIDs(listed), func(jid string) bool {
		return !gaea.StartedSince(jid, since, config.jidZone())
	})
	slices.Sort(jids)
	return jids, nil
}

func (c *Client) runnerJob(ctx context.Context, jid string, config MasterConfig) (*gaea.CachedJob, error) {
	listed, err := c.Runner(ctx, "jobs.list_job", []any{jid}, nil)
	if err != nil {
		return nil, err
	}
	job, trimmed := saltclient.ParseListedJob(listed)
	if job == nil && len(trimmed) == 0 {
		return nil, notCached(jid, config)
	}
	if job != nil {
		job.Job.JID = jid
		job.Job.Started = gaea.JIDTime(jid, config.jidZone()).UTC()
		for i := range job.Returns {
			job.Returns[i].JID, job.Returns[i].Stamp = jid, job.Job.Started
		}
	}
	if len(trimmed) > 0 {
		return job, gaea.Errorf(gaea.CodeTooLarge, "the returns of job %s are together larger than the Salt master's max_event_size (%d bytes), and so a runner cannot tell them whole (%s); let user %s read %s/jobs, or raise max_event_size", jid, config.MaxEventSize, firstFew(trimmed), currentUser(), config.CacheDir)
	}
	return job, nil
}

// firstFew lists a few names for an error.
func firstFew(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:few], ", ") + ", …"
}

func notCached(jid string, config MasterConfig) error {
	hint := ""
	if !config.JobCache {
		hint = "; its configuration turns the job cache off (job_cache: False)"
	}
	return gaea.Errorf(gaea.CodeNotFound, "the Salt master has no job %s in its job cache%s", jid, hint)
}

// jidZone is the zone of the times that job ids name.
func (c MasterConfig) jidZone() *time.Location {
	if c.UTCJID {
		return time.UTC
	}
	return time.Local
}
