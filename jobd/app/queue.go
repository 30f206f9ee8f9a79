package app

import (
	"context"
	"os"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

// openQueue opens the queue for this jobd. What it works with is made already.
func (a *App) openQueue(ctx context.Context) error {
	database, err := SQLitePath(a.o.Database)
	if err != nil {
		return err
	}
	address := QueueAddress(a.o.QueueDatabase, a.o.Database, database)
	path, err := schedule.SQLitePath(address)
	switch {
	case err != nil:
		return err
	case path != "" && path == database:
		return gaea.Invalid("queue_database", "%s is the archive, and the queue needs a file of its own", path)
	case path != "":
		if err := makeDirectory(path); err != nil {
			return err
		}
		if a.queueLock, err = lockDatabase(path, "--queue-database"); err != nil {
			return err
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return gaea.Wrap(err, gaea.CodeUnavailable, "the name of this machine cannot be had")
	}
	// The place of this process is what it has locked: the archive's file, or its master.
	seat := host + ":" + database
	if a.masterLock != nil {
		seat = "master"
	}
	a.queue, err = schedule.Open(ctx, schedule.Options{
		Address: address, Master: a.master, Seat: seat,
		Runs: a.engine, Checks: a.enforce, Store: a.store, Keep: a.o.Retention, WholeDays: a.masterLock != nil, Logger: a.log,
	})
	return err
}

// stopQueue ends what is done by the clock. Where the queue's database does not answer, River takes longer to believe it: the
// rest of the stop goes on meanwhile, and the queue is closed last.
func (a *App) stopQueue(ctx context.Context) error {
	if err := a.queue.Stop(ctx); err != nil {
		a.log.Warn("the queue did not stop in time; the stop goes on", "err", err)
	}
	return nil
}

// queuedRuns is the engine, which puts each run that it accepts into the queue.
type queuedRuns struct {
	*engine.Engine
	accepted func(run string)
}

// Submit accepts a run.
func (r queuedRuns) Submit(ctx context.Context, req engine.Request) (run *gaea.Run, created bool, err error) {
	run, created, err = r.Engine.Submit(ctx, req)
	if created {
		r.accepted(run.ID)
	}
	return run, created, err
}

// Retry accepts a run of what went wrong in another.
func (r queuedRuns) Retry(ctx context.Context, id string, req gaea.RetryRequest, user, key string) (run *gaea.Run, created bool, err error) {
	run, created, err = r.Engine.Retry(ctx, id, req, user, key)
	if created {
		r.accepted(run.ID)
	}
	return run, created, err
}

// watchedArchive is the archive, which tells of each change of an assignment.
type watchedArchive struct {
	archive.Store
	max     int64 // bytes
	changed func()
}

// Usage is the archive's, with how large it may get.
func (w watchedArchive) Usage(ctx context.Context) (gaea.ArchiveStats, error) {
	s, err := w.Store.Usage(ctx)
	s.MaxBytes = w.max
	return s, err
}

// Assignments are the archive's.
func (w watchedArchive) Assignments() gaea.DefinitionStore[gaea.Assignment] {
	return watchedAssignments{w.Store.Assignments(), w.changed}
}

type watchedAssignments struct {
	gaea.DefinitionStore[gaea.Assignment]
	changed func()
}

// Put stores a version of an assignment.
func (w watchedAssignments) Put(ctx context.Context, def gaea.Assignment, author string) (gaea.Version[gaea.Assignment], error) {
	defer w.changed()
	return w.DefinitionStore.Put(ctx, def, author)
}

// Delete deletes an assignment.
func (w watchedAssignments) Delete(ctx context.Context, name, author string) error {
	defer w.changed()
	return w.DefinitionStore.Delete(ctx, name, author)
}
