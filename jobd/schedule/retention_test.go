package schedule_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

// shelf holds the times of things.
type shelf struct {
	mu     sync.Mutex
	times  []time.Time
	takes  time.Duration // a step
	broken bool
}

func (s *shelf) Prune(_ context.Context, before time.Time, limit int) (int, error) {
	if s.takes > 0 {
		<-time.After(s.takes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return 0, errors.New("the disk is gone")
	}
	var left []time.Time
	n := 0
	for _, t := range s.times {
		if t.Before(before) && n < limit {
			n++
			continue
		}
		left = append(left, t)
	}
	s.times = left
	return n, nil
}

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

func TestWhatIsOlderThanTheRetentionGoesAndTheRestStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := minutes(1200)
		if pause := schedule.Prune(t.Context(), s, 10*time.Hour, slog.New(slog.DiscardHandler)); pause != time.Hour {
			t.Errorf("looks again after %s", pause)
		}
		if n := s.left(); n != 601 {
			t.Errorf("%d things are left, not the 601 of the last 10 hours", n)
		}
		<-time.After(time.Hour)
		schedule.Prune(t.Context(), s, 10*time.Hour, slog.New(slog.DiscardHandler))
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
			pause = schedule.Prune(t.Context(), s, time.Hour, slog.New(slog.DiscardHandler))
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
	if pause := schedule.Prune(t.Context(), &shelf{broken: true}, time.Hour, slog.New(slog.DiscardHandler)); pause != time.Hour {
		t.Errorf("tried again after %s", pause)
	}
}
