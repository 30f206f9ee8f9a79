package postgres

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// tx is one transaction that writes. Those of one process and of others go on beside each other:
//   - All but the pruner's share a lock, which the pruner has alone. So nothing that one of them remembers is deleted while it
//     goes on.
//   - Batches of one master wait for each other.
//   - What masters have in common (states, contents) is made in the order of its digests.
type tx struct {
	view
	s     *Store
	knows knowledge
	epoch epoch
	alone bool // has the pruner's lock
	// Something was deleted that others may remember, a partition among it.
	deleted, dropped bool
}

// errAlone is returned by a transaction that has to delete what others may remember. It is begun again, alone.
var errAlone = errors.New("to be done alone")

// writeTries is how often a transaction is begun that the database has given up for another's sake.
const writeTries = 5

// errDays is returned where days have no partitions any more, or it is not known any more that they have.
var errDays = errors.New("partitions are to be made")

// transact calls f in a transaction of its own, alone or beside others.
func (s *Store) transact(ctx context.Context, alone bool, f func(*tx) error, days []int64) error {
	var err error
	for range writeTries {
		if err = s.makeDays(ctx, days); err == nil {
			err = s.once(ctx, alone, f, days)
		}
		var refused *pgconn.PgError
		switch {
		case errors.Is(err, errDays):
		case errors.Is(err, errAlone):
			alone = true
		case errors.As(err, &refused) && (refused.Code == codeDeadlock || refused.Code == codeSerialization || refused.Code == codeLockTimeout && !alone):
		default:
			return err
		}
	}
	return err
}

const (
	lockShared = `SELECT pg_advisory_xact_lock_shared($1)`
	lockAlone  = `SELECT pg_advisory_xact_lock($1)`
)

func (s *Store) once(ctx context.Context, alone bool, f func(*tx) error, days []int64) error {
	conn, begun, err := s.begin(ctx, pgx.TxOptions{})
	if err != nil {
		return err
	}
	defer conn.Release()
	lock := lockShared
	if alone {
		lock = lockAlone
	}
	t := &tx{view: view{ctx, begun}, s: s, knows: s.names.knowledge(), alone: alone}
	// Sent together; the count is read after the lock is had.
	b := &pgx.Batch{}
	b.Queue(`SELECT set_config('statement_timeout', $1, true)`, s.serverPatience(ctx))
	b.Queue(lock, s.locks.pruning)
	b.Queue(`SELECT steps, drops, pg_postmaster_start_time() FROM pruned`).QueryRow(func(row pgx.Row) error {
		return row.Scan(&t.epoch.steps, &t.epoch.drops, &t.epoch.server)
	})
	err = begun.SendBatch(ctx, b).Close()
	if err == nil {
		t.epoch.server = t.epoch.server.UTC()
		t.epoch = s.names.at(t.epoch)
		if slices.ContainsFunc(days, func(day int64) bool { return s.kept(day) != day }) {
			err = errDays
		} else {
			err = f(t)
		}
	}
	if err == nil && t.deleted {
		// Others, and this process too, forget what they remember.
		err = t.Exec(`UPDATE pruned SET steps = steps + 1, drops = drops + CASE WHEN $1 THEN 1 ELSE 0 END`, t.dropped)
	}
	if err == nil {
		err = begun.Commit(ctx)
	}
	if err != nil {
		rollBack(ctx, begun)
		if conn.Conn().IsClosed() {
			s.names.broke()
		}
		return err
	}
	if !t.deleted {
		s.names.remember(&t.knows, t.epoch)
	}
	return nil
}

// begin begins a transaction on a connection that is to be released. Connections that broke while nobody used them are made
// again: nothing is lost with them.
func (s *Store) begin(ctx context.Context, opts pgx.TxOptions) (conn *pgxpool.Conn, begun pgx.Tx, err error) {
	for range 2 {
		if conn, err = s.pool.Acquire(ctx); err != nil {
			return nil, nil, err
		}
		if begun, err = conn.BeginTx(ctx, opts); err == nil {
			return conn, begun, nil
		}
		broken := conn.Conn().IsClosed()
		conn.Release()
		if !broken || ctx.Err() != nil {
			break
		}
		s.names.broke()
		s.pool.Reset()
	}
	return nil, nil, err
}

// rollBack ends a transaction that is not to be. A connection that cannot even do that is closed.
func rollBack(ctx context.Context, begun pgx.Tx) {
	rolling, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = begun.Rollback(rolling)
}

// rollbackTimeout bounds what is done after a caller has given up.
const rollbackTimeout = 5 * time.Second

// Exec implements [tables.Tx].
func (t *tx) Exec(text string, args ...any) error {
	_, err := t.Change(text, args...)
	return err
}

// Change implements [tables.Tx].
func (t *tx) Change(text string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(t.ctx, numbered(text), writtenAll(args)...)
	return tag.RowsAffected(), err
}

// Taken implements [tables.Tx].
func (t *tx) Taken(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == codeUnique
}

// Alone implements [tables.Tx].
func (t *tx) Alone(what string) error { return t.Exec(lockAlone, t.s.locks.of("alone", what)) }

// locks are the numbers of advisory locks, which differ where archives do: PostgreSQL has one set of them for a database.
type locks struct {
	schema  string
	pruning int64 // of those who write, and alone of who deletes what they may remember
}

func newLocks(schema string) locks {
	l := locks{schema: schema}
	l.pruning = l.of("pruning", "")
	return l
}

// batches is the lock of the batches of a master.
func (l locks) batches(master string) int64 { return l.of("batches", master) }

// migrations is the lock of who makes the tables.
func (l locks) migrations() int64 { return l.of("migrations", "") }

func (l locks) of(what, master string) int64 {
	h := fnv.New64a()
	for _, part := range []string{"gaea archive", l.schema, what, master} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return int64(h.Sum64())
}

// database is a store as [tables.Store] knows it.
type database struct{ s *Store }

// Read implements [tables.Database].
func (d database) Read(ctx context.Context, f func(q tables.Query) error) error {
	return d.s.read(ctx, f)
}

// Write implements [tables.Database].
func (d database) Write(ctx context.Context, f func(tx tables.Tx) error) error {
	return d.s.write(ctx, false, func(t *tx) error { return f(t) })
}

// WriteRun implements [tables.Database].
func (d database) WriteRun(ctx context.Context, run string, f func(tx tables.Tx) error) error {
	h := fnv.New32a()
	h.Write([]byte(run))
	turn := d.s.runTurns[h.Sum32()%uint32(len(d.s.runTurns))]
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return d.s.told(ctx.Err())
	}
	defer func() { <-turn }()
	return d.Write(ctx, f)
}
