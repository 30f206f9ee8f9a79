package soak

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// masterRoles are minions whose jobs end before, while and after the master is away. A return that the master did not take is
// lost, as with real minions that give up; one that has not found the master again when it is asked is away.
func masterRoles() []role {
	outcomes := []gaea.Outcome{gaea.OutcomeSucceeded, gaea.OutcomeNoReturn, gaea.OutcomeUnreachable}
	return []role{
		{name: plain.name, outcomes: outcomes, behaviour: swarm.Behaviour{}},
		{name: "soon", percent: 20, outcomes: outcomes, behaviour: swarm.Behaviour{Functions: []string{work}, Slow: swarm.Between(time.Second, 10*time.Second)}},
		{
			name: "afterwards", percent: 30, outcomes: []gaea.Outcome{gaea.OutcomeSucceeded},
			behaviour: swarm.Behaviour{Functions: []string{work}, Slow: swarm.Between(30*time.Second, 40*time.Second)},
		},
	}
}

// playMaster starts the master again in the middle of a run, and makes another one when it is back.
func playMaster(ctx context.Context, s *stage) error {
	req := gaea.RunRequest{Function: work, Args: []any{"on"}, Target: gaea.ListTarget(s.ids), Timeouts: s.timeouts()}
	run, err := s.start(ctx, req)
	if err != nil {
		return err
	}
	if err := s.settles(ctx, func() error {
		if run, err = s.Client.GetRun(ctx, run.ID); err != nil {
			return err
		}
		if len(run.Slices) == 0 || len(s.swarm.Trace(run.Slices[0].JID)) < len(s.ids) {
			return violation("run %s has not told all minions", run.ID)
		}
		return nil
	}); err != nil {
		return err
	}
	began := time.Now()
	s.torn = true
	if err := s.Lab.RestartMaster(ctx); err != nil {
		return err
	}
	s.saw("the master was there again after %.1f s", time.Since(began).Seconds())
	if err := s.connected(ctx, len(s.ids)); err != nil {
		return err
	}
	s.saw("all minions %.1f s later", time.Since(began).Seconds())
	if run, err = s.end(ctx, run.ID); err != nil {
		return err
	}
	if _, err = s.judged(ctx, run.ID, s.ids); err != nil {
		return err
	}
	s.torn = false // what is published from here on no restart has touched: archive and job cache are the same again
	req.Args = []any{"and on"}
	if run, err = s.run(ctx, req); err != nil {
		return err
	}
	_, err = s.judged(ctx, run.ID, s.ids)
	return err
}
