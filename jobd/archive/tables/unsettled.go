package tables

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Unsettled implements [gaea.EvidenceStore], sorted by minion and label.
func (s *Store) Unsettled(ctx context.Context, assignment, revision string) ([]gaea.UnsettledState, error) {
	list := []gaea.UnsettledState{}
	err := s.db.Read(ctx, func(q Query) error {
		return q.Each(`SELECT minion, label, digest FROM unsettled WHERE assignment = ? AND revision = ? ORDER BY minion, label`, func(row Scanner) error {
			var u gaea.UnsettledState
			err := row.Scan(&u.Minion, &u.Label, &u.Digest)
			list = append(list, u)
			return err
		}, assignment, revision)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// PutUnsettled implements [gaea.EvidenceStore]: after it, the states of the named minions are those that are given. A state
// of a minion that is not named is CodeInvalid.
func (s *Store) PutUnsettled(ctx context.Context, assignment, revision string, minions []string, states []gaea.UnsettledState) error {
	named := make(map[string]bool, len(minions))
	for _, m := range minions {
		named[m] = true
	}
	for _, u := range states {
		if !named[u.Minion] {
			return gaea.Invalid("minions", "%q has an unsettled state and is not among the minions", u.Minion)
		}
	}
	return s.db.Write(ctx, func(tx Tx) error {
		if err := tx.Alone("unsettled " + assignment); err != nil {
			return err
		}
		for _, m := range minions {
			if err := tx.Exec(`DELETE FROM unsettled WHERE assignment = ? AND revision = ? AND minion = ?`, assignment, revision, m); err != nil {
				return err
			}
		}
		now := Micros(s.now())
		last := map[[2]string]gaea.UnsettledState{}
		for _, u := range states {
			last[[2]string{u.Minion, u.Label}] = u
		}
		for _, u := range last {
			err := tx.Exec(`INSERT INTO unsettled (assignment, revision, minion, label, digest, recorded) VALUES (?, ?, ?, ?, ?, ?)`,
				assignment, revision, u.Minion, u.Label, u.Digest, now)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
