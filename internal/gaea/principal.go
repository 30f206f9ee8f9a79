package gaea

import (
	"context"
	"slices"
	"time"
)

// Role is what a token may do. Each role includes the ones before it.
type Role string

// The roles, least first.
const (
	RoleRead  Role = "read"  // look
	RolePlan  Role = "plan"  // and cause test runs, nothing else
	RoleApply Role = "apply" // and define, run and cancel
	RoleAdmin Role = "admin" // and make tokens and legal holds
)

// Roles lists the roles, least first.
func Roles() []Role { return []Role{RoleRead, RolePlan, RoleApply, RoleAdmin} }

// ParseRole reads a role's name.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(Roles(), r) {
		return r, nil
	}
	return "", Invalid("role", "%q is not a role; use read, plan, apply or admin", s)
}

// Includes says whether r may do what other may do.
func (r Role) Includes(other Role) bool {
	mine, theirs := slices.Index(Roles(), r), slices.Index(Roles(), other)
	return mine >= 0 && theirs >= 0 && mine >= theirs
}

// Action is what a caller asks for, as far as roles are concerned.
type Action string

// The actions.
const (
	ActionRead   Action = "read"   // look at anything but tokens
	ActionCheck  Action = "check"  // have a test run made
	ActionDefine Action = "define" // write or delete definitions
	ActionApply  Action = "apply"  // enforce an assignment
	ActionRun    Action = "run"    // run a function on minions
	ActionCancel Action = "cancel" // stop a run
	ActionTokens Action = "tokens" // list, make and delete tokens
	ActionHold   Action = "hold"   // keep runs and jobs from being deleted, and let them go
)

// Principal is who makes a request.
type Principal struct {
	Name string `json:"name" doc:"the token's name"`
	Role Role   `json:"role"`
}

// Token is what jobd keeps of a bearer token; the token itself is shown once and kept only as a hash.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Hash    []byte    `json:"-"` // SHA-256 of the token
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// TokenRequest asks for a new token.
type TokenRequest struct {
	Name string   `json:"name" doc:"who will hold it; definitions that are made with it belong to this name, so a successor keeps the name"`
	Role Role     `json:"role" enum:"read,plan,apply,admin"`
	TTL  Duration `json:"ttl,omitzero" doc:"how long it is valid; for ever when absent"`
}

// CreatedToken is a new token with its text, which is shown this once.
type CreatedToken struct {
	Token
	Secret string `json:"secret" doc:"the bearer token itself; jobd keeps a hash of it only and cannot show it again"`
}

type principalKey struct{}

// WithPrincipal returns a context that carries who makes the request.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom returns who makes the request; the zero Principal, which may do nothing, where nobody was named.
func PrincipalFrom(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}
