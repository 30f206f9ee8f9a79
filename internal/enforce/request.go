package enforce

import (
	"context"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Check makes a test run on the minions whose evidence is older than req.MaxAge, or joins one that is going on and covers
// them; it does not wait for its end. The run is nil where all evidence is fresh. The report is whole when the run is
// complete, see [gaea.Run.Complete]. CodeNotFound; CodeInvalid for a minion that is not in the target; CodeUnavailable
// where the service or the engine does not run.
func (s *Service) Check(ctx context.Context, name string, req gaea.CheckRequest) (*gaea.Run, error) {
	if err := s.takes(req.Master); err != nil {
		return nil, err
	}
	release, err := s.turns.acquire(ctx, name)
	if err != nil {
		return nil, err
	}
	defer release()
	sub, err := s.subject(ctx, name)
	if err != nil {
		return nil, err
	}
	wanted, err := s.stale(ctx, sub, req)
	if err != nil || wanted == nil {
		return nil, err
	}
	if run, err := s.joinable(ctx, sub, gaea.RunCheck, *wanted); run != nil || err != nil {
		return run, err
	}
	return s.submit(ctx, engine.Request{
		// Nothing of the template but its limits: a look changes nothing, so it needs no canary, no actions and no lock.
		Kind: gaea.RunCheck, Call: sub.call(true), Target: *wanted, Timeouts: asLook(sub.template.Definition.Timeouts),
		Assignment: name, Revision: sub.revision, User: userOf(ctx), CheckState: gaea.CheckPending,
		// That a target has no minions (any more) is what a check finds out, and no reason to fail the plan that mends it.
		AllowEmpty: true,
	})
}

// stale is what has to be looked at so that no evidence is older than asked for: the whole target, or some of its minions.
// Nil where nothing has to be.
func (s *Service) stale(ctx context.Context, sub *subject, req gaea.CheckRequest) (*gaea.Target, error) {
	st, err := s.standing(ctx, sub)
	if err != nil {
		return nil, err
	}
	if !st.known { // the run over the whole target tells its minions
		return &sub.target, nil
	}
	if err := s.named(st, sub, req.Minions); err != nil {
		return nil, err
	}
	oldest := s.now().Add(-req.MaxAge.Std())
	asked := gaea.ListTarget(req.Minions).Minions
	if len(asked) == 0 {
		if req.MaxAge == 0 || st.at.Before(oldest) {
			return &sub.target, nil
		}
		asked = st.minions
	}
	old := asked
	if req.MaxAge > 0 {
		if old, err = s.withoutFresh(ctx, sub, asked, oldest); err != nil {
			return nil, err
		}
	}
	switch len(old) {
	case 0:
		return nil, nil
	case len(st.minions):
		return &sub.target, nil
	default:
		list := gaea.ListTarget(old)
		return &list, nil
	}
}

// withoutFresh takes out the minions that have evidence from a time on.
func (s *Service) withoutFresh(ctx context.Context, sub *subject, minions []string, from time.Time) ([]string, error) {
	evidence, err := s.deps.Evidence.Evidence(ctx, s.deps.Master, sub.stateKey, minions)
	if err != nil {
		return nil, err
	}
	fresh := make(map[string]bool, len(evidence))
	for i := range evidence {
		fresh[evidence[i].Minion] = !evidence[i].At.Before(from)
	}
	return slices.DeleteFunc(slices.Clone(minions), func(m string) bool { return fresh[m] }), nil
}

// Enforce applies the assignment's states for real, or joins such a run of the same revision that is going on and covers
// the same minions. The run is complete when the test run after it has ended too. The key is the caller's idempotency key,
// or empty. CodeNotFound; CodeConflict where the assignment is another version than req.Ref or does not remediate;
// CodeInvalid for a minion that is not in the target; CodeUnavailable where the service or the engine does not run.
func (s *Service) Enforce(ctx context.Context, name string, req gaea.EnforceRequest, key string) (*gaea.Run, error) {
	if err := s.takes(req.Master); err != nil {
		return nil, err
	}
	release, err := s.turns.acquire(ctx, name)
	if err != nil {
		return nil, err
	}
	defer release()
	sub, err := s.subject(ctx, name)
	if err != nil {
		return nil, err
	}
	switch {
	case req.Ref != "" && req.Ref != sub.version.Ref:
		return nil, gaea.Errorf(gaea.CodeConflict, "the assignment %q is at %s now and not at %s any more, for which this was planned; plan again", name, sub.version.Ref, req.Ref)
	case !sub.version.Definition.Remediate:
		return nil, gaea.Errorf(gaea.CodeConflict, "the assignment %q only reports drift; set remediate = true to have it repaired", name)
	}
	wanted := sub.target
	if len(req.Minions) > 0 {
		if wanted, err = s.part(ctx, sub, req.Minions); err != nil {
			return nil, err
		}
	}
	if run, err := s.joinable(ctx, sub, gaea.RunEnforce, wanted); run != nil || err != nil {
		return run, err
	}
	run := engine.Request{
		Kind: gaea.RunEnforce, Call: sub.call(false), Target: wanted, Assignment: name, Revision: sub.revision, User: userOf(ctx),
		CheckState: gaea.CheckPending, Key: key,
	}
	if sub.template.Ref != "" {
		if err := run.TakeTemplate(ctx, sub.template, s.deps.Groups); err != nil {
			return nil, err
		}
	}
	return s.submit(ctx, run)
}

// part is the target of some of an assignment's minions.
func (s *Service) part(ctx context.Context, sub *subject, minions []string) (gaea.Target, error) {
	st, err := s.standing(ctx, sub)
	if err != nil {
		return gaea.Target{}, err
	}
	switch {
	case st.known:
	case s.deps.Forgetful:
		return gaea.ListTarget(minions), nil
	default:
		return gaea.Target{}, gaea.Invalid("minions", "which minions the assignment %q has is not known yet; check it first (jobd check %s), or enforce all of it", sub.name, sub.name)
	}
	if err := s.named(st, sub, minions); err != nil {
		return gaea.Target{}, err
	}
	return gaea.ListTarget(minions), nil
}

// submit starts a run and sees to what comes after it.
func (s *Service) submit(ctx context.Context, req engine.Request) (*gaea.Run, error) {
	run, _, err := s.deps.Engine.Submit(ctx, req)
	if err != nil {
		return nil, err
	}
	if !run.Complete() {
		s.follow(run)
	}
	return run, nil
}
