package app

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

// Backup is a copy of an archive.
type Backup struct {
	Bytes   int64
	KeyFile string // what must be kept with it
}

// BackUp copies the archive to a file while jobd runs. CodeInvalid for an archive in PostgreSQL, which has tools of its own;
// else as [sqlite.Backup] says.
func BackUp(ctx context.Context, database, keyFile, file string) (Backup, error) {
	path, err := SQLitePath(database)
	if err != nil {
		return Backup{}, err
	}
	if path == "" {
		name, err := DatabaseName(database)
		if err != nil {
			return Backup{}, err
		}
		return Backup{}, gaea.Invalid("database", "the archive is in PostgreSQL (%s), whose own tools copy it while jobd runs: pg_dump --format=custom --file=%s, or a base backup with "+
			"point-in-time recovery for large ones. Keep the key file %s with it", name, file, KeyPath(keyFile, ""))
	}
	bytes, err := sqlite.Backup(ctx, path, file)
	return Backup{Bytes: bytes, KeyFile: KeyPath(keyFile, path)}, err
}
