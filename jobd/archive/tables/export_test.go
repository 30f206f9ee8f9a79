package tables

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// FewJobs is from how many jobs on returns are read by time.
const FewJobs = fewJobs

// Read is a snapshot of a store, for what tests ask beside it.
func (s *Store) Read(ctx context.Context, f func(q Query) error) error { return s.db.Read(ctx, f) }

// JobsQuery is what lists jobs, from a cursor on.
func JobsQuery(q Query, f gaea.JobFilter, from *archive.Cursor) (text string, args []any, err error) {
	c, err := jobConditions(q, f)
	text = jobsQuery(&c, f, from)
	return text, c.args, err
}

// ReturnsQuery is what lists returns with their bodies, from a cursor on.
func ReturnsQuery(q Query, f gaea.JobFilter, from *archive.Cursor) (text string, args []any, err error) {
	c, err := returnConditions(q, f)
	c.after(from, "r.stamp", "r.job_id", "r.minion_id")
	return returnsQuery(&c, true), c.args, err
}

// RunsQuery is what lists runs, from a cursor on.
func RunsQuery(q Query, f gaea.RunFilter, from *archive.Cursor) (text string, args []any) {
	c := runConditions(q.Dialect(), f)
	c.after(from, "u.created", "u.id")
	return runsQuery(&c), c.args
}

// asked is a question as plans are looked at: the query from a cursor on, whose numbers are more than it takes.
type asked = func(q Query, after *archive.Cursor) (text string, args []any, err error)

func first(after *archive.Cursor, n int) *archive.Cursor {
	if after == nil {
		return nil
	}
	return &archive.Cursor{Numbers: after.Numbers[:n]}
}

// HistoryQuery is what lists the returns of a minion, SilentQuery what it has not returned.
func HistoryQuery(f gaea.HistoryFilter) asked {
	return ofMinion(f, func(q Query, f gaea.HistoryFilter, minions []any, after *archive.Cursor) (string, []any) {
		return returnedQuery(q, f, part{all: true}, minions, after)
	})
}

// SilentQuery is what a minion has not returned.
func SilentQuery(f gaea.HistoryFilter) asked { return ofMinion(f, silentQuery) }

func ofMinion(f gaea.HistoryFilter, query func(Query, gaea.HistoryFilter, []any, *archive.Cursor) (string, []any)) asked {
	return func(q Query, after *archive.Cursor) (string, []any, error) {
		minions, err := minionIDs(q, f.Master, f.Minion)
		text, args := query(q, f, minions, first(after, 3))
		return text, args, err
	}
}

// RunningQuery is what lists jobs that run.
func RunningQuery(f gaea.JobFilter) asked {
	return func(q Query, after *archive.Cursor) (string, []any, error) { return JobsQuery(q, f, first(after, 2)) }
}

// StatesQuery is what lists the latest results of states.
func StatesQuery(f gaea.StateFilter) asked {
	return func(q Query, after *archive.Cursor) (string, []any, error) {
		c, tables, order, err := latestConditions(q, f, first(after, 2))
		return latestQuery(&c, tables, order), c.args, err
	}
}

// ChangesQuery is the first of those that list changes.
func ChangesQuery(f gaea.StateFilter) asked {
	return func(q Query, after *archive.Cursor) (string, []any, error) {
		queries, err := changeQueries(q, f, after)
		return queries[0].text, queries[0].args, err
	}
}

// SlowQuery is what lists the slow states of a day.
func SlowQuery(f gaea.SlowStateFilter) asked {
	return func(q Query, after *archive.Cursor) (string, []any, error) {
		text, args := slowOfDayQuery(q, f, 1, first(after, 2))
		return text, args, nil
	}
}

// DurationsQuery is what lists the days of runs.
func DurationsQuery(f gaea.RunDurationFilter) asked {
	return func(q Query, after *archive.Cursor) (string, []any, error) {
		text, args := durationDaysQuery(q, f, first(after, 1))
		return text, args, nil
	}
}

// FailedQuery is what gathers the failures of states.
func FailedQuery(q Query, f gaea.StateFilter, states []any) (text string, args []any, err error) {
	return failedStatesQuery(q, f, states, nil)
}
