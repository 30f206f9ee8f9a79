package tables

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// RunDurations implements [archive.Store].
func (s *Store) RunDurations(ctx context.Context, f gaea.RunDurationFilter, p gaea.PageRequest) (gaea.Measured[gaea.RunDurations], error) {
	after, limit, err := archive.ParsePage(p, "run durations", 1, 0)
	if err == nil && f.Applied == "" {
		err = gaea.Invalid("applied", "say how long what took: %q, or the SLS files of a run with commas between", Highstate)
	}
	if err != nil {
		return gaea.Measured[gaea.RunDurations]{}, err
	}
	var m gaea.Measured[gaea.RunDurations]
	page := pager[gaea.RunDurations]{list: "run durations", limit: limit}
	err = s.db.Read(ctx, func(q Query) error {
		var err error
		if m.Since, err = measuredSince(q); err != nil {
			return err
		}
		text, args := durationDaysQuery(q, f, after)
		days, err := idsOf(q, text, append(args, limit+1)...)
		if err != nil || len(days) == 0 {
			return err
		}
		return addDays(q, &page, f, days[len(days)-1], days[0])
	})
	m.Page, err = page.done(err)
	return m, err
}

func ofRuns(q Query, f gaea.RunDurationFilter) conditions {
	c := conditions{dialect: q.Dialect()}
	c.add("d.applied = ?", f.Applied)
	c.add("d.test = ?", f.Test)
	c.ofMaster("d.master_id", f.Master)
	return c
}

// durationDaysQuery is about the days on which there were such runs, newest first.
func durationDaysQuery(q Query, f gaea.RunDurationFilter, after *archive.Cursor) (string, []any) {
	c := ofRuns(q, f)
	if !f.Since.IsZero() {
		c.add("d.day >= ?", DayOf(Micros(f.Since)))
	}
	if !f.Until.IsZero() {
		c.add("d.day <= ?", DayOf(Micros(f.Until)-1))
	}
	if after != nil {
		c.add("d.day < ?", after.Numbers[0])
	}
	return `SELECT d.day FROM run_durations d` + c.where() + ` GROUP BY d.day ORDER BY d.day DESC LIMIT ?`, c.args
}

// addDays adds the days of a span to a page.
func addDays(q Query, page *pager[gaea.RunDurations], f gaea.RunDurationFilter, from, to any) error {
	c := ofRuns(q, f)
	c.add("d.day >= ?", from)
	c.add("d.day <= ?", to)
	var of dayOfRuns
	err := q.Each(`SELECT d.day, d.bucket, d.runs, d.total, d.slowest FROM run_durations d`+c.where()+` ORDER BY d.day DESC, d.bucket`, func(row Scanner) error {
		var day, bucket int64
		var t Took
		if err := row.Scan(&day, &bucket, &t.Runs, &t.Total, &t.Slowest); err != nil {
			return err
		}
		if day != of.day {
			of.addTo(page)
			of = dayOfRuns{day: day}
		}
		of.buckets = append(of.buckets, [2]int64{bucket, t.Runs})
		of.Runs, of.Total, of.Slowest = of.Runs+t.Runs, min(of.Total+t.Total, HugeTotal), max(of.Slowest, t.Slowest)
		return nil
	}, c.args...)
	of.addTo(page)
	return err
}

// dayOfRuns are the runs of one day.
type dayOfRuns struct {
	day     int64
	buckets [][2]int64 // each bucket with how many runs are in it, ascending
	Took
}

func (d *dayOfRuns) addTo(page *pager[gaea.RunDurations]) {
	if d.Runs == 0 {
		return
	}
	page.add(gaea.RunDurations{
		Day: time.UnixMicro(d.day * microsADay).UTC().Format(time.DateOnly), Runs: int(d.Runs), Mean: millis(d.Total) / float64(d.Runs),
		Median: millis(d.quantile(50)), P95: millis(d.quantile(95)), Slowest: millis(d.Slowest),
	}, archive.Cursor{Numbers: []int64{d.day}})
}

// quantile is the end of the bucket that the percent-th of 100 runs falls into.
func (d *dayOfRuns) quantile(percent int64) int64 {
	want := (d.Runs*percent + 99) / 100
	for _, b := range d.buckets {
		if want -= b[1]; want <= 0 {
			return min(bucketEnd(b[0]), d.Slowest)
		}
	}
	return d.Slowest
}
