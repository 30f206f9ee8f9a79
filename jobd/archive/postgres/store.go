// Package postgres keeps the archive in PostgreSQL, for one master or for many. It implements [archive.Store].
//
// Several stores, of one process or of many, write to one database at the same time. What a method has returned without an
// error is committed: whether it is on the server's disk is the server's synchronous_commit. While the server is away, or takes
// no changes, every method is CodeUnavailable; the connections come back by themselves. So it is where the server hangs: no
// method waits for it longer than Options.Patience.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// Options are the settings of a [Store]. The zero Options is good for jobd.
type Options struct {
	// Logger takes what operators should know: a migration, a write that was slow. Nothing is logged where it is nil.
	Logger *slog.Logger
	// Now is the clock, for when a definition or a key was last used, and for which days have partitions; time.Now where it
	// is nil.
	Now gaea.Clock
	// SlowWrite is from when on a write is logged as slow; 2 s where it is 0.
	SlowWrite time.Duration
	// Patience is how long a read or a write may take, and what deletes ten times as long, which waits for all others; 30 s
	// where it is 0.
	Patience time.Duration
	// MayBeAway has [Open] return a store also where the database is away: see [Store.Absent] and [Store.Reach].
	MayBeAway bool
}

// Store is an archive in a PostgreSQL database.
type Store struct {
	*tables.Store
	id     string // of the process, among all that use the database
	pool   *pgxpool.Pool
	place  string // HOST:PORT/DATABASE, for messages
	logger *slog.Logger
	now    gaea.Clock
	sealer archive.Sealer
	slow   time.Duration
	wait   time.Duration // see Options.Patience
	locks  locks
	// channel is where the jobds of the archive hear each other.
	channel string
	names   *names
	// Who asks takes no more than half of the connections, so that who writes finds one: as many as may ask at once.
	asking chan struct{}
	// A run is changed by one caller at a time, so that what is remembered of it is what was written last.
	runTurns [64]chan struct{}

	mayBeAway bool                    // see Options.MayBeAway
	absent    atomic.Pointer[absence] // nil while the database was reached once
	closing   sync.Once
	closed    atomic.Bool
}

var _ archive.Store = (*Store)(nil)

// Open opens the archive at an address (postgres://…, see [Place]), and makes its tables where there are none. Secrets are
// sealed with the sealer: one that is not the one of the archive is refused. CodeInvalid for an address that cannot be;
// CodeUnavailable where the server does not answer or does not let jobd in, where the tables cannot be made or are a newer
// jobd's, and where the sealer is another. Where it may be away, that is no error.
func Open(ctx context.Context, address string, sealer archive.Sealer, opts Options) (*Store, error) {
	s := &Store{id: strings.ToLower(rand.Text()[:12]), logger: opts.Logger, now: opts.Now, slow: opts.SlowWrite, wait: opts.Patience, names: newNames(), sealer: sealer, mayBeAway: opts.MayBeAway}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.slow == 0 {
		s.slow = 2 * time.Second
	}
	if s.wait == 0 {
		s.wait = defaultPatience
	}
	for i := range s.runTurns {
		s.runTurns[i] = make(chan struct{}, 1)
	}
	config, err := parse(address)
	if err != nil {
		return nil, err
	}
	s.place = placeOf(config)
	s.asking = make(chan struct{}, (config.MaxConns+1)/2)
	if params := config.ConnConfig.RuntimeParams; params["application_name"] == "jobd" {
		params["application_name"] = applicationName + s.id
	}
	if s.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return nil, s.told(err)
	}
	s.Store = tables.New(database{s}, dialect, sealer, s.now, s.logger)
	if err = s.open(ctx); err != nil {
		s.pool.Close()
		return nil, err
	}
	return s, nil
}

// prepare makes the tables, and sees that the key is theirs, where the server answers within a time.
func (s *Store) prepare(ctx context.Context, limit time.Duration) error {
	asking, cancel := s.patient(ctx, limit)
	defer cancel()
	conn, err := s.pool.Acquire(asking)
	if err != nil {
		return s.hanging(asking, err)
	}
	defer conn.Release()
	var schema *string
	if err := conn.QueryRow(asking, `SELECT current_schema()`).Scan(&schema); err != nil {
		return s.hanging(asking, err)
	}
	if schema == nil {
		return gaea.Errorf(gaea.CodeUnavailable, "the database %s has no schema that jobd's tables can go to; make the one that search_path names: CREATE SCHEMA", s.place)
	}
	s.locks = newLocks(*schema)
	s.channel = channelOf(s.locks)
	if err := s.migrate(ctx, conn.Conn()); err != nil {
		return err
	}
	return s.checkKey(ctx, conn.Conn(), s.sealer)
}

