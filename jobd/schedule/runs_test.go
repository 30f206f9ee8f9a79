package schedule_test

import (
	"context"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

func TestARunThatGoesOnIsLookedAtLessOftenTheOlderItIs(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.runs["run-1"] = false
	for age, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 2 * time.Minute: 2 * time.Minute, 24 * time.Hour: 10 * time.Minute} {
		nap, err := schedule.LookAfter(t.Context(), w, "run-1", time.Now().Add(-age))
		if err != nil || nap < want || nap > want+time.Second {
			t.Errorf("a run of %s: the next look in %s, %v", age, nap, err)
		}
	}
}

func TestTheJobOfARunIsOverWhenTheRunHasEndedOrIsNotKeptAnyMore(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.runs["run-1"] = true
	for _, run := range []string{"run-1", "run-2"} {
		if nap, err := schedule.LookAfter(t.Context(), w, run, time.Now()); nap != 0 || err != nil {
			t.Errorf("%s: %s, %v", run, nap, err)
		}
	}
}

// away is an engine that does not run.
type away struct{}

func (away) Ensure(context.Context, string) (bool, error) {
	return false, gaea.Errorf(gaea.CodeUnavailable, "jobd is stopping")
}

func TestARunThatCannotBeLookedAtIsTriedAgainLaterEachTime(t *testing.T) {
	t.Parallel()
	if _, err := schedule.LookAfter(t.Context(), away{}, "run-1", time.Now()); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("%v", err)
	}
	for attempt, want := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 25: 5 * time.Minute} {
		if pause := schedule.RetryAfter(attempt).Round(time.Second); pause != want {
			t.Errorf("after attempt %d: %s", attempt, pause)
		}
	}
}
