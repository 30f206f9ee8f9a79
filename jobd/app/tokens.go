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
	// Path is the database, and Made says that there was none before.
	Path string
	Made bool
}

// OpenTokens opens the archive, which a running jobd may use at the same time. Where there is none it is made if create says so,
// and else CodeNotFound. Close it after use.
func OpenTokens(ctx context.Context, database, keyFile string, create bool) (*Tokens, error) {
	path, err := SQLitePath(database)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	_, err = os.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if missing && !create {
		return nil, gaea.Errorf(gaea.CodeNotFound, "there is no database %s; name jobd's own with --database, or jobd's config file with --config", path)
	}
	if missing && os.Geteuid() == 0 {
		// Root can write everywhere, and would make a database that jobd's own user cannot open then.
		if name, other := otherOwner(dir); other {
			return nil, gaea.Errorf(gaea.CodeForbidden, "%s belongs to user %s and holds no database yet; make the first token as that user: sudo -u %s jobd token …", dir, name, name)
		}
	}
	if err := makeDirectory(path); err != nil {
		return nil, err
	}
	store, _, err := openArchive(ctx, database, keyFile, nil)
	if errors.Is(err, fs.ErrPermission) {
		if name, other := otherOwner(dir); other {
			return nil, gaea.Wrap(err, gaea.CodeForbidden, "the database %s belongs to user %s; run this as that user: sudo -u %s jobd token …", path, name, name)
		}
	}
	if err != nil {
		return nil, err
	}
	return &Tokens{store: store, authn: authn.New(store, time.Now), Path: path, Made: missing}, nil
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

func makeDirectory(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return gaea.Wrap(err, gaea.CodeUnavailable, "the directory %s for the database cannot be made; make it and give it to jobd's user", filepath.Dir(path))
	}
	return nil
}

// keyBelongs refuses to make a new key for a database that was written with another: what is sealed in it would be lost, and
// what was evidence would be none any more.
func keyBelongs(path, keyPath string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 {
		return nil //nolint:nilerr // a new database, or one that cannot be read, which shows when it is opened
	}
	if _, err := os.Stat(keyPath); errors.Is(err, fs.ErrNotExist) {
		return gaea.Errorf(gaea.CodeUnavailable, "the database %s is there and its key file %s is not; put it back from a backup, or name it with --key-file. "+
			"To go on without the secrets that the database holds, make a new one: (umask 077; head -c %d /dev/urandom > %s)", path, keyPath, archive.KeySize, keyPath)
	}
	return nil
}

// openArchive opens the database and what seals its secrets. The directory exists. A nil logger logs nothing.
func openArchive(ctx context.Context, database, keyFile string, logger *slog.Logger) (archive.Store, archive.Sealer, error) {
	path, err := SQLitePath(database)
	if err != nil {
		return nil, nil, err
	}
	keyPath := KeyPath(keyFile, path)
	if err := keyBelongs(path, keyPath); err != nil {
		return nil, nil, err
	}
	sealer, err := archive.OpenKeyFile(keyPath)
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlite.Open(ctx, path, sealer, sqlite.Options{Logger: logger})
	if err != nil {
		return nil, nil, err
	}
	return store, sealer, nil
}
