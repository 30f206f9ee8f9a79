package enforce

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// subject is an assignment with everything in effect that it names.
type subject struct {
	name     string
	version  gaea.Version[gaea.Assignment]
	target   gaea.Target
	template gaea.Version[gaea.JobTemplate] // the zero version where the assignment names none
	pillar   map[string]any                 // the secret one laid over it
	stateKey string                         // of the runs that are evidence
	revision string
}

// subject reads the latest version of an assignment, and the versions that it points at: those that are pinned by their
// digest are found also when there is a newer one, or none any more.
func (s *Service) subject(ctx context.Context, name string) (*subject, error) {
	if err := gaea.ValidateName(name); err != nil {
		return nil, err
	}
	version, err := s.deps.Assignments.Get(ctx, gaea.Ref{Name: name})
	if err != nil {
		return nil, err
	}
	a := version.Definition
	group, err := pointedAt(ctx, s.deps.Groups, a.TargetGroup, name, "target group")
	if err != nil {
		return nil, err
	}
	var template gaea.Version[gaea.JobTemplate]
	if a.JobTemplate != "" {
		if template, err = pointedAt(ctx, s.deps.Templates, a.JobTemplate, name, "job template"); err != nil {
			return nil, err
		}
	}
	var secret json.RawMessage
	if a.SecretVersion != "" {
		if secret, err = s.deps.Secrets.SecretPillar(ctx, name, a.SecretVersion); err != nil {
			return nil, err
		}
	}
	pillar, err := drift.Pillar(a.Pillar, secret)
	if err != nil {
		return nil, err
	}
	return &subject{
		name: name, version: version, target: canonicalTarget(group.Definition.Target), template: template, pillar: pillar,
		stateKey: s.deps.Fingerprinter.Assignment(a, secret),
		revision: s.deps.Fingerprinter.Revision(version.Ref, group.Ref, template.Ref, secret),
	}, nil
}

// pointedAt reads the definition that an assignment names.
func pointedAt[T gaea.Definition](ctx context.Context, store gaea.DefinitionStore[T], text, assignment, kind string) (gaea.Version[T], error) {
	ref, err := gaea.ParseRef(text)
	if err != nil {
		return gaea.Version[T]{}, err
	}
	v, err := store.Get(ctx, ref)
	if gaea.CodeOf(err) == gaea.CodeNotFound {
		return v, gaea.Wrap(err, gaea.CodeNotFound, "the assignment %q uses the %s %q, which there is not; define it, or point the assignment at another", assignment, kind, ref.Bare())
	}
	return v, err
}

// canonicalTarget is t as runs have it: a list sorted, each minion once.
func canonicalTarget(t gaea.Target) gaea.Target {
	if t.Type == gaea.TargetList {
		return gaea.ListTarget(t.Minions)
	}
	return t
}

// asLook are a template's limits for a run that only looks: it is told to all minions at once, so a limit for each slice is
// none of its own.
func asLook(t gaea.Timeouts) gaea.Timeouts { return gaea.Timeouts{Job: t.Job, Gather: t.Gather} }

// call is the function that makes the assignment true, or with test looks whether it is.
func (sub *subject) call(test bool) gaea.Call {
	a := sub.version.Definition
	c := gaea.Call{Function: "state.highstate", Kwargs: map[string]any{}}
	if !a.Highstate {
		c.Function, c.Args = "state.apply", []any{strings.Join(a.States, ",")}
	}
	if len(sub.pillar) > 0 {
		c.Kwargs["pillar"] = sub.pillar
	}
	if a.SaltEnv != "" {
		c.Kwargs["saltenv"] = a.SaltEnv
	}
	if test {
		c.Kwargs["test"] = true
	}
	return c
}
