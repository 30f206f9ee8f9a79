package soak

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

const (
	motd  = "/etc/motd" // the state that drifts
	group = "soak"      // the name of the group and of the assignment
)

func driftStates() swarm.Config {
	return swarm.Config{States: map[string][]swarm.State{"web": {
		{ID: "nginx", Function: "pkg.installed"}, {ID: motd, Function: "file.managed", Requires: []string{"nginx"}},
	}}}
}

func driftRoles() []role {
	return []role{
		{name: plain.name, outcomes: []gaea.Outcome{gaea.OutcomeInSync}},
		{name: "drifts", percent: 10, outcomes: []gaea.Outcome{gaea.OutcomeInSync, gaea.OutcomeChanged}},
		{name: "down", percent: 2, behaviour: swarm.Behaviour{Down: true}, outcomes: []gaea.Outcome{gaea.OutcomeUnreachable}},
	}
}

// playDrift checks an assignment, lets some minions drift, checks again, enforces, and checks a last time.
func playDrift(ctx context.Context, s *stage) error {
	if err := s.define(ctx); err != nil {
		return err
	}
	if err := s.checked(ctx, nil, 0); err != nil {
		return err
	}
	drifting := s.with("drifts")
	for _, name := range drifting {
		drift := swarm.Drifts{After: swarm.Between(100*time.Millisecond, time.Second), States: []string{motd}}
		if err := s.swarm.Behave(name, swarm.Behaviour{Drifts: []swarm.Drifts{drift}}); err != nil {
			return err
		}
	}
	if err := s.settles(ctx, func() error { return s.drifted(drifting) }); err != nil {
		return err
	}
	if err := s.checked(ctx, drifting, 0); err != nil {
		return err
	}
	run, err := s.Client.Enforce(ctx, group, gaea.EnforceRequest{}, rand.Text())
	if err != nil {
		return err
	}
	if run, err = s.end(ctx, run.ID); err != nil {
		return err
	}
	if run, err = s.judged(ctx, run.ID, slices.Sorted(maps.Keys(run.Minions))); err != nil {
		return err
	}
	for _, name := range drifting {
		if rm := run.Minions[name]; rm.Outcome != gaea.OutcomeChanged {
			return violation("the enforcing run %s says that %s, which had drifted, is %q", run.ID, name, rm.Outcome)
		}
	}
	if err := s.drifted(nil); err != nil {
		return err
	}
	return s.checked(ctx, nil, gaea.Duration(time.Minute)) // the check after the enforcing run is evidence enough
}

// define makes the group and the assignment.
func (s *stage) define(ctx context.Context) error {
	target := gaea.Target{Type: gaea.TargetCompound, Expr: "G@swarm:true"}
	if _, err := s.Client.PutTargetGroup(ctx, gaea.TargetGroup{Name: group, Target: target}); err != nil {
		return err
	}
	if _, err := s.Client.PutJobTemplate(ctx, gaea.JobTemplate{Name: group, Timeouts: s.timeouts()}); err != nil {
		return err
	}
	_, err := s.Client.PutAssignment(ctx, gaea.AssignmentInput{Assignment: gaea.Assignment{
		Name: group, TargetGroup: group, JobTemplate: group, States: []string{"web"}, Remediate: true, OnUnreachable: gaea.UnreachableWarn,
	}})
	return err
}

// drifted checks with the swarm which minions have drifted.
func (s *stage) drifted(names []string) error {
	for _, id := range s.ids {
		states, err := s.swarm.Drifted(id)
		if err != nil {
			return err
		}
		if slices.Contains(names, id) != (len(states) > 0) {
			return violation("on %s these states have drifted: %q", id, states)
		}
	}
	return nil
}

// checked makes a test run, where there is no evidence of that age, and checks that the drift is that of these minions and no other.
func (s *stage) checked(ctx context.Context, drifting []string, age gaea.Duration) error {
	began := time.Now()
	report, err := s.Client.Check(ctx, group, gaea.CheckRequest{MaxAge: age})
	if err != nil {
		return err
	}
	for _, id := range s.ids {
		want := gaea.EvidenceInSync
		switch {
		case s.roles[id].name == "down":
			want = gaea.EvidenceUnreachable
		case slices.Contains(drifting, id):
			want = gaea.EvidenceDrifted
		}
		got := report.Minions[id]
		if got.Status != want {
			return violation("the check says that %s is %q (%s), not %q: %v", id, got.Status, got.Message, want, got.States)
		}
		if _, ok := got.States["file.managed "+motd]; want == gaea.EvidenceDrifted && (!ok || len(got.States) != 1) {
			return violation("the drift of %s is %q", id, got.States)
		}
	}
	s.saw("a check took %.1f s: %d in sync, %d drifted, %d unreachable", time.Since(began).Seconds(), report.Summary.InSync, report.Summary.Drifted, report.Summary.Unreachable)
	return nil
}
