package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// What grows by the day is kept by the day, in partitions that are made ahead, or when they are needed: an old job comes from
// the job cache after a gap. A day that is too far from now for that (a clock may be wrong) has none; what falls on it is in
// the partition for all others.
const (
	daysBack  = 400
	daysAhead = 2
)

const (
	microsADay = 24 * 60 * 60 * 1_000_000
	dayShift   = 40 // bits of a job's number below its day
)

// dayOf is the day of a time of the tables, in days since 1970; 0 for what is before.
func dayOf(micros int64) int64 { return max(micros, 0) / microsADay }

// wholeDay is the day of a time.
func wholeDay(t time.Time) int64 { return dayOf(t.UnixMicro()) }

// firstOf is what the numbers of a day's jobs begin with; dayIn is the day in a job's number.
func firstOf(day int64) int64 { return day << dayShift }
func dayIn(job int64) int64   { return job >> dayShift }

// partitioned are the tables with a partition for each day, and where a day begins in what they are parted by.
var partitioned = []struct {
	table string
	begin func(day int64) int64
}{
	{"returns", firstOf},
	{"state_results", firstOf},
	{"events", func(day int64) int64 { return day * microsADay }},
}

// partition is the name of a table's partition for a day.
func partition(table string, day int64) string {
	return table + "_" + time.UnixMicro(day*microsADay).UTC().Format("20060102")
}

// worthwhile are those of some days that get partitions. Tomorrow's come with today's, so that nobody waits at midnight.
func (s *Store) worthwhile(days map[int64]bool) (list []int64) {
	today := wholeDay(s.now())
	if days[today] {
		days[today+1] = true
	}
	for day := range days {
		if day > max(today-daysBack, 0) && day <= today+daysAhead {
			list = append(list, day)
		}
	}
	return list
}

// kept is the day under which the returns of a job are kept: its own where that has partitions, else 0.
func (s *Store) kept(day int64) int64 {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	if s.names.days[day] {
		return day
	}
	return 0
}

// makeDays makes the partitions of days that this process does not know to have them.
func (s *Store) makeDays(ctx context.Context, days []int64) error {
	for _, day := range days {
		if s.kept(day) == day {
			continue
		}
		for _, p := range partitioned {
			if err := s.makePartition(ctx, p.table, day, p.begin(day), p.begin(day+1)); err != nil {
				return err
			}
		}
		s.names.mu.Lock()
		s.names.days[day] = true
		s.names.mu.Unlock()
	}
	return nil
}

// makePartition makes one partition. It is attached: to be made as one it would lock out who reads the table.
func (s *Store) makePartition(ctx context.Context, table string, day, from, until int64) error {
	conn, tx, err := s.begin(ctx, pgx.TxOptions{})
	if err != nil {
		return err
	}
	defer conn.Release()
	if err = s.attach(ctx, tx, table, partition(table, day), from, until); err == nil {
		return tx.Commit(ctx)
	}
	rollBack(ctx, tx)
	return err
}

func (s *Store) attach(ctx context.Context, tx pgx.Tx, table, name string, from, until int64) error {
	if _, err := tx.Exec(ctx, lockAlone, s.locks.of("days", "")); err != nil {
		return err
	}
	var there bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = $1::text::regclass AND inhrelid = to_regclass($2))`, table, name).Scan(&there)
	if err != nil || there {
		return err
	}
	column := "job_id"
	if table == "events" {
		column = "stamp"
	}
	for _, text := range []string{
		`CREATE TABLE %[1]s (LIKE %[2]s INCLUDING DEFAULTS)`,
		`WITH moved AS (DELETE FROM %[2]s_other WHERE %[3]s >= %[4]d AND %[3]s < %[5]d RETURNING *) INSERT INTO %[1]s SELECT * FROM moved`,
		`ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES FROM (%[4]d) TO (%[5]d)`,
	} {
		if _, err := tx.Exec(ctx, fmt.Sprintf(text, name, table, column, from, until)); err != nil {
			return fmt.Errorf("partition %s: %w", name, err)
		}
	}
	return nil
}

// storedDays are the days for which a table has partitions, oldest first.
func storedDays(ctx context.Context, q interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, table string) ([]int64, error) {
	rows, err := q.Query(ctx, `SELECT DISTINCT right(c.relname, 8) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = $1::text::regclass AND c.relname ~ '_[0-9]{8}$' ORDER BY 1`, table)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	var days []int64
	for _, name := range names {
		t, failed := time.Parse("20060102", name)
		err = errors.Join(err, failed)
		days = append(days, wholeDay(t))
	}
	return days, err
}
