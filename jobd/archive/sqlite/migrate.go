package sqlite

import (
	"database/sql"
	"embed"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

//go:embed migrations/*.sql
var migrations embed.FS

// packing is the migration since which bodies are packed, which SQL cannot undo.
const (
	packing        = "00005_holds.sql"
	packingVersion = 5
)

// migrator makes and changes the tables of a database.
func migrator(db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	unpacking, err := tables.Migration(dir, packing, packingVersion,
		tables.PackedColumn{Table: "content_bodies", Key: []string{"content_id"}, Plain: "body", Packed: "packed", Text: true},
		tables.PackedColumn{Table: "returns", Key: []string{"job_id", "minion_id"}, Plain: "cuts", Packed: "packed_cuts", Text: true})
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithLogger(goose.NopLogger()), goose.WithExcludeNames([]string{packing}), goose.WithGoMigrations(unpacking))
}
