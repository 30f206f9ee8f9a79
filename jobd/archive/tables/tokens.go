package tables

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const tokenColumns = `id, name, role, hash, created, expires`

func scanToken(row Scanner) (gaea.Token, error) {
	var t gaea.Token
	var created, expires int64
	err := row.Scan(&t.ID, &t.Name, (*string)(&t.Role), &t.Hash, &created, &expires)
	t.Created, t.Expires = TimeOf(created), TimeOf(expires)
	return t, err
}

// CreateToken implements [archive.Store].
func (s *Store) CreateToken(ctx context.Context, t gaea.Token) error {
	switch {
	case t.ID == "":
		return gaea.Invalid("id", "a token needs an id")
	case len(t.Hash) == 0:
		return gaea.Invalid("hash", "token %s has no hash", t.ID)
	}
	return s.db.Write(ctx, func(tx Tx) error {
		err := tx.Exec(`INSERT INTO tokens (`+tokenColumns+`) VALUES (?, ?, ?, ?, ?, ?)`,
			t.ID, t.Name, string(t.Role), t.Hash, Micros(t.Created), Micros(t.Expires))
		if tx.Taken(err) {
			return gaea.Wrap(err, gaea.CodeConflict, "there is a token %s already, or one with the same text", t.ID)
		}
		return err
	})
}

// TokenByHash implements [archive.Store].
func (s *Store) TokenByHash(ctx context.Context, hash []byte) (gaea.Token, error) {
	var t gaea.Token
	err := s.db.Read(ctx, func(q Query) error {
		var err error
		t, err = scanToken(q.Row(`SELECT `+tokenColumns+` FROM tokens WHERE hash = ?`, hash))
		return missing(err, "there is no such token")
	})
	if err != nil {
		return gaea.Token{}, err
	}
	return t, nil
}

// Tokens implements [archive.Store].
func (s *Store) Tokens(ctx context.Context) ([]gaea.Token, error) {
	list := []gaea.Token{}
	err := s.db.Read(ctx, func(q Query) error {
		return q.Each(`SELECT `+tokenColumns+` FROM tokens ORDER BY name, created, id`, func(row Scanner) error {
			t, err := scanToken(row)
			list = append(list, t)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// DeleteToken implements [archive.Store].
func (s *Store) DeleteToken(ctx context.Context, id string) error {
	return s.db.Write(ctx, func(tx Tx) error {
		n, err := tx.Change(`DELETE FROM tokens WHERE id = ?`, id)
		if err == nil && n == 0 {
			err = gaea.Errorf(gaea.CodeNotFound, "there is no token %s", id)
		}
		return err
	})
}
