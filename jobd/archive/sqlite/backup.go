package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Backup copies the archive at a path to a new file (0600) and returns the copy's size in bytes. jobd may write meanwhile, and
// waits for nothing: the copy is what was committed when it began, without what is free in the file. The tables stay as they are,
// also where this jobd would change them. A copy that does not get done leaves no file behind. CodeNotFound where there is no
// archive; CodeConflict where the file is there already; CodeUnavailable where it cannot be written.
func Backup(ctx context.Context, path, file string) (bytes int64, err error) {
	if _, err := os.Stat(path); err != nil {
		return 0, gaea.Wrap(err, gaea.CodeNotFound, "the database %s cannot be read (%s); name jobd's own with --database, or jobd's config file with --config", path, reason(err))
	}
	if _, err := os.Lstat(file); err == nil {
		return 0, gaea.Errorf(gaea.CodeConflict, "%s is there already; give the copy another name, or move that file away", file)
	}
	partial := file + ".partial"
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return 0, gaea.Errorf(gaea.CodeConflict, "%s is there already: another copy goes on, or one was cut off; delete it in the second case", partial)
	case err != nil:
		return 0, gaea.Wrap(err, gaea.CodeUnavailable, "the copy %s cannot be made (%s); give a file in a directory that this user may write", file, reason(err))
	}
	defer func() {
		if err != nil {
			_ = os.Remove(partial) // what matters is why
		}
	}()
	if err := copyTo(ctx, path, partial); err != nil {
		return 0, errors.Join(backupError(err, path, file), f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close(), os.Rename(partial, file), syncDirectory(filepath.Dir(file))); err != nil {
		return 0, gaea.Wrap(err, gaea.CodeUnavailable, "the copy %s cannot be brought to the disk", file)
	}
	info, err := os.Stat(file)
	if err != nil {
		return 0, gaea.Wrap(err, gaea.CodeUnavailable, "the copy %s is gone", file)
	}
	return info.Size(), nil
}

func copyTo(ctx context.Context, path, file string) error {
	db, err := sql.Open("sqlite", dsn(path, url.Values{"mode": {"rw"}}, backupBusy, readerCache))
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	var tables int
	err = conn.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name IN ('goose_db_version', 'state_latest')`).Scan(&tables)
	switch {
	case err != nil:
	case tables != 2:
		err = gaea.Errorf(gaea.CodeNotFound, "%s is no database of jobd; name jobd's own with --database", path)
	default:
		// The copy gives back what becomes free in it, also where the original does not.
		if _, err = conn.ExecContext(ctx, `PRAGMA auto_vacuum = INCREMENTAL`); err == nil {
			_, err = conn.ExecContext(ctx, `VACUUM INTO ?`, file)
		}
	}
	return errors.Join(err, conn.Close(), db.Close())
}

// backupBusy is how long a copy waits to begin while another process has the database for itself.
const backupBusy = 10 * time.Second

func backupError(err error, path, file string) error {
	if told, ok := errors.AsType[*gaea.Error](err); ok {
		return told
	}
	return gaea.Wrap(err, gaea.CodeUnavailable, "the database %s could not be copied to %s; see that there is room for it, and that this user may read the database and the files beside it", path, file)
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
