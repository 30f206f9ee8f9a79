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
