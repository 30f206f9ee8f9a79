// Package tables is what SQL stores of the archive have in common: how things stand in the tables, the merging of what is told
// of one job, and all queries and statements that read the same in SQLite and in PostgreSQL. A store embeds [Store], and adds
// what is its database's own: opening, writing batches, and pruning.
package tables

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// Store implements what of [archive.Store] is the same in every SQL database.
type Store struct {
	db      Database
	dialect *Dialect
	sealer  archive.Sealer
	now     gaea.Clock
	logger  *slog.Logger
	asked   *askedKeys
}

// New makes a store on a database. Secrets are sealed with the sealer.
func New(db Database, dialect *Dialect, sealer archive.Sealer, now gaea.Clock, logger *slog.Logger) *Store {
	return &Store{db: db, dialect: dialect, sealer: sealer, now: now, logger: logger, asked: newAskedKeys()}
}

// Database runs transactions. Their errors are [gaea.Error].
type Database interface {
	// Read calls f with one snapshot.
	Read(ctx context.Context, f func(q Query) error) error
	// Write calls f in a transaction that is committed where f returns nil. It may call f again where the database asks for that.
	Write(ctx context.Context, f func(tx Tx) error) error
	// WriteRun is Write for what only one caller at a time may do with a run.
	WriteRun(ctx context.Context, run string, f func(tx Tx) error) error
	// Stats counts what is stored; Sizes tells how large that is. The kinds are measured where that is cheap, or if measure
	// says so.
	Stats(ctx context.Context) (archive.Stats, error)
	Sizes(ctx context.Context, measure bool) (Sizes, error)
}

// Query reads: from a snapshot, or in a writer's transaction. Arguments stand for question marks, in order, or for those with
// a number.
type Query interface {
	// Row is a query for one row; its error is sql.ErrNoRows where there is none.
	Row(text string, args ...any) Scanner
	// Each calls f with each row of a query. Nothing else is asked of the transaction meanwhile.
	Each(text string, f func(Scanner) error, args ...any) error
	// Dialect is how the database differs from others.
	Dialect() *Dialect
}

// Scanner is a row.
type Scanner interface{ Scan(into ...any) error }

// Tx is a transaction that writes.
type Tx interface {
	Query
	// Exec carries out a statement.
	Exec(text string, args ...any) error
	// Change carries out a statement and returns how many rows it changed.
	Change(text string, args ...any) (int64, error)
	// Taken says whether a row was refused because another has its key.
	Taken(err error) bool

	// Alone keeps out other transactions that say the same, until this one ends.
	Alone(what string) error

	// Master, Minion and StateKey find the number of a name, or give it one.
	Master(name string) (int64, error)
	Minion(master int64, name string) (int64, error)
	StateKey(master int64, key string) (int64, error)

	// SavedRun is what was written last of an active run, where that is known for certain.
	SavedRun(id string) (*SavedRun, bool)
	// RememberRun notes what this transaction writes of a run.
	RememberRun(id string, r *SavedRun)
	// ForgetRun forgets a run.
	ForgetRun(id string)
}

// Dialect is how a database differs from others in what it is asked.
type Dialect struct {
	// Name is the database's: sqlite or postgres.
	Name string
	// Unindexed before a column keeps an index from being chosen for it.
	Unindexed string
	// FirstJoin joins to a table that is to be read first.
	FirstJoin string
	// DayShift is how many bits of a job's number are below its day, where returns are kept by that (see parts); 0 where they
	// are not.
	DayShift int
	// SameJob joins job_notes to jobs, by their names in the query.
	SameJob func(note, job string) string
	// Contains holds where a column of stored JSON has a text in it.
	Contains func(column, text string) string
	// Like holds where a column is like a pattern, which Pattern makes of a text in which each "*" stands for any text.
	Like    func(column, pattern string) string
	Pattern func(glob string) string
	// List is a table h with the column value, of what is in the list that an argument is, and of which type; ListOf makes
	// such an argument of a slice.
	List   func(arg, of string) string
	ListOf func(list any) any
	// IndexedText is what an index has of a column that may hold a text of any length, with the column for "?"; empty where
	// it has all of it.
	IndexedText func(column string) string
}

// missing makes CodeNotFound of a query without rows, and leaves other errors alone.
func missing(err error, format string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return gaea.Errorf(gaea.CodeNotFound, format, args...)
	}
	return err
}

// ValidateBatch says what is wrong with a batch. CodeInvalid.
func ValidateBatch(master string, b archive.Batch) error {
	if master == "" {
		return gaea.Invalid("batch", "the batch names no master")
	}
	for i := range b.Jobs {
		if b.Jobs[i].JID == "" {
			return gaea.Invalid("batch", "a job of %q has no jid", b.Jobs[i].Function)
		}
	}
	for i := range b.Returns {
		if r := &b.Returns[i]; r.JID == "" || r.Minion == "" {
			return gaea.Invalid("batch", "a return of %q has no jid or no minion (jid %q, minion %q)", r.Function, r.JID, r.Minion)
		}
	}
	return nil
}
