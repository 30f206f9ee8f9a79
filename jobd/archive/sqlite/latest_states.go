package sqlite

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// States implements [archive.Store].
func (s *Store) States(ctx context.Context, f archive.StateFilter, p gaea.PageRequest) (gaea.Page[archive.LatestState], error) {
	after, limit, err := archive.ParsePage(p, "states", 3, 0)
	if err != nil {
		return gaea.Page[archive.LatestState]{}, err
	}
	var c conditions
	if f.Master != "" {
		c.add("m.master_id = (SELECT id FROM masters WHERE name = ?)", f.Master)
	}
	if f.Minion != "" {
		c.add("l.minion_id IN (SELECT id FROM minions WHERE name = ?)", f.Minion)
	}
	if f.SLS != "" {
		c.add("s.sls = ?", f.SLS)
	}
	if f.Outcome != "" {
		code, err := outcomeCode(f.Outcome)
		if err != nil {
			return gaea.Page[archive.LatestState]{}, err
		}
		c.add("l.outcome = ?", code)
	}
	c.after(after, "l.stamp", "l.minion_id", "l.state_id")
	page := pager[archive.LatestState]{list: "states", limit: limit}
	err = s.read(ctx, func(q query) error {
		return q.each(`SELECT ma.name, m.name, s.state, s.sls, l.outcome, l.test, j.jid, l.stamp, l.minion_id, l.state_id
			FROM state_latest l JOIN minions m ON m.id = l.minion_id JOIN masters ma ON ma.id = m.master_id
			JOIN states s ON s.id = l.state_id JOIN jobs j ON j.id = l.job_id`+c.where()+`
			ORDER BY l.stamp DESC, l.minion_id DESC, l.state_id DESC LIMIT ?`, func(row scanner) error {
			var st archive.LatestState
			var outcome, stamp, minion, state int64
			err := row.Scan(&st.Master, &st.Minion, &st.Key, &st.SLS, &outcome, &st.Test, &st.JID, &stamp, &minion, &state)
			st.Outcome, st.Stamp = outcomeOf(outcome), timeOf(stamp)
			page.add(st, archive.Cursor{Numbers: []int64{stamp, minion, state}})
			return err
		}, append(c.args, limit+1)...)
	})
	return page.done(err)
}
