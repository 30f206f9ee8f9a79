package postgres_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
)

// durable is a new database on a server of its own, which forces to the disk what is committed.
func durable(b *testing.B) string {
	b.Helper()
	s, err := pglab.Start(b.Context(), pglab.Durable()...)
	check(b, err)
	b.Cleanup(func() { check(b, s.Stop()) })
	where, err := s.Database(b.Context())
	check(b, err)
	return where
}

// BenchmarkWriteBatch tells how many returns a second are archived. The server's time counts.
func BenchmarkWriteBatch(b *testing.B) {
	archivetest.BenchmarkWriteBatch(b, func() time.Duration { return cpuTime(b) }, func(b *testing.B) archive.Store { return open(b, durable(b)) })
}

// BenchmarkTwoReaders tells what returns cost that two jobds of one master archive, of which the second finds them there, and
// what a return takes on the disk.
func BenchmarkTwoReaders(b *testing.B) {
	for name, fresh := range map[string]bool{"fresh": true, "steady": false} {
		b.Run(name, func(b *testing.B) {
			where := durable(b)
			one, two := open(b, where), open(b, where)
			m := &archivetest.Batches{Fresh: fresh, Start: time.Now().Truncate(24 * time.Hour)}
			archivetest.BenchmarkBatches(b, m, func() time.Duration { return cpuTime(b) }, m.Next, func(batch archive.Batch) {
				check(b, one.WriteBatch(b.Context(), "salt", batch))
				check(b, two.WriteBatch(b.Context(), "salt", batch))
			})
			st, err := one.Stats(b.Context())
			check(b, err)
			b.ReportMetric(float64(st.Bytes)/float64(st.Returns), "B/return")
		})
	}
}

// BenchmarkRawInsert copies (COPY) the rows that a store has written of the same batches straight into the same tables of a second
// database: the limit of the database. All rows of all tables that the store fills, with all their columns, in the order of their
// keys, in transactions of the same size. Rows that may be there already, which cannot be copied, are inserted or changed by one
// statement a table. What the store does beside that is not done again: to take apart, pack, hash, look up and count.
func BenchmarkRawInsert(b *testing.B) {
	from := durable(b)
	others := postmasters(b) // of what the store writes meanwhile
	to := durable(b)
	store := open(b, from)
	source := newRawReader(b, from)
	// With today's partitions, and nothing else.
	m := &archivetest.Batches{Fresh: true, Start: time.Now().Truncate(24 * time.Hour)}
	check(b, open(b, to).WriteBatch(b.Context(), "salt", m.Next()))
	raw := newRawWriter(b, to)
	m.N = 0
	archivetest.BenchmarkBatches(b, m, func() time.Duration { return cpuTime(b, others...) }, func() []rawRows {
		check(b, store.WriteBatch(b.Context(), "salt", m.Next()))
		return source.news()
	}, raw.insert)
	raw.compare(&source.rawDatabase)
}

// BenchmarkHighstates tells how many bytes an archived highstate takes, with indexes.
func BenchmarkHighstates(b *testing.B) {
	archivetest.BenchmarkHighstates(b, func(b *testing.B) (archive.Store, func() int64) {
		s := open(b, durable(b))
		return s, func() int64 {
			u, err := s.Usage(b.Context())
			check(b, err)
			return u.DiskBytes
		}
	})
}

// cpuTime is how long this process, and all of PostgreSQL's below it but for other servers, have had a core.
func cpuTime(tb testing.TB, others ...string) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	check(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	all := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	processes := servers(tb)
	me := strconv.Itoa(os.Getpid())
	for pid, p := range processes {
		server := pid
		if p.parent != me {
			server = p.parent
		}
		if processes[server].parent == me && !slices.Contains(others, server) {
			all += p.time
		}
	}
	return all
}

// postmasters are the servers that this process has started.
func postmasters(tb testing.TB) (list []string) {
	tb.Helper()
	me := strconv.Itoa(os.Getpid())
	for pid, p := range servers(tb) {
		if p.parent == me {
			list = append(list, pid)
		}
	}
	return list
}

// tick is the unit in which Linux tells the time of other processes.
const tick = 10 * time.Millisecond

// process is a process of a server.
type process struct {
	parent string
	time   time.Duration // that it has had a core
}

// servers are all processes named postgres by their numbers, as /proc tells them.
func servers(tb testing.TB) map[string]process {
	tb.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	check(tb, err)
	list := map[string]process{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		head, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if !strings.HasSuffix(head, "(postgres") || len(fields) < 13 {
			continue
		}
		pid, _, _ := strings.Cut(head, " ")
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		list[pid] = process{fields[1], time.Duration(user+system) * tick}
	}
	return list
}
