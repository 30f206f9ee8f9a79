package soak

import (
	"context"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// brokenRoles are minions that fail, and some that say nothing.
func brokenRoles() []role {
	on := []string{work}
	return []role{
		{name: "broken", percent: 25, behaviour: swarm.Behaviour{Functions: on, Fail: 2}, outcomes: []gaea.Outcome{gaea.OutcomeFailed}},
		{name: "silent", percent: 5, behaviour: swarm.Behaviour{Functions: on, Silent: true}, outcomes: []gaea.Outcome{gaea.OutcomeNoReturn}},
	}
}

// playHalt makes runs that halt, each for another reason, and one that does not.
func playHalt(ctx context.Context, s *stage) error {
	good, bad := s.with(plain.name), s.with("broken")[0]
	for _, c := range []struct {
		what    string
		batch   gaea.Batch
		minions []string
		ends    gaea.RunStatus
		atLeast int // minions that go wrong
		atMost  int // minions that are told
	}{
		{
			what: "a share of failures", batch: gaea.Batch{Size: amount("10%"), MaxFailures: allowance("10%"), Order: gaea.OrderRandom}, minions: s.ids,
			ends: gaea.RunHalted, atLeast: 1, atMost: len(s.ids) - 1,
		},
		{
			what: "a number of failures, rolling", batch: gaea.Batch{Size: amount("5"), Mode: gaea.BatchRolling, MaxFailures: allowance("2")}, minions: s.ids,
			ends: gaea.RunHalted, atLeast: 3, atMost: len(s.ids) - 1,
		},
		{
			what: "a canary that fails", batch: gaea.Batch{Canary: amount("1"), Size: amount("50%")}, minions: append(slices.DeleteFunc(slices.Clone(good), func(id string) bool { return id < bad }), bad),
			ends: gaea.RunHalted, atLeast: 1, atMost: 1,
		},
		{
			what: "a canary that does not fail", batch: gaea.Batch{Canary: amount("2"), Size: amount("50%"), MaxFailures: allowance("0")}, minions: good,
			ends: gaea.RunSucceeded, atLeast: 0, atMost: len(good),
		},
	} {
		run, err := s.run(ctx, gaea.RunRequest{Function: work, Args: []any{c.what}, Target: gaea.ListTarget(c.minions), Batch: c.batch, Timeouts: s.timeouts()})
		if err != nil {
			return err
		}
		if run.Status != c.ends {
			return violation("with %s run %s ended as %s: %s", c.what, run.ID, run.Status, run.Message)
		}
		if run, err = s.judged(ctx, run.ID, c.minions); err != nil {
			return err
		}
		counts := run.Tally()
		wrong := counts[gaea.OutcomeFailed] + counts[gaea.OutcomeNoReturn]
		if told := len(run.Minions) - counts[gaea.OutcomeSkipped]; wrong < c.atLeast || told > c.atMost {
			return violation("with %s run %s told %d minions, of which %d went wrong: %s", c.what, run.ID, told, wrong, tally(run))
		}
	}
	return nil
}

// amount and allowance read what is written here, where it is right.
func amount(text string) gaea.Amount {
	a, _ := gaea.ParseAmount(text)
	return a
}

func allowance(text string) gaea.Allowance {
	a, _ := gaea.ParseAllowance(text)
	return a
}
