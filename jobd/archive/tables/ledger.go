package tables

import (
	"context"
	"strconv"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// heardOutcomes are the numbers of what minions themselves send, as a list for IN.
var heardOutcomes = func() string {
	var list []string
	for i, o := range outcomes {
		if o.Heard() {
			list = append(list, strconv.Itoa(i+1))
		}
	}
	return "(" + strings.Join(list, ", ") + ")"
}()

// expectedOf are the minions s.minion_id that the job j expects; missingOf says that one has not returned.
const expectedOf = ` job_minions jm JOIN minion_set_members s ON s.set_id = jm.set_id WHERE jm.job_id = j.id AND jm.role = 0`

var missingOf = ` AND NOT EXISTS (SELECT 1 FROM returns r WHERE r.job_id = j.id AND r.minion_id = s.minion_id AND r.outcome IN ` + heardOutcomes + `)`

// ledgerConditions are those of a filter for jobs.
func ledgerConditions(d *Dialect, f gaea.LedgerFilter) conditions {
	c := conditions{dialect: d}
	c.ofMaster("j.master_id", f.Master)
	c.between("j.started", f.Since, f.Until)
	if f.JID != "" {
		c.equal("j.jid", f.JID)
		c.add("j.master_id IN (SELECT id FROM masters)") // so that the index of master and jid serves
	}
	if f.Incomplete {
		c.add(`EXISTS (SELECT 1 FROM` + expectedOf + missingOf + `)`)
	}
	return c
}

func ledgerQuery(c *conditions) string {
	return `SELECT j.id, ma.name, j.jid, j.function, j.started, j.run_id,
			(SELECT count(DISTINCT s.minion_id) FROM` + expectedOf + `), (SELECT count(DISTINCT s.minion_id) FROM` + expectedOf + missingOf + `)
		FROM jobs j JOIN masters ma ON ma.id = j.master_id` + c.where() + ` ORDER BY j.started DESC, j.id DESC LIMIT ?`
}

// ledgerRow is a job of the ledger with its number.
type ledgerRow struct {
	gaea.JobLedger
	id int64
}

// Ledger implements [archive.Store].
func (s *Store) Ledger(ctx context.Context, f gaea.LedgerFilter, p gaea.PageRequest) (gaea.Page[gaea.JobLedger], error) {
	after, limit, err := archive.ParsePage(p, "ledger", 2, 0)
	if err != nil {
		return gaea.Page[gaea.JobLedger]{}, err
	}
	page := pager[gaea.JobLedger]{list: "ledger", limit: limit}
	err = s.db.Read(ctx, func(q Query) error {
		c := ledgerConditions(q.Dialect(), f)
		c.after(after, "j.started", "j.id")
		var jobs []ledgerRow
		err := q.Each(ledgerQuery(&c), func(row Scanner) error {
			var j ledgerRow
			var started int64
			err := row.Scan(&j.id, &j.Master, &j.JID, &j.Function, &started, &j.RunID, &j.Expected, &j.Missing)
			j.Started = TimeOf(started)
			jobs = append(jobs, j)
			return err
		}, append(c.args, limit+1)...)
		for i := range jobs {
			if err == nil && i < limit {
				err = jobs[i].fill(q)
			}
			page.add(jobs[i].JobLedger, archive.Cursor{Numbers: []int64{Micros(jobs[i].Started), jobs[i].id}})
		}
		return err
	})
	return page.done(err)
}

// fill counts a job's returns, and how its run settled those that are missing.
func (j *ledgerRow) fill(q Query) error {
	err := q.Each(`SELECT r.source, count(*) FROM returns r WHERE r.job_id = ?1 AND r.outcome IN `+heardOutcomes+` GROUP BY r.source`, func(row Scanner) error {
		return addSource(row, &j.Received, &j.Recovered)
	}, j.id)
	if err != nil || j.RunID == "" {
		return err
	}
	if err := q.Row(`SELECT count(*) FROM run_minions u WHERE u.run_id = ?1 AND u.jid = ?2 AND u.late`, j.RunID, j.JID).Scan(&j.Late); err != nil || j.Missing == 0 {
		return err
	}
	return q.Each(`SELECT u.outcome, count(*) FROM run_minions u WHERE u.run_id = ?1 AND u.jid = ?2 AND u.minion IN (SELECT m.name FROM jobs j, minions m
			WHERE j.id = ?3 AND m.id IN (SELECT s.minion_id FROM`+expectedOf+missingOf+`)) GROUP BY u.outcome`, func(row Scanner) error {
		var outcome int64
		var n int
		err := row.Scan(&outcome, &n)
		if o := OutcomeOf(outcome); err == nil && !o.Heard() { // heard, and not stored yet
			if j.Settled == nil {
				j.Settled = map[gaea.Outcome]int{}
			}
			j.Settled[o] += n
		}
		return err
	}, j.RunID, j.JID, j.id)
}

// addSource adds a source's number of returns.
func addSource(row Scanner, received, recovered *int) error {
	var source int64
	var n int
	err := row.Scan(&source, &n)
	if SourceOf(source) == gaea.SourceCache {
		*recovered += n
	} else {
		*received += n
	}
	return err
}

// LedgerTotals implements [archive.Store].
func (s *Store) LedgerTotals(ctx context.Context, f gaea.LedgerFilter) (gaea.LedgerTotals, error) {
	var t gaea.LedgerTotals
	err := s.db.Read(ctx, func(q Query) error {
		c := ledgerConditions(q.Dialect(), f)
		err := q.Row(`SELECT count(*), coalesce(sum(e.expected), 0), coalesce(sum(e.missing), 0), coalesce(sum(CASE WHEN e.missing > 0 THEN 1 ELSE 0 END), 0) FROM (
				SELECT (SELECT count(DISTINCT s.minion_id) FROM`+expectedOf+`) AS expected, (SELECT count(DISTINCT s.minion_id) FROM`+expectedOf+missingOf+`) AS missing
				FROM jobs j`+c.where()+`) e`, c.args...).Scan(&t.Jobs, &t.Expected, &t.Missing, &t.Incomplete)
		if err != nil {
			return err
		}
		return q.Each(`SELECT r.source, count(*) FROM jobs j JOIN returns r ON r.job_id = j.id`+andWhere(&c, `r.outcome IN `+heardOutcomes)+` GROUP BY r.source`,
			func(row Scanner) error { return addSource(row, &t.Received, &t.Recovered) }, c.args...)
	})
	return t, err
}

// andWhere is the WHERE clause with one condition more.
func andWhere(c *conditions, term string) string {
	if len(c.terms) == 0 {
		return " WHERE " + term
	}
	return c.where() + " AND " + term
}
