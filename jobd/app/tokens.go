package app

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authn"
)

// Tokens reaches the tokens in an archive without a running jobd: the first one cannot be asked for with a token.
type Tokens struct {
	store archive.Store
	authn *authn.Authenticator
}

// OpenTokens opens the archive, which a running jobd may use at the same time. Close it after use.
func OpenTokens(ctx context.Context, database, keyFile string) (*Tokens, error) {
	store, _, err := openArchive(ctx, database, keyFile)
	if err != nil {
		return nil, err
	}
	return &Tokens{store: store, authn: authn.New(store, time.Now)}, nil
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

// openArchive opens the database and what seals its secrets.
func openArchive(ctx context.Context, database, keyFile string) (archive.Store, archive.Sealer, error) {
	path, err := SQLitePath(database)
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, nil, gaea.Wrap(err, gaea.CodeUnavailable, "the directory %s for the database cannot be made; make it and give it to jobd's user", filepath.Dir(path))
	}
	sealer, err := archive.OpenKeyFile(KeyPath(keyFile, path))
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlite.Open(ctx, path, sealer, sqlite.Options{})
	if err != nil {
		return nil, nil, err
	}
	return store, sealer, nil
}
