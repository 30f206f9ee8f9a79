package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// BenchmarkWriteBatch tells how many returns a second are archived, and BenchmarkRawInsert what a raw bulk insert into the same
// tables does with rows that are ready: the limit of the database. The share of it is what is left after decoding, hashing and
// looking up.
func BenchmarkWriteBatch(b *testing.B) {
	archivetest.BenchmarkWriteBatch(b, func() time.Duration { return cpuTime(b) }, func(b *testing.B) archive.Store { return open(b, b.TempDir()) })
}

// BenchmarkRawInsert writes the same rows as BenchmarkWriteBatch does when all bodies are fresh, but rows that are ready: no
// hashing, no looking up, no counting. It is the limit of the database with these tables.
func BenchmarkRawInsert(b *testing.B) {
	dir := b.TempDir()
	if err := open(b, dir).Close(); err != nil {
		b.Fatal(err)
	}
	raw := newRawWriter(b, dir+"/jobd.db")
	m := &archivetest.Batches{Fresh: true, Start: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	archivetest.BenchmarkBatches(b, m, func() time.Duration { return cpuTime(b) }, func() [][][]any { first := m.N; return raw.ready(m.Next(), first) }, raw.insert)
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

// rawWriter inserts rows that are ready.
type rawWriter struct {
	b     *testing.B
	conn  *sql.Conn
	stmts map[[2]int]*sql.Stmt // by table and rows
}

func newRawWriter(b *testing.B, path string) *rawWriter {
	b.Helper()
	db, err := sql.Open("sqlite", sqlite.WriterDSN(path, time.Second))
	if err != nil {
		b.Fatal(err)
	}
	conn, err := db.Conn(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(conn.Close(), db.Close()); err != nil {
			b.Error(err)
		}
	})
	w := &rawWriter{b: b, conn: conn, stmts: map[[2]int]*sql.Stmt{}}
	w.exec("INSERT INTO masters (id, name) VALUES (1, 'salt')")
	w.exec("INSERT INTO state_keys (id, master_id, state_key) VALUES (1, 1, 'key')")
	w.exec("INSERT INTO calls (id, digest, refs, function, run_id, test) VALUES (1, x'00', 1, 'state.apply', '', 0)")
	for i := range archivetest.BenchMinions {
		w.exec("INSERT INTO minions (id, master_id, name) VALUES (?, 1, ?)", i+1, archivetest.BenchMinion(i))
	}
	for i := range archivetest.BenchStates {
		w.exec("INSERT INTO states (id, state, sls) VALUES (?, ?, '')", i+1, strconv.Itoa(i))
	}
	for i := range 5000 {
		w.exec("INSERT INTO jobs (id, master_id, jid, known, source, started, head, call_id, function, run_id, target_type, target, user) VALUES (?, 1, ?, 1, 1, 1, '', 1, '', '', '', '', '')", i+1, strconv.Itoa(i))
	}
	return w
}

// rawRows are how many rows one statement inserts. It is what jobd does as well: with one row a statement the limit is lower.
const rawRows = 16

// rawTable is a table with what is inserted there.
type rawTable struct{ into, row, rest string }

var rawTables = [...]rawTable{
	{"contents (id, digest, refs)", "(?, ?, 1)", ""},
	{"content_bodies (content_id, body, holes, packed)", "(?, ?, ?, ?)", ""},
	{
		"returns (job_id, minion_id, stamp, outcome, source, call_id, content_id, retcode, success, states, unclean, cuts, packed_cuts, size, duration)",
		"(?, ?, ?, 3, 1, 1, ?, 0, 1, 3, 0, ?, ?, ?, ?)", "",
	},
	{
		"state_latest (minion_id, state_id, stamp, job_id, outcome, test, duration)", "(?, ?, ?, ?, 3, 0, ?)",
		" ON CONFLICT DO UPDATE SET stamp = excluded.stamp, job_id = excluded.job_id, duration = excluded.duration",
	},
	{
		"evidence (state_key_id, minion_id, stamp, jid, job_id)", "(1, ?, ?, ?, ?)",
		" ON CONFLICT DO UPDATE SET stamp = excluded.stamp, jid = excluded.jid, job_id = excluded.job_id",
	},
}

// insertion is a statement for so many rows of a table.
func (w *rawWriter) insertion(table, rows int) *sql.Stmt {
	w.b.Helper()
	key := [2]int{table, rows}
	if w.stmts[key] == nil {
		t := rawTables[table]
		stmt, err := w.conn.PrepareContext(w.b.Context(), "INSERT INTO "+t.into+" VALUES "+t.row+strings.Repeat(", "+t.row, rows-1)+t.rest)
		if err != nil {
			w.b.Fatal(err)
		}
		w.b.Cleanup(func() { stmt.Close() })
		w.stmts[key] = stmt
	}
	return w.stmts[key]
}

func (w *rawWriter) exec(text string, args ...any) {
	w.b.Helper()
	if _, err := w.conn.ExecContext(w.b.Context(), text, args...); err != nil {
		w.b.Fatal(err)
	}
}

// packedOr is a text as the store writes it: packed, or as it is.
func packedOr(b, packed []byte) (string, any) {
	if packed != nil {
		return "", packed
	}
	return string(b), nil
}

// ready makes rows of a batch, those of each table in the order of the returns.
func (w *rawWriter) ready(batch archive.Batch, first int) [][][]any {
	rows := make([][][]any, len(rawTables))
	var s content.Splitter
	for i := range batch.Returns {
		r := &batch.Returns[i]
		body := s.Split(r.Body)
		digest := body.Digest()
		n, job, minion, stamp := int64(first+i+1), int64((first+i)/archivetest.BenchMinions+1), int64((first+i)%archivetest.BenchMinions+1), r.Stamp.UnixMicro()
		rows[0] = append(rows[0], []any{n, digest[:]})
		same, packed := packedOr(body.Same, content.PackSame(body.Same))
		cuts, packedCuts := packedOr(body.Cuts, content.Pack(body.Cuts))
		rows[1] = append(rows[1], []any{n, same, slices.Clone(body.Holes), packed})
		rows[2] = append(rows[2], []any{job, minion, stamp, n, tables.Text(cuts), packedCuts, int64(len(r.Body)), tables.RunDuration(r)})
		for k := range archivetest.BenchStates {
			rows[3] = append(rows[3], []any{minion, int64(k + 1), stamp, job, tables.DurationOf(&r.States[k])})
		}
		rows[4] = append(rows[4], []any{minion, stamp, r.JID, job})
	}
	return rows
}

func (w *rawWriter) insert(rows [][][]any) {
	w.exec("BEGIN IMMEDIATE")
	for table := range rows {
		for some := range slices.Chunk(rows[table], rawRows) {
			args := slices.Concat(some...)
			if _, err := w.insertion(table, len(some)).ExecContext(context.Background(), args...); err != nil { //nolint:sqlclosecheck // it is kept, and closed with the benchmark
				w.b.Fatal(err)
			}
		}
	}
	w.exec("COMMIT")
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
