package soak

import (
	"context"
	"errors"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
)

// startsAway starts jobd while PostgreSQL is stopped, three times: before it somebody killed it, then it is killed, then told to stop. What
// the bus tells meanwhile it keeps, also what no job cache has, and what it missed before it fetches from there when the server is back.
func (s *stage) startsAway(ctx context.Context, t *traffic, server *pglab.Server, lasts time.Duration) (err error) {
	if err := s.caughtUp(ctx); err != nil {
		return err
	}
	if err := server.Halt(); err != nil {
		return err
	}
	stopped := true
	defer func() {
		if stopped {
			err = errors.Join(err, server.Resume(context.WithoutCancel(ctx)))
		}
	}()
	began := time.Now()
	s.Jobd.Kill()
	for n := range 3 {
		s.Client.Close()                                                      // its connections lead nowhere now
		if err := s.answer(ctx, t, func() error { return nil }); err != nil { // nobody reads the bus
			return err
		}
		if err := s.Jobd.Launch(ctx); err != nil {
			return err
		}
		if err := s.settles(ctx, s.is(ctx, map[string]float64{"gaea_bus_connected": 1, "gaea_archive_up": 0, "gaea_ready": 0})); err != nil {
			return err
		}
		if err := s.tellFor(ctx, t, lasts/3, s.counts(ctx, "gaea_ingest_spilled_records_total")); err != nil {
			return err
		}
		if err := s.spilled(ctx); err != nil {
			return err
		}
		switch n {
		case 0:
			s.Jobd.Kill()
		case 1:
			if err := s.Jobd.Stop(); err != nil {
				return violation("told to stop while PostgreSQL is away: %v", err)
			}
		}
	}
	stopped = false
	if err := server.Resume(ctx); err != nil {
		return err
	}
	back := time.Now()
	if err := s.Jobd.Ready(ctx); err != nil {
		return violation("%v", err)
	}
	if err := s.tell(ctx, t); err != nil {
		return err
	}
	if err := s.caughtUp(ctx); err != nil {
		return err
	}
	s.saw("jobd started 3 times while the database was away for %.1f s, and had caught up %.1f s after it was back", back.Sub(began).Seconds(), time.Since(back).Seconds())
	return nil
}

// spilled waits until all that has come is in the spill: nothing is in memory, and for a while nothing comes.
func (s *stage) spilled(ctx context.Context) error {
	const still = 5 // looks
	last, same := -1.0, 0
	return s.settles(ctx, func() error {
		if err := s.is(ctx, map[string]float64{"gaea_ingest_queue_events": 0})(); err != nil {
			return err
		}
		n, err := s.Jobd.Metric(ctx, "gaea_ingest_spilled_records_total")
		if same++; err != nil || n != last {
			last, same = n, 0
		}
		if same < still {
			return violation("events come still: %v are in the spill (%v)", n, err)
		}
		return nil
	})
}

// is checks that metrics of jobd have these values.
func (s *stage) is(ctx context.Context, want map[string]float64) func() error {
	return func() error {
		for metric, value := range want {
			switch n, err := s.Jobd.Metric(ctx, metric); {
			case err != nil:
				return violation("%v", err)
			case n != value:
				return violation("%s is %v, not %v", metric, n, value)
			}
		}
		return nil
	}
}
