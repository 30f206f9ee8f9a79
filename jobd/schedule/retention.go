// Package schedule does what jobd does by the clock and not because somebody asked. It lets go of what is older than the
// retention setting.
package schedule

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Pruner deletes what is older than a time, at most limit things at once, and returns how many that were.
type Pruner interface {
	Prune(ctx context.Context, before time.Time, limit int) (deleted int, err error)
}

const (
	// pruneEvery is how often old things are looked for.
	pruneEvery = time.Hour
	// pruneStep bounds one transaction, so that the writer of the archive never waits long.
	pruneStep = 500
)

// Retention deletes what is older than keep, once at its start and then every hour.
type Retention struct {
	store  Pruner
	keep   time.Duration
	logger *slog.Logger
	now    gaea.Clock
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// NewRetention returns a retention that is not started. A keep of 0 keeps everything for ever.
func NewRetention(store Pruner, keep time.Duration, logger *slog.Logger, now gaea.Clock) *Retention {
	return &Retention{store: store, keep: keep, logger: logger, now: now}
}

// Start begins. It returns at once.
func (r *Retention) Start(ctx context.Context) {
	if r.keep <= 0 {
		return
	}
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.done.Go(func() {
		tick := time.NewTicker(pruneEvery)
		defer tick.Stop()
		for {
			r.prune(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

// Stop ends it and waits for the step under way.
func (r *Retention) Stop() {
	if r.stop != nil {
		r.stop()
		r.done.Wait()
	}
}

func (r *Retention) prune(ctx context.Context) {
	before, total := r.now().Add(-r.keep), 0
	for {
		n, err := r.store.Prune(ctx, before, pruneStep)
		total += n
		if err != nil && ctx.Err() == nil {
			r.logger.Error("could not delete what is older than the retention; trying again in an hour", "before", before, "error", err)
		}
		if err != nil || n == 0 {
			break
		}
	}
	if total > 0 {
		r.logger.Info("deleted what is older than the retention", "before", before, "deleted", total)
	}
}
