package sqlite

import (
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// openJobs notes which jobs wait for minions.
func (w *batchWriter) openJobs() error {
	for id, n := range w.came {
		if w.asked[id] {
			continue
		}
		err := w.Each(`UPDATE open_jobs SET missing = missing - ? WHERE job_id = ? RETURNING missing`, func(row tables.Scanner) error {
			var missing int64
			err := row.Scan(&missing)
			if missing <= 0 {
				w.asked[id] = true
			}
			return err
		}, n, id)
		if err != nil {
			return err
		}
	}
	for id := range w.asked {
		if err := w.Exec(`DELETE FROM open_jobs WHERE job_id = ?`, id); err != nil {
			return err
		}
		if err := w.Exec(tables.OpenJob, id); err != nil {
			return err
		}
	}
	return nil
}

// writeDurations adds how long the state runs of the batch took.
func (w *batchWriter) writeDurations() error {
	for at, d := range w.durations.Runs {
		err := w.Exec(`INSERT INTO run_durations (applied, test, day, master_id, bucket, runs, total, slowest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
			ON CONFLICT DO UPDATE SET runs = runs + excluded.runs, total = min(total + excluded.total, ?9), slowest = max(slowest, excluded.slowest)`,
			at.Applied, at.Test, at.Day, w.master, at.Bucket, d.Runs, d.Total, d.Slowest, tables.HugeTotal)
		if err != nil {
			return err
		}
	}
	for at, d := range w.durations.Slow {
		err := w.Exec(`INSERT INTO slow_states (state_id, master_id, day, runs, total, slowest, minion_id, jid) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
			ON CONFLICT DO UPDATE SET runs = runs + excluded.runs, total = min(total + excluded.total, ?9), slowest = max(slowest, excluded.slowest),
				minion_id = CASE WHEN excluded.slowest > slowest THEN excluded.minion_id ELSE minion_id END,
				jid = CASE WHEN excluded.slowest > slowest THEN excluded.jid ELSE jid END`,
			at.State, w.master, at.Day, d.Runs, d.Total, d.Slowest, d.Minion, d.JID, tables.HugeTotal)
		if err != nil {
			return err
		}
	}
	return nil
}
