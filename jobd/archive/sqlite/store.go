// Package sqlite keeps the archive in one SQLite file, in WAL mode, with one writer and a pool of readers. It implements
// [archive.Store].
//
// What a method has returned without an error is in the write-ahead log and survives the death of jobd. The log is not
// forced to the disk at each commit (synchronous=NORMAL), so when the machine loses power the last commits can be lost; the
// file stays whole, and jobd fetches the returns of that time from the master's job cache again.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// Options are the settings of a [Store]. The zero Options is good for jobd.
type Options struct {
	// Logger takes what operators should know: a migration, a write that was slow. Nothing is logged where it is nil.
	Logger *slog.Logger
	// Now is the clock, for when a definition or a key was last used; time.Now where it is nil.
	Now gaea.Clock
	// BusyTimeout is how long a write waits while another process writes; 10 s where it is 0.
	BusyTimeout time.Duration
	// SlowWrite is from when on a write is logged as slow; 2 s where it is 0.
	SlowWrite time.Duration
	// Readers is how many queries run at once; 4 where it is 0.
	Readers int
}

// Store is an archive in one SQLite file.
type Store struct {
	*tables.Store
	path    string
	logger  *slog.Logger
	now     gaea.Clock
	slow    time.Duration
	readers *sql.DB
	writer  *writer
	names   *names

	closing sync.Once
	closed  atomic.Bool
	failed  error // of closing
}

var _ archive.Store = (*Store)(nil)

// Open opens the archive at a path, and makes the file (0600), its directory (0750) and its tables where there are none.
// Secrets are sealed with the sealer. CodeUnavailable, with the path and what it needs, where that cannot be done, and where
// the file was written by a newer jobd.
func Open(ctx context.Context, path string, sealer archive.Sealer, opts Options) (*Store, error) {
	s := &Store{path: path, logger: opts.Logger, now: opts.Now, slow: opts.SlowWrite}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if opts.BusyTimeout == 0 {
		opts.BusyTimeout = 10 * time.Second
	}
	if s.slow == 0 {
		s.slow = 2 * time.Second
	}
	if opts.Readers == 0 {
		opts.Readers = 4
	}
	if err := makeFile(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", writerDSN(path, opts.BusyTimeout))
	if err != nil {
		return nil, s.told(err)
	}
	db.SetMaxOpenConns(1)
	m, err := migrator(db)
	if err == nil {
		err = tables.Migrate(ctx, m, path, s.logger)
	}
	if err != nil {
		return nil, errors.Join(s.told(err), db.Close())
	}
	if s.writer, err = newWriter(ctx, db); err != nil {
		return nil, errors.Join(s.told(err), db.Close())
	}
	if s.readers, err = sql.Open("sqlite", readerDSN(path, opts.BusyTimeout)); err != nil {
		return nil, errors.Join(s.told(err), s.writer.close())
	}
	s.readers.SetMaxOpenConns(opts.Readers)
	s.readers.SetMaxIdleConns(opts.Readers)
	s.names = newNames()
	s.Store = tables.New(database{s}, dialect, sealer, s.now, s.logger)
	return s, nil
}

// Close implements [archive.Store].
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.closed.Store(true)
		// Readers first: the last connection to close folds the log into the database, and that must be one that may write.
		err := errors.Join(s.readers.Close(), s.writer.close())
		if err != nil {
			s.failed = s.told(err)
		}
	})
	return s.failed
}

// Check implements [archive.Store].
func (s *Store) Check(ctx context.Context) error {
	err := s.read(ctx, func(q tables.Query) error {
		var n int
		return q.Row(`SELECT count(*) FROM masters`).Scan(&n)
	})
	if err != nil {
		return err
	}
	// A write that changes nothing still takes the lock: it fails where another process holds it, or the file is read-only.
	return s.write(ctx, func(tx *tx) error { return tx.Exec(`UPDATE masters SET name = name WHERE id = -1`) })
}

// Stats implements [archive.Store].
func (s *Store) Stats(ctx context.Context) (archive.Stats, error) {
	var st archive.Stats
	err := s.read(ctx, func(q tables.Query) error {
		return q.Row(`SELECT ifnull(sum(jobs), 0), ifnull(sum(returns), 0), ifnull(sum(events), 0),
			(SELECT rows FROM totals WHERE name = 'contents') FROM masters`).
			Scan(&st.Jobs, &st.Returns, &st.Events, &st.Contents)
	})
	st.Bytes = s.onDisk()
	return st, err
}

// read calls f with one snapshot of the archive. Errors come back as [gaea.Error].
func (s *Store) read(ctx context.Context, f func(q tables.Query) error) error {
	snapshot, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err == nil {
		err = f(view{ctx, snapshot, map[string]statement{}})
		snapshot.Rollback() // nothing was written
	}
	return s.told(err)
}

// write calls f with the writer, in one transaction that is committed where f returns nil. Errors come back as [gaea.Error].
func (s *Store) write(ctx context.Context, f func(tx *tx) error) error {
	began := time.Now()
	err := s.told(s.writer.do(ctx, s.names, f))
	if took := time.Since(began); took > s.slow {
		s.logger.WarnContext(ctx, "a write to the database took long, with the wait for its turn", "database", s.path, "took", took, "error", err)
	}
	return err
}

// database is a store as [tables.Store] knows it.
type database struct{ s *Store }

// Read implements [tables.Database].
func (d database) Read(ctx context.Context, f func(q tables.Query) error) error {
	return d.s.read(ctx, f)
}

// Write implements [tables.Database].
func (d database) Write(ctx context.Context, f func(tx tables.Tx) error) error {
	return d.s.write(ctx, func(t *tx) error { return f(t) })
}

// WriteRun implements [tables.Database]: there is one writer at a time for everything.
func (d database) WriteRun(ctx context.Context, _ string, f func(tx tables.Tx) error) error {
	return d.Write(ctx, f)
}
