package tables

import (
	"cmp"
	"context"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// failed is the number of the outcome of a state that failed, couldNotRun that of a return.
const (
	failed      = 6
	couldNotRun = 7
)

// failures are those of one kind on a minion.
type failures struct {
	minion, last int64 // last: when the last return came
	job          int64 // the last job, which mostly is that return's
	runs         int
}

// FailedMinions implements [archive.Store].
func (s *Store) FailedMinions(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.FailedMinion], error) {
	after, limit, err := archive.ParsePage(p, "failed minions", 1, 0)
	if err == nil && f.SLS == "" {
		err = gaea.Invalid("sls", "say which SLS file failed, for example nginx")
	}
	if err != nil {
		return gaea.Page[gaea.FailedMinion]{}, err
	}
	page := pager[gaea.FailedMinion]{list: "failed minions", limit: limit}
	err = s.db.Read(ctx, func(q Query) error {
		states, err := statesNamed(q, f)
		if err != nil {
			return err
		}
		failed, err := failedStates(q, f, states, after, limit)
		if err != nil {
			return err
		}
		calls, err := callsThatCouldNot(q, f)
		if err != nil {
			return err
		}
		words, err := couldNot(q, f, calls, after, limit)
		if err != nil {
			return err
		}
		for _, both := range joinFailures(failed, words) {
			if len(page.items) == limit {
				page.more = true
				break
			}
			m, err := describeFailure(q, both, states, calls)
			if err != nil {
				return err
			}
			page.add(m, archive.Cursor{Numbers: []int64{both[0].minion}})
		}
		return nil
	})
	return page.done(err)
}

// joinFailures puts together by minion what failed and what could not run: each pair has the later of the two first.
func joinFailures(failed, words []failures) [][2]failures {
	byMinion := map[int64][2]failures{}
	for _, f := range failed {
		byMinion[f.minion] = [2]failures{f}
	}
	for _, w := range words {
		f, ok := byMinion[w.minion]
		switch {
		case !ok:
			byMinion[w.minion] = [2]failures{w}
		case w.last > f[0].last:
			byMinion[w.minion] = [2]failures{w, f[0]}
		default:
			byMinion[w.minion] = [2]failures{f[0], w}
		}
	}
	list := make([][2]failures, 0, len(byMinion))
	for _, f := range byMinion {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b [2]failures) int { return cmp.Compare(a[0].minion, b[0].minion) })
	return list
}

// ofFailures reads minions with how many runs failed there, and when the last did.
func ofFailures(q Query, text string, args ...any) ([]failures, error) {
	var list []failures
	err := q.Each(text, func(row Scanner) error {
		var f failures
		err := row.Scan(&f.minion, &f.runs, &f.last, &f.job)
		list = append(list, f)
		return err
	}, args...)
	return list, err
}

// failedStates are the minions on which the states failed. Where those are many, the database may look at all that failed in that
// time instead.
func failedStates(q Query, f gaea.StateFilter, states []any, after *archive.Cursor, limit int) ([]failures, error) {
	if len(states) == 0 {
		return nil, nil
	}
	text, args, err := failedStatesQuery(q, f, states, after)
	if err != nil {
		return nil, err
	}
	return ofFailures(q, text, append(args, limit+1)...)
}

func failedStatesQuery(q Query, f gaea.StateFilter, states []any, after *archive.Cursor) (string, []any, error) {
	whole, err := span(q, f.Since, f.Until)
	if err != nil {
		return "", nil, err
	}
	c := conditions{dialect: q.Dialect()}
	c.in(whole, "sr.stamp", "sr.job_id")
	if len(states) <= fewStates {
		c.oneOf("sr.state_id", states)
		c.add("sr.outcome = ?", failed)
		c.between("sr.stamp", f.Since, f.Until)
	} else {
		c.add("sr.outcome = 6") // what PostgreSQL's state_results_failed has
		c.between("sr.stamp", f.Since, f.Until)
		of := conditions{dialect: c.dialect}
		of.equal("s.sls", f.SLS)
		of.named(gaea.StateFilter{State: f.State, Function: f.Function})
		c.add("sr.state_id IN (SELECT s.id FROM states s"+of.where()+")", of.args...)
	}
	if err := c.ofMinions(q, f, "sr.minion_id", after); err != nil {
		return "", nil, err
	}
	// A job that is forgotten may have rows until its day goes.
	return `SELECT sr.minion_id, count(DISTINCT sr.job_id), max(sr.stamp), max(sr.job_id) FROM state_results sr` + andWhere(&c, `EXISTS (SELECT 1 FROM jobs j WHERE j.id = sr.job_id)`) +
		` GROUP BY sr.minion_id ORDER BY sr.minion_id LIMIT ?`, c.args, nil
}

