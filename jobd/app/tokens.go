package app

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authn"
)

// Tokens reaches the tokens in an archive without a running jobd: the first one cannot be asked for with a token.
type Tokens struct {
	store archive.Store
	authn *authn.Authenticator
	// Name is the database, as people are told of it; Made says that there was none before.
	Name string
	Made bool
}

// OpenTokens opens the archive, which a running jobd may use at the same time. Where there is none it is made if create says so,
// and else CodeNotFound. Close it after use.
func OpenTokens(ctx context.Context, database, keyFile string, create bool) (*Tokens, error) {
	o, err := openOffline(ctx, database, keyFile, create, "token")
	if err != nil {
		return nil, err
	}
	return &Tokens{store: o.store, authn: authn.New(o.store, time.Now), Name: o.name, Made: o.made}, nil
}

// Create makes a token and returns its text, which is kept nowhere. A ttl of 0 means for ever.
func (t *Tokens) Create(ctx context.Context, name string, role gaea.Role, ttl time.Duration) (*gaea.CreatedToken, error) {
	return t.authn.Create(ctx, gaea.TokenRequest{Name: name, Role: role, TTL: gaea.Duration(ttl)})
}

// List returns all tokens.
func (t *Tokens) List(ctx context.Context) ([]gaea.Token, error) { return t.authn.List(ctx) }

// Revoke makes a token worthless. CodeNotFound.
func (t *Tokens) Revoke(ctx context.Context, id string) error { return t.authn.Revoke(ctx, id) }

// Close closes the archive.
func (t *Tokens) Close() error { return t.store.Close() }
