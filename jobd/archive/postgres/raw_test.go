package postgres_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// rawTables are the tables that a store fills with returns. What is new in a table has more in the column grows than what was
// there; where there is none the table is small, and its rows are written anew. Rows of those with a key in changed may be there
// already.
var rawTables = [...]struct{ name, order, grows, changed string }{
	{"masters", "id", "", "id"},
	{"minions", "id", "id", ""},
	{"states", "id", "id", ""},
	{"state_keys", "id", "id", ""},
	{"calls", "id", "", "id"},
	{"minion_sets", "id", "id", ""},
	{"minion_set_members", "set_id, minion_id", "set_id", ""},
	{"jobs", "id", "id", ""},
	{"job_minions", "job_id, role, set_id", "job_id", ""},
	{"contents", "id", "id", ""},
	{"return_days", "day, stamped", "", "day, stamped"},
	{"returns", "job_id, minion_id", "stamp", ""},
	{"state_latest", "minion_id, state_id", "stamp", "minion_id, state_id"},
	{"evidence", "state_key_id, minion_id", "stamp", "state_key_id, minion_id"},
	{"run_durations", "applied, test, day, master_id, bucket", "", "applied, test, day, master_id, bucket"},
}

// rawRows are rows of a table: one by one, or where they may be there already as lists of what is in each column.
type rawRows struct {
	rows    [][]any
	columns []any
}

// rawDatabase is a connection to a store's database.
type rawDatabase struct {
	b              *testing.B
	conn           *pgx.Conn
	columns, types [len(rawTables)][]string
}

func newRawDatabase(b *testing.B, where string) rawDatabase {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), where)
	check(b, err)
	b.Cleanup(func() { check(b, conn.Close(context.Background())) })
	d := rawDatabase{b: b, conn: conn}
	for i, t := range rawTables {
		for _, row := range d.rows(`SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, t.name) {
			d.columns[i], d.types[i] = append(d.columns[i], fmt.Sprint(row[0])), append(d.types[i], fmt.Sprint(row[1]))
		}
	}
	return d
}

func (d *rawDatabase) rows(text string, args ...any) (list [][]any) {
	d.b.Helper()
	rows, err := d.conn.Query(d.b.Context(), text, args...)
	check(d.b, err)
	list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	check(d.b, err)
	return list
}

// rawReader reads what a store writes.
type rawReader struct {
	rawDatabase
	read [len(rawTables)]int64 // up to where
}

func newRawReader(b *testing.B, where string) *rawReader {
	b.Helper()
	return &rawReader{rawDatabase: newRawDatabase(b, where)}
}

// news are the rows of each table that were not read yet.
func (r *rawReader) news() []rawRows {
	list := make([]rawRows, len(rawTables))
	for i, t := range rawTables {
		var rows [][]any
		if t.grows == "" {
			rows = r.rows(`SELECT * FROM ` + t.name)
		} else {
			rows = r.rows(fmt.Sprintf(`SELECT * FROM %s WHERE %s > $1 ORDER BY %s`, t.name, t.grows, t.order), r.read[i])
			at := slices.Index(r.columns[i], t.grows)
			for _, row := range rows {
				r.read[i] = max(r.read[i], reflect.ValueOf(row[at]).Int())
			}
		}
		if t.changed == "" || len(rows) == 0 {
			list[i].rows = rows
			continue
		}
		for c := range r.columns[i] {
			list[i].columns = append(list[i].columns, columnOf(rows, c))
		}
	}
	return list
}

// columnOf is a list of what rows have in a column, of its type; of pointers where some have nothing there.
func columnOf(rows [][]any, c int) any {
	var of reflect.Type
	missing := false
	for _, row := range rows {
		if row[c] == nil {
			missing = true
		} else {
			of = reflect.TypeOf(row[c])
		}
	}
	if of == nil {
		return make([]*string, len(rows))
	}
	item := of
	if missing && of.Kind() != reflect.Slice {
		item = reflect.PointerTo(of)
	}
	list := reflect.MakeSlice(reflect.SliceOf(item), len(rows), len(rows))
	for i, row := range rows {
		switch {
		case row[c] == nil:
		case item.Kind() == reflect.Pointer:
			p := reflect.New(of)
			p.Elem().Set(reflect.ValueOf(row[c]))
			list.Index(i).Set(p)
		default:
			list.Index(i).Set(reflect.ValueOf(row[c]))
		}
	}
	return list.Interface()
}

// rawWriter copies rows that are ready.
type rawWriter struct {
	rawDatabase
	change [len(rawTables)]string // what inserts or changes rows of a table
}

// newRawWriter empties a database but for its partitions.
func newRawWriter(b *testing.B, where string) *rawWriter {
	b.Helper()
	w := &rawWriter{rawDatabase: newRawDatabase(b, where)}
	for i, t := range rawTables {
		_, err := w.conn.Exec(b.Context(), `TRUNCATE `+t.name+` CASCADE`)
		check(b, err)
		if t.changed == "" {
			continue
		}
		key := strings.Split(t.changed, ", ")
		var names, places, changes []string
		for c, name := range w.columns[i] {
			names, places = append(names, name), append(places, fmt.Sprintf("$%d::%s[]", c+1, w.types[i][c]))
			if !slices.Contains(key, name) {
				changes = append(changes, name+` = excluded.`+name)
			}
		}
		do := `NOTHING`
		if len(changes) > 0 {
			do = `UPDATE SET ` + strings.Join(changes, ", ")
		}
		w.change[i] = fmt.Sprintf(`INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT * FROM unnest(%s) ON CONFLICT (%s) DO %s`,
			t.name, strings.Join(names, ", "), strings.Join(places, ", "), t.changed, do)
	}
	return w
}

func (w *rawWriter) insert(tables []rawRows) {
	check(w.b, pgx.BeginFunc(w.b.Context(), w.conn, func(tx pgx.Tx) error {
		for i, t := range rawTables {
			switch of := tables[i]; {
			case of.columns != nil:
				if _, err := tx.Exec(w.b.Context(), w.change[i], of.columns...); err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
			case len(of.rows) > 0:
				if _, err := tx.CopyFrom(w.b.Context(), pgx.Identifier{t.name}, w.columns[i], pgx.CopyFromRows(of.rows)); err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
			}
		}
		return nil
	}))
}

// compare sees that every table has the rows of another database.
func (w *rawWriter) compare(other *rawDatabase) {
	w.b.Helper()
	for _, t := range rawTables {
		text := `SELECT count(*), sum(hashtextextended(t::text, 0))::text FROM ` + t.name + ` t`
		if mine, theirs := w.rows(text), other.rows(text); !reflect.DeepEqual(mine, theirs) {
			w.b.Fatalf("%s has other rows: %v, want %v", t.name, mine, theirs)
		}
	}
}
