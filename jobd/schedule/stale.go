package schedule

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
)

// leaderTopic is where River's clients hear that there is no leader any more.
const leaderTopic = "river_leadership"

// takeBack makes the jobs available that the process before this one left under way, and takes its office from it: River
// would wait for both to expire. It is for before the client starts.
func (q *Queue) takeBack(ctx context.Context) error {
	leader, err := q.db.exec.LeaderGetElectedLeader(ctx, &riverdriver.LeaderGetElectedLeaderParams{})
	if err != nil && !errors.Is(err, rivertype.ErrNotFound) {
		return err
	}
	if err == nil && q.ours(leader.LeaderID) {
		gone := &riverdriver.LeaderResignParams{ElectedAt: leader.ElectedAt, LeaderID: leader.LeaderID, LeadershipTopic: leaderTopic}
		if _, err := q.db.exec.LeaderResign(ctx, gone); err != nil {
			return err
		}
	}
	left, err := q.jobs(ctx, []rivertype.JobState{rivertype.JobStateRunning}, kindRun, kindCheck, kindRetention)
	if err != nil {
		return err
	}
	back, now := &riverdriver.JobSetStateIfRunningManyParams{}, time.Now()
	for _, job := range left {
		if len(job.AttemptedBy) > 0 && !q.ours(job.AttemptedBy[len(job.AttemptedBy)-1]) {
			continue
		}
		p := riverdriver.JobSetStateInterrupted(job.ID, now, max(job.Attempt-1, 0), nil)
		back.ID = append(back.ID, p.ID)
		back.Attempt = append(back.Attempt, p.Attempt)
		back.ErrData = append(back.ErrData, p.ErrData)
		back.FinalizedAt = append(back.FinalizedAt, p.FinalizedAt)
		back.MetadataDoMerge = append(back.MetadataDoMerge, p.MetadataDoMerge)
		back.MetadataUpdates = append(back.MetadataUpdates, p.MetadataUpdates)
		back.ScheduledAt = append(back.ScheduledAt, p.ScheduledAt)
		back.State = append(back.State, p.State)
	}
	if len(back.ID) == 0 {
		return nil
	}
	q.o.Logger.Info("took back what was under way in the queue when jobd ended", "jobs", len(back.ID))
	_, err = q.db.exec.JobSetStateIfRunningMany(ctx, back)
	return err
}

// ours says whether a client was this place's. What is in a file of our own is always ours.
func (q *Queue) ours(client string) bool { return q.db.ownFile || strings.HasPrefix(client, q.seat) }

// jobs lists the jobs of this master's queue of these kinds in these states.
func (q *Queue) jobs(ctx context.Context, states []rivertype.JobState, kinds ...string) ([]*rivertype.JobRow, error) {
	const page = 1000
	var jobs []*rivertype.JobRow
	params := river.NewJobListParams().Queues(q.name).Kinds(kinds...).States(states...).OrderBy(river.JobListOrderByID, river.SortOrderAsc).First(page)
	for {
		found, err := q.client.JobList(ctx, params)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, found.Jobs...)
		if len(found.Jobs) < page {
			return jobs, nil
		}
		params = params.After(found.LastCursor)
	}
}
