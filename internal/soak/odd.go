package soak

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// oddShare is the share, in percent, of each way to be odd.
const oddShare = 2

// lateBy is when a late return leaves, in gather times: when silence has been settled.
const lateBy = 6

// oddRoles are all ways of a minion to be odd in a run.
func oddRoles() []role {
	on := []string{work}
	succeeds := []gaea.Outcome{gaea.OutcomeSucceeded}
	silent := []gaea.Outcome{gaea.OutcomeNoReturn}
	away := []gaea.Outcome{gaea.OutcomeUnreachable}
	roles := []role{
		{name: "slow", behaviour: swarm.Behaviour{Functions: on, Slow: swarm.Between(2*time.Second, 6*time.Second)}, outcomes: succeeds},
		{name: "silent", behaviour: swarm.Behaviour{Functions: on, Silent: true}, outcomes: silent},
		{name: "deaf", behaviour: swarm.Behaviour{Silent: true}, outcomes: away},
		{name: "down", behaviour: swarm.Behaviour{Down: true}, outcomes: away},
		{name: "twice", behaviour: swarm.Behaviour{Functions: on, Twice: true}, outcomes: succeeds},
		{name: "late", outcomes: succeeds, late: true},
		{name: "wrong-jid", behaviour: swarm.Behaviour{Functions: on, WrongJID: true}, outcomes: silent},
		{name: "huge", behaviour: swarm.Behaviour{Functions: on, Huge: 1 << 20}, outcomes: succeeds},
		{name: "fails", behaviour: swarm.Behaviour{Functions: on, Fail: 3}, outcomes: []gaea.Outcome{gaea.OutcomeFailed}},
		{name: "dies", behaviour: swarm.Behaviour{Functions: on, Dies: &swarm.Death{After: swarm.Exactly(300 * time.Millisecond)}}, outcomes: away},
		{
			name: "dies-and-comes-back", outcomes: []gaea.Outcome{gaea.OutcomeNoReturn, gaea.OutcomeUnreachable},
			behaviour: swarm.Behaviour{Functions: on, Dies: &swarm.Death{After: swarm.Exactly(300 * time.Millisecond), For: swarm.Exactly(time.Second)}},
		},
		{
			name: "flaps", outcomes: []gaea.Outcome{gaea.OutcomeSucceeded, gaea.OutcomeNoReturn, gaea.OutcomeUnreachable},
			behaviour: swarm.Behaviour{Flaps: &swarm.Flaps{Up: swarm.Between(time.Second, 3*time.Second), Down: swarm.Between(time.Second, 3*time.Second)}},
		},
		{name: "ahead", behaviour: swarm.Behaviour{Clock: 3 * time.Hour}, outcomes: succeeds},
		{name: "behind", behaviour: swarm.Behaviour{Clock: -3 * time.Hour}, outcomes: succeeds},
	}
	for _, hostile := range []swarm.Hostile{
		swarm.HostileNaN, swarm.HostileKeys, swarm.HostileBytes, swarm.HostileControl, swarm.HostileMarkup, swarm.HostileDeep, swarm.HostileStates,
	} {
		roles = append(roles, role{name: "hostile-" + string(hostile), behaviour: swarm.Behaviour{Functions: on, Hostile: hostile}, outcomes: succeeds})
	}
	for i := range roles {
		roles[i].percent = oddShare
	}
	return roles
}

// playOdd makes one run over all, and compares.
func playOdd(ctx context.Context, s *stage) error {
	for _, name := range s.with("late") {
		if err := s.swarm.Behave(name, swarm.Behaviour{Functions: []string{work}, Late: swarm.Exactly(lateBy * s.gather())}); err != nil {
			return err
		}
	}
	run, err := s.run(ctx, gaea.RunRequest{
		Function: work, Args: []any{"grüße"}, Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Timeouts: s.timeouts(),
	})
	if err != nil {
		return err
	}
	if run.Status != gaea.RunFailed {
		return violation("run %s ended as %s: %s", run.ID, run.Status, run.Message)
	}
	if run, err = s.judged(ctx, run.ID, s.ids); err != nil {
		return err
	}
	s.saw("in the end: %s", tally(run))
	return s.wrongJIDs(ctx, run)
}

// wrongJIDs checks that a return under an id that nobody published is kept, apart from the run's.
func (s *stage) wrongJIDs(ctx context.Context, run *gaea.Run) error {
	for _, name := range s.with("wrong-jid") {
		returns, err := s.Client.Returns(ctx, gaea.JobFilter{Minion: name, Function: work, Since: run.Created.Add(-time.Second)}, gaea.PageRequest{})
		if err != nil {
			return err
		}
		if len(returns.Items) != 1 || returns.Items[0].JID == run.Minions[name].JID {
			return violation("%s returned under a wrong job id, and the archive has %+v", name, returns.Items)
		}
	}
	return nil
}
