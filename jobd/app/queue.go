package app

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

// findQueue finds where the queue is, and takes it for this jobd alone where that is a file.
func (a *App) findQueue() error {
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
	// The place of this process is what it has alone: the archive's file, or its master for as long as it leads that.
	a.queueAddress, a.queueSeat = address, a.host+":"+database
	if a.seat != nil {
		a.queueSeat = "master"
	}
	return nil
}

// firstTerm makes the first term, where this jobd leads the master from the beginning. Where another does, it is only seen to that
// the queue can be opened. Where a database is away there is none yet.
func (a *App) firstTerm(ctx context.Context) error {
	if err := a.absent(); err != nil {
		a.startsWithout(err, nil)
		return nil
	}
	var lease *postgres.Lease
	if a.seat != nil {
		select {
		case lease = <-a.seat.Leads():
		default:
		}
	}
	t, err := a.newTerm(ctx, lease)
	switch {
	case err != nil && a.seat != nil && postgres.Away(err):
		a.startsWithout(err, lease)
		return nil
	case err != nil:
		return err
	case a.seat != nil && lease == nil:
		if a.seat.Fault() == nil {
			a.log.Info("another jobd leads the master; this one archives and answers, and takes over where that is gone", "master", a.master)
		}
		return t.queue.Close()
	}
	a.first = t
	a.term.Store(t)
	return nil
}

// queueOpens sees that the queue can be opened.
func (a *App) queueOpens(ctx context.Context) error {
	t, err := a.newTerm(ctx, nil)
	if err != nil {
		return err
	}
	return t.queue.Close()
}

// stopQueue ends what is done by the clock. Where the queue's database does not answer, River takes longer to believe it: the
// rest of the stop goes on meanwhile, and the queue is closed last.
func (a *App) stopQueue(ctx context.Context, t *term) error {
	if err := t.queue.Stop(ctx); err != nil {
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
