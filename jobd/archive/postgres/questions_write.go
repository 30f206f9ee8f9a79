package postgres

import (
	"maps"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// openJobs notes which jobs wait for minions. Those of a master are changed by its own batches only, one after the other.
func (w *batchWriter) openJobs() error {
	came := map[int64]int64{}
	for i := range w.batch.returns {
		if r := &w.batch.returns[i]; !slices.Contains(w.asked, r.job) {
			came[r.job]++
		}
	}
	asked := w.asked
	ids := slices.Collect(maps.Keys(came))
	counts := make([]int64, len(ids))
	for i, id := range ids {
		counts[i] = came[id]
	}
	if len(ids) > 0 {
		err := w.Each(`UPDATE open_jobs o SET missing = o.missing - d.n FROM unnest($1::bigint[], $2::bigint[]) d(id, n) WHERE o.job_id = d.id RETURNING o.job_id, o.missing`,
			func(row tables.Scanner) error {
				var id, missing int64
				err := row.Scan(&id, &missing)
				if missing <= 0 {
					asked = append(asked, id)
				}
				return err
			}, ids, counts)
		if err != nil {
			return err
		}
	}
	for _, id := range asked {
		if err := w.Exec(`DELETE FROM open_jobs WHERE job_id = $1`, id); err != nil {
			return err
		}
		if err := w.Exec(tables.OpenJob, id); err != nil {
			return err
		}
	}
	return nil
}

// durations adds how long the state runs of the batch took. Each row is one master's.
func (w *batchWriter) durations() error {
	var d tables.Durations
	for i := range w.batch.returns {
		r := &w.batch.returns[i]
		d.Add(r.Return, r.minion, func(k int) int64 { return w.state(&r.States[k]) })
	}
	if err := w.runDurations(d.Runs); err != nil {
		return err
	}
	return w.slowStates(d.Slow)
}

func (w *batchWriter) runDurations(runs map[tables.RunsOfDay]tables.Took) error {
	if len(runs) == 0 {
		return nil
	}
	var applied []string
	var tests []bool
	var days, buckets, counts, totals, slowest []int64
	for at, d := range runs {
		applied, tests, days, buckets = append(applied, written(at.Applied)), append(tests, at.Test), append(days, at.Day), append(buckets, at.Bucket)
		counts, totals, slowest = append(counts, d.Runs), append(totals, d.Total), append(slowest, d.Slowest)
	}
	return w.Exec(`INSERT INTO run_durations AS o (applied, test, day, master_id, bucket, runs, total, slowest)
		SELECT a, t, d, $1, b, n, s, m FROM unnest($2::text[], $3::boolean[], $4::bigint[], $5::integer[], $6::bigint[], $7::bigint[], $8::bigint[]) g(a, t, d, b, n, s, m)
		ON CONFLICT (applied, test, day, master_id, bucket) DO UPDATE SET runs = o.runs + excluded.runs, total = least(o.total + excluded.total, $9),
			slowest = greatest(o.slowest, excluded.slowest)`, w.master, applied, tests, days, buckets, counts, totals, slowest, tables.HugeTotal)
}

func (w *batchWriter) slowStates(slow map[tables.SlowOfDay]tables.SlowTook) error {
	if len(slow) == 0 {
		return nil
	}
	var jids []string
	var states, days, counts, totals, slowest, minions []int64
	for at, d := range slow {
		states, days, minions, jids = append(states, at.State), append(days, at.Day), append(minions, d.Minion), append(jids, written(d.JID))
		counts, totals, slowest = append(counts, d.Runs), append(totals, d.Total), append(slowest, d.Slowest)
	}
	return w.Exec(`INSERT INTO slow_states AS o (state_id, master_id, day, runs, total, slowest, minion_id, jid)
		SELECT i, $1, d, n, t, s, m, j FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[]) g(i, d, n, t, s, m, j)
		ON CONFLICT (state_id, master_id, day) DO UPDATE SET runs = o.runs + excluded.runs, total = least(o.total + excluded.total, $9),
			slowest = greatest(o.slowest, excluded.slowest),
			minion_id = CASE WHEN excluded.slowest > o.slowest THEN excluded.minion_id ELSE o.minion_id END,
			jid = CASE WHEN excluded.slowest > o.slowest THEN excluded.jid ELSE o.jid END`, w.master, states, days, counts, totals, slowest, minions, jids, tables.HugeTotal)
}
