package tables

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// slowState is what is told of a state over some days.
type slowState struct {
	state int64
	Took
	master, minion, jid string
}

// before says whether a state is listed before another: it took longer, or has the greater number.
func (s *slowState) before(slowest, state int64) bool {
	return cmp.Or(cmp.Compare(s.Slowest, slowest), cmp.Compare(s.state, state)) > 0
}

// SlowStates implements [archive.Store].
func (s *Store) SlowStates(ctx context.Context, f gaea.SlowStateFilter, p gaea.PageRequest) (gaea.Measured[gaea.SlowState], error) {
	after, limit, err := archive.ParsePage(p, "slow states", 2, 0)
	if err != nil {
		return gaea.Measured[gaea.SlowState]{}, err
	}
	var m gaea.Measured[gaea.SlowState]
	page := pager[gaea.SlowState]{list: "slow states", limit: limit}
	err = s.db.Read(ctx, func(q Query) error {
		var err error
		if m.Since, err = measuredSince(q); err != nil {
			return err
		}
		from, to, err := slowDays(q, f)
		if err != nil || from > to {
			return err
		}
		w := slowWindow{q: q, f: f, from: from, to: to}
		var list []slowState
		if f.SLS != "" {
			same, args := q.Dialect().equal("s.sls", f.SLS)
			list, err = w.read(` FROM states s `+q.Dialect().FirstJoin+` slow_states d ON d.state_id = s.id`, same, args)
		} else {
			list, err = w.slowest(after, limit+1)
		}
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(s slowState) bool {
			return after != nil && (s.before(after.Numbers[0], after.Numbers[1]) || s.Slowest == after.Numbers[0] && s.state == after.Numbers[1])
		})
		slices.SortFunc(list, func(a, b slowState) int {
			return cmp.Or(cmp.Compare(b.Slowest, a.Slowest), cmp.Compare(b.state, a.state))
		})
		return addSlow(q, &page, list[:min(len(list), limit+1)])
	})
	m.Page, err = page.done(err)
	return m, err
}

// measuredSince is since when durations are kept; zero where they always were.
func measuredSince(q Query) (t time.Time, err error) {
	var micros int64
	err = q.Row(`SELECT coalesce(max(stamp), 0) FROM durations_since`).Scan(&micros)
	return TimeOf(micros), err
}

// slowDays are the first and the last day of a filter that have anything.
func slowDays(q Query, f gaea.SlowStateFilter) (from, to int64, err error) {
	if err = q.Row(`SELECT coalesce((SELECT min(day) FROM slow_states), 1), coalesce((SELECT max(day) FROM slow_states), 0)`).Scan(&from, &to); err != nil {
		return 0, 0, err
	}
	if !f.Since.IsZero() {
		from = max(from, DayOf(Micros(f.Since)))
	}
	if !f.Until.IsZero() {
		to = min(to, DayOf(Micros(f.Until)-1))
	}
	return from, to, nil
}

// slowWindow is what is asked about some days.
type slowWindow struct {
	q        Query
	f        gaea.SlowStateFilter
	from, to int64
}

// read sums up states over the days.
func (w *slowWindow) read(tables, term string, args []any) ([]slowState, error) {
	c := conditions{dialect: w.q.Dialect()}
	c.add(term, args...)
	c.add("d.day >= ?", w.from)
	c.add("d.day <= ?", w.to)
	c.ofMaster("d.master_id", w.f.Master)
	found := map[int64]*slowState{}
	err := w.q.Each(`SELECT d.state_id, d.runs, d.total, d.slowest, d.jid, m.name, ma.name`+tables+
		` JOIN minions m ON m.id = d.minion_id JOIN masters ma ON ma.id = d.master_id`+c.where(), func(row Scanner) error {
		var one slowState
		if err := row.Scan(&one.state, &one.Runs, &one.Total, &one.Slowest, &one.jid, &one.minion, &one.master); err != nil {
			return err
		}
		s := found[one.state]
		if s == nil {
			found[one.state] = &one
			return nil
		}
		s.Runs, s.Total = s.Runs+one.Runs, min(s.Total+one.Total, HugeTotal)
		if one.Slowest > s.Slowest {
			s.Slowest, s.jid, s.minion, s.master = one.Slowest, one.jid, one.minion, one.master
		}
		return nil
	}, c.args...)
	list := make([]slowState, 0, len(found))
	for _, s := range found {
		list = append(list, *s)
	}
	return list, err
}

