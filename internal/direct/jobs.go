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
	job := &followed{jid: jid, cache: b.journal, tell: f, told: map[string]bool{}}
	if err := job.look(ctx); err != nil {
		return err
	}
	again := time.NewTicker(followGap)
	defer again.Stop()
	for job.waits() {
		var err error
		select {
		case r, ok := <-sub.Returns():
			if !ok {
				return gaea.Errorf(gaea.CodeUnavailable, "the provider is ending")
			}
			err = job.take(r)
		case <-sub.Lost():
			err = job.lookAgain(ctx)
		case <-again.C:
			err = job.lookAgain(ctx)
		case <-ctx.Done():
			err = job.outOfTime(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// followed is a job of which somebody wants to be told each return once.
type followed struct {
	jid     string
	cache   gaea.JobCache
	tell    func(gaea.Return) error
	minions []string
	told    map[string]bool
	trouble error // of the last look
}

// waits says whether a minion has not returned.
func (j *followed) waits() bool {
	return slices.ContainsFunc(j.minions, func(name string) bool { return !j.told[name] })
}

func (j *followed) take(r gaea.Return) error {
	if j.told[r.Minion] {
		return nil
	}
	j.told[r.Minion] = true
	return j.tell(r)
}

// look tells what the job cache has.
func (j *followed) look(ctx context.Context) error {
	job, err := j.cache.CachedJob(ctx, j.jid)
	if job == nil {
		if ctx.Err() == nil {
			j.trouble = err
		}
		return err
	}
	j.minions, j.trouble = job.Job.Minions, nil
	for _, name := range job.Cut {
		j.told[name] = true // it has returned, and nobody can tell what
	}
	for _, r := range job.Returns {
		redact.Return(&r)
		if err := j.take(r); err != nil {
			return err
		}
	}
	return nil
}

// lookAgain is look where one that comes to nothing is made again later.
func (j *followed) lookAgain(ctx context.Context) error {
	err := j.look(ctx)
	if code := gaea.CodeOf(err); code == gaea.CodeUnavailable || code == gaea.CodeTimeout || code == gaea.CodeCancelled {
		return nil
	}
	return err
}

func (j *followed) outOfTime(ctx context.Context) error {
	if j.trouble != nil {
		return gaea.Wrap(j.trouble, gaea.CodeTimeout, "the time ran out while waiting for the job %s, and the last look at the job cache failed: %s", j.jid, gaea.MessageOf(j.trouble))
	}
	return gaea.Wrap(ctx.Err(), gaea.CodeTimeout, "the time ran out while waiting for the job %s", j.jid)
}
