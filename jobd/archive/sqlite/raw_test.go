package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

// rawTables are the tables that a store fills with returns, those first that others refer to. What is new in a table has more in
// the column grows than what was there; where there is none the table is small, and its rows are written anew.
var rawTables = [...]struct{ name, key, grows string }{
	{"masters", "id", ""},
	{"totals", "name", ""},
	{"minions", "id", "id"},
	{"states", "id", "id"},
	{"state_keys", "id", "id"},
	{"calls", "id", ""},
	{"minion_sets", "id", "id"},
	{"minion_set_members", "set_id, minion_id", "set_id"},
	{"jobs", "id", "id"},
	{"job_minions", "job_id, role, set_id", "job_id"},
	{"contents", "id", "id"},
	{"content_bodies", "content_id", "content_id"},
	{"returns", "job_id, minion_id", "stamp"},
	{"state_latest", "minion_id, state_id", "stamp"},
	{"evidence", "state_key_id, minion_id", "stamp"},
	{"run_durations", "applied, test, day, master_id, bucket", ""},
}

// changed says whether rows of the table may be there already.
func changed(table int) bool {
	t := rawTables[table]
	return t.grows == "" || t.grows == "stamp" && t.name != "returns"
}

// rawDatabase is a connection as a store's writer has it.
type rawDatabase struct {
	b       *testing.B
	conn    *sql.Conn
	columns [len(rawTables)][]string
}

func newRawDatabase(b *testing.B, path string) rawDatabase {
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
	d := rawDatabase{b: b, conn: conn}
	for i, t := range rawTables {
		for _, row := range d.rows("SELECT name FROM pragma_table_info(?)", t.name) {
			d.columns[i] = append(d.columns[i], fmt.Sprint(row[0]))
		}
	}
	return d
}

func (d *rawDatabase) rows(text string, args ...any) (list [][]any) {
	d.b.Helper()
	rows, err := d.conn.QueryContext(d.b.Context(), text, args...)
	if err != nil {
		d.b.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		d.b.Fatal(err)
	}
	for rows.Next() {
		row, places := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			places[i] = &row[i]
		}
		if err := rows.Scan(places...); err != nil {
			d.b.Fatal(err)
		}
		list = append(list, row)
	}
	if err := rows.Err(); err != nil {
		d.b.Fatal(err)
	}
	return list
}

func (d *rawDatabase) exec(text string, args ...any) {
	d.b.Helper()
	if _, err := d.conn.ExecContext(d.b.Context(), text, args...); err != nil {
		d.b.Fatal(err)
	}
}

// rawReader reads what a store writes.
type rawReader struct {
	rawDatabase
	read [len(rawTables)]int64 // up to where
}

func newRawReader(b *testing.B, path string) *rawReader {
	b.Helper()
	return &rawReader{rawDatabase: newRawDatabase(b, path)}
}

// news are the rows of each table that were not read yet.
func (r *rawReader) news() [][][]any {
	list := make([][][]any, len(rawTables))
	for i, t := range rawTables {
		if t.grows == "" {
			list[i] = r.rows("SELECT * FROM " + t.name)
			continue
		}
		list[i] = r.rows(fmt.Sprintf("SELECT * FROM %s WHERE %s > ? ORDER BY %s", t.name, t.grows, t.key), r.read[i])
		at := slices.Index(r.columns[i], t.grows)
		for _, row := range list[i] {
			n, ok := row[at].(int64)
			if !ok {
				r.b.Fatalf("%s.%s is %v, and no number", t.name, t.grows, row[at])
			}
			r.read[i] = max(r.read[i], n)
		}
	}
	return list
}

// rawWriter inserts rows that are ready, so many a statement.
type rawWriter struct {
	rawDatabase
	most  int
	stmts map[[2]int]*sql.Stmt // by table and rows
}

func newRawWriter(b *testing.B, path string, most int) *rawWriter {
	b.Helper()
	return &rawWriter{rawDatabase: newRawDatabase(b, path), most: most, stmts: map[[2]int]*sql.Stmt{}}
}

// insertion is a statement for so many rows of a table.
func (w *rawWriter) insertion(table, rows int) *sql.Stmt {
	w.b.Helper()
	key := [2]int{table, rows}
	if w.stmts[key] == nil {
		names := w.columns[table]
		row := "(?" + strings.Repeat(", ?", len(names)-1) + ")"
		text := "INSERT INTO " + rawTables[table].name + " (" + strings.Join(names, ", ") + ") VALUES " + row + strings.Repeat(", "+row, rows-1)
		if changed(table) {
			text += " ON CONFLICT DO UPDATE SET "
			for i, name := range names {
				if i > 0 {
					text += ", "
				}
				text += name + " = excluded." + name
			}
		}
		stmt, err := w.conn.PrepareContext(w.b.Context(), text)
		if err != nil {
			w.b.Fatal(err)
		}
		w.b.Cleanup(func() { stmt.Close() })
		w.stmts[key] = stmt
	}
	return w.stmts[key]
}

func (w *rawWriter) insert(rows [][][]any) {
	w.exec("BEGIN IMMEDIATE")
	var args []any
	for table := range rows {
		for some := range slices.Chunk(rows[table], w.most) {
			args = args[:0]
			for _, row := range some {
				args = append(args, row...)
			}
			if _, err := w.insertion(table, len(some)).ExecContext(context.Background(), args...); err != nil { //nolint:sqlclosecheck // it is kept, and closed with the benchmark
				w.b.Fatal(err)
			}
		}
	}
	w.exec("COMMIT")
}

// compare sees that every table has the rows of another database.
func (w *rawWriter) compare(path string) {
	w.b.Helper()
	w.exec("ATTACH ? AS other", path)
	for i, t := range rawTables {
		columns := strings.Join(w.columns[i], ", ")
		for _, pair := range [][2]string{{"main", "other"}, {"other", "main"}} {
			n := w.rows(fmt.Sprintf("SELECT count(*) FROM (SELECT %s FROM %s.%s EXCEPT SELECT %s FROM %s.%s)", columns, pair[0], t.name, columns, pair[1], t.name))
			if n[0][0] != int64(0) {
				w.b.Fatalf("%v rows of %s in %s are not in %s", n[0][0], t.name, pair[0], pair[1])
			}
		}
	}
	w.exec("DETACH other")
}
