package tables

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// ListRuns implements [gaea.RunStore]. The runs have neither slices nor Call: a list would name every minion of each.
func (s *Store) ListRuns(ctx context.Context, f gaea.RunFilter, p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
	after, limit, err := archive.ParsePage(p, "runs", 1, 1)
	if err != nil {
		return gaea.Page[gaea.Run]{}, err
	}
	c := runConditions(s.dialect, f)
	c.after(after, "u.created", "u.id")
	page := pager[gaea.Run]{list: "runs", limit: limit}
	err = s.db.Read(ctx, func(q Query) error {
		return q.Each(runsQuery(&c), func(row Scanner) error {
			var s runScan
			counts := outcomeCounts{}
			if err := row.Scan(append(s.into(), counts)...); err != nil {
				return err
			}
			r, err := s.run()
			r.Counts = counts.byOutcome()
			page.add(r, archive.Cursor{Numbers: []int64{Micros(r.Created)}, Texts: []string{r.ID}})
			return err
		}, append(c.args, limit+1)...)
	})
	return page.done(err)
}

// runsQuery lists runs; its last argument is how many.
func runsQuery(c *conditions) string {
	return `SELECT ` + runColumns + `, u.counts FROM runs u LEFT JOIN run_requests q ON q.run_id = u.id` + c.where() + ` ORDER BY u.created DESC, u.id DESC LIMIT ?`
}

func runConditions(d *Dialect, f gaea.RunFilter) conditions {
	c := conditions{dialect: d}
	if f.Master != "" {
		c.add("u.master = ?", f.Master)
	}
	if f.Status != "" {
		c.add("u.status = ?", string(f.Status))
	}
	if f.Kind != "" {
		c.add("u.kind = ?", string(f.Kind))
	}
	if f.Assignment != "" {
		c.add("u.assignment = ? AND u.assignment <> ''", f.Assignment)
	}
	if f.Parent != "" {
		c.add("u.parent = ? AND u.parent <> ''", f.Parent)
	}
	if f.RetryOf != "" {
		c.add("u.retry_of = ? AND u.retry_of <> ''", f.RetryOf)
	}
	if f.User != "" {
		c.add(`u."user" = ?`, f.User)
	}
	c.between("u.created", f.Since, f.Until)
	if f.Active {
		c.add("u.active")
	}
	switch few := f.Active || f.Assignment != "" || f.Parent != "" || f.RetryOf != ""; {
	case !f.NoActions && (f.Kind == "" || f.Kind == gaea.RunForAction):
	case few: // another index finds them; the plus keeps SQLite from taking the one of all runs but those of actions
		c.add(d.Unindexed + "u.kind <> '" + string(gaea.RunForAction) + "'")
	default:
		c.add("u.kind <> '" + string(gaea.RunForAction) + "'")
	}
	return c
}
