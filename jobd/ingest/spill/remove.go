package spill

import (
	"context"
	"database/sql"
	"errors"
)

// Remove removes rows that the archive has taken. When none is left the file shrinks. An error says that the file has them still:
// they do not wait any more, are removed with the next ones, and come out again only after a new start.
func (s *Spill) Remove(ctx context.Context, taken []Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range taken {
		s.taken[r.ID] = r.Records
	}
	before := s.counts()
	err := s.transact(ctx, func(tx *sql.Tx) error { return s.sweep(ctx, tx) })
	if err != nil {
		s.restore(before)
		s.strike(context.WithoutCancel(ctx))
		s.publish()
		return s.told(err)
	}
	clear(s.taken)
	s.tight = false
	s.publish()
	if s.records == 0 {
		return s.told(s.shrink(ctx))
	}
	return nil
}

// sweep deletes what the archive has taken.
func (s *Spill) sweep(ctx context.Context, tx *sql.Tx) error {
	for id := range s.taken {
		if err := s.drop(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}

// strike takes off the list what was let go before the archive had it.
func (s *Spill) strike(ctx context.Context) {
	for id := range s.taken {
		var one int
		if err := s.db.QueryRowContext(ctx, `SELECT 1 FROM batches WHERE id = ?`, id).Scan(&one); errors.Is(err, sql.ErrNoRows) {
			delete(s.taken, id)
		}
	}
}

// shrink gives the disk back what is not needed, and takes the ballast on board again.
func (s *Spill) shrink(ctx context.Context) error {
	if err := s.vacuum(ctx); err != nil || !s.relief {
		return err
	}
	if err := s.transact(ctx, func(tx *sql.Tx) error { return s.load(ctx, tx) }); !full(err) {
		return err
	}
	return nil // the disk is full still; the next time
}

func (s *Spill) vacuum(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, `PRAGMA incremental_vacuum`)
	if err != nil {
		return err
	}
	defer rows.Close()
	steps := 0
	for rows.Next() { // each is a step, and tells nothing
		steps++
	}
	return rows.Err()
}

// drop deletes a row and counts.
func (s *Spill) drop(ctx context.Context, tx *sql.Tx, id int64) error {
	var cached bool
	var records int
	var bytes int64
	err := tx.QueryRowContext(ctx, `DELETE FROM batches WHERE id = ? RETURNING cached, records, bytes`, id).Scan(&cached, &records, &bytes)
	if errors.Is(err, sql.ErrNoRows) { // let go meanwhile
		return nil
	}
	if err == nil {
		s.count(cached, -records, -bytes)
	}
	return err
}
