package tables

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// States implements [archive.Store].
func (s *Store) States(ctx context.Context, f archive.StateFilter, p gaea.PageRequest) (gaea.Page[archive.LatestState], error) {
	after, limit, err := archive.ParsePage(p, "states", 2, 0)
	if err != nil {
		return gaea.Page[archive.LatestState]{}, err
	}
	c := conditions{dialect: s.dialect}
	c.ofMaster("m.master_id", f.Master)
	if f.SLS != "" {
		c.equal("s.sls", f.SLS)
	}
	if f.Outcome != "" {
		code, err := OutcomeCode(f.Outcome)
		if err != nil {
			return gaea.Page[archive.LatestState]{}, err
		}
		c.add("l.outcome = ?", code)
		if f.Outcome != gaea.OutcomeInSync {
			c.add("l.outcome <> 3") // what state_latest_unclean has
		}
	}
	if after != nil {
		c.add("(l.minion_id, l.state_id) > (?, ?)", after.Numbers[0], after.Numbers[1])
	}
	page := pager[archive.LatestState]{list: "states", limit: limit}
	err = s.db.Read(ctx, func(q Query) error {
		if f.Minion != "" {
			ids, err := minionIDs(q, f.Master, f.Minion)
			if err != nil {
				return err
			}
			c.oneOf("l.minion_id", ids)
		}
		return q.Each(`SELECT ma.name, m.name, s.state, s.sls, l.outcome, l.test, j.jid, l.stamp, l.minion_id, l.state_id
			FROM state_latest l JOIN minions m ON m.id = l.minion_id JOIN masters ma ON ma.id = m.master_id
			JOIN states s ON s.id = l.state_id JOIN jobs j ON j.id = l.job_id`+c.where()+`
			ORDER BY l.minion_id, l.state_id LIMIT ?`, func(row Scanner) error {
			var st archive.LatestState
			var outcome, stamp, minion, state int64
			err := row.Scan(&st.Master, &st.Minion, &st.Key, &st.SLS, &outcome, &st.Test, &st.JID, &stamp, &minion, &state)
			st.Outcome, st.Stamp = OutcomeOf(outcome), TimeOf(stamp)
			page.add(st, archive.Cursor{Numbers: []int64{minion, state}})
			return err
		}, append(c.args, limit+1)...)
	})
	return page.done(err)
}
