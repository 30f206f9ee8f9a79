package sqlite

import (
	"context"
	"database/sql"
	"strings"
)

// query reads: from a snapshot, or in the writer's transaction.
type query interface {
	// row is a query for one row.
	row(text string, args ...any) scanner
	// each calls f with each row of a query.
	each(text string, f func(scanner) error, args ...any) error
}

// scanner is a row.
type scanner interface{ Scan(into ...any) error }

// statement is a prepared one: what is used of [sql.Stmt].
type statement interface {
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, args ...any) *sql.Row
	Close() error
}

// view is one snapshot, with the statements that were prepared for it.
type view struct {
	ctx   context.Context
	tx    *sql.Tx
	stmts map[string]statement
}

// stmt prepares a statement, once for each text. The transaction closes it.
func (v view) stmt(text string) (statement, error) {
	if s, ok := v.stmts[text]; ok {
		return s, nil
	}
	s, err := v.tx.PrepareContext(v.ctx, text)
	if err == nil {
		v.stmts[text] = s
	}
	return s, err
}

func (v view) row(text string, args ...any) scanner {
	s, err := v.stmt(text)
	if err != nil {
		return failedRow{err}
	}
	return s.QueryRowContext(v.ctx, args...)
}

func (v view) each(text string, f func(scanner) error, args ...any) error {
	s, err := v.stmt(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(v.ctx, args...)
	return each(rows, err, f)
}

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// each calls f with each row, and closes them.
func each(rows *sql.Rows, err error, f func(scanner) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// conditions gather what must hold, with its arguments.
type conditions struct {
	terms []string
	args  []any
}

func (c *conditions) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

// oneOf adds that a column has one of the values; where there are none, nothing is found. One value leaves the rows in the
// order of an index that goes on with a time.
func (c *conditions) oneOf(column string, values []any) {
	switch len(values) {
	case 0:
		c.add("FALSE")
	case 1:
		c.add(column+" = ?", values[0])
	default:
		c.add(column+" IN ("+marks(len(values))+")", values...)
	}
}

// marks are the places of so many values.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// idsOf reads numbers.
func idsOf(q query, text string, args ...any) ([]any, error) {
	var ids []any
	err := q.each(text, func(row scanner) error {
		var id int64
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}, args...)
	return ids, err
}

// minionIDs are the numbers of a minion: one for each master that has it. An empty master means any.
func minionIDs(q query, master, minion string) ([]any, error) {
	return idsOf(q, `SELECT id FROM minions WHERE name = ?1 AND master_id IN (SELECT id FROM masters WHERE ?2 = '' OR name = ?2)`, minion, master)
}

// ofMaster adds that a row belongs to a master. The plus keeps SQLite from taking that for a reason to sort: most archives have
// one master.
func (c *conditions) ofMaster(column, master string) {
	if master != "" {
		c.add("+"+column+" = (SELECT id FROM masters WHERE name = ?)", master)
	}
}

// prefixed adds that a column is a text, or begins with it where that ends in "*".
func (c *conditions) prefixed(column, s string) {
	prefix, begins := strings.CutSuffix(s, "*")
	switch {
	case s == "" || s == "*":
	case !begins:
		c.add(column+" = ?", s)
	default:
		c.add("+"+column+" >= ?", prefix) // the plus keeps the index for the order by time
		if end, ok := after(prefix); ok {
			c.add("+"+column+" < ?", end)
		}
	}
}

// after is the first text that comes after all that begin with a prefix, byte by byte as SQLite compares.
func after(prefix string) (string, bool) {
	b := []byte(prefix)
	for len(b) > 0 && b[len(b)-1] == 0xff {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return "", false
	}
	b[len(b)-1]++
	return string(b), true
}

// where is the WHERE clause; empty where nothing must hold.
func (c *conditions) where() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}
