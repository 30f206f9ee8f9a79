package direct

import (
	"context"
	"encoding/base64"
	"slices"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/redact"
)

const (
	// recentJobs and recentFor bound what is kept of jobs that were read from the job cache: one is read for its head and then
	// for its returns, page by page.
	recentJobs = 2
	recentFor  = 10 * time.Second
	// followGap is the pause between looks at a job that nobody here runs, while the event stream tells of it.
	followGap = 5 * time.Second
	// cutReturn is said of a minion that has returned more than the job cache tells.
	cutReturn = "it has returned, and what is not known: the job's returns are together larger than the Salt master's max_event_size (1 MiB by default), so its job cache " +
		"cannot be read whole; raise max_event_size in the master's configuration, and restart it"
)

// recent keeps the jobs that were read last.
type recent struct {
	mu   sync.Mutex
	jobs []readJob
}

type readJob struct {
	jid string
	at  time.Time
	job *gaea.CachedJob
}

func (r *recent) get(jid string, now time.Time) *gaea.CachedJob {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobs = slices.DeleteFunc(r.jobs, func(j readJob) bool { return now.Sub(j.at) > recentFor })
	for _, j := range r.jobs {
		if j.jid == jid {
			return j.job
		}
	}
	return nil
}

func (r *recent) put(jid string, job *gaea.CachedJob, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobs = slices.DeleteFunc(r.jobs, func(j readJob) bool { return j.jid == jid })
	if len(r.jobs) == recentJobs {
		r.jobs = slices.Delete(r.jobs, 0, 1)
	}
	r.jobs = append(r.jobs, readJob{jid, now, job})
}

// cached reads a job from the job cache, as it may be shown.
func (b *Backend) cached(ctx context.Context, jid string) (*gaea.CachedJob, error) {
	if job := b.read.get(jid, time.Now()); job != nil {
		return job, nil
	}
	job, err := b.journal.CachedJob(ctx, jid)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		return nil, gaea.Wrap(err, gaea.CodeNotFound, "the master's job cache has no job %s; it keeps jobs for a day (keep_jobs_seconds), and without a jobd nobody keeps them longer", jid)
	case job == nil:
		return nil, err
	}
	redact.Job(&job.Job)
	for i := range job.Returns {
		redact.Return(&job.Returns[i])
	}
	b.read.put(jid, job, time.Now())
	return job, nil
}

// Job returns one job of the master's job cache, with how it stands for each minion. CodeNotFound.
func (b *Backend) Job(ctx context.Context, jid string) (*gaea.JobDetail, error) {
	job, err := b.cached(ctx, jid)
	if err != nil {
		return nil, err
	}
	detail := &gaea.JobDetail{Job: job.Job, Returns: make(map[string]gaea.ReturnHead, len(job.Returns))}
	for _, name := range job.Job.Minions {
		detail.Returns[name] = gaea.ReturnHead{Outcome: gaea.OutcomePending}
	}
	for i := range job.Returns {
		r := &job.Returns[i]
		detail.Returns[r.Minion] = gaea.ReturnHead{Outcome: r.Outcome, Retcode: r.Retcode, Message: r.Message, Stamp: r.Stamp}
	}
	for _, name := range job.Cut {
		detail.Returns[name] = gaea.ReturnHead{Outcome: gaea.OutcomeNoReturn, Message: cutReturn}
	}
	return detail, nil
}

// JobReturns lists the returns of a job with their bodies, by minion, page by page.
func (b *Backend) JobReturns(ctx context.Context, jid string, p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
	var page gaea.Page[gaea.Return]
	after, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return page, gaea.Invalid("cursor", "this is not a cursor of this list")
	}
	returns, err := b.returnsOf(ctx, jid)
	if err != nil {
		return page, err
	}
	slices.SortFunc(returns, func(x, y gaea.Return) int { return slices.Compare([]byte(x.Minion), []byte(y.Minion)) })
	if p.Cursor != "" {
		returns = slices.DeleteFunc(returns, func(r gaea.Return) bool { return r.Minion <= string(after) })
	}
	limit := p.Limit
	if limit == 0 {
		limit = 100
	}
	if len(returns) > limit {
		returns = returns[:limit]
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(returns[limit-1].Minion))
	}
	page.Items = returns
	return page, nil
}

// returnsOf are the returns of a job with their bodies: of one of this process's as they were heard, else the job cache's.
func (b *Backend) returnsOf(ctx context.Context, jid string) ([]gaea.Return, error) {
	if run, err := b.runs.GetRun(ctx, b.runs.of(jid)); err == nil && run.Status.Final() {
		if returns, whole := b.journal.kept(jid); whole {
			return returns, nil
		}
	}
	job, err := b.cached(ctx, jid)
	if err != nil {
		return nil, err
	}
	return slices.Clone(job.Returns), nil
}

// FollowJob calls f for each return of a job, those of the job cache first, and returns nil when every expected minion has returned.
func (b *Backend) FollowJob(ctx context.Context, jid string, f func(gaea.Return) error) error {
	if err := b.start(ctx); err != nil {
		return err
	}
	sub := b.journal.hub.Follow(jid) // before looking: what comes in between comes twice, and is told once
	defer sub.Close()
	told := map[string]bool{}
	tell := func(r gaea.Return) error {
		if told[r.Minion] {
			return nil
		}
		told[r.Minion] = true
		return f(r)
	}
	var minions []string
	var trouble error // of the last look
	look := func() error {
		job, err := b.journal.CachedJob(ctx, jid)
		if job == nil {
			if ctx.Err() == nil {
				trouble = err
			}
			return err
		}
		minions, trouble = job.Job.Minions, nil
		for _, name := range job.Cut {
			told[name] = true // it has returned, and nobody can tell what
		}
		for _, r := range job.Returns {
			redact.Return(&r)
			if err := tell(r); err != nil {
				return err
			}
		}
		return nil
	}
	if err := look(); err != nil {
		return err
	}
	lookAgain := func() error { // one that comes to nothing is made again
		err := look()
		if code := gaea.CodeOf(err); code == gaea.CodeUnavailable || code == gaea.CodeTimeout || code == gaea.CodeCancelled {
			return nil
		}
		return err
	}
	again := time.NewTicker(followGap)
	defer again.Stop()
	for slices.ContainsFunc(minions, func(name string) bool { return !told[name] }) {
		select {
		case r, ok := <-sub.Returns():
			if !ok {
				return gaea.Errorf(gaea.CodeUnavailable, "the provider is ending")
			}
			if err := tell(r); err != nil {
				return err
			}
		case <-sub.Lost():
			if err := lookAgain(); err != nil {
				return err
			}
		case <-again.C:
			if err := lookAgain(); err != nil {
				return err
			}
		case <-ctx.Done():
			err := gaea.Wrap(ctx.Err(), gaea.CodeTimeout, "the time ran out while waiting for the job %s", jid)
			if trouble != nil {
				err = gaea.Wrap(trouble, gaea.CodeTimeout, "the time ran out while waiting for the job %s, and its last look-up failed: %s", jid, gaea.MessageOf(trouble))
			}
			return err
		}
	}
	return nil
}
