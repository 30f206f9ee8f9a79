package sqlite

import (
	"context"
	"os"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

const (
	// measureAlways is up to how many bytes of a database every page is looked at when somebody asks how large each kind is.
	measureAlways = 64 << 20
	// giveBackPages is how many pages one step gives back: 4 MiB, some of which may have to move.
	giveBackPages = 512
	// keepFree is the share of the pages that stays free for what comes next.
	keepFree = 10
)

// pages are how a database's file is used.
type pages struct{ size, count, free int64 }

func pagesOf(q tables.Query) (p pages, err error) {
	err = q.Row(`SELECT (SELECT page_size FROM pragma_page_size), (SELECT page_count FROM pragma_page_count), (SELECT freelist_count FROM pragma_freelist_count)`).
		Scan(&p.size, &p.count, &p.free)
	return p, err
}

func (p pages) used() int64 { return (p.count - p.free) * p.size }

// UsedBytes implements [archive.Store].
func (s *Store) UsedBytes(ctx context.Context) (int64, error) {
	var p pages
	err := s.read(ctx, func(q tables.Query) (err error) {
		p, err = pagesOf(q)
		return err
	})
	return p.used(), err
}

// onDisk is how large the files are.
func (s *Store) onDisk() (bytes int64) {
	for _, file := range []string{s.path, s.path + "-wal"} {
		if info, err := os.Stat(file); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

// Stats implements [tables.Database].
func (d database) Stats(ctx context.Context) (archive.Stats, error) { return d.s.Stats(ctx) }

// Sizes implements [tables.Database]. To tell the kinds apart every page is looked at.
func (d database) Sizes(ctx context.Context, measure bool) (tables.Sizes, error) {
	sizes := tables.Sizes{Disk: d.s.onDisk()}
	err := d.s.read(ctx, func(q tables.Query) error {
		p, err := pagesOf(q)
		sizes.Used = p.used()
		if err != nil || !measure && sizes.Used > measureAlways {
			return err
		}
		sizes.Kinds = map[string]int64{}
		return q.Each(`SELECT coalesce(t.tbl_name, d.name), sum(d.pgsize) FROM dbstat d LEFT JOIN sqlite_schema t ON t.name = d.name WHERE d.aggregate = 1 GROUP BY 1`, func(row tables.Scanner) error {
			var table string
			var bytes int64
			err := row.Scan(&table, &bytes)
			sizes.Kinds[tables.KindOf(table)] += bytes
			return err
		})
	})
	return sizes, err
}

// GiveBack implements [archive.Store]. A database that was made before jobd made them so keeps its free pages, and uses them
// before it grows; a copy of it (jobd archive backup) has none.
func (s *Store) GiveBack(ctx context.Context) (more bool, err error) {
	err = s.write(ctx, func(tx *tx) error {
		var how int64
		if err := tx.Row(`PRAGMA auto_vacuum`).Scan(&how); err != nil || how != incremental {
			return err
		}
		p, err := pagesOf(tx)
		spare := p.free - p.count/keepFree
		if err != nil || spare < giveBackPages {
			return err
		}
		more = spare >= 2*giveBackPages
		return tx.Each(`PRAGMA incremental_vacuum(512)`, func(tables.Scanner) error { return nil })
	})
	return more, err
}

// incremental is SQLite's number for a database whose free pages can be given back in steps.
const incremental = 2
