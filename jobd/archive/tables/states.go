package tables

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// FunctionOf is a state's function as people write it: file.managed.
func FunctionOf(s *gaea.StateResult) string {
	if s.Module == "" {
		return s.Function
	}
	return s.Module + "." + s.Function
}

// stateColumns are what a state is read by, with states as s.
const stateColumns = `s.state, s.function, s.declared, s.name, s.sls`

// named adds what the filter says of the state s. Here it is only looked at: what is listed is found by something else.
func (c *conditions) named(f gaea.StateFilter) {
	if f.State != "" {
		c.add("(s.name = ? OR s.declared = ?)", f.State, f.State)
	}
	if f.SLS != "" {
		c.add(c.dialect.Unindexed+"s.sls = ?", f.SLS)
	}
	if f.Function != "" {
		c.add("s.function = ?", f.Function)
	}
}

// statesNamed are the numbers of the states that a filter names by State or SLS, in order.
func statesNamed(q Query, f gaea.StateFilter) ([]any, error) {
	rest := conditions{dialect: q.Dialect()}
	if f.Function != "" {
		rest.add("s.function = ?", f.Function)
	}
	if f.State == "" {
		rest.equal("s.sls", f.SLS)
		return idsOf(q, `SELECT s.id FROM states s`+rest.where()+` ORDER BY s.id`, rest.args...)
	}
	if f.SLS != "" {
		rest.add(rest.dialect.Unindexed+"s.sls = ?", f.SLS)
	}
	name, declared := rest, rest
	name.terms, name.args = append([]string(nil), rest.terms...), append([]any(nil), rest.args...)
	name.equal("s.name", f.State)
	declared.terms, declared.args = append([]string(nil), rest.terms...), append([]any(nil), rest.args...)
	declared.equal("s.declared", f.State)
	declared.add("s.declared <> s.name")
	return idsOf(q, `SELECT s.id FROM states s`+name.where()+` UNION SELECT s.id FROM states s`+declared.where()+` ORDER BY 1`, append(name.args, declared.args...)...)
}

// States implements [archive.Store].
func (s *Store) States(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.LatestState], error) {
	after, limit, err := archive.ParsePage(p, "states", 2, 0)
	if err != nil {
		return gaea.Page[gaea.LatestState]{}, err
	}
	if _, err := OutcomeCode(f.Outcome); err != nil {
		return gaea.Page[gaea.LatestState]{}, err
	}
	page := pager[gaea.LatestState]{list: "states", limit: limit}
	err = s.db.Read(ctx, func(q Query) error {
		list := func(c *conditions, tables, order string) error {
			return q.Each(latestQuery(c, tables, order), func(row Scanner) error { return addLatest(&page, row) }, append(c.args, limit+1-len(page.items))...)
		}
		if f.State == "" || f.Minion != "" || unclean(f) {
			c, tables, order, err := latestConditions(q, f, after)
			if err == nil {
				err = list(&c, tables, order)
			}
			return err
		}
		ids, err := statesNamed(q, f)
		for _, id := range ids {
			if err != nil || page.more {
				return err
			}
			c := latestFilter(q, f)
			switch {
			case after != nil && id.(int64) < after.Numbers[1]: //nolint:errcheck // idsOf reads int64
				continue
			case after != nil && id == after.Numbers[1]:
				c.add("l.minion_id > ?", after.Numbers[0])
			}
			c.add("l.state_id = ?", id)
			err = list(&c, latestByMinion(q), "l.minion_id")
		}
		return err
	})
	return page.done(err)
}

// unclean says whether the filter wants an outcome that few states have, for which there is an index.
func unclean(f gaea.StateFilter) bool { return f.Outcome != "" && f.Outcome != gaea.OutcomeInSync }

const (
	latestRest = ` minions m ON m.id = l.minion_id JOIN masters ma ON ma.id = m.master_id JOIN jobs j ON j.id = l.job_id`
)

func latestByMinion(q Query) string {
	return ` FROM state_latest l ` + q.Dialect().FirstJoin + ` states s ON s.id = l.state_id JOIN` + latestRest
}

func latestFilter(q Query, f gaea.StateFilter) conditions {
	c := conditions{dialect: q.Dialect()}
	c.ofMaster("m.master_id", f.Master)
	c.between("l.stamp", f.Since, f.Until)
	if code, err := OutcomeCode(f.Outcome); err == nil && f.Outcome != "" {
		c.add("l.outcome = ?", code)
		if unclean(f) {
			c.add("l.outcome <> 3") // what state_latest_unclean has
		}
	}
	return c
}

// latestConditions says how the latest results are listed that a filter chooses: by minion, or where it names an SLS file and
// nothing that has an index by minion, by state.
func latestConditions(q Query, f gaea.StateFilter, after *archive.Cursor) (c conditions, tables, order string, err error) {
	c = latestFilter(q, f)
	if f.SLS != "" && f.Minion == "" && !unclean(f) {
		c.equal("s.sls", f.SLS)
		if f.Function != "" {
			c.add("s.function = ?", f.Function)
		}
		if after != nil {
			c.add("s.id >= ?", after.Numbers[1])
			c.add("(s.id > ? OR l.minion_id > ?)", after.Numbers[1], after.Numbers[0])
		}
		return c, ` FROM states s ` + c.dialect.FirstJoin + ` state_latest l ON l.state_id = s.id ` + c.dialect.FirstJoin + latestRest, "s.id, l.minion_id", nil
	}
	c.named(f)
	if after != nil {
		c.add("(l.minion_id, l.state_id) > (?, ?)", after.Numbers[0], after.Numbers[1])
	}
	if f.Minion != "" {
		ids, err := minionIDs(q, f.Master, f.Minion)
		if err != nil {
			return c, "", "", err
		}
		c.oneOf("l.minion_id", ids)
	}
	return c, latestByMinion(q), "l.minion_id, l.state_id", nil
}

func latestQuery(c *conditions, tables, order string) string {
	return `SELECT ma.name, m.name, ` + stateColumns + `, l.outcome, l.test, l.duration, j.jid, l.stamp, l.minion_id, l.state_id` + tables + c.where() +
		` ORDER BY ` + order + ` LIMIT ?`
}

func addLatest(page *pager[gaea.LatestState], row Scanner) error {
	var st gaea.LatestState
	var outcome, stamp, minion, state int64
	var took *int64
	err := row.Scan(&st.Master, &st.Minion, &st.Key, &st.Function, &st.ID, &st.Name, &st.SLS, &outcome, &st.Test, &took, &st.JID, &stamp, &minion, &state)
	st.Outcome, st.Stamp, st.Duration = OutcomeOf(outcome), TimeOf(stamp), millisOrNone(took)
	page.add(st, archive.Cursor{Numbers: []int64{minion, state}})
	return err
}
