package soak

import (
	"context"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// longJob is the command of the runs that are cancelled. What a cancel asks of a minion's processes is a command, too.
const longJob = "sleep 600"

// stubbornJob is the command of a minion that no kill ends. It takes longer than a cancel waits for it.
const stubbornJob = "sleep 150"

// stoppableRoles are minions of which a cancel can be certain, one way or the other.
func stoppableRoles() []role {
	killed, away := []gaea.Outcome{gaea.OutcomeKilled}, []gaea.Outcome{gaea.OutcomeUnreachable}
	return []role{
		{name: plain.name, outcomes: killed},
		{name: "no-proc", percent: 5, behaviour: swarm.Behaviour{NoProc: true}, outcomes: killed},
		{name: "ignores-term", percent: 5, behaviour: swarm.Behaviour{IgnoresTerm: true}, outcomes: killed},
		{name: "down", percent: 2, behaviour: swarm.Behaviour{Down: true}, outcomes: away},
		{name: "dies", percent: 2, behaviour: swarm.Behaviour{Functions: []string{"cmd.run"}, Dies: &swarm.Death{After: swarm.Exactly(time.Second)}}, outcomes: away},
	}
}

// playCancel cancels two runs, one that kills at once and one that asks first.
func playCancel(ctx context.Context, s *stage) error {
	for _, grace := range []time.Duration{0, 2 * time.Second} {
		run, err := s.busy(ctx, longJob)
		if err != nil {
			return err
		}
		if run, err = s.cancelled(ctx, run, grace); err != nil {
			return err
		}
		if _, err := s.judged(ctx, run.ID, s.ids); err != nil {
			return err
		}
		if err := s.nothingRuns(run); err != nil {
			return err
		}
		for _, name := range s.with("dies") { // for the next run
			if err := s.swarm.Up(name); err != nil {
				return err
			}
		}
		if err := s.connected(ctx, len(s.ids)-len(s.with("down"))); err != nil {
			return err
		}
	}
	return nil
}

// stubbornRoles are minions on which a kill does nothing.
func stubbornRoles() []role {
	return []role{
		{name: plain.name, outcomes: []gaea.Outcome{gaea.OutcomeKilled}},
		{
			name: "stubborn", percent: 5, late: true, outcomes: []gaea.Outcome{gaea.OutcomeSucceeded},
			behaviour: swarm.Behaviour{Functions: []string{"cmd.run"}, IgnoresKill: true},
		},
	}
}

// playStubborn cancels a run, and waits until the jobs that could not be killed return by themselves.
func playStubborn(ctx context.Context, s *stage) error {
	run, err := s.busy(ctx, stubbornJob)
	if err != nil {
		return err
	}
	if run, err = s.cancelled(ctx, run, 0); err != nil {
		return err
	}
	for _, name := range s.with("stubborn") {
		if rm := run.Minions[name]; rm.Outcome != gaea.OutcomeNoReturn || !strings.Contains(rm.Message, "still running") {
			return violation("run %s says that %s, which ignores each kill, is %q: %s", run.ID, name, rm.Outcome, rm.Message)
		}
	}
	run, err = s.judged(ctx, run.ID, s.ids)
	if err == nil {
		s.saw("in the end: %s", tally(run))
	}
	return err
}

// busy makes a run of a command and returns when all minions that are there have begun it.
func (s *stage) busy(ctx context.Context, command string) (*gaea.Run, error) {
	run, err := s.start(ctx, gaea.RunRequest{
		Function: "cmd.run", Args: []any{command}, Target: gaea.ListTarget(s.ids), Timeouts: s.timeouts(),
	})
	if err != nil {
		return nil, err
	}
	there := len(s.ids) - len(s.with("down"))
	err = s.settles(ctx, func() error {
		if run, err = s.Client.GetRun(ctx, run.ID); err != nil {
			return err
		}
		told := 0
		for _, slice := range run.Slices {
			told += len(s.swarm.Trace(slice.JID))
		}
		if told < there {
			return violation("run %s has told %d of %d minions", run.ID, told, there)
		}
		return nil
	})
	return run, err
}

// cancelled cancels a run and waits for its end.
func (s *stage) cancelled(ctx context.Context, run *gaea.Run, grace time.Duration) (*gaea.Run, error) {
	began := time.Now()
	if _, err := s.Client.CancelRun(ctx, run.ID, gaea.CancelRequest{Grace: gaea.Duration(grace)}); err != nil {
		return nil, err
	}
	run, err := s.end(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	if run.Status != gaea.RunCancelled {
		return nil, violation("run %s was cancelled, and ended as %s: %s", run.ID, run.Status, run.Message)
	}
	s.saw("a cancel with a grace of %s took %.1f s", grace, time.Since(began).Seconds())
	return run, nil
}

// nothingRuns checks that a job which is said to be killed was: it neither came to its end nor returned.
func (s *stage) nothingRuns(run *gaea.Run) error {
	for name, rm := range run.Minions {
		if did := s.swarm.Trace(rm.JID)[name]; rm.Outcome == gaea.OutcomeKilled && did != (swarm.Trace{Told: 1, Killed: 1}) {
			return violation("run %s says that %s is killed (%s), and the minion did %+v", run.ID, name, rm.Message, did)
		}
	}
	return nil
}

// connected waits until so many minions are.
func (s *stage) connected(ctx context.Context, n int) error {
	return s.settles(ctx, func() error {
		if got := s.swarm.Stats().Connected; got != n {
			return violation("%d minions are connected, not %d", got, n)
		}
		return nil
	})
}
