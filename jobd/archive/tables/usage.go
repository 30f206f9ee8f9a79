package tables

import (
	"context"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Sizes is how large a database is.
type Sizes struct {
	Disk, Used int64
	// Kinds are the bytes of each kind; nil where they were not measured.
	Kinds map[string]int64
}

// kinds lists the kinds in the order in which they are shown.
var kinds = []string{gaea.KindJobs, gaea.KindReturns, gaea.KindContents, gaea.KindEvents, gaea.KindRuns, gaea.KindOther}

// tableKinds are the kinds of tables, by what their names begin with. The longer ones come first.
var tableKinds = []struct{ prefix, kind string }{
	{"run_", gaea.KindRuns}, {"runs", gaea.KindRuns}, {"returns", gaea.KindReturns}, {"state_results", gaea.KindReturns}, {"content", gaea.KindContents},
	{"events", gaea.KindEvents}, {"job_minions", gaea.KindJobs}, {"job_notes", gaea.KindJobs}, {"jobs", gaea.KindJobs}, {"minion_set", gaea.KindJobs}, {"calls", gaea.KindJobs},
}

// KindOf is the kind of what a table holds.
func KindOf(table string) string {
	for _, t := range tableKinds {
		if strings.HasPrefix(table, t.prefix) {
			return t.kind
		}
	}
	return gaea.KindOther
}

const (
	// growthOver is the time over which growth is told.
	growthOver = 7 * 24 * time.Hour
	// measuresKept is how long measures are kept.
	measuresKept = 31 * 24 * time.Hour
	// leastAge bounds the time by which growth is divided.
	leastAge = time.Hour
)

// measure is how much there was of a kind at a time.
type measure struct {
	at          time.Time
	rows, bytes int64
}

// usage is what is read for [Store.Usage] in one snapshot.
type usage struct {
	rows     map[string]int64
	oldest   map[string]time.Time
	raw      int64
	holds    int
	measures map[string][]measure // oldest first
	// lately are how many of the rows tell of a time in the last week, and since is the first of those times; nil and zero where there
	// is a measure to compare with.
	lately map[string]int64
	since  time.Time
}

// Usage implements [archive.Store].
func (s *Store) Usage(ctx context.Context) (gaea.ArchiveStats, error) {
	now := s.now()
	u, err := s.readUsage(ctx, now)
	if err != nil {
		return gaea.ArchiveStats{}, err
	}
	sizes, err := s.db.Sizes(ctx, len(u.measures) == 0)
	if err != nil {
		return gaea.ArchiveStats{}, err
	}
	out := gaea.ArchiveStats{Database: s.dialect.Name, DiskBytes: sizes.Disk, UsedBytes: sizes.Used, RawBytes: u.raw, Holds: u.holds, Measured: TimeOf(Micros(now))}
	var packed int64
	for _, kind := range kinds {
		k := gaea.KindStats{Kind: kind, Rows: u.rows[kind], Oldest: u.oldest[kind], Bytes: sizes.Kinds[kind]}
		history := u.measures[kind]
		if sizes.Kinds == nil && len(history) > 0 {
			last := history[len(history)-1]
			out.Measured, k.Bytes = last.at, carriedOn(last, k.Rows)
		}
		if from := compared(history, now); from != nil {
			k.RowsPerDay, k.BytesPerDay = perDay(float64(k.Rows-from.rows), float64(k.Bytes-from.bytes), now.Sub(from.at))
		} else {
			part := u.newPart(kind)
			k.RowsPerDay, k.BytesPerDay = perDay(float64(k.Rows)*part, float64(k.Bytes)*part, now.Sub(u.since))
		}
		if kind == gaea.KindReturns || kind == gaea.KindContents {
			packed += k.Bytes
		}
		out.Kinds = append(out.Kinds, k)
	}
	if packed > 0 && u.raw > 0 {
		out.Ratio = float64(u.raw) / float64(packed)
	}
	return out, nil
}

// carriedOn is how many bytes so many rows take if they are as large as when they were measured.
func carriedOn(last measure, rows int64) int64 {
	if last.rows == 0 || rows == 0 {
		return last.bytes
	}
	return int64(float64(last.bytes) / float64(last.rows) * float64(rows))
}

// compared is the oldest measure of the last week that is not too young to tell growth by; nil where there is none.
func compared(history []measure, now time.Time) *measure {
	for i := range history {
		if age := now.Sub(history[i].at); age <= growthOver && age >= leastAge {
			return &history[i]
		}
	}
	return nil
}

// newPart is how much of a kind is of the last week, where no measure tells it. By the times of what is stored: what was imported, or
// fetched from a job cache, is as old as it says, and no sign of what a day brings. What has no times grows as the returns, or all.
func (u *usage) newPart(kind string) float64 {
	switch kind {
	case gaea.KindContents:
		kind = gaea.KindReturns
	case gaea.KindOther:
		kind = ""
	}
	var lately, all int64
	for _, o := range oldestOf {
		if kind == "" || kind == o.kind {
			lately, all = lately+u.lately[o.kind], all+u.rows[o.kind]
		}
	}
	if all == 0 { // what empty tables take is no growth
		return 0
	}
	return min(float64(lately)/float64(all), 1)
}

// perDay divides by days, of which there are at most those of which growth is told.
func perDay(rows, bytes float64, over time.Duration) (rowsPerDay, bytesPerDay float64) {
	days := min(max(over, leastAge), growthOver).Hours() / 24
	return rows / days, bytes / days
}

func (s *Store) readUsage(ctx context.Context, now time.Time) (usage, error) {
	st, err := s.db.Stats(ctx)
	if err != nil {
		return usage{}, err
	}
	u := usage{
		rows:   map[string]int64{gaea.KindJobs: st.Jobs, gaea.KindReturns: st.Returns, gaea.KindContents: st.Contents, gaea.KindEvents: st.Events},
		oldest: map[string]time.Time{}, measures: map[string][]measure{},
	}
	err = s.db.Read(ctx, func(q Query) error {
		var runs, sized int64
		err := q.Row(`SELECT (SELECT count(*) FROM runs), CAST(coalesce(sum(raw), 0) AS bigint), CAST(coalesce(sum(sized), 0) AS bigint), (SELECT count(*) FROM holds WHERE released = 0)
			FROM masters`).Scan(&runs, &u.raw, &sized, &u.holds)
		if err != nil {
			return err
		}
		u.rows[gaea.KindRuns] = runs
		if sized > 0 && st.Returns > sized { // some are from before sizes were noted
			u.raw = int64(float64(u.raw) / float64(sized) * float64(st.Returns))
		}
		for _, o := range oldestOf {
			t, err := o.read(q, 0)
			if err != nil {
				return err
			}
			u.oldest[o.kind] = t
		}
		err = q.Each(`SELECT kind, at, rows, bytes FROM measures WHERE at >= ? ORDER BY at`, func(row Scanner) error {
			var kind string
			var m measure
			var at int64
			err := row.Scan(&kind, &at, &m.rows, &m.bytes)
			m.at = TimeOf(at)
			u.measures[kind] = append(u.measures[kind], m)
			return err
		}, Micros(now.Add(-measuresKept)))
		if err != nil || compared(u.measures[gaea.KindReturns], now) != nil {
			return err
		}
		return u.readLately(q, Micros(now.Add(-growthOver)))
	})
	return u, err
}

// readLately reads how much tells of a time that is not before another, and the first of those times.
func (u *usage) readLately(q Query, after int64) error {
	u.lately = map[string]int64{}
	for _, o := range oldestOf {
		var n int64
		if err := q.Row(`SELECT count(*) FROM `+o.table+` WHERE `+o.column+` >= ?`, after).Scan(&n); err != nil {
			return err
		}
		t, err := o.read(q, after)
		if err != nil {
			return err
		}
		if u.lately[o.kind] = n; u.since.IsZero() || !t.IsZero() && t.Before(u.since) {
			u.since = t
		}
	}
	return nil
}

// oldestOf are the kinds that have times, with the column by which each is pruned.
var oldestOf = []oldest{{gaea.KindJobs, "jobs", "started"}, {gaea.KindReturns, "returns", "stamp"}, {gaea.KindEvents, "events", "stamp"}, {gaea.KindRuns, "runs", "created"}}

type oldest struct{ kind, table, column string }

// read is the oldest time that is not before another; by the index of the column.
func (o oldest) read(q Query, after int64) (time.Time, error) {
	var at *int64
	err := q.Row(`SELECT min(`+o.column+`) FROM `+o.table+` WHERE `+o.column+` >= ? AND `+o.column+` > 0`, after).Scan(&at)
	if err != nil || at == nil {
		return time.Time{}, err
	}
	return TimeOf(*at), nil
}

// Oldest implements [archive.Store].
func (s *Store) Oldest(ctx context.Context, after time.Time) (time.Time, error) {
	var first time.Time
	err := s.db.Read(ctx, func(q Query) error {
		for _, o := range oldestOf {
			if o.kind == gaea.KindReturns { // they go with their jobs
				continue
			}
			t, err := o.read(q, Micros(after))
			if err != nil {
				return err
			}
			if first.IsZero() || !t.IsZero() && t.Before(first) {
				first = t
			}
		}
		return nil
	})
	return first, err
}

// Horizon implements [archive.Store].
func (s *Store) Horizon(ctx context.Context) (time.Time, error) {
	var until int64
	err := s.db.Read(ctx, func(q Query) error { return q.Row(`SELECT until FROM horizon`).Scan(&until) })
	return TimeOf(until), err
}

// Measure implements [archive.Store].
func (s *Store) Measure(ctx context.Context) error {
	now := s.now()
	u, err := s.readUsage(ctx, now)
	if err != nil {
		return err
	}
	sizes, err := s.db.Sizes(ctx, true)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx Tx) error {
		for _, kind := range kinds {
			err := tx.Exec(`INSERT INTO measures (kind, at, rows, bytes) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, kind, Micros(now), u.rows[kind], sizes.Kinds[kind])
			if err != nil {
				return err
			}
		}
		return tx.Exec(`DELETE FROM measures WHERE at < ?`, Micros(now.Add(-measuresKept)))
	})
}
