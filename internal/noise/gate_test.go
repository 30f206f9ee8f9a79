package noise_test

import (
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/noise"
)

func TestOneMessageAMinutePassesAndTellsHowManyDidNot(t *testing.T) {
	t.Parallel()
	var g noise.Gate
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		after   time.Duration
		ok      bool
		skipped int
	}{
		{0, true, 0}, {time.Second, false, 0}, {noise.Quiet - 1, false, 0}, {noise.Quiet, true, 2}, {noise.Quiet + time.Second, false, 0}, {time.Hour, true, 1}, {2 * time.Hour, true, 0},
	} {
		if ok, skipped := g.Pass(start.Add(step.after)); ok != step.ok || skipped != step.skipped {
			t.Errorf("after %s it says %v, and %d", step.after, ok, skipped)
		}
	}
}
