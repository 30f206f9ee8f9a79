package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest/spill"
)

// databaseForms is what a database may be written as.
const databaseForms = "write sqlite:///var/lib/jobd/jobd.db or postgres://USER@HOST/DATABASE"

// SQLitePath is the file that a database address names; empty where it names a database in PostgreSQL. CodeInvalid. Addresses
// may hold a password, so no message quotes one.
func SQLitePath(database string) (string, error) {
	u, err := url.Parse(database)
	switch {
	case err != nil || u.Scheme == "":
		return "", gaea.Invalid("database", "this is not the address of a database; %s", databaseForms)
	case u.Scheme == "postgres" || u.Scheme == "postgresql":
		return "", nil
	case u.Scheme == "sqlite" && u.Host == "" && filepath.IsAbs(u.Path):
		return filepath.Clean(u.Path), nil
	case u.Scheme == "sqlite":
		return "", gaea.Invalid("database", "%q names no absolute path; write three slashes: sqlite:///var/lib/jobd/jobd.db", database)
	default:
		return "", gaea.Invalid("database", "%q is not a kind of database that jobd knows; %s", u.Scheme, databaseForms)
	}
}

// DatabaseName is a database as people are told of it: the path, or HOST:PORT/DATABASE without user and password. CodeInvalid.
func DatabaseName(database string) (string, error) {
	path, err := SQLitePath(database)
	if err != nil || path != "" {
		return path, err
	}
	return postgres.Place(database)
}

// databaseAddress is the address of a database without user and password. CodeInvalid.
func databaseAddress(database string) (string, error) {
	name, err := DatabaseName(database)
	if path, _ := SQLitePath(database); path != "" {
		return "sqlite://" + name, err
	}
	return "postgres://" + name, err
}

// defaultKeyFile is where the key is that seals secrets in PostgreSQL, which has no directory of jobd's.
const defaultKeyFile = "/var/lib/jobd/jobd.key"

// KeyPath is where the key that seals secrets is unless it is set: beside the database, or in jobd's directory where that is in
// PostgreSQL.
func KeyPath(keyFile, databasePath string) string {
	switch {
	case keyFile != "":
		return keyFile
	case databasePath == "":
		return defaultKeyFile
	default:
		return filepath.Join(filepath.Dir(databasePath), "jobd.key")
	}
}

// QueueAddress is where the queue is unless it is set: a file beside the archive, or in the same database of PostgreSQL.
func QueueAddress(queueDatabase, database, databasePath string) string {
	switch {
	case queueDatabase != "":
		return queueDatabase
	case databasePath == "":
		return database
	default:
		return "sqlite://" + strings.TrimSuffix(databasePath, filepath.Ext(databasePath)) + "-queue.db"
	}
}

// SpillPath is the file in which events wait while the archive is away: in the directory that is set, or beside a database that
// is a file, or in the state directory that systemd gives jobd, or beside the key.
func SpillPath(spillDir, keyFile, databasePath, master string) string {
	name := "jobd-spill-" + url.PathEscape(master) + ".db" // jobds of several masters may share a directory
	if databasePath != "" {
		name = strings.TrimSuffix(filepath.Base(databasePath), filepath.Ext(databasePath)) + "-spill.db"
	}
	state, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	switch {
	case spillDir != "":
		return filepath.Join(spillDir, name)
	case databasePath != "":
		return filepath.Join(filepath.Dir(databasePath), name)
	case state != "":
		return filepath.Join(state, name)
	default:
		return filepath.Join(filepath.Dir(KeyPath(keyFile, databasePath)), name)
	}
}

// openSpill opens the file in which events wait while the archive is away; nil where none may.
func (a *App) openSpill(ctx context.Context) error {
	if a.o.SpillBytes == 0 {
		return nil
	}
	database, err := SQLitePath(a.o.Database)
	if err == nil {
		a.spill, err = spill.Open(ctx, spill.Options{Path: SpillPath(a.o.SpillDir, a.o.KeyFile, database, a.master), MaxBytes: a.o.SpillBytes, Master: a.master})
	}
	return err
}

