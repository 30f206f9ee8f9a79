package ingest

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// store writes until the archive has taken the records, with growing pauses. It returns false when ctx ended before. What comes
// from the bus goes by the writer instead, which nothing may hold up.
func (i *Ingester) store(ctx context.Context, r *records) bool {
	for pause := firstPause; ; pause = min(pause*2, lastPause) {
		err := i.attempt(ctx, r)
		if ctx.Err() != nil && err != nil {
			return false
		}
		i.took(err)
		if err == nil {
			return true
		}
		if !sleep(ctx, pause) {
			return false
		}
	}
}

// took notes whether the archive takes events.
func (i *Ingester) took(err error) {
	if err == nil {
		if i.failing.Swap(nil) != nil {
			i.o.Logger.Info("the archive takes events again")
		}
		return
	}
	i.metrics.errors.WithLabelValues("store").Inc()
	if i.failing.Swap(&err) == nil {
		i.o.Logger.Error("the archive does not take events; trying again until it does", "error", err, "kept_in", i.place())
	}
}

// attempt writes once, and hands out what was stored. A record that the archive will never take is skipped, and takes no other
// with it.
func (i *Ingester) attempt(ctx context.Context, r *records) error {
	if r.size() == 0 {
		return nil
	}
	start := i.o.Now()
	// A gap is recorded before what came after it is stored.
	if err := i.missing.record(ctx, i.o.Store.OpenGap); err != nil {
		return err
	}
	err := i.o.Store.Write(ctx, r.jobs, r.returns, r.events)
	if code := gaea.CodeOf(err); code == gaea.CodeInvalid || code == gaea.CodeTooLarge {
		return i.attemptEach(ctx, r, err)
	}
	if err != nil {
		return err
	}
	now := i.o.Now()
	i.metrics.write.Observe(now.Sub(start).Seconds())
	for k := range r.returns {
		if r.returns[k].Source == gaea.SourceBus {
			i.metrics.lag.Observe(max(now.Sub(r.returns[k].Stamp), 0).Seconds())
		}
	}
	i.metrics.batch.Observe(float64(r.size()))
	i.metrics.returns.Add(float64(len(r.returns)))
	i.o.Hub.Send(r.returns)
	if i.o.OnStored != nil && len(r.returns) > 0 {
		i.o.OnStored(r.returns)
	}
	return nil
}

// attemptEach finds the one record that the archive refuses.
func (i *Ingester) attemptEach(ctx context.Context, r *records, cause error) error {
	if r.size() == 1 {
		i.metrics.errors.WithLabelValues("refused").Inc()
		i.o.Logger.Error("the archive refuses a record; it is skipped", "record", r.name(), "error", cause)
		return nil
	}
	for k := range r.jobs {
		if err := i.attempt(ctx, &records{jobs: r.jobs[k : k+1]}); err != nil {
			return err
		}
	}
	for k := range r.returns {
		if err := i.attempt(ctx, &records{returns: r.returns[k : k+1]}); err != nil {
			return err
		}
	}
	for k := range r.events {
		if err := i.attempt(ctx, &records{events: r.events[k : k+1]}); err != nil {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
