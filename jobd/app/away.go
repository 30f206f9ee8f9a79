package app

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// A jobd whose database is away when it starts reads the bus and answers all the same: its store refuses everything until the database
// was reached, so events wait as they do in an outage later, and it does not lead its master, as beside another jobd that does. When
// the database comes it is made ready, and the first term begins as any other.

const (
	// reachPause is the pause after the first try to reach the database that failed; it grows to reachSeldom.
	reachPause  = 100 * time.Millisecond
	reachSeldom = 5 * time.Second
)

// absent is why the archive was not reached since this jobd started; nil where it was.
func (a *App) absent() error {
	if many, ok := a.store.(*postgres.Store); ok {
		return many.Absent()
	}
	return nil
}

// startsWithout notes that this jobd starts without a database, and leads nothing before that is there: with a lease, if one was had.
func (a *App) startsWithout(err error, lease *postgres.Lease) {
	a.without.Store(&err)
	a.granted = lease
	a.log.Warn("a database is away; jobd keeps what the bus tells, and does nothing else until it was reached", "error", err)
}

// reached waits until the databases are there and ready to be used. False where ctx has ended before, or where one was found to be none
// for this jobd, which ends it.
func (a *App) reached(ctx context.Context) bool {
	if a.without.Load() == nil {
		return true
	}
	for pause := reachPause; ; pause = min(pause*2, reachSeldom) {
		err := a.reach(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			a.without.Store(nil)
			a.log.Info("the database was reached", "database", a.database, "after", time.Since(a.since).Round(time.Millisecond).String())
			if a.granted != nil {
				a.begin(ctx, a.granted)
			}
			return true
		case !postgres.Away(err):
			a.unusable <- err
			return false
		}
		a.without.Store(&err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
}

// reach makes the archive ready, finds out there since when events may be missing, which nothing shows any more once this jobd leads,
// and sees that the queue can be opened.
func (a *App) reach(ctx context.Context) error {
	if many, ok := a.store.(*postgres.Store); ok {
		if err := many.Reach(ctx); err != nil {
			return err
		}
	}
	if err := a.ingest.Begin(ctx); err != nil {
		return err
	}
	return a.queueOpens(ctx)
}
