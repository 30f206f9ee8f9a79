package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

const (
	// sampleFrom is from how many bytes on it is estimated how much of a table is in use; a smaller one counts whole.
	sampleFrom = 16 << 20
	// samplePages is about how many pages of a table are looked at for that.
	samplePages = 256
	pageBytes   = 8 << 10
	// rowOverhead is what a row takes beside its columns: its header and its place in the page, with what alignment costs.
	rowOverhead = 32
)

// relation is a table, or a partition of one.
type relation struct {
	name        string
	total, heap int64 // bytes: with indexes, and without
	part        bool
}

func relations(q tables.Query) ([]relation, error) {
	var list []relation
	err := q.Each(`SELECT c.relname, pg_total_relation_size(c.oid), pg_table_size(c.oid), c.relispartition FROM pg_class c
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'`, func(row tables.Scanner) error {
		var r relation
		err := row.Scan(&r.name, &r.total, &r.heap, &r.part)
		list = append(list, r)
		return err
	})
	return list, err
}

// used is how much of a table is in use. Partitions are dropped whole; the rows that went from other tables leave room that
// the server uses again, and that no statistic tells: so some pages are looked at.
func (r relation) used(q tables.Query) (int64, error) {
	if r.part || r.total < sampleFrom {
		return r.total, nil
	}
	var heap, live int64
	if err := q.Row(`SELECT pg_relation_size($1::text::regclass)`, r.name).Scan(&heap); err != nil {
		return 0, err
	}
	share := min(100, 100*float64(samplePages)*pageBytes/float64(max(heap, 1)))
	err := q.Row(fmt.Sprintf(`SELECT coalesce(sum(pg_column_size(t.*) + %d), 0)::bigint FROM %s t TABLESAMPLE SYSTEM (%f)`,
		rowOverhead, pgx.Identifier{r.name}.Sanitize(), share)).Scan(&live)
	if err != nil {
		return 0, err
	}
	full := min(1, float64(live)*100/share/float64(max(r.heap, 1)))
	return int64(float64(r.total) * full), nil
}

// UsedBytes implements [archive.Store].
func (s *Store) UsedBytes(ctx context.Context) (int64, error) {
	sizes, err := database{s}.Sizes(ctx, false)
	return sizes.Used, err
}

// GiveBack implements [archive.Store]: what is given back are the partitions that were dropped.
func (*Store) GiveBack(context.Context) (more bool, err error) { return false, nil }

// Stats implements [tables.Database].
func (d database) Stats(ctx context.Context) (archive.Stats, error) { return d.s.Stats(ctx) }

// Sizes implements [tables.Database]. The server knows them.
func (d database) Sizes(ctx context.Context, _ bool) (tables.Sizes, error) {
	sizes := tables.Sizes{Kinds: map[string]int64{}}
	err := d.s.read(ctx, func(q tables.Query) error {
		list, err := relations(q)
		for _, r := range list {
			if err != nil {
				return err
			}
			var used int64
			used, err = r.used(q)
			sizes.Disk += r.total
			sizes.Used += used
			sizes.Kinds[tables.KindOf(r.name)] += r.total
		}
		return err
	})
	return sizes, err
}
