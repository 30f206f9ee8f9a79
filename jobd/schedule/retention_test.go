package schedule_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf holds the times of things.
type shelf struct {
	mu    sync.Mutex
	times []time.Time
}

func (s *shelf) Prune(_ context.Context, before time.Time, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
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

func TestWhatIsOlderThanTheRetentionGoesAndTheRestStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		s := &shelf{}
		for i := range 1200 {
			s.times = append(s.times, now.Add(-time.Duration(i)*time.Minute))
		}
		r := schedule.NewRetention(s, 10*time.Hour, slog.New(slog.DiscardHandler), time.Now)
		r.Start(t.Context())
		synctest.Wait()
		if n := s.left(); n != 601 {
			t.Errorf("%d things are left, not the 601 of the last 10 hours", n)
		}
		<-time.NewTimer(time.Hour + time.Second).C
		synctest.Wait()
		if n := s.left(); n != 541 {
			t.Errorf("an hour later %d things are left, not 541", n)
		}
		r.Stop()
	})
}

func TestARetentionOfZeroKeepsEverything(t *testing.T) {
	t.Parallel()
	s := &shelf{times: []time.Time{time.Unix(0, 0)}}
	r := schedule.NewRetention(s, 0, slog.New(slog.DiscardHandler), time.Now)
	r.Start(t.Context())
	r.Stop()
	if s.left() != 1 {
		t.Error("something was deleted")
	}
}
