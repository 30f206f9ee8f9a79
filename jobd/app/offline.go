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

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// offline is an archive that a command opens without a running jobd.
type offline struct {
	store  archive.Store
	sealer archive.Sealer
	name   string // the database, as people are told of it
	made   bool   // there was none before
}

// openOffline opens the archive for a command of jobd. Where there is none it is made if create says so, and else CodeNotFound.
func openOffline(ctx context.Context, database, keyFile string, create bool, command string) (*offline, error) {
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
			return nil, gaea.Errorf(gaea.CodeForbidden, "%s belongs to user %s and there is no database yet; make it as that user: sudo -u %s jobd %s …", dir, owner, owner, command)
		}
	}
	if path != "" {
		if err := makeDirectory(path); err != nil {
			return nil, err
		}
	}
	store, sealer, err := openStore(ctx, database, keyFile, false, nil)
	if errors.Is(err, fs.ErrPermission) {
		if owner, other := otherOwner(dir); other {
			return nil, gaea.Wrap(err, gaea.CodeForbidden, "the database %s belongs to user %s; run this as that user: sudo -u %s jobd %s …", name, owner, owner, command)
		}
	}
	if err != nil {
		return nil, err
	}
	return &offline{store: store, sealer: sealer, name: name, made: !made}, nil
}

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
