package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
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
	b      *testing.B
	conn   *sql.Conn
	tables []*sql.Stmt
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
	w := &rawWriter{b: b, conn: conn}
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
	for _, text := range []string{
		"INSERT INTO contents (id, digest, refs) VALUES (?, ?, 1)",
		"INSERT INTO content_bodies (content_id, body, holes, packed) VALUES (?, ?, ?, ?)",
		"INSERT INTO returns (job_id, minion_id, stamp, outcome, source, call_id, content_id, retcode, success, states, unclean, cuts, packed_cuts, size) VALUES (?, ?, ?, 3, 1, 1, ?, 0, 1, 3, 0, ?, ?, ?)",
		"INSERT INTO state_latest (minion_id, state_id, stamp, job_id, outcome, test) VALUES (?, ?, ?, ?, 3, 0) ON CONFLICT DO UPDATE SET stamp = excluded.stamp, job_id = excluded.job_id",
		"INSERT INTO evidence (state_key_id, minion_id, stamp, jid, job_id) VALUES (1, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET stamp = excluded.stamp, job_id = excluded.job_id",
	} {
		stmt, err := conn.PrepareContext(b.Context(), text)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { stmt.Close() })
		w.tables = append(w.tables, stmt)
	}
	return w
}

func (w *rawWriter) exec(text string, args ...any) {
	w.b.Helper()
	if _, err := w.conn.ExecContext(w.b.Context(), text, args...); err != nil {
		w.b.Fatal(err)
	}
}

// packedOr is a text as the store writes it: packed, or as it is.
func packedOr(b []byte) (plain []byte, packed any) {
	if p := content.Pack(b); p != nil {
		return nil, p
	}
	return b, nil
}

// ready makes rows of a batch, those of each table in the order of the returns.
func (w *rawWriter) ready(batch archive.Batch, first int) [][][]any {
	rows := make([][][]any, len(w.tables))
	var s content.Splitter
	for i := range batch.Returns {
		r := &batch.Returns[i]
		body := s.Split(r.Body)
		digest := body.Digest()
		n, job, minion, stamp := int64(first+i+1), int64((first+i)/archivetest.BenchMinions+1), int64((first+i)%archivetest.BenchMinions+1), r.Stamp.UnixMicro()
		rows[0] = append(rows[0], []any{n, digest[:]})
		same, packed := packedOr(body.Same)
		cuts, packedCuts := packedOr(body.Cuts)
		rows[1] = append(rows[1], []any{n, string(same), slices.Clone(body.Holes), packed})
		rows[2] = append(rows[2], []any{job, minion, stamp, n, tables.Text(cuts), packedCuts, int64(len(r.Body))})
		for k := range archivetest.BenchStates {
			rows[3] = append(rows[3], []any{minion, int64(k + 1), stamp, job})
		}
		rows[4] = append(rows[4], []any{minion, stamp, r.JID, job})
	}
	return rows
}

func (w *rawWriter) insert(rows [][][]any) {
	w.exec("BEGIN IMMEDIATE")
	for i, insert := range w.tables {
		for _, row := range rows[i] {
			if _, err := insert.ExecContext(context.Background(), row...); err != nil {
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
