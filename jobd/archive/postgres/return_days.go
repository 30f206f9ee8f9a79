package postgres

import (
	"cmp"
	"slices"
)

// returnDay says that returns of jobs of a day came on a day.
type returnDay struct{ day, stamped int64 }

// returnDays notes on which days the returns of the batch came. There is something new once a day, and when a return comes late. In
// one order everywhere, so that no two transactions wait for each other.
func (w *batchWriter) returnDays() error {
	var news []returnDay
	for i := range w.batch.returns {
		r := &w.batch.returns[i]
		at := returnDay{r.day, dayOf(r.stamp)}
		if _, ok := w.knows.returnDays.get(at); !ok {
			w.knows.returnDays.learn(at, true)
			news = append(news, at)
		}
	}
	if len(news) == 0 {
		return nil
	}
	slices.SortFunc(news, func(a, b returnDay) int { return cmp.Or(cmp.Compare(a.stamped, b.stamped), cmp.Compare(a.day, b.day)) })
	days, stamped := make([]int64, len(news)), make([]int64, len(news))
	for i, at := range news {
		days[i], stamped[i] = at.day, at.stamped
	}
	return w.Exec(`INSERT INTO return_days (day, stamped) SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING`, days, stamped)
}

// movedReturns notes on which days the returns of a job came that was given another number.
func (p *pruner) movedReturns(job int64) error {
	return p.Exec(`INSERT INTO return_days (day, stamped) SELECT DISTINCT $2::bigint, greatest(stamp, 0) / $3::bigint FROM returns WHERE job_id = $1 ON CONFLICT DO NOTHING`,
		job, dayIn(job), microsADay)
}

// noReturns forgets days of old on which no return came of those that are left.
const noReturns = `DELETE FROM return_days WHERE (stamped, day) IN (SELECT d.stamped, d.day FROM return_days d WHERE d.stamped < ?1 AND NOT EXISTS (
	SELECT 1 FROM returns r WHERE r.job_id >= d.day << 40 AND r.job_id < (d.day + 1) << 40 AND r.stamp < (d.stamped + 1) * 86400000000
		AND (r.stamp >= d.stamped * 86400000000 OR d.stamped = 0)) LIMIT ?2)`
