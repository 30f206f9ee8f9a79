// Package authz tells what a caller may do: each action needs a role, and a role includes the ones before it. What it does
// not know, nobody may do.
package authz

import (
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// rule is the least role for an action, and the action in words for the refusal.
type rule struct {
	role  gaea.Role
	words string
}

// Policy says which role each action needs. The zero Policy allows nothing; [Default] is jobd's.
type Policy struct {
	rules map[gaea.Action]rule
}

// Default is the policy of roles as documented at [gaea.Role].
func Default() *Policy {
	return &Policy{rules: map[gaea.Action]rule{
		gaea.ActionRead:   {gaea.RoleRead, "reading"},
		gaea.ActionCheck:  {gaea.RolePlan, "checking for drift and verifying the archive"},
		gaea.ActionDefine: {gaea.RoleApply, "changing definitions"},
		gaea.ActionApply:  {gaea.RoleApply, "applying"},
		gaea.ActionRun:    {gaea.RoleApply, "running jobs"},
		gaea.ActionCancel: {gaea.RoleApply, "cancelling, pausing and resuming runs"},
		gaea.ActionTokens: {gaea.RoleAdmin, "managing tokens"},
		gaea.ActionHold:   {gaea.RoleAdmin, "holding and releasing what the archive keeps"},
	}}
}

// Authorize returns nil where the caller may do it, and else CodeForbidden with the role that it needs.
func (p *Policy) Authorize(who gaea.Principal, action gaea.Action) error {
	r, ok := p.rules[action]
	if !ok {
		return gaea.Errorf(gaea.CodeForbidden, "no role allows the action %q", action)
	}
	if who.Role.Includes(r.role) {
		return nil
	}
	return gaea.Errorf(gaea.CodeForbidden, "the token %q has the role %s; %s needs the role %s. Make one with: jobd token create --role %s",
		who.Name, who.Role, r.words, r.role, r.role)
}
