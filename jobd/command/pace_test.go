package command

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// walk lets minions end one after the other, so many seconds apart.
func walk(p *pace, from time.Time, done, minions int, every time.Duration) (time.Time, int) {
	for range minions {
		from = from.Add(every)
		done++
		p.observe(from, done, false, 0)
	}
	return from, done
}

func TestASteadyPaceTellsHowLongTheRestTakes(t *testing.T) {
	t.Parallel()
	p := &pace{}
	p.observe(noon, 0, false, 0)
	walk(p, noon, 0, 100, 2*time.Second)
	left, known := p.left(50)
	if rate := p.rate(); math.Abs(rate-0.5) > 0.02 || !known || left < 95*time.Second || left > 105*time.Second {
		t.Errorf("0.5 minions a second are told as %g, and 50 of them as %s", rate, left)
	}
}

func TestARunThatSlowsDownIsNotExpectedToSpeedUp(t *testing.T) {
	t.Parallel()
	p := &pace{}
	p.observe(noon, 0, false, 0)
	now, done := walk(p, noon, 0, 60, time.Second)
	walk(p, now, done, 30, 10*time.Second)
	if rate := p.rate(); math.Abs(rate-0.1) > 0.03 {
		t.Errorf("one minion each 10 s is told as %g/s", rate)
	}
}

func TestTimeInWhichNothingCanGoOnDoesNotCount(t *testing.T) {
	t.Parallel()
	p := &pace{}
	p.observe(noon, 0, false, 0)
	now, done := walk(p, noon, 0, 30, time.Second)
	p.observe(now, done, true, 0)
	now = now.Add(time.Hour)
	p.observe(now, done, false, 0)
	walk(p, now, done, 30, time.Second)
	if rate := p.rate(); math.Abs(rate-1) > 0.05 {
		t.Errorf("one minion a second with an hour's pause is told as %g/s", rate)
	}
}

func TestWhoComesLateKnowsThePaceAtOnce(t *testing.T) {
	t.Parallel()
	p := &pace{}
	p.observe(noon, 300, false, 10*time.Minute)
	if left, known := p.left(150); !known || left < 2*time.Minute || left > 6*time.Minute {
		t.Errorf("300 in ten minutes, and 150 more take %s", left)
	}
}

func TestWithoutAMinionThatEndedThereIsNoEstimate(t *testing.T) {
	t.Parallel()
	p := &pace{}
	p.observe(noon, 0, false, 0)
	p.observe(noon.Add(time.Hour), 0, false, 0)
	if left, known := p.left(10); known {
		t.Errorf("the rest is said to take %s", left)
	}
	if left, known := (&pace{}).left(10); known {
		t.Errorf("before the first look the rest is said to take %s", left)
	}
	if _, known := p.left(0); known {
		t.Error("no minions take time")
	}
}

func TestWhateverARunDoesItsPaceIsANumber(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, now := &pace{}, noon
		for range rapid.IntRange(1, 1200).Draw(t, "looks") {
			now = now.Add(time.Duration(rapid.Int64Range(-5e9, 60e9).Draw(t, "later")))
			p.observe(now, rapid.IntRange(0, 10000).Draw(t, "done"), rapid.Bool().Draw(t, "frozen"), time.Duration(rapid.Int64Range(-1e9, 1e12).Draw(t, "before")))
			if rate := p.rate(); rate < 0 || math.IsNaN(rate) || math.IsInf(rate, 0) {
				t.Fatalf("the pace is %g", rate)
			}
			if left, known := p.left(1000); known && left <= 0 {
				t.Fatalf("a thousand minions take %s", left)
			}
			if len(p.steps) > maxPaceSteps {
				t.Fatalf("%d steps are kept", len(p.steps))
			}
		}
	})
}
