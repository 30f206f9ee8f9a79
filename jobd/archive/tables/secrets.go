package tables

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// PutSecretPillar implements [gaea.SecretStore].
func (s *Store) PutSecretPillar(ctx context.Context, assignment, secretVersion string, pillar json.RawMessage) error {
	if pillar == nil {
		return s.db.Write(ctx, func(tx Tx) error {
			return tx.Exec(`DELETE FROM secret_pillars WHERE assignment = ? AND version = ?`, assignment, secretVersion)
		})
	}
	sealed, err := s.sealer.Seal(pillar)
	if err != nil {
		return gaea.Wrap(err, gaea.CodeInternal, "the secret pillar of %q cannot be sealed", assignment)
	}
	return s.db.Write(ctx, func(tx Tx) error {
		return tx.Exec(`INSERT INTO secret_pillars (assignment, version, sealed) VALUES (?, ?, ?) ON CONFLICT (assignment, version) DO UPDATE SET sealed = excluded.sealed`,
			assignment, secretVersion, sealed)
	})
}

// SecretPillar implements [gaea.SecretStore].
func (s *Store) SecretPillar(ctx context.Context, assignment, secretVersion string) (json.RawMessage, error) {
	var sealed []byte
	err := s.db.Read(ctx, func(q Query) error {
		err := q.Row(`SELECT sealed FROM secret_pillars WHERE assignment = ? AND version = ?`, assignment, secretVersion).Scan(&sealed)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil || sealed == nil {
		return nil, err
	}
	return s.sealer.Open(sealed)
}