func makeDirectory(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return gaea.Wrap(err, gaea.CodeUnavailable, "the directory %s for %s cannot be made; make it and give it to jobd's user", filepath.Dir(path), filepath.Base(path))
	}
	return nil
}

// archiveMade says whether there is an archive already.
func archiveMade(ctx context.Context, database string) (bool, error) {
	path, err := SQLitePath(database)
	if err != nil {
		return false, err
	}
	if path == "" {
		return postgres.Made(ctx, database)
	}
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0, nil // one that cannot be read shows when it is opened
}

// keyBelongs refuses to make a new key for a database that was written with another: what is sealed in it would be lost, and
// what was evidence would be none any more.
func keyBelongs(ctx context.Context, database, keyPath string) error {
	if _, err := os.Stat(keyPath); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	name, err := DatabaseName(database)
	if err != nil {
		return err
	}
	made, err := archiveMade(ctx, database)
	switch {
	case postgres.Away(err):
		return gaea.Wrap(err, gaea.CodeUnavailable, "the database %s does not answer and the key file %s is not there, so jobd cannot tell whether to make a key or to ask for that of the database: "+
			"see that PostgreSQL runs there and lets this machine in, or name the key with --key-file", name, keyPath)
	case err != nil || !made:
		return err
	}
	if path, err := SQLitePath(database); err == nil && path == "" {
		return gaea.Errorf(gaea.CodeUnavailable, "the database %s is there and the key file %s is not: every jobd of a database needs the same one. "+
			"Copy it from a machine whose jobd uses that database, or from a backup, or name it with --key-file", name, keyPath)
	}
	return gaea.Errorf(gaea.CodeUnavailable, "the database %s is there and its key file %s is not; put it back from a backup, or name it with --key-file. "+
		"To go on without the secrets that the database holds, make a new one: (umask 077; head -c %d /dev/urandom > %s)", name, keyPath, archive.KeySize, keyPath)
}

// openStore opens the database and what seals its secrets. One in PostgreSQL may be away where that is said, and its key is there. A nil
// logger logs nothing.
func openStore(ctx context.Context, database, keyFile string, mayBeAway bool, logger *slog.Logger) (archive.Store, archive.Sealer, error) {
	path, err := SQLitePath(database)
	if err != nil {
		return nil, nil, err
	}
	keyPath := KeyPath(keyFile, path)
	if err := keyBelongs(ctx, database, keyPath); err != nil {
		return nil, nil, err
	}
	if err := makeDirectory(keyPath); err != nil {
		return nil, nil, err
	}
	sealer, err := archive.OpenKeyFile(keyPath)
	if err != nil {
		return nil, nil, err
	}
	var store archive.Store
	if path == "" {
		store, err = postgres.Open(ctx, database, sealer, postgres.Options{Logger: logger, MayBeAway: mayBeAway})
	} else {
		store, err = sqlite.Open(ctx, path, sealer, sqlite.Options{Logger: logger})
	}
	if err != nil {
		return nil, nil, err
	}
	return store, sealer, nil
}

// openArchive opens the archive: a file for this jobd alone, or a database of many where it takes a seat.
func (a *App) openArchive(ctx context.Context) (archive.Sealer, error) {
	path, err := SQLitePath(a.o.Database)
	if err != nil {
		return nil, err
	}
	if path != "" {
		if err := makeDirectory(path); err != nil {
			return nil, err
		}
		if a.lock, err = lockDatabase(path, "--database"); err != nil {
			return nil, err
		}
	}
	var sealer archive.Sealer
	if a.store, sealer, err = openStore(ctx, a.o.Database, a.o.KeyFile, true, a.log); err != nil {
		return nil, errors.Join(err, a.lock.release())
	}
	if many, ok := a.store.(*postgres.Store); ok {
		a.seat, err = many.TakeSeat(ctx, postgres.SeatOptions{
			Master: a.master, Place: place(a.Addr()), Jobd: gaea.Jobd{Host: a.host, Address: a.Addr(), PID: os.Getpid(), Version: a.o.Version},
		})
		if err != nil {
			return nil, errors.Join(err, a.store.Close())
		}
	}
	return sealer, nil
}
