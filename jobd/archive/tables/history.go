package tables

import (
	"context"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// storedItem is a job on a minion with its place in the order of its history.
type storedItem struct {
	gaea.HistoryItem
	at []int64
}

// historyColumns are those that what returned and what did not have in common.
const historyColumns = `ma.name, j.jid, m.name, c.function, coalesce(c.args, ''), c.test, j."user", j.origin, j.run_id, j.started`

// History implements [archive.Store].
func (s *Store) History(ctx context.Context, f gaea.HistoryFilter, p gaea.PageRequest) (gaea.Page[gaea.HistoryItem], error) {
	after, limit, err := archive.ParsePage(p, "history", 3, 0)
	if err == nil && f.Minion == "" {
		err = gaea.Invalid("minion", "say whose history")
	}
	if err == nil {
		_, err = OutcomeCode(f.Outcome)
	}
	if err != nil {
		return gaea.Page[gaea.HistoryItem]{}, err
	}
	page := pager[gaea.HistoryItem]{list: "history", limit: limit}
	err = s.db.Read(ctx, func(q Query) error {
		minions, err := minionIDs(q, f.Master, f.Minion)
		if err != nil || len(minions) == 0 {
			return err
		}
		list, err := returned(q, f, minions, after, limit+1)
		if err == nil && !f.Outcome.Heard() {
			silent := f
			if len(list) > limit { // what is older has no place on the page
				silent.Since = TimeOf(list[limit].at[0])
			}
			var others []storedItem
			others, err = notReturned(q, silent, minions, after, limit+1)
			list = append(list, others...)
		}
		slices.SortFunc(list, func(a, b storedItem) int { return slices.Compare(b.at, a.at) })
		for i := range list {
			page.add(list[i].HistoryItem, archive.Cursor{Numbers: list[i].at})
		}
		return err
	})
	return page.done(err)
}

// returned reads what a minion returned last, so many at most.
func returned(q Query, f gaea.HistoryFilter, minions []any, after *archive.Cursor, limit int) (list []storedItem, err error) {
	parts, err := parts(q, f.Since, f.Until, after)
	for _, p := range parts {
		if err != nil || len(list) == limit {
			break
		}
		text, args := returnedQuery(q, f, p, minions, after)
		err = q.Each(text, func(row Scanner) error {
			i, err := scanReturned(row)
			list = append(list, i)
			return err
		}, append(args, limit-len(list))...)
	}
	return list, err
}

// returnedQuery is about what a minion returned in a part of the time.
func returnedQuery(q Query, f gaea.HistoryFilter, p part, minions []any, after *archive.Cursor) (string, []any) {
	c := conditions{dialect: q.Dialect()}
	c.oneOf("r.minion_id", minions)
	c.between("r.stamp", f.Since, f.Until)
	c.prefixed("c.function", f.Function)
	if code, err := OutcomeCode(f.Outcome); err == nil && f.Outcome != "" {
		c.add(c.dialect.Unindexed+"r.outcome = ?", code)
	}
	c.in(p, "r.stamp", "r.job_id")
	c.after(after, "r.stamp", "r.job_id", "r.minion_id")
	return `SELECT ` + historyColumns + `, r.outcome, r.retcode, coalesce(r.message, ''), r.states, r.unclean, r.duration, r.stamp, r.job_id, r.minion_id
		FROM returns r ` + c.dialect.FirstJoin + ` jobs j ON j.id = r.job_id JOIN minions m ON m.id = r.minion_id JOIN masters ma ON ma.id = j.master_id
		JOIN calls c ON c.id = r.call_id` + c.where() + ` ORDER BY r.stamp DESC, r.job_id DESC, r.minion_id DESC LIMIT ?`, c.args
}

func scanReturned(row Scanner) (storedItem, error) {
	i := storedItem{at: make([]int64, 3)}
	var outcome, origin, started int64
	var took *int64
	err := row.Scan(append(i.into(&origin, &started), &outcome, &i.Retcode, &i.Message, &i.States, &i.Unclean, &took, &i.at[0], &i.at[1], &i.at[2])...)
	i.Outcome, i.Origin, i.Started, i.Duration, i.Stamp = OutcomeOf(outcome), OriginOf(origin), TimeOf(started), millisOrNone(took), TimeOf(i.at[0])
	return i, err
}

// fewSilent is of how many jobs at once it is asked whether a minion has returned.
const fewSilent = 50

// notReturned reads the last jobs that expect a minion which has not returned, so many at most: of those that wait for anybody. It
// looks into the returns of a few jobs at a time, because a database that keeps them by the day then opens the days of those only.
func notReturned(q Query, f gaea.HistoryFilter, minions []any, after *archive.Cursor, limit int) (list []storedItem, err error) {
	for {
		var some []storedItem
		text, args := silentQuery(q, f, minions, after)
		err := q.Each(text, func(row Scanner) error {
			i, err := scanSilent(row)
			some = append(some, i)
			return err
		}, append(args, fewSilent)...)
		if err != nil || len(some) == 0 {
			return list, err
		}
		told, err := told(q, some, minions)
		if err != nil {
			return nil, err
		}
		for _, i := range some {
			if !told[[2]int64{i.at[1], i.at[2]}] && len(list) < limit {
				list = append(list, i)
			}
		}
		if len(some) < fewSilent || len(list) == limit {
			return list, nil
		}
		after = &archive.Cursor{Numbers: some[len(some)-1].at}
	}
}

// told says of which of up to fewSilent jobs there are returns, by job and minion.
func told(q Query, jobs []storedItem, minions []any) (map[[2]int64]bool, error) {
	ids := make([]any, fewSilent) // as many each time, so that the database knows the query
	for k := range ids {
		ids[k] = jobs[min(k, len(jobs)-1)].at[1]
	}
	c := conditions{dialect: q.Dialect()}
	c.oneOf("job_id", ids)
	c.oneOf("minion_id", minions)
	have := map[[2]int64]bool{}
	err := q.Each(`SELECT job_id, minion_id FROM returns`+c.where(), func(row Scanner) error {
		var at [2]int64
		err := row.Scan(&at[0], &at[1])
		have[at] = true
		return err
	}, c.args...)
	return have, err
}

// silentQuery is about jobs that expect a minion, and wait for it or for others.
func silentQuery(q Query, f gaea.HistoryFilter, minions []any, after *archive.Cursor) (string, []any) {
	c := conditions{dialect: q.Dialect()}
	c.oneOf("m.id", minions)
	c.between("o.started", f.Since, f.Until)
	c.prefixed("c.function", f.Function)
	if code, err := OutcomeCode(f.Outcome); err == nil && f.Outcome != "" {
		c.add("coalesce(u.outcome, 1) = ?", code)
	}
	c.after(after, "o.started", "o.job_id", "m.id")
	// The offset keeps PostgreSQL from joining it: each job is looked at, newest first, until there are enough.
	c.add(`EXISTS (SELECT 1 FROM job_minions jm JOIN minion_set_members s ON s.set_id = jm.set_id WHERE jm.job_id = o.job_id AND jm.role = 0 AND s.minion_id = m.id LIMIT 1 OFFSET 0)`)
	first := c.dialect.FirstJoin
	return `SELECT ` + historyColumns + `, coalesce(u.outcome, 1), u.retcode, coalesce(u.message, ''), o.started, o.job_id, m.id
		FROM open_jobs o ` + first + ` jobs j ON j.id = o.job_id ` + first + ` minions m ON m.master_id = j.master_id JOIN masters ma ON ma.id = j.master_id JOIN calls c ON c.id = j.call_id
		LEFT JOIN run_minions u ON u.run_id = j.run_id AND u.minion = m.name AND u.jid = j.jid` + c.where() + ` ORDER BY o.started DESC, o.job_id DESC, m.id DESC LIMIT ?`, c.args
}

func scanSilent(row Scanner) (storedItem, error) {
	i := storedItem{at: make([]int64, 3)}
	var outcome, origin, started int64
	err := row.Scan(append(i.into(&origin, &started), &outcome, &i.Retcode, &i.Message, &i.at[0], &i.at[1], &i.at[2])...)
	i.Outcome, i.Origin, i.Started, i.Stamp = OutcomeOf(outcome), OriginOf(origin), TimeOf(started), TimeOf(i.at[0])
	return i, err
}

// into are the places for historyColumns.
func (i *storedItem) into(origin, started *int64) []any {
	return []any{&i.Master, &i.JID, &i.Minion, &i.Function, (*RawText)(&i.Args), &i.Test, &i.User, origin, &i.RunID, started}
}
