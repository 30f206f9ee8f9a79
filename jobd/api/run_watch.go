package api

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// lookAgain is the pace at which a run is looked at that cannot be watched, because another jobd has it.
const lookAgain = time.Second

// runWatch is a run as it stands, and how it goes on.
type runWatch struct {
	api     *API
	run     *gaea.Run // as it stood last; for reading
	changes <-chan *gaea.Run
	end     func()
	again   *time.Ticker
}

// sight is why [runWatch.next] came back.
type sight int

const (
	sightChange sight = iota // the run may have changed
	sightDue                 // the caller's time has come
	sightStop                // jobd stops
)

// watchRun begins to watch a run; the watch must be closed. CodeNotFound.
func (a *API) watchRun(ctx context.Context, id string) (*runWatch, error) {
	w := &runWatch{api: a}
	// Watch before looking: what happens in between comes twice.
	w.changes, w.end = a.deps.Runs.Watch(id)
	var err error
	if w.run, err = a.deps.Runs.Get(ctx, id); err != nil {
		w.end()
		return nil, err
	}
	w.again = time.NewTicker(lookAgain)
	return w, nil
}

func (w *runWatch) close() {
	w.again.Stop()
	w.end()
}

// next waits for the run's next change, or until something else is due. The errors are the context's and the store's.
func (w *runWatch) next(ctx context.Context, due <-chan time.Time) (sight, error) {
	for {
		again := w.again.C
		if w.changes != nil {
			again = nil
		}
		select {
		case next, ok := <-w.changes:
			if !ok {
				w.changes = nil // it is another jobd's, or just ended: look at it from time to time
				return sightChange, w.look(ctx)
			}
			if next.Seq < w.run.Seq { // seen before the run was looked at
				continue
			}
			w.run = next
			return sightChange, nil
		case <-again:
			return sightChange, w.look(ctx)
		case <-due:
			return sightDue, nil
		case <-w.api.stopped:
			return sightStop, nil
		case <-ctx.Done():
			return sightStop, ctx.Err()
		}
	}
}

func (w *runWatch) look(ctx context.Context) error {
	run, err := w.api.deps.Runs.Get(ctx, w.run.ID)
	if err == nil {
		w.run = run
	}
	return err
}

// await returns the run when it is complete, or as it stands when the time is up or jobd stops.
func (a *API) await(ctx context.Context, id string, wait time.Duration) (*gaea.Run, error) {
	if wait <= 0 {
		return a.deps.Runs.Get(ctx, id)
	}
	leave, err := a.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	w, err := a.watchRun(ctx, id)
	if err != nil {
		return nil, err
	}
	defer w.close()
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for !w.run.Complete() {
		seen, err := w.next(ctx, limit.C)
		if err != nil {
			return nil, err
		}
		if seen != sightChange {
			break
		}
	}
	return w.run, nil
}