// ofMinions adds the filter's minion and master, and that a minion comes after the cursor's.
func (c *conditions) ofMinions(q Query, f gaea.StateFilter, column string, after *archive.Cursor) error {
	switch {
	case f.Minion != "":
		ids, err := minionIDs(q, f.Master, f.Minion)
		if err != nil {
			return err
		}
		c.oneOf(column, ids)
	case f.Master != "":
		c.add(column+" IN (SELECT m.id FROM minions m JOIN masters ma ON ma.id = m.master_id WHERE ma.name = ?)", f.Master)
	}
	if after != nil {
		c.add(column+" > ?", after.Numbers[0])
	}
	return nil
}

// callsThatCouldNot are the calls that named the SLS file and could not run, in that time.
func callsThatCouldNot(q Query, f gaea.StateFilter) ([]any, error) {
	if f.State != "" || f.Function != "" {
		return nil, nil // no state was reached
	}
	whole, err := span(q, f.Since, f.Until)
	if err != nil {
		return nil, err
	}
	c := conditions{dialect: q.Dialect()}
	c.add("r.outcome = ?", couldNotRun)
	c.between("r.stamp", f.Since, f.Until)
	c.in(whole, "r.stamp", "r.job_id")
	var calls []any
	err = q.Each(`SELECT c.id, c.function, coalesce(c.args, '') FROM calls c WHERE c.id IN (SELECT r.call_id FROM returns r`+c.where()+`)`, func(row Scanner) error {
		var id int64
		var function string
		var args RawText
		err := row.Scan(&id, &function, &args)
		if (function == "state.apply" || function == "state.sls") && slices.Contains(AppliedSLS([]byte(args)), f.SLS) {
			calls = append(calls, id)
		}
		return err
	}, c.args...)
	return calls, err
}

// couldNot are the minions on which the calls could not run.
func couldNot(q Query, f gaea.StateFilter, calls []any, after *archive.Cursor, limit int) ([]failures, error) {
	if len(calls) == 0 {
		return nil, nil
	}
	c := conditions{dialect: q.Dialect()}
	c.add("r.outcome = ?", couldNotRun)
	c.between("r.stamp", f.Since, f.Until)
	c.oneOf("r.call_id", calls)
	if err := c.ofMinions(q, f, "r.minion_id", after); err != nil {
		return nil, err
	}
	return ofFailures(q, `SELECT r.minion_id, count(DISTINCT r.job_id), max(r.stamp), max(r.job_id) FROM returns r`+andWhere(&c, `EXISTS (SELECT 1 FROM jobs j WHERE j.id = r.job_id)`)+
		` GROUP BY r.minion_id ORDER BY r.minion_id LIMIT ?`, append(c.args, limit+1)...)
}

// describeFailure reads the last failure of a minion: from its last job where that is it, which needs no look into other days.
func describeFailure(q Query, both [2]failures, states, calls []any) (gaea.FailedMinion, error) {
	m, err := failureOf(q, both, states, calls, ` AND r.job_id = ?`, both[0].job)
	if err == nil && m.JID == "" {
		m, err = failureOf(q, both, states, calls, "")
	}
	return m, err
}

// failureOf reads the last failure of a minion, with one condition more.
func failureOf(q Query, both [2]failures, states, calls []any, more string, args ...any) (gaea.FailedMinion, error) {
	m := gaea.FailedMinion{Runs: both[0].runs + both[1].runs, Stamp: TimeOf(both[0].last)}
	few := map[int64]bool{}
	for _, id := range states {
		few[id.(int64)] = true //nolint:errcheck // idsOf reads int64
	}
	var outcome int64
	err := q.Each(`SELECT ma.name, m.name, j.jid, r.outcome, coalesce(r.message, ''), coalesce(sr.state_id, 0), coalesce(s.function, ''), coalesce(s.declared, ''), coalesce(s.state, ''), r.call_id
		FROM returns r JOIN minions m ON m.id = r.minion_id JOIN masters ma ON ma.id = m.master_id JOIN jobs j ON j.id = r.job_id
		LEFT JOIN state_results sr ON sr.job_id = r.job_id AND sr.minion_id = r.minion_id AND sr.outcome = 6 LEFT JOIN states s ON s.id = sr.state_id
		WHERE r.minion_id = ? AND r.stamp = ?`+more+` ORDER BY r.job_id, sr.place`, func(row Scanner) error {
		var one gaea.FailedMinion
		var how, state, call int64
		var function, id, key string
		err := row.Scan(&one.Master, &one.Minion, &one.JID, &how, &one.Message, &state, &function, &id, &key, &call)
		if err != nil || !few[state] && (how != couldNotRun || !slices.Contains(calls, any(call))) || m.JID != "" && m.JID != one.JID {
			return err
		}
		m.Master, m.Minion, m.JID, m.Message, outcome = one.Master, one.Minion, one.JID, one.Message, how
		if state != 0 {
			outcome = failed
			m.States = append(m.States, function+" "+id)
			if function == "" {
				m.States[len(m.States)-1] = key
			}
		}
		return nil
	}, append([]any{both[0].minion, both[0].last}, args...)...)
	m.Outcome = OutcomeOf(outcome)
	return m, err
}
