package postgres_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
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

// BenchmarkWriteBatch tells how many returns a second are archived, and BenchmarkRawInsert what a COPY into the same tables
// does with rows that are ready: the limit of the database. The server's time counts.
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

// BenchmarkRawInsert copies the same rows as BenchmarkWriteBatch stores when all bodies are fresh, but rows that are ready.
// What is changed and not added (how each state stood last, and evidence) cannot be copied and is merged from a temporary table.
func BenchmarkRawInsert(b *testing.B) {
	where := durable(b)
	check(b, open(b, where).WriteBatch(b.Context(), "salt", archive.Batch{Returns: archivetest.KillBatch(1).Returns[:1]})) // with today's partitions
	conn, err := pgx.Connect(b.Context(), where)
	check(b, err)
	defer func() { check(b, conn.Close(context.Background())) }()
	m := &archivetest.Batches{Fresh: true, Start: time.Now().Truncate(24 * time.Hour)}
	archivetest.BenchmarkBatches(b, m, func() time.Duration { return cpuTime(b) }, func() []rawTable { return ready(m) }, func(rows []rawTable) {
		check(b, pgx.BeginFunc(b.Context(), conn, func(tx pgx.Tx) error {
			for _, t := range rows {
				into := t.name
				if t.merge != "" {
					into = "raw_" + t.name
					if _, err := tx.Exec(b.Context(), `CREATE TEMP TABLE `+into+` (LIKE `+t.name+`) ON COMMIT DROP`); err != nil {
						return err
					}
				}
				if _, err := tx.CopyFrom(b.Context(), pgx.Identifier{into}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				if t.merge != "" {
					if _, err := tx.Exec(b.Context(), `INSERT INTO `+t.name+` SELECT * FROM `+into+t.merge); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	})
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

// rawTable is rows of a table, which are merged where they cannot be added.
type rawTable struct {
	name    string
	columns []string
	rows    [][]any
	merge   string
}

// packedOr is a text as the store writes it: packed, or as it is.
func packedOr(b, packed []byte) (plain, orPacked []byte) {
	if packed != nil {
		return []byte{}, packed
	}
	return slices.Clone(b), nil
}

func ready(m *archivetest.Batches) []rawTable {
	contents := rawTable{name: "contents", columns: []string{"digest", "last_day", "body", "holes", "packed"}}
	returns := rawTable{name: "returns", columns: []string{
		"job_id", "minion_id", "stamp", "outcome", "source", "call_id", "content_id", "retcode", "success", "states", "unclean", "cuts", "packed_cuts", "size",
	}}
	latest := rawTable{
		name: "state_latest", columns: []string{"minion_id", "state_id", "stamp", "job_id", "outcome", "test"},
		merge: ` ON CONFLICT (minion_id, state_id) DO UPDATE SET stamp = excluded.stamp, job_id = excluded.job_id`,
	}
	evidence := rawTable{
		name: "evidence", columns: []string{"state_key_id", "minion_id", "stamp", "jid", "job_id"},
		merge: ` ON CONFLICT (state_key_id, minion_id) DO UPDATE SET stamp = excluded.stamp, job_id = excluded.job_id`,
	}
	first := m.N
	var s content.Splitter
	for i, r := range m.Next().Returns {
		body := s.Split(r.Body)
		digest := body.Digest()
		job, minion := int64((first+i)/archivetest.BenchMinions)+m.Start.UnixMicro()/86_400_000_000<<40+1_000_000, int64((first+i)%archivetest.BenchMinions+1)
		stamp := r.Stamp.UnixMicro()
		same, packed := packedOr(body.Same, content.PackSame(body.Same))
		cuts, packedCuts := packedOr(body.Cuts, content.Pack(body.Cuts))
		contents.rows = append(contents.rows, []any{digest[:], int64(1), same, slices.Clone(body.Holes), packed})
		returns.rows = append(returns.rows, []any{job, minion, stamp, int64(3), int64(1), int64(1), int64(first + i), int64(0), true, int64(3), int64(0), cuts, packedCuts, int64(len(r.Body))})
		for k := range archivetest.BenchStates {
			latest.rows = append(latest.rows, []any{minion, int64(k + 1), stamp, job, int64(3), false})
		}
		evidence.rows = append(evidence.rows, []any{int64(1), minion, stamp, r.JID, job})
	}
	return []rawTable{contents, returns, latest, evidence}
}

// cpuTime is how long this process, and all of PostgreSQL's below it, have had a core.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	check(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano()+u.Stime.Nano()) + serverTime(tb)
}

// tick is the unit in which Linux tells the time of other processes.
const tick = 10 * time.Millisecond

// serverTime is the time of all processes named postgres that this one has started, as /proc tells it.
func serverTime(tb testing.TB) time.Duration {
	tb.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	check(tb, err)
	parents, times := map[string]string{}, map[string]time.Duration{}
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
		parents[pid], times[pid] = fields[1], time.Duration(user+system)*tick
	}
	me := strconv.Itoa(os.Getpid())
	var all time.Duration
	for pid, t := range times {
		if parents[pid] == me || parents[parents[pid]] == me {
			all += t
		}
	}
	return all
}
