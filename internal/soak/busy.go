package soak

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	floodMinions = 50                // minions of a job that is fired on the bus
	floodAge     = 10 * 24 * 60 * 60 // seconds: how old what retention deletes is
	readers      = 10                // who ask questions at the same time
	longestLag   = 10 * time.Second  // of 99 in 100 returns, on two cores that are busy with the master, the minions and ten readers
)

// busyLoad is how much is fired on the bus, in jobs of floodMinions.
func (s *stage) busyLoad() (old, fresh uint64) {
	if s.long() {
		return 1200, 800
	}
	return 300, 120
}

// playBusy has the master's bus at its full speed while retention deletes what is old and ten readers ask questions, with the archive
// in SQLite and in PostgreSQL.
func playBusy(ctx context.Context, s *stage) error {
	return s.onEach(ctx, func(ctx context.Context, s *stage) error { return s.busyBus(ctx) }, "--retention", "0")
}

// busyBus is the play on one archive.
func (s *stage) busyBus(ctx context.Context) error {
	old, fresh := s.busyLoad()
	if err := s.grow(ctx, old); err != nil {
		return err
	}
	f, err := s.fires(ctx, "flood", fresh, floodMinions, 0)
	if err != nil {
		return err
	}
	return errors.Join(s.flooded(ctx, f, int(old)*floodMinions, int(fresh)*floodMinions), f.close())
}

// grow fills the archive with what is old.
func (s *stage) grow(ctx context.Context, jobs uint64) (err error) {
	f, err := s.fires(ctx, "flood", jobs, floodMinions, floodAge)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	fired, err := f.ask("go")
	if err != nil {
		return err
	}
	return s.settles(ctx, func() error { return s.stored(ctx, fired.Fired) })
}

// stored checks that jobd has stored so many returns since it was started.
func (s *stage) stored(ctx context.Context, least int) error {
	n, err := s.Jobd.Metric(ctx, "gaea_ingest_returns_stored_total")
	if err == nil && int(n) < least {
		err = violation("jobd has stored %.0f of %d returns", n, least)
	}
	return err
}

// flooded starts jobd again, now with a retention that takes all that is old, and has the bus full meanwhile.
func (s *stage) flooded(ctx context.Context, f *firing, old, fresh int) error {
	if err := s.Jobd.Stop(); err != nil {
		return err
	}
	s.Client.Close() // its connections lead nowhere now
	s.Jobd.Use("--retention", "24h")
	if err := s.Jobd.Launch(ctx); err != nil {
		return err
	}
	if err := s.Jobd.Ready(ctx); err != nil {
		return err
	}
	t, err := s.newTraffic()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := f.say("go"); err != nil {
		return err
	}
	asked, err := s.read(ctx, func(ctx context.Context) error {
		if err := s.settles(ctx, func() error { return s.stored(ctx, 1) }); err != nil {
			return err
		}
		if err := s.none(ctx, "gaea_archive_deleted_total"); err != nil { // which tells of a turn when it is over
			return fmt.Errorf("retention was over before the bus was full: it needs more to do: %w", err)
		}
		if err := s.tellUntil(ctx, t, f); err != nil {
			return err
		}
		took, all := time.Since(began).Seconds(), fresh+len(t.jids)*len(s.ids)
		s.saw("%d returns went through the bus in %.1f s, %.0f a second, those of %d jobs of the minions among them", all, took, float64(all)/took, len(t.jids))
		return s.settles(ctx, func() error { return s.stored(ctx, fresh+len(t.jids)*len(s.ids)) })
	})
	if err != nil {
		return err
	}
	s.saw("stored %.1f s after the first; %d questions were answered meanwhile", time.Since(began).Seconds(), asked)
	if err := s.onTime(ctx); err != nil {
		return err
	}
	if err := s.settles(ctx, func() error { return s.expired(ctx, old) }); err != nil {
		return err
	}
	if _, err := f.ask("now the job cache"); err != nil {
		return err
	}
	if err := s.settles(ctx, func() error { return s.has(ctx, t, fresh+len(t.jids)*len(s.ids)) }); err != nil {
		return err
	}
	return s.intact(ctx, t)
}

