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

// compare has jobd compare a job with the master's job cache, and returns how many returns both have.
func (r *round) compare(ctx context.Context, jid string) (int, error) {
	report, err := r.cfg.Client.VerifyArchive(ctx, gaea.VerifyRequest{JID: jid})
	switch {
	case err != nil:
		return 0, err
	case report.Jobs != 1:
		return 0, violation("job %s is not in the job cache", jid)
	case len(report.Unread) > 0:
		return 0, violation("job %s: the job cache cannot be read: %s", jid, report.Unread[0].Reason)
	case len(report.Differences) > 0:
		d := report.Differences[0]
		return 0, violation("job %s: of %d differences to the job cache the first is %s %s", jid, len(report.Differences), d.Kind, d.Minion)
	case report.Beyond > 0:
		return 0, violation("job %s: the archive has %d returns that are not in the job cache", jid, report.Beyond)
	}
	archived := map[string]int{}
	for ret, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
		return r.cfg.Client.JobReturns(ctx, jid, p)
	}) {
		if err != nil {
			return 0, err
		}
		if archived[ret.Minion]++; archived[ret.Minion] > 1 {
			return 0, violation("job %s: the archive has the return of %s %d times", jid, ret.Minion, archived[ret.Minion])
		}
	}
	return report.Returns, nil
}
