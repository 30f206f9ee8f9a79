package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

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

// Row implements [tables.Query].
func (v view) Row(text string, args ...any) tables.Scanner {
	s, err := v.stmt(text)
	if err != nil {
		return failedRow{err}
	}
	return s.QueryRowContext(v.ctx, args...)
}

// Each implements [tables.Query].
func (v view) Each(text string, f func(tables.Scanner) error, args ...any) error {
	s, err := v.stmt(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(v.ctx, args...)
	return each(rows, err, f)
}

// Dialect implements [tables.Query].
func (v view) Dialect() *tables.Dialect { return dialect }

// dialect is SQLite's. The plus keeps it from taking an index for a column; it reads the tables of a CROSS JOIN in that order.
var dialect = &tables.Dialect{
	Name: "sqlite", Unindexed: "+", FirstJoin: "CROSS JOIN", SameJob: sameJob, Contains: contains, Like: like, Pattern: literal.Replace, List: list, ListOf: listOf,
}

func like(column, pattern string) string { return column + " GLOB " + pattern }

// literal keeps what stands for itself from standing for something else in a pattern of GLOB.
var literal = strings.NewReplacer("[", "[[]", "?", "[?]")

func contains(column, text string) string { return "instr(" + column + ", " + text + ") > 0" }

func list(arg, _ string) string { return "json_each(" + arg + ") h" }

// listOf is a list as JSON. That it is a slice of texts or numbers keeps it from failing.
func listOf(list any) any {
	text, err := json.Marshal(list)
	if err != nil {
		return "[]"
	}
	return string(text)
}

func sameJob(note, job string) string {
	return note + ".master_id = " + job + ".master_id AND " + note + ".jid = " + job + ".jid"
}

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// each calls f with each row, and closes them.
func each(rows *sql.Rows, err error, f func(tables.Scanner) error) error {
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
