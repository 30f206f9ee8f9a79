package postgres

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// dialect is PostgreSQL's. An index has the beginning of a text only: it cannot hold a text of any length.
var dialect = &tables.Dialect{
	Name:      "postgres",
	FirstJoin: "JOIN",
	DayShift:  dayShift,
	SameJob:   func(note, job string) string { return note + ".digest = " + job + ".digest" },
	Contains: func(column, text string) string {
		return "position(convert_to(" + text + ", 'UTF8') IN " + column + ") > 0"
	},
	Like:        func(column, pattern string) string { return column + " LIKE " + pattern },
	Pattern:     strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`, "*", "%").Replace,
	List:        func(arg, of string) string { return "unnest(" + arg + "::" + of + "[]) h(value)" },
	ListOf:      listOf,
	IndexedText: func(column string) string { return "left(" + column + ", 100)" },
}

// listOf is a list with texts as the tables have them.
func listOf(list any) any {
	texts, ok := list.([]string)
	if !ok {
		return list
	}
	all := make([]string, len(texts))
	for i := range texts {
		all[i] = written(texts[i])
	}
	return all
}

// view asks within one transaction.
type view struct {
	ctx context.Context
	tx  pgx.Tx
}

// Row implements [tables.Query].
func (v view) Row(text string, args ...any) tables.Scanner {
	return texts{v.tx.QueryRow(v.ctx, numbered(text), writtenAll(args)...)}
}

// Each implements [tables.Query].
func (v view) Each(text string, f func(tables.Scanner) error, args ...any) error {
	rows, err := v.tx.Query(v.ctx, numbered(text), writtenAll(args)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(texts{rows}); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Dialect implements [tables.Query].
func (v view) Dialect() *tables.Dialect { return dialect }

// texts is a row whose texts are read as they were before they were written.
type texts struct{ row tables.Scanner }

// Scan implements [tables.Scanner].
func (t texts) Scan(into ...any) error {
	if err := t.row.Scan(into...); err != nil {
		return err
	}
	for _, place := range into {
		switch p := place.(type) {
		case *string:
			*p = read(*p)
		case *tables.RawText:
			*p = read(*p)
		}
	}
	return nil
}

// writtenAll are arguments with texts as the tables have them.
func writtenAll(args []any) []any {
	all := args
	for i, a := range args {
		text, ok := a.(string)
		if !ok {
			continue
		}
		if w := written(text); w != text {
			if &all[0] == &args[0] {
				all = slices.Clone(args) // the caller may ask with them again
			}
			all[i] = w
		}
	}
	return all
}

// numberedTexts remembers what numbered made. There are as many texts as there are queries and sets of filters.
var numberedTexts sync.Map

// numbered writes a statement's question marks as PostgreSQL wants them: those with a number keep it, the others count on.
func numbered(text string) string {
	if strings.IndexByte(text, '?') < 0 {
		return text
	}
	if made, ok := numberedTexts.Load(text); ok {
		return made.(string) //nolint:errcheck // only texts are stored
	}
	var b strings.Builder
	n := 0
	for i := range len(text) {
		switch {
		case text[i] != '?':
			b.WriteByte(text[i])
		case i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9':
			b.WriteByte('$')
		default:
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
		}
	}
	numberedTexts.Store(text, b.String())
	return b.String()
}
