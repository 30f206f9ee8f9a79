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
	RoleAdmin Role = "admin" // and make tokens
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
