package sqlite

import (
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"

	"context"
	"database/sql"
	"errors"
)

// writer is the one connection that writes, with the statements it has prepared. One caller has it at a time.
type writer struct {
	turn    chan struct{} // holds one value while nobody writes
	db      *sql.DB
	conn    *sql.Conn
	stmts   map[string]statement
	version int64 // what other processes have committed, as PRAGMA data_version tells
	// now is the context of every statement: it never ends, because a statement that is interrupted takes the connection
	// with it. A caller that gives up is noticed before the commit, and the transaction rolled back.
	now context.Context
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{turn: make(chan struct{}, 1), db: db, conn: conn, stmts: map[string]statement{}, now: context.WithoutCancel(ctx)}
	w.turn <- struct{}{}
	return w, nil
}

// close waits for the write under way. Nobody writes afterwards.
func (w *writer) close() error {
	<-w.turn
	close(w.turn)
	var err error
	for _, stmt := range w.stmts {
		err = errors.Join(err, stmt.Close())
	}
	return errors.Join(err, w.conn.Close(), w.db.Close())
}

// tx is one transaction of the writer.
type tx struct {
	*writer
	names *names
}

// do calls f in a transaction of its own. What the names remember is right after it, whether it was committed or not, and
// also where another process has written.
func (w *writer) do(ctx context.Context, n *names, f func(*tx) error) error {
	select {
	case _, open := <-w.turn:
		if !open {
			return sql.ErrConnDone
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { w.turn <- struct{}{} }()

	t := &tx{writer: w, names: n}
	if err := t.Exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	err := t.refresh()
	if err == nil {
		err = f(t)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = t.Exec(`COMMIT`)
	}
	if err != nil {
		n.forget()
		t.Exec(`ROLLBACK`) //nolint:errcheck // SQLite may have rolled back by itself
	}
	return err
}

// refresh forgets what is remembered of the tables where another process has changed them.
func (t *tx) refresh() error {
	var version int64
	if err := t.Row(`PRAGMA data_version`).Scan(&version); err != nil {
		return err
	}
	if version != t.version {
		t.version = version
		t.names.forget()
	}
	return nil
}

// stmt prepares a statement, once for each text.
func (t *tx) stmt(text string) (statement, error) {
	if s, ok := t.stmts[text]; ok {
		return s, nil
	}
	s, err := t.conn.PrepareContext(t.now, text)
	if err != nil {
		return nil, err
	}
	t.stmts[text] = s
	return s, nil
}

// Exec carries out a statement.
func (t *tx) Exec(text string, args ...any) error {
	_, err := t.Change(text, args...)
	return err
}

// Change carries out a statement and returns how many rows it changed.
func (t *tx) Change(text string, args ...any) (int64, error) {
	r, err := t.result(text, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (t *tx) result(text string, args ...any) (sql.Result, error) {
	s, err := t.stmt(text)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(t.now, args...)
}

// insert carries out an INSERT that does nothing on a conflict. It returns the new row's id, and whether there is one.
func (t *tx) insert(text string, args ...any) (id int64, inserted bool, err error) {
	r, err := t.result(text, args...)
	if err != nil {
		return 0, false, err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return 0, false, err
	}
	id, err = r.LastInsertId()
	return id, true, err
}

// Row is a query for one row.
func (t *tx) Row(text string, args ...any) tables.Scanner {
	s, err := t.stmt(text)
	if err != nil {
		return failedRow{err}
	}
	return s.QueryRowContext(t.now, args...)
}

// Each calls f with each row of a query.
func (t *tx) Each(text string, f func(tables.Scanner) error, args ...any) error {
	s, err := t.stmt(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(t.now, args...)
	return each(rows, err, f)
}

// Dialect implements [tables.Query].
func (t *tx) Dialect() *tables.Dialect { return dialect }

// Alone implements [tables.Tx]: every transaction is.
func (t *tx) Alone(string) error { return nil }

// Taken implements [tables.Tx].
func (t *tx) Taken(err error) bool { return taken(err) }
