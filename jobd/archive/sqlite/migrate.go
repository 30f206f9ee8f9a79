package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationTries is how often the tables are looked at: another process may be making them, and then this one's attempt
// fails and finds them there when it looks again.
const migrationTries = 3

// migrate brings the tables to what this jobd needs. A database that a newer one has written is refused.
func migrate(ctx context.Context, db *sql.DB, path string, logger *slog.Logger) error {
	p, err := tables(db)
	if err != nil {
		return err
	}
	for range migrationTries {
		var done bool
		if done, err = migrateOnce(ctx, p, path, logger); done {
			return err
		}
	}
	return err
}

// tables makes and changes the tables of a database.
func tables(db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithLogger(goose.NopLogger()))
}

func migrateOnce(ctx context.Context, p *goose.Provider, path string, logger *slog.Logger) (done bool, err error) {
	have, newest, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return false, err
	case have == newest:
		return true, nil
	case have > newest:
		return true, gaea.Errorf(gaea.CodeUnavailable,
			"the database %s was written by a newer jobd (its tables have version %d, this jobd knows up to %d); install that jobd again, or use another database", path, have, newest)
	}
	results, err := p.Up(ctx)
	if err != nil {
		return false, err
	}
	for _, m := range results {
		logger.Info("changed the tables of the archive", "database", path, "version", m.Source.Version, "took", m.Duration)
	}
	return true, nil
}
