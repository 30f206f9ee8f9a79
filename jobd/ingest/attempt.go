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

// attempt writes once, and hands out what was stored. A record that the archive will never take is stored as an event that says
// what it was, and takes no other with it. So is one with which the archive fails again and again for no known reason, as long
// as that happens to few.
func (i *Ingester) attempt(ctx context.Context, r *records) error {
	if r.size() == 0 {
		return nil
	}
	err := i.attemptPart(ctx, r, false)
	switch {
	case err == nil:
		i.doubts.passed(r.name())
	case unknown(err) && i.doubts.fails(r.name()):
		return i.attemptPart(ctx, r, true)
	}
	return err
}

// attemptPart writes all, or a part of what is attempted. Where it is doubted, an error that nobody knows is one of the records'.
func (i *Ingester) attemptPart(ctx context.Context, r *records, doubted bool) error {
	start := i.o.Now()
	// A gap is recorded before what came after it is stored.
	if err := i.limited(ctx, i.recordGap); err != nil {
		return err
	}
	err := i.writeOnce(ctx, r)
	if refused(err) || doubted && unknown(err) {
		return i.attemptHalves(ctx, r, err, doubted)
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

func (i *Ingester) writeOnce(ctx context.Context, r *records) error {
	return i.limited(ctx, func(ctx context.Context) error { return i.o.Store.Write(ctx, r.jobs, r.returns, r.events) })
}

// limited gives a write a time of its own: to look for what the archive refuses takes several, and comes to an end however long
// each of them takes.
func (i *Ingester) limited(ctx context.Context, write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, i.o.WriteTimeout)
	defer cancel()
	return write(ctx)
}

// refused says whether the archive will never take what it was given.
func refused(err error) bool {
	code := gaea.CodeOf(err)
	return code == gaea.CodeInvalid || code == gaea.CodeTooLarge
}

// attemptHalves finds the records that the archive refuses: among n it takes two writes for each halving of n.
func (i *Ingester) attemptHalves(ctx context.Context, r *records, cause error, doubted bool) error {
	if r.size() == 1 {
		return i.refuse(ctx, r, cause)
	}
	first, second := r.halves()
	if err := i.attemptPart(ctx, first, doubted); err != nil {
		return err
	}
	return i.attemptPart(ctx, second, doubted)
}

// refuse stores an event in the place of a record that the archive refuses. What it refuses as that too is skipped.
func (i *Ingester) refuse(ctx context.Context, r *records, cause error) error {
	if unknown(cause) && i.doubts.exhausted(i.o.Now()) {
		return cause
	}
	e, err := remnant(r, cause, i.o.Now())
	if err == nil && e.Tag != "" {
		err = i.writeOnce(ctx, &records{events: []gaea.Event{e}})
	}
	if unknown(cause) && (err != nil && unknown(err) || e.Tag == "") {
		e = i.setAside(r)
		err = i.writeOnce(ctx, &records{events: []gaea.Event{e}})
	}
	switch {
	case err != nil && !refused(err): // the archive is away, or fails with everything: the next try comes here again
		return err
	case err == nil && e.Tag != "":
		i.o.Logger.Error("the archive refuses a record; it is stored as an event that counts as nothing else", "record", r.name(), "error", cause)
	default:
		i.o.Logger.Error("the archive refuses a record; it is skipped", "record", r.name(), "error", cause)
	}
	if unknown(cause) {
		i.doubts.setAside(i.o.Now())
	}
	i.metrics.errors.WithLabelValues("refused").Inc()
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
