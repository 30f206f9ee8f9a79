package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// archiveDays copies the first day of an archive to the days before it, inside the database: a store would need hours for
// millions of returns. Contents, names and the latest results are those of the first day.
type archiveDays struct {
	db       *sql.DB
	postgres bool
	day      time.Time // the first one, at midnight UTC
}

// openDays opens an archive by the name of its driver.
func openDays(driver, where string, day time.Time) (*archiveDays, error) {
	db, err := sql.Open(driver, where)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &archiveDays{db: db, postgres: driver == "pgx", day: day}, nil
}

// shifts are what differs in a day that is back days before the first: its place in time, and in the numbers of jobs.
func (a *archiveDays) shifts(back int) *strings.Replacer {
	const microsADay = 86_400_000_000
	first, date := a.day.UnixMicro()/microsADay, a.day.AddDate(0, 0, -back).Format("20060102")
	number, column, digest := fmt.Sprintf("j.id + %d * (SELECT max(id) FROM day_jobs)", back), "", ""
	if a.postgres {
		number = fmt.Sprintf("%d + (j.id & %d)", (first-int64(back))<<40+int64(back)*1_000_000, 1<<40-1)
		column, digest = ", digest", fmt.Sprintf(", sha256((j.jid || '%s')::bytea)", date)
	}
	return strings.NewReplacer("{number}", number, "{column}", column, "{digest}", digest,
		"{micros}", fmt.Sprint(int64(back)*microsADay), "{back}", fmt.Sprint(back), "{first}", fmt.Sprint(first), "{date}", date)
}

// copies are the statements that copy the first day; day_jobs are its jobs.
var copies = []string{
	`DROP TABLE IF EXISTS copied_jobs`,
	`CREATE TEMP TABLE copied_jobs AS SELECT j.id AS old, {number} AS new FROM day_jobs j`,
	`INSERT INTO jobs (id{column}, master_id, jid, known, source, started, head, call_id, function, run_id, target_type, target, "user", origin)
		SELECT c.new{digest}, j.master_id, '{date}' || substr(j.jid, 9), j.known, j.source, j.started - {micros}, j.head, j.call_id, j.function, j.run_id, j.target_type, j.target,
		j."user", j.origin FROM copied_jobs c JOIN jobs j ON j.id = c.old`,
	`INSERT INTO job_minions (job_id, role, set_id) SELECT c.new, m.role, m.set_id FROM copied_jobs c JOIN job_minions m ON m.job_id = c.old`,
	`INSERT INTO returns (job_id, minion_id, stamp, outcome, source, call_id, content_id, retcode, success, message, states, unclean, cuts, state_list, duration)
		SELECT c.new, r.minion_id, r.stamp - {micros}, r.outcome, r.source, r.call_id, r.content_id, r.retcode, r.success, r.message, r.states, r.unclean, r.cuts, r.state_list,
		r.duration FROM copied_jobs c JOIN returns r ON r.job_id = c.old`,
	`INSERT INTO state_results (job_id, minion_id, place, state_id, outcome, stamp)
		SELECT c.new, s.minion_id, s.place, s.state_id, s.outcome, s.stamp - {micros} FROM copied_jobs c JOIN state_results s ON s.job_id = c.old`,
	`INSERT INTO open_jobs (job_id, started, missing) SELECT c.new, o.started - {micros}, o.missing FROM copied_jobs c JOIN open_jobs o ON o.job_id = c.old`,
	`INSERT INTO slow_states (state_id, master_id, day, runs, total, slowest, minion_id, jid)
		SELECT state_id, master_id, day - {back}, runs, total, slowest, minion_id, '{date}' || substr(jid, 9) FROM slow_states WHERE day = {first}`,
	`INSERT INTO run_durations (applied, test, day, master_id, bucket, runs, total, slowest)
		SELECT applied, test, day - {back}, master_id, bucket, runs, total, slowest FROM run_durations WHERE day = {first}`,
}

// copyTo makes the days before the first one, so many, and has the database count what it has.
func (a *archiveDays) copyTo(ctx context.Context, days int) error {
	if _, err := a.db.ExecContext(ctx, `CREATE TEMP TABLE day_jobs (id bigint)`); err != nil {
		return err
	}
	if _, err := a.db.ExecContext(ctx, `INSERT INTO day_jobs SELECT id FROM jobs WHERE started >= $1`, a.day.UnixMicro()); err != nil {
		return err
	}
	for back := 1; back < days; back++ {
		shifts := a.shifts(back)
		tx, err := a.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for _, text := range copies {
			if _, err := tx.ExecContext(ctx, shifts.Replace(text)); err != nil {
				_ = tx.Rollback() // the error is what counts
				return fmt.Errorf("%s: %w", strings.SplitN(text, "\n", 2)[0], err)
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		if back%10 == 0 {
			say(fmt.Sprintf("%d of %d days", back, days))
		}
	}
	last := []string{`UPDATE masters SET jobs = (SELECT count(*) FROM jobs), returns = (SELECT count(*) FROM returns)`}
	if a.postgres {
		last = append(last, `INSERT INTO return_days (day, stamped) SELECT DISTINCT job_id >> 40, stamp / 86400000000 FROM returns ON CONFLICT DO NOTHING`,
			`VACUUM ANALYZE`) // as the server itself does in time
	}
	for _, text := range last {
		if _, err := a.db.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}
