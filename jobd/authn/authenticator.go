// Package authn tells who makes a request, by bearer tokens of which jobd keeps nothing but a hash. It makes the tokens,
// looks them up with a short memory in between, and takes them out of use.
package authn

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// remember is how long an answer of the store is used again: so long a token deleted by another process still works.
	remember = 3 * time.Second
	// maxRemembered bounds the answers kept at once, known and unknown tokens each.
	maxRemembered = 1024
)

// TokenStore keeps tokens by the hash of their text.
type TokenStore interface {
	// CreateToken stores a token. CodeConflict where its id or hash is taken.
	CreateToken(ctx context.Context, t gaea.Token) error
	// TokenByHash finds a token, expired or not. CodeNotFound.
	TokenByHash(ctx context.Context, hash []byte) (gaea.Token, error)
	// Tokens lists all tokens.
	Tokens(ctx context.Context) ([]gaea.Token, error)
	// DeleteToken removes a token. CodeNotFound.
	DeleteToken(ctx context.Context, id string) error
}

// Authenticator knows tokens. Make it with [New]; it may be used from several goroutines.
type Authenticator struct {
	store TokenStore
	now   gaea.Clock

	mu      sync.Mutex
	known   map[[sha256.Size]byte]entry
	unknown map[[sha256.Size]byte]entry
}

// entry is an answer of the store, good until a time.
type entry struct {
	token gaea.Token
	until time.Time
}

// New makes an authenticator over a store. A nil clock is [time.Now].
func New(store TokenStore, clock gaea.Clock) *Authenticator {
	if clock == nil {
		clock = time.Now
	}
	return &Authenticator{store: store, now: clock, known: map[[sha256.Size]byte]entry{}, unknown: map[[sha256.Size]byte]entry{}}
}

// Authenticate returns whose token this is. CodeUnauthenticated where it is not one, is not known or has expired;
// CodeUnavailable where the store does not answer.
func (a *Authenticator) Authenticate(ctx context.Context, plain string) (gaea.Principal, error) {
	if plain == "" {
		return gaea.Principal{}, gaea.Errorf(gaea.CodeUnauthenticated, "this needs a token; send it as \"Authorization: Bearer TOKEN\". Make one with: jobd token create --role plan")
	}
	if !wellFormed(plain) {
		return gaea.Principal{}, gaea.Errorf(gaea.CodeUnauthenticated, "this is no token of jobd's: it is cut off or mistyped; copy it again as \"jobd token create\" printed it")
	}
	t, err := a.find(ctx, [sha256.Size]byte(hash(plain)))
	if err != nil {
		return gaea.Principal{}, err
	}
	if !t.Expires.IsZero() && !a.now().Before(t.Expires) {
		return gaea.Principal{}, gaea.Errorf(gaea.CodeUnauthenticated, "the token %q expired at %s; make a new one with: jobd token create --role %s --name %s",
			t.Name, t.Expires.UTC().Format(time.RFC3339), t.Role, t.Name)
	}
	return gaea.Principal{Name: t.Name, Role: t.Role}, nil
}

// find looks a hash up: in memory, else in the store. The look-up is by the hash, so how long it takes tells nothing about
// the token.
func (a *Authenticator) find(ctx context.Context, key [sha256.Size]byte) (gaea.Token, error) {
	now := a.now()
	a.mu.Lock()
	hit, known := a.known[key]
	miss, unknown := a.unknown[key]
	a.mu.Unlock()
	switch {
	case known && now.Before(hit.until):
		return hit.token, nil
	case unknown && now.Before(miss.until):
		return gaea.Token{}, errUnknown()
	}
	t, err := a.store.TokenByHash(ctx, key[:])
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, key)
	delete(a.unknown, key)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		keep(a.unknown, key, entry{until: now.Add(remember)}, now)
		return gaea.Token{}, errUnknown()
	case err != nil:
		return gaea.Token{}, err
	}
	keep(a.known, key, entry{token: t, until: now.Add(remember)}, now)
	return t, nil
}

func errUnknown() error {
	return gaea.Errorf(gaea.CodeUnauthenticated, "jobd does not know this token; it may have been deleted, or be another jobd's. Make one with: jobd token create --role plan")
}

// keep adds an entry and makes room for it: first the old ones go, and where none is old, all.
func keep(m map[[sha256.Size]byte]entry, key [sha256.Size]byte, e entry, now time.Time) {
	if len(m) >= maxRemembered {
		for k, old := range m {
			if !now.Before(old.until) {
				delete(m, k)
			}
		}
	}
	if len(m) >= maxRemembered {
		clear(m)
	}
	m[key] = e
}

// Create makes a token and stores it. Errors are those of [NewToken] and of the store.
func (a *Authenticator) Create(ctx context.Context, req gaea.TokenRequest) (*gaea.CreatedToken, error) {
	plain, t, err := NewToken(req.Name, req.Role, req.TTL.Std())
	if err != nil {
		return nil, err
	}
	if err := a.store.CreateToken(ctx, t); err != nil {
		return nil, err
	}
	return &gaea.CreatedToken{Token: t, Secret: plain}, nil
}

// List returns all tokens, without their texts.
func (a *Authenticator) List(ctx context.Context) ([]gaea.Token, error) { return a.store.Tokens(ctx) }

// Revoke removes a token: here at once, in other processes within a few seconds. CodeNotFound.
func (a *Authenticator) Revoke(ctx context.Context, id string) error {
	if err := a.store.DeleteToken(ctx, id); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, e := range a.known {
		if e.token.ID == id {
			delete(a.known, k)
		}
	}
	return nil
}
