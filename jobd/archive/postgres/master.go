package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// MasterLock says that this jobd, and no other, serves a master: two would carry out each of its runs twice. The server lets
// go of it when the process ends, however it ends.
type MasterLock struct {
	s      *Store
	master string
	config *pgx.ConnConfig
	pid    uint32 // of the session that had it last
	cancel context.CancelFunc
	ended  sync.WaitGroup
	lost   chan error
}

const (
	lookAfter   = 5 * time.Second // how often it is seen to that the lock is there still
	lookTimeout = 5 * time.Second
	letGoWithin = 3 * time.Second
)

// LockMaster takes the lock of a master, and keeps it, in a session of its own that is made again when it breaks, until
// Release. CodeUnavailable where another jobd has it.
func (s *Store) LockMaster(ctx context.Context, master string) (*MasterLock, error) {
	l := &MasterLock{s: s, master: master, config: s.pool.Config().ConnConfig, lost: make(chan error, 1)}
	conn, err := l.wait(ctx)
	if err != nil {
		return nil, s.told(err)
	}
	keeping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	l.ended.Go(func() { l.keep(keeping, conn) })
	return l, nil
}

// wait takes the lock, and gives who has it a moment: the server may not have found yet that the jobd before this one is dead.
func (l *MasterLock) wait(ctx context.Context) (*pgx.Conn, error) {
	limit := time.NewTimer(letGoWithin)
	defer limit.Stop()
	tick := time.NewTicker(letGoWithin / 30)
	defer tick.Stop()
	for {
		conn, err := l.take(ctx)
		if !errors.Is(err, errTaken) && !errors.Is(err, errLetGo) {
			return conn, err
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
	}
}

// Lost tells, once, that another jobd has taken the lock after the server was away; never of no lock.
func (l *MasterLock) Lost() <-chan error {
	if l == nil {
		return nil
	}
	return l.lost
}

// Release lets go of the lock; nil is no lock.
func (l *MasterLock) Release() error {
	if l == nil {
		return nil
	}
	l.cancel()
	l.ended.Wait()
	return nil
}

// keep sees to it that the session with the lock lives.
func (l *MasterLock) keep(ctx context.Context, conn *pgx.Conn) {
	tick := time.NewTicker(lookAfter)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			closeSession(ctx, conn)
			return
		case <-tick.C:
		}
		looking, cancel := context.WithTimeout(ctx, lookTimeout)
		if conn != nil && conn.Ping(looking) != nil {
			_ = conn.Close(looking)
			conn = nil
		}
		if conn == nil {
			var err error
			if conn, err = l.take(looking); errors.Is(err, errTaken) {
				l.lost <- l.s.told(err)
				cancel()
				return
			}
		}
		cancel()
	}
}

// closeSession ends a session, and the lock goes with it; nil is none.
func closeSession(ctx context.Context, conn *pgx.Conn) {
	if conn == nil {
		return
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	_ = conn.Close(closing)
}

// errTaken is the cause of the error of a lock that another has, errLetGo of one that another had a moment ago.
var (
	errTaken = errors.New("another session has the lock")
	errLetGo = errors.New("another session has let go of the lock")
)

// take makes a session that has the lock.
func (l *MasterLock) take(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, l.config.Copy())
	if err != nil {
		return nil, err
	}
	taken, err := l.try(ctx, conn)
	if err == nil && !taken {
		err = l.refused(ctx, conn)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	l.pid = conn.PgConn().PID()
	return conn, nil
}

func (l *MasterLock) try(ctx context.Context, conn *pgx.Conn) (taken bool, err error) {
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, l.s.locks.master(l.master)).Scan(&taken)
	return taken, err
}

// refused finds out who has the lock. Where that is this process's own session before, which the server has not found to be
// dead yet, it is ended; the next look takes the lock.
func (l *MasterLock) refused(ctx context.Context, conn *pgx.Conn) error {
	key := uint64(l.s.locks.master(l.master))
	var pid uint32
	var from string
	err := conn.QueryRow(ctx, `SELECT l.pid::bigint, coalesce(host(a.client_addr), 'this machine') FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1::bigint::oid AND l.objid = $2::bigint::oid AND l.objsubid = 1
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, int64(key>>32), int64(key&0xffffffff)).Scan(&pid, &from)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errLetGo
	case err != nil:
		return err
	case pid == l.pid:
		_, err := conn.Exec(ctx, `SELECT pg_terminate_backend($1)`, int32(pid))
		return errors.Join(errors.New("the session before is being ended"), err)
	}
	return gaea.Wrap(fmt.Errorf("%w: session %d", errTaken, pid), gaea.CodeUnavailable,
		"another jobd (at %s) serves the master %q in the database %s; stop it, or give this one's master another name with --master-name", from, l.master, l.s.place)
}
