package tables

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// OpenGap implements [archive.Store].
func (s *Store) OpenGap(ctx context.Context, master string, from time.Time) (int64, error) {
	if master == "" {
		return 0, gaea.Invalid("master", "a gap needs a master")
	}
	var id int64
	err := s.db.Write(ctx, func(tx Tx) error {
		m, err := tx.Master(master)
		if err != nil {
			return err
		}
		return tx.Row(`INSERT INTO gaps (master_id, since) VALUES (?, ?) RETURNING id`, m, Micros(from)).Scan(&id)
	})
	return id, err
}

// CloseGap implements [archive.Store].
func (s *Store) CloseGap(ctx context.Context, id int64, until time.Time, recovered int) error {
	return s.db.Write(ctx, func(tx Tx) error {
		n, err := tx.Change(`UPDATE gaps SET recovered = CASE WHEN until IS NULL THEN ? ELSE recovered END, until = coalesce(until, ?) WHERE id = ?`,
			int64(recovered), Micros(until), id)
		if err == nil && n == 0 {
			err = gaea.Errorf(gaea.CodeNotFound, "there is no gap %d", id)
		}
		return err
	})
}

// OpenGaps implements [archive.Store].
func (s *Store) OpenGaps(ctx context.Context, master string) ([]archive.Gap, error) {
	list := []archive.Gap{}
	err := s.db.Read(ctx, func(q Query) error {
		return q.Each(`SELECT id, since, recovered FROM gaps WHERE master_id = (SELECT id FROM masters WHERE name = ?) AND until IS NULL ORDER BY since, id`,
			func(row Scanner) error {
				g := archive.Gap{Master: master}
				var since int64
				err := row.Scan(&g.ID, &since, &g.Recovered)
				g.From = TimeOf(since)
				list = append(list, g)
				return err
			}, master)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// LastStamp implements [archive.Store].
func (s *Store) LastStamp(ctx context.Context, master string) (time.Time, error) {
	var last int64
	err := s.db.Read(ctx, func(q Query) error {
		err := q.Row(`SELECT last_stamp FROM masters WHERE name = ?`, master).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return TimeOf(last), err
}