// keyCheck is the setting that tells whether a key is the archive's: a keyed digest, worth nothing to who has not the key.
const keyCheck = "key_check"

func (s *Store) checkKey(ctx context.Context, conn *pgx.Conn, sealer archive.Sealer) error {
	mine := sealer.Digest([]byte(keyCheck))
	var stored string
	err := conn.QueryRow(ctx, `SELECT value FROM settings WHERE name = $1`, keyCheck).Scan(&stored)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err = conn.Exec(ctx, `INSERT INTO settings VALUES ($1, $2) ON CONFLICT DO NOTHING`, keyCheck, mine); err != nil {
			return err
		}
		err = conn.QueryRow(ctx, `SELECT value FROM settings WHERE name = $1`, keyCheck).Scan(&stored)
	}
	if err == nil && stored != mine {
		return gaea.Errorf(gaea.CodeUnavailable,
			"the key file is not the one of the database %s: every jobd of a database needs the same one. Copy it from a machine whose jobd uses that database, and name it with --key-file", s.place)
	}
	return err
}

// Made says whether there is an archive at an address. Errors are those of [Open].
func Made(ctx context.Context, address string) (bool, error) {
	config, err := parse(address)
	if err != nil {
		return false, err
	}
	s := &Store{place: placeOf(config)}
	if s.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return false, s.told(err)
	}
	defer s.pool.Close()
	var made bool
	err = s.pool.QueryRow(ctx, `SELECT to_regclass('settings') IS NOT NULL AND to_regclass('state_latest') IS NOT NULL`).Scan(&made)
	return made, s.told(err)
}

// Close implements [archive.Store].
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.closed.Store(true)
		s.pool.Close() // waits for what is going on
	})
	return nil
}

// Check implements [archive.Store].
func (s *Store) Check(ctx context.Context) error {
	// A write that changes nothing still fails on a server that takes no changes.
	return s.write(ctx, false, func(t *tx) error { return t.Exec(`UPDATE masters SET name = name WHERE id = -1`) })
}

// Stats implements [archive.Store].
func (s *Store) Stats(ctx context.Context) (archive.Stats, error) {
	var st archive.Stats
	err := s.read(ctx, func(q tables.Query) error {
		return q.Row(`SELECT coalesce(sum(jobs), 0)::bigint, coalesce(sum(returns), 0)::bigint, coalesce(sum(events), 0)::bigint,
			coalesce(sum(contents), 0)::bigint - (SELECT contents FROM pruned),
			(SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r') FROM masters`).
			Scan(&st.Jobs, &st.Returns, &st.Events, &st.Contents, &st.Bytes)
	})
	return st, err
}

// read calls f with one snapshot of the archive. Errors come back as [gaea.Error].
func (s *Store) read(ctx context.Context, f func(q tables.Query) error) error {
	if err := s.Absent(); err != nil {
		return err
	}
	ctx, cancel := s.patient(ctx, s.wait)
	defer cancel()
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return s.told(s.hanging(ctx, ctx.Err()))
	}
	conn, snapshot, err := s.begin(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return s.told(s.hanging(ctx, err))
	}
	defer conn.Release()
	err = f(view{ctx, snapshot})
	rollBack(ctx, snapshot) // nothing was written
	return s.told(s.hanging(ctx, err))
}

// write calls f in a transaction that is committed where f returns nil, alone or beside others. The days have partitions
// then, where they may. Errors come back as [gaea.Error].
func (s *Store) write(ctx context.Context, alone bool, f func(*tx) error, days ...int64) error {
	if err := s.Absent(); err != nil {
		return err
	}
	began := time.Now()
	limit := s.wait
	if alone {
		limit *= 10
	}
	ctx, cancel := s.patient(ctx, limit)
	defer cancel()
	err := s.told(s.hanging(ctx, s.transact(ctx, alone, f, days)))
	if took := time.Since(began); took > s.slow {
		s.logger.WarnContext(ctx, "a write to the database took long, with the wait for its turn", "database", s.place, "took", took, "error", err)
	}
	return err
}
