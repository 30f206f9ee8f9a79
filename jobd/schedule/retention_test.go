package schedule_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

// shelf holds the times of things, oldest last.
type shelf struct {
	mu     sync.Mutex
	times  []time.Time
	takes  time.Duration // a step
	each   int64         // bytes of a thing
	held   int           // so many of the oldest stay
	free   int           // steps to give back
	broken bool
	cuts   []gaea.Expiry // what Prune was asked
}

func (s *shelf) Prune(_ context.Context, e gaea.Expiry, limit int) (int, error) {
	before := e.Returns
	if s.takes > 0 {
		<-time.After(s.takes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return 0, errors.New("the disk is gone")
	}
	s.cuts = append(s.cuts, e)
	var left []time.Time
	n := 0
	for i, t := range s.times {
		if t.Before(before) && n < limit && i < len(s.times)-s.held {
			n++
			continue
		}
		left = append(left, t)
	}
	s.times = left
	return n, nil
}

func (s *shelf) UsedBytes(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.times)) * s.each, nil
}

func (s *shelf) Oldest(_ context.Context, after time.Time) (oldest time.Time, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.times {
		if !t.Before(after) && (oldest.IsZero() || t.Before(oldest)) {
			oldest = t
		}
	}
	return oldest, nil
}

func (s *shelf) GiveBack(context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = max(s.free-1, 0)
	return s.free > 0, nil
}

func (s *shelf) Measure(context.Context) error { return nil }

func (s *shelf) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.times)
}

// minutes are n things, one a minute up to now.
func minutes(n int) *shelf {
	s := &shelf{}
	for i := range n {
		s.times = append(s.times, time.Now().Add(-time.Duration(i)*time.Minute))
	}
	return s
}

// all is a retention that is the same for every kind.
func all(keep time.Duration) gaea.Retention {
	return gaea.Retention{Returns: keep, Events: keep, Runs: keep}
}

func prune(t *testing.T, s *shelf, keep gaea.Retention) (time.Duration, schedule.Pruned) {
	t.Helper()
	return schedule.Prune(t.Context(), s, keep, false, slog.New(slog.DiscardHandler))
}

func TestWhatIsOlderThanTheRetentionGoesAndTheRestStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := minutes(1200)
		if pause, _ := prune(t, s, all(10*time.Hour)); pause != time.Hour {
			t.Errorf("looks again after %s", pause)
		}
		if n := s.left(); n != 601 {
			t.Errorf("%d things are left, not the 601 of the last 10 hours", n)
		}
		<-time.After(time.Hour)
		prune(t, s, all(10*time.Hour))
		if n := s.left(); n != 541 {
			t.Errorf("an hour later %d things are left, not 541", n)
		}
	})
}

func TestMuchThatIsOldIsDeletedInTurnsSoThatAJobNeverWorksForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := minutes(20000)
		s.takes = 2 * time.Second
		began, turns := time.Now(), 0
		for pause := time.Duration(0); pause < time.Hour; turns++ {
			pause, _ = prune(t, s, all(time.Hour))
			if took := time.Since(began); took > 20*time.Second {
				t.Fatalf("a turn took %s", took)
			}
			began = time.Now()
		}
		if s.left() > 61 || turns < 5 { // time passes
			t.Errorf("%d left after %d turns", s.left(), turns)
		}
	})
}

func TestARetentionThatFailsIsTriedAgainInAnHour(t *testing.T) {
	t.Parallel()
	if pause, _ := prune(t, &shelf{broken: true}, all(time.Hour)); pause != time.Hour {
		t.Errorf("tried again after %s", pause)
	}
}

func TestWhileThereIsTooMuchTheOldestGoesUntilThereIsNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := minutes(1200)
		s.each, s.held, s.free = 10, 100, 7
		pause, done := prune(t, s, gaea.Retention{MaxSize: 8000})
		if n := s.left(); n > 800 || n < 740 { // an hour goes at once
			t.Errorf("%d things are left, of which 800 may stay", n)
		}
		if pause != time.Hour || done.BySize < 400 || done.ByAge != 0 || done.Over {
			t.Errorf("%+v, again after %s", done, pause)
		}
		if s.free != 0 {
			t.Errorf("%d steps of what is free are left", s.free)
		}
	})
}

func TestWhatMayNotBeDeletedIsLeftThoughItIsTooMuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := minutes(1200)
		s.each, s.held = 10, 1000
		var log bytes.Buffer
		pause, done := schedule.Prune(t.Context(), s, gaea.Retention{MaxSize: 5000}, false, slog.New(slog.NewTextHandler(&log, nil)))
		if n := s.left(); n < 1000 || n > 1060 { // the current hour stays as well
			t.Errorf("%d things are left", n)
		}
		if pause != time.Hour || !done.Over || !strings.Contains(log.String(), "release holds") {
			t.Errorf("%+v, again after %s: %s", done, pause, log.String())
		}
	})
}

func TestAnArchiveThatIsKeptByTheDayIsDeletedByTheDay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := minutes(3 * 24 * 60)
		s.each = 1
		keep := gaea.Retention{Returns: 60 * time.Hour, MaxSize: 2000}
		schedule.Prune(t.Context(), s, keep, true, slog.New(slog.DiscardHandler))
		for _, cut := range s.cuts {
			if !cut.Returns.Equal(cut.Returns.UTC().Truncate(24 * time.Hour)) {
				t.Errorf("deleted up to %s", cut.Returns)
			}
		}
		today := time.Now().UTC().Truncate(24 * time.Hour)
		if oldest, _ := s.Oldest(t.Context(), time.Time{}); len(s.cuts) == 0 || oldest.Before(today.Add(-24*time.Hour)) || oldest.After(today) {
			t.Errorf("after %d steps the oldest is from %s", len(s.cuts), oldest)
		}
	})
}

func TestEachKindHasItsOwnAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := minutes(10)
		prune(t, s, gaea.Retention{Returns: time.Hour, Runs: 2 * time.Hour})
		now := time.Now()
		if want := (gaea.Expiry{Returns: now.Add(-time.Hour), Runs: now.Add(-2 * time.Hour)}); s.cuts[0] != want {
			t.Errorf("deleted %+v, want %+v", s.cuts[0], want)
		}
	})
}
