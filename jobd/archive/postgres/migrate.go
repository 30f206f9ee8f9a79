package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

//go:embed migrations/*.sql
var migrations embed.FS

// packing is the migration since which bodies are packed, which SQL cannot undo.
const (
	packing        = "00003_holds.sql"
	packingVersion = 3
)

// migrator makes and changes the tables of a database.
func migrator(db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	unpacking, err := tables.Migration(dir, packing, packingVersion,
		tables.PackedColumn{Table: "contents", Key: []string{"id"}, Plain: "body", Packed: "packed"},
		tables.PackedColumn{Table: "returns", Key: []string{"job_id", "minion_id"}, Plain: "cuts", Packed: "packed_cuts"})
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithLogger(goose.NopLogger()), goose.WithExcludeNames([]string{packing}), goose.WithGoMigrations(unpacking))
}

// migrate brings the tables to what this jobd needs, while no other does.
func (s *Store) migrate(ctx context.Context, conn *pgx.Conn) (err error) {
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, s.locks.migrations()); err != nil {
		return err
	}
	defer func() {
		_, unlocked := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, s.locks.migrations())
		err = errors.Join(err, unlocked)
	}()
	db := stdlib.OpenDBFromPool(s.pool)
	m, err := migrator(db)
	if err == nil {
		err = tables.Migrate(ctx, m, s.place, s.logger)
	}
	return errors.Join(err, db.Close())
}
