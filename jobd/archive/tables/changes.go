package tables

import (
	"context"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// fewStates is up to how many states each is asked for its own newest changes, which are merged; the changes of more are
// sorted.
const fewStates = 50

// storedChange is a change with its place in the order of changes.
type storedChange struct {
	gaea.StateChange
	at []int64
}

const (
	changeColumns = `SELECT ma.name, m.name, j.jid, ` + stateColumns + `, j."user", j.run_id, sr.stamp, sr.job_id, sr.minion_id, sr.place`
	changeTables  = ` states s ON s.id = sr.state_id JOIN minions m ON m.id = sr.minion_id JOIN jobs j ON j.id = sr.job_id JOIN masters ma ON ma.id = j.master_id`
	changeOrder   = ` ORDER BY sr.stamp DESC, sr.job_id DESC, sr.minion_id DESC, sr.place DESC LIMIT ?`
)

// Changes implements [archive.Store].
func (s *Store) Changes(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.StateChange], error) {
	after, limit, err := archive.ParsePage(p, "changes", 4, 0)
	if err == nil && f.State == "" && f.SLS == "" && f.Minion == "" {
		err = gaea.Invalid("state", "say what changed: a state by its name or id, an SLS file, or a minion")
	}
	if err != nil {
		return gaea.Page[gaea.StateChange]{}, err
	}
	page := pager[gaea.StateChange]{list: "changes", limit: limit}
	err = s.db.Read(ctx, func(q Query) error {
		queries, err := changeQueries(q, f, after)
		var list []storedChange
		for _, one := range queries {
			if err != nil {
				return err
			}
			if one.older && len(list) > limit {
				break
			}
			err = q.Each(one.text, func(row Scanner) error {
				c, err := scanChange(row)
				list = append(list, c)
				return err
			}, append(one.args, limit+1)...)
		}
		slices.SortFunc(list, func(a, b storedChange) int { return slices.Compare(b.at, a.at) })
		for i := range list {
			page.add(list[i].StateChange, archive.Cursor{Numbers: list[i].at})
		}
		return err
	})
	return page.done(err)
}

// query is a query with its arguments, but for the last, which is the limit.
type query struct {
	text  string
	args  []any
	older bool // all its rows are older than those of the queries before
}

// changeQueries are those whose newest rows together have the newest changes.
func changeQueries(q Query, f gaea.StateFilter, after *archive.Cursor) ([]query, error) {
	base := conditions{dialect: q.Dialect()}
	base.ofMaster("m.master_id", f.Master)
	base.add("sr.outcome = ?", changed)
	base.after(after, "sr.stamp", "sr.job_id", "sr.minion_id", "sr.place")
	if f.Minion != "" {
		return changesOfMinion(q, f, after, base)
	}
	base.between("sr.stamp", f.Since, f.Until)
	if after != nil {
		base.add("sr.stamp <= ?", after.Numbers[0])
	}
	ids, err := statesNamed(q, f)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	text := func(c *conditions) string {
		return changeColumns + ` FROM state_results sr ` + c.dialect.FirstJoin + changeTables + c.where() + changeOrder
	}
	if len(ids) > fewStates {
		base.oneOf("sr.state_id", ids)
		return []query{{text: text(&base), args: base.args}}, nil
	}
	queries := make([]query, len(ids))
	for i, id := range ids {
		c := base
		c.terms, c.args = append([]string{"sr.state_id = ?"}, base.terms...), append([]any{id}, base.args...)
		queries[i] = query{text: text(&c), args: c.args}
	}
	return queries, nil
}

// changed is the number of the outcome of a state that changed something.
const changed = 4

// changesOfMinion reads a minion's returns in the order of time, and looks into those that are not clean.
func changesOfMinion(q Query, f gaea.StateFilter, after *archive.Cursor, c conditions) ([]query, error) {
	ids, err := minionIDs(q, f.Master, f.Minion)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	c.oneOf("r.minion_id", ids)
	c.add("r.unclean > 0")
	c.between("r.stamp", f.Since, f.Until)
	if after != nil {
		c.add("r.stamp <= ?", after.Numbers[0])
	}
	c.named(f)
	parts, err := parts(q, f.Since, f.Until, after)
	queries := make([]query, len(parts))
	for i, p := range parts {
		of := c
		of.terms, of.args = slices.Clone(c.terms), slices.Clone(c.args)
		of.in(p, "r.stamp", "r.job_id")
		of.in(p, "sr.stamp", "sr.job_id")
		first := c.dialect.FirstJoin
		queries[i] = query{changeColumns + ` FROM returns r ` + first + ` state_results sr ON sr.job_id = r.job_id AND sr.minion_id = r.minion_id ` + first + changeTables + of.where() +
			` ORDER BY r.stamp DESC, r.job_id DESC, r.minion_id DESC, sr.place DESC LIMIT ?`, of.args, true}
	}
	return queries, err
}

func scanChange(row Scanner) (storedChange, error) {
	c := storedChange{at: make([]int64, 4)}
	err := row.Scan(&c.Master, &c.Minion, &c.JID, &c.Key, &c.Function, &c.ID, &c.Name, &c.SLS, &c.User, &c.RunID, &c.at[0], &c.at[1], &c.at[2], &c.at[3])
	c.Stamp = TimeOf(c.at[0])
	return c, err
}
