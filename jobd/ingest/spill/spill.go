// Package spill keeps what the archive does not take in a bounded SQLite file of its own, in order, until it does. What
// [Spill.Add] has taken survives the death of jobd. The file knows nothing of what it holds but whether the master's job cache
// has it too: that is let go first where there is no room, and the rest has a reserve.
package spill

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// version is of the tables. The first had no master.
	version = 2
	// rowOverhead is about what a row takes beside its body.
	rowOverhead = 128
	// reserveShare of the bound is for what is in no cache: one part in so many.
	reserveShare = 4
	// maxBallast is how much of the disk is taken ahead, so that a full one has room for what is in no cache.
	maxBallast = 16 << 20
	// maxRead is how much is read at once, beyond one row.
	maxRead = 8 << 20
	// journalBytes is what the journal has of the disk ahead: what it needs to give up the ballast for other rows.
	journalBytes = 512 << 10
	busyMillis   = "2000"
)

// Options are the settings of a [Spill].
type Options struct {
	Path     string // of the file; its directory is made where it is missing
	MaxBytes int64  // what may wait; a quarter of it is for rows that are in no cache
	Master   string // whose events these are
}

// Row is a part of a batch.
type Row struct {
	ID      int64     // given by the spill, growing
	Records int       // how many things it holds
	Cached  bool      // the master's job cache has all of them too
	From    time.Time // the oldest of them
	Body    []byte
}

// LetGo is what had to be let go, all of it in the master's job cache.
type LetGo struct {
	Records int
	From    time.Time // the oldest of it
}

func (l *LetGo) add(records int, from time.Time) {
	if l.Records == 0 || from.Before(l.From) {
		l.From = from
	}
	l.Records += records
}

// Depth is how much waits.
type Depth struct {
	Records int
	Bytes   int64
}

// Spill is the file. Its methods are for any number of goroutines.
type Spill struct {
	path    string
	db      *sql.DB
	most    int64
	reserve int64
	ballast int64

	depth atomic.Pointer[Depth]

	mu      sync.Mutex
	records int
	cached  int64         // bytes
	others  int64         // bytes
	taken   map[int64]int // records by id of rows that the archive has and that could not be removed: they are not told again
	tight   bool          // the disk is full: cached rows are let go until something was removed
	relief  bool          // the ballast was given up
}

// Open opens the file, or makes it (0600). What a jobd before has left is in it still. CodeUnavailable, with what to do, where
// it cannot be used: another process has it, it is damaged or a newer jobd's, its directory cannot be written, its disk is full; and
// CodeConflict where events of another master wait in it.
func Open(ctx context.Context, o Options) (*Spill, error) {
	s := &Spill{path: o.Path, most: o.MaxBytes, reserve: o.MaxBytes / reserveShare, taken: map[int64]int{}}
	s.ballast = min(s.reserve, maxBallast)
	if err := makeFile(o.Path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(o.Path))
	if err != nil {
		return nil, s.told(err)
	}
	db.SetMaxOpenConns(1)
	s.db = db
	err = s.prepare(ctx, o.Master)
	if err == nil {
		err = s.stretch(ctx)
	}
	if err != nil {
		return nil, errors.Join(s.told(err), db.Close())
	}
	s.publish()
	return s, nil
}

func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return gaea.Wrap(err, gaea.CodeUnavailable, "the directory %s for the spill cannot be made; make it and give it to jobd's user, or name another with --spill-dir", filepath.Dir(path))
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return gaea.Wrap(err, gaea.CodeUnavailable, "the spill %s cannot be written; give its directory to jobd's user, or name another with --spill-dir", path)
	}
	return f.Close()
}

// dsn opens the file for this process alone. A journal that stays, rather than a log, changes rows in their place: so what is
// let go makes room on a full disk.
func dsn(path string) string {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	q.Set("_error_rc", "1")
	q.Set("_busy_timeout", busyMillis)
	for _, pragma := range []string{"auto_vacuum(incremental)", "locking_mode(exclusive)", "journal_mode(persist)", "synchronous(normal)", "temp_store(memory)", "cache_size(-2048)"} {
		q.Add("_pragma", pragma)
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	return u.String()
}

// prepare makes the tables, and counts what is there.
func (s *Spill) prepare(ctx context.Context, master string) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		var have int
		if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil {
			return err
		}
		if have > version {
			return gaea.Errorf(gaea.CodeUnavailable, "the spill %s is a newer jobd's: start that one to have it forwarded, or move the file away (what it holds of jobs is in the master's job cache)", s.path)
		}
		for _, step := range steps[max(have, 0):] {
			if _, err := tx.ExecContext(ctx, step); err != nil {
				return err
			}
		}
		if err := tx.QueryRowContext(ctx, `SELECT ifnull(sum(records), 0), ifnull(sum(CASE cached WHEN 1 THEN bytes END), 0), ifnull(sum(CASE cached WHEN 0 THEN bytes END), 0) FROM batches`).
			Scan(&s.records, &s.cached, &s.others); err != nil {
			return err
		}
		if err := s.own(ctx, tx, master); err != nil {
			return err
		}
		return s.load(ctx, tx)
	})
}

// steps make the tables: each takes a file from one version to the next.
var steps = [version]string{
	`CREATE TABLE batches (id INTEGER PRIMARY KEY AUTOINCREMENT, cached INTEGER NOT NULL, records INTEGER NOT NULL, since INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
	CREATE INDEX batches_cached ON batches (cached, id, records, since, bytes);
	CREATE TABLE ballast (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
	PRAGMA user_version = 1`,
	`CREATE TABLE owner (id INTEGER PRIMARY KEY CHECK (id = 1), master TEXT NOT NULL) STRICT;
	PRAGMA user_version = 2`,
}

