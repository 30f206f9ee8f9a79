package killtest

import (
	"context"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// archiveLimit is for the archive to have what the job cache has, after the runs have ended.
const archiveLimit = 30 * time.Second

// kept checks that the archive has each job of a run, and each return that the master's job cache has, once.
func (r *round) kept(ctx context.Context, run *gaea.Run) error {
	var jids []string
	for _, s := range run.Slices {
		if !s.Started.IsZero() {
			jids = append(jids, s.JID)
		}
	}
	limited, cancel := context.WithTimeout(ctx, archiveLimit)
	defer cancel()
	for _, jid := range jids {
		for {
			n, err := r.compare(ctx, jid)
			if err == nil {
				r.jids[jid] = n
				break
			}
			if pause(limited, calmPoll) != nil {
				return err
			}
		}
	}
	jobs, err := r.cfg.Client.Jobs(ctx, gaea.JobFilter{RunID: run.ID}, gaea.PageRequest{Limit: 1000})
	if err != nil {
		return err
	}
	for _, job := range jobs.Items {
		if !slices.Contains(jids, job.JID) {
			return violation("job %s was published for run %s, which does not know it", job.JID, run.ID)
		}
	}
	for name, rm := range run.Minions {
		if !rm.Outcome.Heard() {
			continue
		}
		ret, err := r.cfg.Client.Return(ctx, rm.JID, name)
		switch {
		case err != nil:
			return err
		case ret.Outcome != rm.Outcome:
			return violation("%s ended run %s as %s, and the return in the archive is %s", name, run.ID, rm.Outcome, ret.Outcome)
		}
	}
	return nil
}

// compare compares a job's returns in the archive with those in the master's job cache, and counts them.
func (r *round) compare(ctx context.Context, jid string) (int, error) {
	cached, err := r.traces.cached(jid)
	if err != nil {
		return 0, err
	}
	archived := map[string]int{}
	for ret, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
		return r.cfg.Client.JobReturns(ctx, jid, p)
	}) {
		if err != nil {
			return 0, err
		}
		archived[ret.Minion]++
	}
	for name, n := range archived {
		if n != 1 || !cached[name] {
			return 0, violation("job %s: the archive has the return of %s %d times, the job cache: %v", jid, name, n, cached[name])
		}
	}
	for name := range cached {
		if archived[name] == 0 {
			return 0, violation("job %s: the return of %s is in the job cache, and lost to the archive", jid, name)
		}
	}
	return len(archived), nil
}
