package app

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
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
	name, err := DatabaseName(database)
	if err != nil {
		return nil, err
	}
	made, err := archiveMade(ctx, database)
	if err != nil {
		return nil, err
	}
	if !made && !create {
		return nil, gaea.Errorf(gaea.CodeNotFound, "there is no database %s; name jobd's own with --database, or jobd's config file with --config", name)
	}
	path, err := SQLitePath(database)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(cmp.Or(path, KeyPath(keyFile, path)))
	if !made && os.Geteuid() == 0 {
		// Root can write everywhere, and would make files that jobd's own user cannot open then.
		if owner, other := otherOwner(dir); other {
			return nil, gaea.Errorf(gaea.CodeForbidden, "%s belongs to user %s and there is no database yet; make the first token as that user: sudo -u %s jobd token …", dir, owner, owner)
		}
	}
	if path != "" {
		if err := makeDirectory(path); err != nil {
			return nil, err
		}
	}
	store, _, err := openStore(ctx, database, keyFile, nil)
	if errors.Is(err, fs.ErrPermission) {
		if owner, other := otherOwner(dir); other {
			return nil, gaea.Wrap(err, gaea.CodeForbidden, "the database %s belongs to user %s; run this as that user: sudo -u %s jobd token …", name, owner, owner)
		}
	}
	if err != nil {
		return nil, err
	}
	return &Tokens{store: store, authn: authn.New(store, time.Now), Name: name, Made: !made}, nil
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

// otherOwner is the name of the user that a directory belongs to, where that is neither this process's user nor root.
func otherOwner(dir string) (name string, other bool) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 || int(owner.Uid) == os.Geteuid() {
		return "", false
	}
	name = strconv.FormatUint(uint64(owner.Uid), 10)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return name, true
}
