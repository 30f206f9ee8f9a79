package schedule_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf holds the times of things.
type shelf []time.Time

func (s *shelf) Prune(_ context.Context, before time.Time, limit int) (int, error) {
	var left shelf
	n := 0
	for _, t := range *s {
		if t.Before(before) && n < limit {
			n++
			continue
		}
		left = append(left, t)
	}
	*s = left
	return n, nil
}

func TestWhatIsOlderThanTheRetentionGoesAndTheRestStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		var s shelf
		for i := range 1200 {
			s = append(s, now.Add(-time.Duration(i)*time.Minute))
		}
		r := schedule.NewRetention(&s, 10*time.Hour, slog.New(slog.DiscardHandler), time.Now)
		r.Start(t.Context())
		synctest.Wait()
		if len(s) != 601 {
			t.Errorf("%d things are left, not the 601 of the last 10 hours", len(s))
		}
		<-time.NewTimer(time.Hour + time.Second).C
		synctest.Wait()
		if len(s) != 541 {
			t.Errorf("an hour later %d things are left, not 541", len(s))
		}
		r.Stop()
	})
}

func TestARetentionOfZeroKeepsEverything(t *testing.T) {
	t.Parallel()
	s := shelf{time.Unix(0, 0)}
	r := schedule.NewRetention(&s, 0, slog.New(slog.DiscardHandler), time.Now)
	r.Start(t.Context())
	r.Stop()
	if len(s) != 1 {
		t.Error("something was deleted")
	}
}
