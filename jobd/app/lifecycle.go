package app

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// How long each step of a graceful stop may take. Each has its own: a client that does not let go of its connection must not
// cost what was read from the bus. Together they are shorter than systemd's patience (TimeoutStopSec in the unit).
const (
	stopSaying  = 2 * time.Second
	stopServing = 3 * time.Second
	stopWorking = 5 * time.Second
	stopStoring = 30 * time.Second
)

// Run starts everything, serves until ctx ends, stops in order, and returns when all is stored and closed.
func (a *App) Run(ctx context.Context) error {
	served := make(chan struct{}) // closed when the listener is
	err := a.start(ctx)
	if err != nil {
		err = errors.Join(err, a.listener.Close()) // nobody serves it
		close(served)
	} else {
		err = a.serve(ctx, served)
	}
	if ctx.Err() != nil {
		err = nil // told to stop while it started: that is no failure
	}
	err = errors.Join(err, a.stop(context.WithoutCancel(ctx)))
	<-served
	if err == nil {
		a.log.Info("stopped")
	}
	return err
}

// serve answers requests until ctx ends, or the listener fails, or the database that was away proves to be none for this jobd, which
// are errors.
func (a *App) serve(ctx context.Context, served chan<- struct{}) error {
	scheme := "http"
	failed := make(chan error, 1)
	serve := func() error { return a.server.Serve(a.listener) }
	if a.server.TLSConfig != nil {
		scheme, serve = "https", func() error { return a.server.ServeTLS(a.listener, "", "") }
	}
	go func() {
		failed <- serve()
		close(served)
	}()
	a.log.Info("jobd is running", "version", a.o.Version, "listen", scheme+"://"+a.Addr(), "master", a.master,
		"salt_config_dir", a.o.SaltConfigDir, "database", a.database, "retention", a.o.Retention.String())
	select {
	case <-ctx.Done():
		a.log.Info("stopping: storing what was read")
		return nil
	case err := <-a.unusable:
		return err
	case err := <-failed:
		return gaea.Wrap(err, gaea.CodeUnavailable, "jobd cannot listen on %s any more", a.Addr())
	}
}

// start begins with what others wait for: the archive's feed before the engine that follows it.
func (a *App) start(ctx context.Context) error {
	a.late.start(ctx)
	if err := a.ingest.Start(ctx); err != nil {
		return err
	}
	if a.first != nil {
		if err := a.startTerm(ctx, a.first); err != nil {
			return err
		}
	}
	if a.seat != nil {
		leading, stop := context.WithCancel(context.WithoutCancel(ctx))
		a.stopLead = stop
		a.leading.Go(func() {
			if a.reached(leading) {
				a.lead(leading)
			}
		})
	}
	return nil
}

// lastTerm is the term that is to be stopped: the one that goes on, or the first one where that has not begun. Others do not begin
// any more.
func (a *App) lastTerm() *term {
	if a.stopLead == nil {
		return a.first
	}
	a.stopLead()
	a.leading.Wait()
	return a.current()
}

// stop ends everything in the opposite order, whatever was started and whatever happened to the part before.
func (a *App) stop(ctx context.Context) error {
	a.api.Stop()
	// The next process may listen at this address as soon as this one does not, and must not lead before this one has ended.
	if err := step(ctx, stopSaying, a.seat.LeavePlace); err != nil {
		a.log.Warn("the database was not told that this jobd stops; one that starts at its address meanwhile may take over before its end", "err", err)
	}
	_ = step(ctx, stopServing, a.shutdown)
	last, closeQueue := a.lastTerm(), func() error { return nil }
	var err error
	if last != nil {
		closeQueue = last.queue.Close
		err = errors.Join(
			step(ctx, stopWorking, func(ctx context.Context) error { return a.stopQueue(ctx, last) }),
			step(ctx, stopWorking, func(ctx context.Context) error {
				if err := last.stopRuns(ctx); err != nil {
					return gaea.Wrap(err, gaea.CodeTimeout, "the runs that go on did not let go in time; the next start takes them up as they are stored")
				}
				return nil
			}),
		)
	}
	return errors.Join(
		err,
		a.seat.Leave(), // another jobd may lead from here on
		step(ctx, stopStoring, a.ingest.Stop),
		a.closeSpill(),
		step(ctx, stopWorking, a.late.stop),
		closeQueue(),
		a.store.Close(),
		a.queueLock.release(),
		a.lock.release(),
	)
}

// step bounds a part of a stop.
func step(ctx context.Context, limit time.Duration, stop func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return stop(ctx)
}

// shutdown lets requests that are being answered end, and cuts off those that do not in time.
func (a *App) shutdown(ctx context.Context) error {
	err := a.server.Shutdown(ctx)
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		a.log.Warn("some requests did not end in time and are cut off", "error", err)
		err = a.server.Close()
	}
	return err
}
