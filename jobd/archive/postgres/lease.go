package postgres

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// Lease says that this jobd leads its master: it alone carries out the master's runs. No other takes it while it is renewed.
type Lease struct {
	s      *Store
	master string
	fence  int64
	lost   chan struct{}

	mu    sync.Mutex
	until time.Time
}

// Fence tells this lease from every one before it, which have lower ones.
func (l *Lease) Fence() int64 { return l.fence }

// Lost is closed when another has taken the lease, or the seat was left.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

func (l *Lease) renew(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
}

// end says that the lease is over: nobody may believe in it any more, however long it would have lasted.
func (l *Lease) end() {
	l.renew(time.Time{})
	close(l.lost)
}

// Until is the time up to which nobody else can have taken the lease, by this machine's clock.
func (l *Lease) Until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// Held says whether nobody else can have taken the lease yet. Both clocks are asked: the one that only goes on does not where
// the whole machine sleeps, and the one on the wall may be set back.
func (l *Lease) Held() bool {
	until := l.Until()
	return time.Now().Before(until) && time.Now().Round(0).Before(until.Round(0))
}

// Vacant ends the claim of whoever led a master last and is gone, and returns a lease under which runs of the master may be changed
// until somebody leads it; nil where somebody does. Nothing may be published under it.
func (s *Store) Vacant(ctx context.Context, master string) (*Lease, error) {
	l := &Lease{s: s, master: master}
	err := s.pool.QueryRow(ctx, `UPDATE leases SET fence = fence + 1 WHERE master = $1 AND expires <= `+now+` RETURNING fence`, written(master)).Scan(&l.fence)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, s.told(err)
	}
	s.names.forgetRuns() // what another wrote since is not known here
	return l, nil
}

// Runs is the archive's store of runs, in which a run is made or changed only while nobody else has taken the lease: CodeUnavailable
// from then on, also for a change that was under way.
func (l *Lease) Runs() gaea.RunStore {
	return l.s.GuardedRuns(func(tx tables.Tx) error {
		var fence int64
		// Who takes the lease waits for those that have read it, so that nothing is written after it was taken.
		err := tx.Row(`SELECT fence FROM leases WHERE master = ? FOR KEY SHARE`, l.master).Scan(&fence)
		switch {
		case errors.Is(err, sql.ErrNoRows) || err == nil && fence != l.fence:
			return gaea.Errorf(gaea.CodeUnavailable, "another jobd leads the master %q now, and carries out its runs; ask again, or see: jobd masters", l.master)
		default:
			return err
		}
	})
}