// slowest are states among which the n slowest after the cursor are. Each day has an index by duration; the n slowest of all
// days are among the n slowest of each. A state that an earlier page has shown, because it took longer on another day, is none.
func (w *slowWindow) slowest(after *archive.Cursor, n int) ([]slowState, error) {
	var all []slowState
	known := map[int64]bool{} // true: not shown before
	places := make([]*archive.Cursor, w.to-w.from+1)
	open := make([]int, len(places)) // how many each day still has to give
	for i := range places {
		places[i], open[i] = after, n
	}
	for {
		var ids []any
		days := make([][]int64, len(places))
		for i := range places {
			if open[i] <= 0 {
				continue
			}
			rows, err := w.ofDay(w.from+int64(i), places[i], n)
			if err != nil {
				return nil, err
			}
			if len(rows) < n {
				open[i] = 0
			}
			for _, row := range rows {
				days[i] = append(days[i], row[1])
				if _, ok := known[row[1]]; !ok {
					known[row[1]] = false
					ids = append(ids, row[1])
				}
			}
			if len(rows) > 0 {
				places[i] = &archive.Cursor{Numbers: rows[len(rows)-1]}
			}
		}
		if len(ids) > 0 {
			list, err := w.read(` FROM slow_states d`, "d.state_id IN ("+marks(len(ids))+")", ids)
			if err != nil {
				return nil, err
			}
			for i := range list {
				known[list[i].state] = after == nil || !list[i].before(after.Numbers[0], after.Numbers[1])
			}
			all = append(all, list...)
		}
		left := false
		for i := range places {
			for _, id := range days[i] {
				if known[id] {
					open[i]--
				}
			}
			left = left || open[i] > 0
		}
		if !left {
			return all, nil
		}
	}
}

// ofDay are the slowest states of a day after a place: each as its duration and its number.
func (w *slowWindow) ofDay(day int64, after *archive.Cursor, n int) ([][]int64, error) {
	text, args := slowOfDayQuery(w.q, w.f, day, after)
	var rows [][]int64
	err := w.q.Each(text, func(row Scanner) error {
		r := make([]int64, 2)
		err := row.Scan(&r[0], &r[1])
		rows = append(rows, r)
		return err
	}, append(args, n)...)
	return rows, err
}

func slowOfDayQuery(q Query, f gaea.SlowStateFilter, day int64, after *archive.Cursor) (string, []any) {
	c := conditions{dialect: q.Dialect()}
	c.add("d.day = ?", day)
	c.ofMaster("d.master_id", f.Master)
	c.after(after, "d.slowest", "d.state_id")
	return `SELECT d.slowest, d.state_id FROM slow_states d` + c.where() + ` ORDER BY d.slowest DESC, d.state_id DESC LIMIT ?`, c.args
}

// addSlow names the states of a page.
func addSlow(q Query, page *pager[gaea.SlowState], list []slowState) error {
	for _, s := range list {
		item := gaea.SlowState{
			Runs: int(s.Runs), Mean: millis(s.Total) / float64(s.Runs), Slowest: millis(s.Slowest), Master: s.master, Minion: s.minion, JID: s.jid,
		}
		err := q.Row(`SELECT `+stateColumns+` FROM states s WHERE s.id = ?`, s.state).Scan(&item.Key, &item.Function, &item.ID, &item.Name, &item.SLS)
		if err != nil {
			return err
		}
		page.add(item, archive.Cursor{Numbers: []int64{s.Slowest, s.state}})
	}
	return nil
}
