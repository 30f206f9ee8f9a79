package sqlite

import (
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// names remembers the numbers of rows that stand for texts, so that a batch looks up only what is new in it, and what was
// written of active runs. Only the writer uses it, in its turn; it is forgotten whenever it could be wrong.
type names struct {
	masters  *tables.Cache[string, int64]
	minions  *tables.Cache[tables.MinionName, int64]
	states   *tables.Cache[tables.StateName, int64]
	keys     *tables.Cache[tables.MinionName, int64] // state keys by master
	sets     *tables.Cache[[32]byte, int64]
	calls    *tables.Cache[[32]byte, int64]
	contents *tables.Cache[content.Digest, int64]
	jobs     *tables.Cache[tables.JobName, *tables.Job]
	runs     *tables.Cache[string, *tables.SavedRun]
}

func newNames() *names {
	return &names{
		masters:  tables.NewCache[string, int64](tables.RememberFew),
		minions:  tables.NewCache[tables.MinionName, int64](tables.RememberMinions),
		states:   tables.NewCache[tables.StateName, int64](tables.RememberStates),
		keys:     tables.NewCache[tables.MinionName, int64](tables.RememberFew),
		sets:     tables.NewCache[[32]byte, int64](tables.RememberJobs),
		calls:    tables.NewCache[[32]byte, int64](tables.RememberJobs),
		contents: tables.NewCache[content.Digest, int64](tables.RememberContents),
		jobs:     tables.NewCache[tables.JobName, *tables.Job](tables.RememberJobs),
		runs:     tables.NewCache[string, *tables.SavedRun](tables.RememberFew),
	}
}

func (n *names) forget() {
	n.masters.Clear()
	n.minions.Clear()
	n.states.Clear()
	n.keys.Clear()
	n.sets.Clear()
	n.calls.Clear()
	n.contents.Clear()
	n.jobs.Clear()
	n.runs.Clear()
}

// number finds the number of something, or gives it one.
func number[K comparable](t *tx, c *tables.Cache[K, int64], key K, insert, find string, args ...any) (int64, error) {
	if id, ok := c.Get(key); ok {
		return id, nil
	}
	id, inserted, err := t.insert(insert, args...)
	if err == nil && !inserted {
		err = t.Row(find, args...).Scan(&id)
	}
	if err == nil {
		c.Put(key, id)
	}
	return id, err
}

// Master implements [tables.Tx].
func (t *tx) Master(name string) (int64, error) {
	return number(t, t.names.masters, name,
		`INSERT INTO masters (name) VALUES (?) ON CONFLICT DO NOTHING`,
		`SELECT id FROM masters WHERE name = ?`, name)
}

// Minion implements [tables.Tx].
func (t *tx) Minion(master int64, name string) (int64, error) {
	return number(t, t.names.minions, tables.MinionName{Master: master, Name: name},
		`INSERT INTO minions (master_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		`SELECT id FROM minions WHERE master_id = ? AND name = ?`, master, name)
}

func (t *tx) state(s *gaea.StateResult) (int64, error) {
	key := tables.StateName{Key: s.Key, SLS: s.SLS}
	if id, ok := t.names.states.Get(key); ok {
		return id, nil
	}
	id, inserted, err := t.insert(`INSERT INTO states (state, sls, function, declared, name) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		s.Key, s.SLS, tables.FunctionOf(s), s.ID, s.Name)
	if err == nil && !inserted {
		err = t.Row(`SELECT id FROM states WHERE state = ? AND sls = ?`, s.Key, s.SLS).Scan(&id)
	}
	if err == nil {
		t.names.states.Put(key, id)
	}
	return id, err
}

// StateKey implements [tables.Tx].
func (t *tx) StateKey(master int64, key string) (int64, error) {
	return number(t, t.names.keys, tables.MinionName{Master: master, Name: key},
		`INSERT INTO state_keys (master_id, state_key) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		`SELECT id FROM state_keys WHERE master_id = ? AND state_key = ?`, master, key)
}

// SavedRun implements [tables.Tx].
func (t *tx) SavedRun(id string) (*tables.SavedRun, bool) { return t.names.runs.Get(id) }

// RememberRun implements [tables.Tx].
func (t *tx) RememberRun(id string, r *tables.SavedRun) { t.names.runs.Put(id, r) }

// ForgetRun implements [tables.Tx].
func (t *tx) ForgetRun(id string) { t.names.runs.Drop(id) }
