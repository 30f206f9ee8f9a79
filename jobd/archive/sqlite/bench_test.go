package sqlite_test

import (
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
)

// BenchmarkWriteBatch tells how many returns a second are archived.
func BenchmarkWriteBatch(b *testing.B) {
	archivetest.BenchmarkWriteBatch(b, func() time.Duration { return cpuTime(b) }, func(b *testing.B) archive.Store { return open(b, b.TempDir()) })
}

// BenchmarkRawInsert inserts the rows that a store has written of the same batches, into the same tables of a second database: the
// limit of the database. All rows of all tables that the store fills, with all their columns, in the order of their keys, in
// transactions of the same size on a connection with the same settings. What the store does beside that is not done again: to take
// apart, pack, hash, look up and count. By rows a statement: a database takes more at once, but not every program gives it that.
func BenchmarkRawInsert(b *testing.B) {
	for _, rows := range []int{1, 16} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) { benchmarkRawInsert(b, rows) })
	}
}

func benchmarkRawInsert(b *testing.B, rows int) {
	from, to := b.TempDir(), b.TempDir()
	store := open(b, from)
	source := newRawReader(b, from+"/jobd.db")
	if err := open(b, to).Close(); err != nil {
		b.Fatal(err)
	}
	raw := newRawWriter(b, to+"/jobd.db", rows)
	m := &archivetest.Batches{Fresh: true, Start: time.Now().Truncate(24 * time.Hour)}
	archivetest.BenchmarkBatches(b, m, func() time.Duration { return cpuTime(b) }, func() [][][]any {
		if err := store.WriteBatch(b.Context(), "salt", m.Next()); err != nil {
			b.Fatal(err)
		}
		return source.news()
	}, raw.insert)
	raw.compare(from + "/jobd.db")
}

// BenchmarkHighstates tells how many bytes an archived highstate takes.
func BenchmarkHighstates(b *testing.B) {
	archivetest.BenchmarkHighstates(b, func(b *testing.B) (archive.Store, func() int64) {
		s := open(b, b.TempDir())
		return s, func() int64 {
			n, err := s.UsedBytes(b.Context()) // the file without what is free in it, and with what the log has of it
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	})
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
