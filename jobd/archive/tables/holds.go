package tables

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const holdColumns = `h.id, h.run_id, coalesce(ma.name, ''), h.jid, h.reason, h.holder, h.created, h.released, h.releaser, h.release_reason`

const fromHolds = ` FROM holds h LEFT JOIN masters ma ON ma.id = h.master_id`

func scanHold(row Scanner) (gaea.LegalHold, error) {
	var h gaea.LegalHold
	var created, released int64
	err := row.Scan(&h.ID, &h.RunID, &h.Master, &h.JID, &h.Reason, &h.Holder, &created, &released, &h.Releaser, &h.ReleaseReason)
	h.Created, h.Released = TimeOf(created), TimeOf(released)
	return h, err
}

// Hold implements [archive.Store].
func (s *Store) Hold(ctx context.Context, req gaea.HoldRequest, holder string) (*gaea.LegalHold, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	h := gaea.LegalHold{
		ID: "hold-" + strings.ToLower(rand.Text()[:8]), RunID: req.RunID, JID: req.JID, Reason: req.Reason, Holder: holder,
		Created: TimeOf(Micros(s.now())),
	}
	err := s.db.Write(ctx, func(tx Tx) error {
		var master int64
		if req.RunID != "" {
			var n int
			if err := tx.Row(`SELECT 1 FROM runs WHERE id = ?`, req.RunID).Scan(&n); err != nil {
				return missing(err, "there is no run %s in the archive", req.RunID)
			}
		} else {
			j, err := findJob(tx, req.Master, req.JID)
			if err != nil {
				return err
			}
			h.Master = j.Master
			if master, err = tx.Master(j.Master); err != nil {
				return err
			}
		}
		return tx.Exec(`INSERT INTO holds (id, run_id, master_id, jid, reason, holder, created) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			h.ID, h.RunID, master, h.JID, h.Reason, h.Holder, Micros(h.Created))
	})
	if err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "put a hold: retention leaves it alone", "hold", h.ID, "run", h.RunID, "jid", h.JID, "holder", h.Holder, "reason", h.Reason)
	return &h, nil
}

// Holds implements [archive.Store].
func (s *Store) Holds(ctx context.Context, released bool) ([]gaea.LegalHold, error) {
	list := []gaea.LegalHold{}
	where := ` WHERE h.released = 0`
	if released {
		where = ``
	}
	err := s.db.Read(ctx, func(q Query) error {
		return q.Each(`SELECT `+holdColumns+fromHolds+where+` ORDER BY h.created DESC, h.id`, func(row Scanner) error {
			h, err := scanHold(row)
			list = append(list, h)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// ReleaseHold implements [archive.Store].
func (s *Store) ReleaseHold(ctx context.Context, id, releaser, reason string) (*gaea.LegalHold, error) {
	if strings.TrimSpace(reason) == "" {
		return nil, gaea.Invalid("reason", "to release a hold needs a reason, for who reads it later")
	}
	var h gaea.LegalHold
	err := s.db.Write(ctx, func(tx Tx) error {
		_, err := tx.Change(`UPDATE holds SET released = ?, releaser = ?, release_reason = ? WHERE id = ? AND released = 0`, Micros(s.now()), releaser, reason, id)
		if err == nil {
			h, err = scanHold(tx.Row(`SELECT `+holdColumns+fromHolds+` WHERE h.id = ?`, id))
		}
		return missing(err, "there is no hold %s; jobd archive holds lists them", id)
	})
	if err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "released a hold", "hold", h.ID, "run", h.RunID, "jid", h.JID, "releaser", h.Releaser, "reason", h.ReleaseReason)
	return &h, nil
}
