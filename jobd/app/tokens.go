package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
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
	path, err := SQLitePath(database)
	if err != nil {
		return nil, err
	}
	if err := asOwner(path); err != nil {
		return nil, err
	}
	if err := makeDirectory(path); err != nil {
		return nil, err
	}
	store, _, err := openArchive(ctx, database, keyFile, nil)
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

// asOwner refuses to let root make a database in a directory of jobd's own user, who could not open it then.
func asOwner(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if _, missing := os.Stat(path); err != nil || !errors.Is(missing, fs.ErrNotExist) || os.Geteuid() != 0 {
		return nil //nolint:nilerr // what is wrong with the directory shows when the database is opened
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	name := strconv.FormatUint(uint64(owner.Uid), 10)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return gaea.Errorf(gaea.CodeForbidden, "%s belongs to user %s and has no database yet; root must not make one that jobd cannot open then: run this as that user (sudo -u %s jobd token …)", dir, name, name)
}

func makeDirectory(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return gaea.Wrap(err, gaea.CodeUnavailable, "the directory %s for the database cannot be made; make it and give it to jobd's user", filepath.Dir(path))
	}
	return nil
}

// openArchive opens the database and what seals its secrets. The directory exists. A nil logger logs nothing.
func openArchive(ctx context.Context, database, keyFile string, logger *slog.Logger) (archive.Store, archive.Sealer, error) {
	path, err := SQLitePath(database)
	if err != nil {
		return nil, nil, err
	}
	sealer, err := archive.OpenKeyFile(KeyPath(keyFile, path))
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlite.Open(ctx, path, sealer, sqlite.Options{Logger: logger})
	if err != nil {
		return nil, nil, err
	}
	return store, sealer, nil
}