// tellUntil has the minions return jobs until all that was to be fired is.
func (s *stage) tellUntil(ctx context.Context, t *traffic, f *firing) error {
	done := make(chan error, 1)
	go func() {
		_, err := f.next()
		done <- err
	}()
	for {
		if err := s.tell(ctx, t); err != nil {
			return err // what fires is ended by who started it
		}
		select {
		case err := <-done:
			return err
		default:
		}
	}
}

// onTime checks that ingest did not stand still: no return waited long, and none was let go. What was fired cannot have come from the job
// cache, which does not have it yet.
func (s *stage) onTime(ctx context.Context) error {
	lag, err := s.Jobd.Quantile(ctx, "gaea_ingest_lag_seconds", 0.99)
	if err != nil {
		return err
	}
	s.saw("99 in 100 returns were stored within %s", lag)
	if lag > longestLag {
		return violation("of 100 returns one was stored more than %s after its stamp, and %s is the bound", lag, longestLag)
	}
	return s.none(ctx, "gaea_ingest_let_go_total", "gaea_ingest_lost_events_total")
}

// none checks that metrics of jobd are 0.
func (s *stage) none(ctx context.Context, metrics ...string) error {
	for _, metric := range metrics {
		n, err := s.Jobd.Metric(ctx, metric)
		if err != nil {
			return err
		}
		if n > 0 {
			return violation("%s is %.0f", metric, n)
		}
	}
	return nil
}

// expired checks that retention has taken all that is old.
func (s *stage) expired(ctx context.Context, old int) error {
	gone, err := s.Jobd.Metric(ctx, "gaea_archive_deleted_total")
	if err != nil {
		return err
	}
	left, err := s.Client.Returns(ctx, gaea.JobFilter{Until: time.Now().Add(-24 * time.Hour)}, gaea.PageRequest{Limit: 1})
	if err != nil {
		return err
	}
	if int(gone) < old || len(left.Items) > 0 {
		return violation("retention has deleted %.0f things, of %d returns that are too old; %d are left on the first page", gone, old, len(left.Items))
	}
	s.saw("retention has deleted %.0f things", gone)
	return nil
}

// read has ten readers ask questions as long as something is done, each the next as soon as it has the answer, and returns how many answers
// they got.
func (s *stage) read(ctx context.Context, do func(context.Context) error) (answers int64, err error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var got atomic.Int64
	var wait sync.WaitGroup
	failed := make(chan error, readers)
	for i := range readers {
		wait.Go(func() {
			for n := i; reading.Err() == nil; n++ {
				if err := s.question(reading, n); err != nil && reading.Err() == nil {
					failed <- fmt.Errorf("a question was not answered: %w", err)
					return
				}
				got.Add(1)
			}
		})
	}
	err = do(ctx)
	stop()
	wait.Wait()
	close(failed)
	for e := range failed {
		err = errors.Join(err, e)
	}
	return got.Load(), err
}

// question asks one of those that people ask.
func (s *stage) question(ctx context.Context, n int) (err error) {
	minion := fmt.Sprintf("flood-%04d", n%floodMinions)
	since, page := time.Now().AddDate(0, 0, -7), gaea.PageRequest{Limit: 20}
	switch n % 8 {
	case 0:
		_, err = s.Client.History(ctx, gaea.HistoryFilter{Minion: minion, Since: since}, page)
	case 1:
		_, err = s.Client.Jobs(ctx, gaea.JobFilter{Function: "state.apply"}, page)
	case 2:
		_, err = s.Client.FailedMinions(ctx, gaea.StateFilter{SLS: "app.sites", Since: since}, page)
	case 3:
		_, err = s.Client.Changes(ctx, gaea.StateFilter{State: "/srv/app/conf.d/00-site.conf", Since: since}, page)
	case 4:
		_, err = s.Client.States(ctx, gaea.StateFilter{Minion: minion}, page)
	case 5:
		_, err = s.Client.Jobs(ctx, gaea.JobFilter{Running: true, Since: time.Now().Add(-time.Hour)}, page)
	case 6:
		_, err = s.Client.SlowStates(ctx, gaea.SlowStateFilter{Since: since}, page)
	default:
		_, err = s.Client.RunDurations(ctx, gaea.RunDurationFilter{Applied: "app.sites", Since: since}, page)
	}
	return err
}
