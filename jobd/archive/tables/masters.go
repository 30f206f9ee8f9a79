package tables

import (
	"context"
	"maps"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Masters implements [archive.Store].
func (s *Store) Masters(ctx context.Context) ([]gaea.MasterStatus, error) {
	byName := map[string]gaea.MasterStatus{}
	err := s.db.Read(ctx, func(q Query) error {
		err := q.Each(`SELECT name, last_stamp FROM masters`, func(row Scanner) error {
			var m gaea.MasterStatus
			var last int64
			err := row.Scan(&m.Master, &last)
			m.LastEvent = TimeOf(last)
			byName[m.Master] = m
			return err
		})
		if err != nil {
			return err
		}
		return q.Each(`SELECT master, count(*) FROM runs WHERE active GROUP BY master`, func(row Scanner) error {
			var name string
			var runs int64
			err := row.Scan(&name, &runs)
			m := byName[name]
			m.Master, m.Runs = name, int(runs)
			byName[name] = m
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	list := make([]gaea.MasterStatus, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, byName[name])
	}
	return list, nil
}

// GuardedRuns is the store of runs for somebody who may make and change them only while a guard, which is asked in the transaction of
// each change, has nothing against it.
func (s *Store) GuardedRuns(guard func(tx Tx) error) gaea.RunStore { return guardedRuns{s, guard} }

type guardedRuns struct {
	*Store
	guard func(tx Tx) error
}

// CreateRun implements [gaea.RunStore].
func (g guardedRuns) CreateRun(ctx context.Context, r *gaea.Run, key, digest string) (stored *gaea.Run, created bool, err error) {
	return g.createRun(ctx, g.guard, r, key, digest)
}

// SaveRun implements [gaea.RunStore].
func (g guardedRuns) SaveRun(ctx context.Context, r *gaea.Run, minions ...string) error {
	return g.saveRun(ctx, g.guard, r, minions)
}
