package spill

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Add takes the rows of a batch behind all others. Where there is no room, by the bound or on the disk, rows that the job cache
// has too are let go: these, and where rows in no cache need the room also those that came last before. An error says that
// none was taken and none let go. It sets the ID of each row that it takes.
func (s *Spill) Add(ctx context.Context, rows []Row) (LetGo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, relief := s.counts(), s.relief
	gone, err := s.add(ctx, rows, s.tight)
	if full(err) {
		s.restore(before)
		// The disk is full before the bound is reached.
		if gone, err = s.add(ctx, rows, true); err == nil {
			s.tight = true
		}
	}
	if err != nil {
		s.restore(before)
		s.relief = relief
		return LetGo{}, s.told(err)
	}
	clear(s.taken)
	s.publish()
	return gone, nil
}

// add takes rows in one transaction. On a full disk nothing may make the file larger.
func (s *Spill) add(ctx context.Context, rows []Row, tight bool) (gone LetGo, err error) {
	err = s.transact(ctx, func(tx *sql.Tx) error {
		gone = LetGo{}
		if err := s.sweep(ctx, tx); err != nil {
			return err
		}
		if tight {
			if err := s.relieve(ctx, tx, rows, &gone); err != nil {
				return err
			}
		}
		for k := range rows {
			r := &rows[k]
			r.ID = 0 // it may have one of a try before, which is given anew
			size := int64(len(r.Body)) + rowOverhead
			if r.Cached && (tight || s.cached+size > s.most-s.reserve || s.cached+s.others+size > s.most) {
				gone.add(r.Records, r.From)
				continue
			}
			if over := s.cached + s.others + size - s.most; over > 0 {
				if over > s.cached {
					return gaea.Errorf(gaea.CodeUnavailable, "the spill %s is full of events that are in no cache; bring the database back, or give --spill-max more", s.path)
				}
				if err := s.evict(ctx, tx, over, &gone); err != nil {
					return err
				}
			}
			if err := tx.QueryRowContext(ctx, `INSERT INTO batches (cached, records, since, bytes, body) VALUES (?, ?, ?, ?, ?) RETURNING id`,
				r.Cached, r.Records, r.From.UnixMicro(), size, r.Body).Scan(&r.ID); err != nil {
				return err
			}
			s.count(r.Cached, r.Records, size)
		}
		return nil
	})
	return gone, err
}

// relieve makes room in the file for rows in no cache: by what is let go, and at first by the ballast.
func (s *Spill) relieve(ctx context.Context, tx *sql.Tx, rows []Row, gone *LetGo) error {
	var need int64
	for _, r := range rows {
		if !r.Cached {
			need += int64(len(r.Body)) + rowOverhead
		}
	}
	if need == 0 {
		return nil
	}
	if !s.relief {
		s.relief = true
		_, err := tx.ExecContext(ctx, `DELETE FROM ballast WHERE id = 1`)
		return err
	}
	var free, page int64
	if err := tx.QueryRowContext(ctx, `SELECT f.freelist_count, p.page_size FROM pragma_freelist_count f, pragma_page_size p`).Scan(&free, &page); err != nil {
		return err
	}
	const slack = 64 << 10 // pages of the tables and of the index
	if missing := need + slack - free*page; missing > 0 {
		return s.evict(ctx, tx, missing, gone)
	}
	return nil
}

// evict lets go of cached rows, the last ones first: the job cache keeps those longest.
func (s *Spill) evict(ctx context.Context, tx *sql.Tx, bytes int64, gone *LetGo) error {
	for bytes > 0 {
		var id, since, size int64
		var records int
		switch err := tx.QueryRowContext(ctx, `SELECT id, records, since, bytes FROM batches WHERE cached = 1 ORDER BY id DESC LIMIT 1`).Scan(&id, &records, &since, &size); {
		case errors.Is(err, sql.ErrNoRows):
			return nil
		case err != nil:
			return err
		}
		if err := s.drop(ctx, tx, id); err != nil {
			return err
		}
		gone.add(records, time.UnixMicro(since).UTC())
		bytes -= size
	}
	return nil
}