// own makes the file this master's. One in which events of another wait is refused: they would be archived as this master's. A file
// of the first version says no name, and is taken for this master's.
func (s *Spill) own(ctx context.Context, tx *sql.Tx, master string) error {
	var owner string
	err := tx.QueryRowContext(ctx, `SELECT master FROM owner`).Scan(&owner)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case owner == master:
		return nil
	case s.records > 0:
		return gaea.Errorf(gaea.CodeConflict, "%d events and returns of the master %q wait in the spill %s, and this jobd is for the master %q; to have them forwarded start jobd once with --master-name %s, "+
			"else name another directory with --spill-dir, or move the file away (what it holds of jobs is in that master's job cache)", s.records, owner, s.path, master, owner)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO owner VALUES (1, ?1) ON CONFLICT DO UPDATE SET master = ?1`, master)
	return err
}

// load takes the ballast on board, unless it is there.
func (s *Spill) load(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO ballast SELECT 1, zeroblob(?) WHERE NOT EXISTS (SELECT 1 FROM ballast WHERE id = 1)`, s.ballast)
	if err == nil {
		s.relief = false
	}
	return err
}

// stretch has the journal grow to what it needs on a full disk: it holds the pages that a transaction changes, and stays. On a
// disk that is full already it is as long as it is.
func (s *Spill) stretch(ctx context.Context) error {
	for range 2 { // the first makes the pages, the second changes them
		err := s.transact(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO ballast VALUES (2, randomblob(?1)) ON CONFLICT DO UPDATE SET body = randomblob(?1)`, journalBytes)
			return err
		})
		if err != nil && !full(err) {
			return err
		}
	}
	return nil
}

// Path is where the file is.
func (s *Spill) Path() string { return s.path }

// Bound is how many bytes may wait.
func (s *Spill) Bound() int64 { return s.most }

// Depth is how much waits. It does not wait for the disk.
func (s *Spill) Depth() Depth { return *s.depth.Load() }

func (s *Spill) publish() {
	waiting := s.records
	for _, records := range s.taken {
		waiting -= records
	}
	s.depth.Store(&Depth{Records: waiting, Bytes: s.cached + s.others})
}

// Close closes the file and keeps what is in it.
func (s *Spill) Close() error { return s.told(s.db.Close()) }

// Oldest returns rows from the oldest on, in their order, as many as have no more records than so many together and fit into
// memory; at least one where there is any.
func (s *Spill) Oldest(ctx context.Context, records int) ([]Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows, err := s.db.QueryContext(ctx, `SELECT id, cached, records, since, body FROM batches ORDER BY id`)
	if err != nil {
		return nil, s.told(err)
	}
	defer rows.Close()
	var list []Row
	for n, bytes := 0, 0; rows.Next(); {
		var r Row
		var since int64
		if err := rows.Scan(&r.ID, &r.Cached, &r.Records, &since, &r.Body); err != nil {
			return nil, s.told(err)
		}
		if _, has := s.taken[r.ID]; has {
			continue
		}
		n, bytes = n+r.Records, bytes+len(r.Body)
		if len(list) > 0 && (n > records || bytes > maxRead) {
			break
		}
		r.From = time.UnixMicro(since).UTC()
		list = append(list, r)
	}
	return list, s.told(rows.Err())
}

type counts struct {
	records        int
	cached, others int64
}

func (s *Spill) counts() counts { return counts{s.records, s.cached, s.others} }

func (s *Spill) restore(c counts) { s.records, s.cached, s.others = c.records, c.cached, c.others }

func (s *Spill) count(cached bool, records int, bytes int64) {
	s.records += records
	if cached {
		s.cached += bytes
	} else {
		s.others += bytes
	}
}

func (s *Spill) transact(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		tx.Rollback()
		return err
	}
	return tx.Commit()
}

// full says whether a disk has no room.
func full(err error) bool {
	failed, ok := errors.AsType[*sqlite.Error](err)
	// A file that may not grow, by a quota or a limit, is an error of input and output to SQLite.
	return ok && (failed.Code()&0xff == lib.SQLITE_FULL || failed.Code() == lib.SQLITE_IOERR_WRITE)
}

// told makes a [gaea.Error] of any error of the file, with a message that says what to do.
func (s *Spill) told(err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*gaea.Error](err); ok {
		return known
	}
	if full(err) {
		return gaea.Wrap(err, gaea.CodeUnavailable, "the disk of the spill %s is full; make room, or name a directory on another disk with --spill-dir", s.path)
	}
	failed, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return gaea.Wrap(err, gaea.CodeUnavailable, "the spill %s cannot be used", s.path)
	}
	switch failed.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return gaea.Wrap(err, gaea.CodeUnavailable, "another process uses the spill %s (find it with: fuser %s); give each jobd a directory of its own with --spill-dir", s.path, s.path)
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return gaea.Wrap(err, gaea.CodeUnavailable, "%s is no spill of jobd, or it is damaged; move it away (what it held of jobs is in the master's job cache)", s.path)
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_CANTOPEN, lib.SQLITE_AUTH:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the spill %s cannot be written; jobd's user must own it and its directory, or name another with --spill-dir", s.path)
	default:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the disk of the spill %s has an error; see the system's log", s.path)
	}
}
