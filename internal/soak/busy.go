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
	readEvery    = 100 * time.Millisecond

	storedReturns = "gaea_ingest_returns_stored_total"
)

// business is how a bus is kept busy.
type business struct {
	old, fresh uint64        // jobs of floodMinions that retention deletes, and that are fired meanwhile
	readEvery  time.Duration // between an answer and the next question of a reader
}

// playBusy has the master's bus at its full speed while retention deletes what is old and ten readers ask questions, each ten a second where
// they are answered so quickly, with the archive in SQLite and in PostgreSQL. A master may take events faster than it tells them, as 3006 does,
// so what a return waits grows with how many are fired and is told; what is judged is that none is lost, and that nothing stands still.
func playBusy(ctx context.Context, s *stage) error {
	of := business{old: 300, fresh: 120, readEvery: readEvery}
	if s.long() {
		of.old, of.fresh = 1200, 800
	}
	return s.onEach(ctx, of.play, "--retention", "0")
}

// playGreedy is the same with readers who never pause. They take the processors from the master, so its bus is not at its full speed.
func playGreedy(ctx context.Context, s *stage) error {
	return s.onEach(ctx, business{old: 300, fresh: 120}.play, "--retention", "0")
}

// play is the play on one archive.
func (b business) play(ctx context.Context, s *stage) error {
	if err := s.grow(ctx, b.old); err != nil {
		return err
	}
	f, err := s.fires(ctx, "flood", b.fresh, floodMinions, 0)
	if err != nil {
		return err
	}
	return errors.Join(s.flooded(ctx, f, b), f.close())
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
	n, err := s.Jobd.Metric(ctx, storedReturns)
	if err == nil && int(n) < least {
		err = violation("jobd has stored %.0f of %d returns", n, least)
	}
	return err
}

// flooded starts jobd again, now with a retention that takes all that is old, and has the bus full meanwhile.
func (s *stage) flooded(ctx context.Context, f *firing, b business) error {
	old, fresh := int(b.old)*floodMinions, int(b.fresh)*floodMinions
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
	asked, err := s.read(ctx, b.readEvery, func(ctx context.Context) error {
		if err := s.settles(ctx, func() error { return s.stored(ctx, 1) }); err != nil {
			return err
		}
		if err := s.none(ctx, "gaea_archive_deleted_total"); err != nil { // which tells of a turn when it is over
			return fmt.Errorf("retention was over before the bus was full: it needs more to do: %w", err)
		}
		longest, err := s.standstill(ctx, func() (int, error) {
			if err := s.tellUntil(ctx, t, f); err != nil {
				return 0, err
			}
			took, all := time.Since(began).Seconds(), fresh+len(t.jids)*len(s.ids)
			s.saw("%d returns went through the bus in %.1f s, %.0f a second, those of %d jobs of the minions among them", all, took, float64(all)/took, len(t.jids))
			return all, nil
		})
		if err == nil && longest > longestStandstill {
			err = violation("jobd stored nothing for %.1f s, and %s is the bound", longest.Seconds(), longestStandstill)
		}
		s.saw("nothing was stored for %.1f s at most", longest.Seconds())
		return err
	})
	if err != nil {
		return err
	}
	s.saw("stored %.1f s after the first; %d questions were answered meanwhile", time.Since(began).Seconds(), asked)
	if err := s.keptAll(ctx); err != nil {
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

// keptAll checks that nothing was let go, and tells what returns waited. What was fired cannot have come from the job cache, which does not
// have it yet.
func (s *stage) keptAll(ctx context.Context) error {
	lag, err := s.Jobd.Quantile(ctx, "gaea_ingest_lag_seconds", 0.99)
	if err != nil {
		return err
	}
	s.saw("99 in 100 returns were stored within %s", lag)
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

// read has ten readers ask questions as long as something is done, with a pause after each answer, and returns how many answers they got.
func (s *stage) read(ctx context.Context, every time.Duration, do func(context.Context) error) (answers int64, err error) {
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
				_ = pause(reading, every) // an end is seen above
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
