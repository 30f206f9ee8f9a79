package tables

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
)

// PackedColumn is where texts are packed, and where they are plain, in a table with a key of numbers.
type PackedColumn struct {
	Table         string
	Key           []string
	Plain, Packed string
	Text          bool // plain is a text, not bytes
}

// Migration is a migration in a file, as goose has it, whose way down unpacks columns first: SQL cannot, and what is packed would be
// lost with its column. Such a file is kept from goose by its name.
func Migration(files fs.FS, name string, version int64, columns ...PackedColumn) (*goose.Migration, error) {
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	_, both, begins := strings.Cut(string(text), "-- +goose Up\n")
	up, down, ends := strings.Cut(both, "-- +goose Down\n")
	if !begins || !ends {
		return nil, fmt.Errorf("the migration %s has no way up or down", name)
	}
	return goose.NewGoMigration(version,
		&goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, up)
			return err
		}},
		&goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			for _, c := range columns {
				if err := c.unpack(ctx, tx); err != nil {
					return err
				}
			}
			_, err := tx.ExecContext(ctx, down)
			return err
		}}), nil
}

// unpackAtOnce is how many rows are in memory at once.
const unpackAtOnce = 100

// unpack makes all that is packed plain.
func (c PackedColumn) unpack(ctx context.Context, tx *sql.Tx) error {
	var last []any
	update := fmt.Sprintf(`UPDATE %s SET %s = $1, %s = NULL WHERE %s`, c.Table, c.Plain, c.Packed, c.keyed()) //nolint:gosec // names of this package
	for {
		list, err := c.some(ctx, tx, last)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, row := range list {
			plain, err := content.Unpack(row.packed)
			if err != nil {
				return fmt.Errorf("%s %v: %w", c.Table, row.key, err)
			}
			args := append([]any{plain}, row.key...)
			if c.Text {
				args[0] = string(plain)
			}
			if _, err := tx.ExecContext(ctx, update, args...); err != nil {
				return err
			}
			last = row.key
		}
	}
}

// keyed is the condition for one row.
func (c PackedColumn) keyed() string {
	terms := make([]string, len(c.Key))
	for i, column := range c.Key {
		terms[i] = fmt.Sprintf("%s = $%d", column, i+2)
	}
	return strings.Join(terms, " AND ")
}

type packedRow struct {
	key    []any
	packed []byte
}

// some reads packed rows after a key.
func (c PackedColumn) some(ctx context.Context, tx *sql.Tx, last []any) (list []packedRow, err error) {
	key, after := strings.Join(c.Key, ", "), ``
	if last != nil {
		marks := make([]string, len(last))
		for i := range last {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
		after = ` AND (` + key + `) > (` + strings.Join(marks, ", ") + `)`
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT %s, %s FROM %s WHERE %s IS NOT NULL%s ORDER BY %s LIMIT %d`, key, c.Packed, c.Table, c.Packed, after, key, unpackAtOnce), last...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		row := packedRow{key: make([]any, len(c.Key))}
		into := make([]any, len(c.Key), len(c.Key)+1)
		for i := range row.key {
			into[i] = &row.key[i]
		}
		if err := rows.Scan(append(into, &row.packed)...); err != nil {
			return nil, err
		}
		list = append(list, row)
	}
	return list, rows.Err()
}
