package sqlite

import (
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
)

// names remembers the numbers of rows that stand for texts, so that a batch looks up only what is new in it, and what was
// written of active runs. Only the writer uses it, in its turn; it is forgotten whenever it could be wrong.
type names struct {
	masters  *cache[string, int64]
	minions  *cache[minionName, int64]
	states   *cache[stateName, int64]
	keys     *cache[minionName, int64] // state keys by master
	sets     *cache[[32]byte, int64]
	calls    *cache[[32]byte, int64]
	contents *cache[content.Digest, int64]
	jobs     *cache[jobName, *job]
	runs     *cache[string, *savedRun]
}

type minionName struct {
	master int64
	name   string
}

type stateName struct{ key, sls string }

type jobName struct {
	master int64
	jid    string
}

// How much is remembered; an entry takes about 100 bytes. A fleet that is larger than this costs one look-up a row.
const (
	rememberMinions  = 20_000
	rememberStates   = 20_000
	rememberContents = 50_000
	rememberJobs     = 2_000
	rememberFew      = 500
)

func newNames() *names {
	return &names{
		masters:  newCache[string, int64](rememberFew),
		minions:  newCache[minionName, int64](rememberMinions),
		states:   newCache[stateName, int64](rememberStates),
		keys:     newCache[minionName, int64](rememberFew),
		sets:     newCache[[32]byte, int64](rememberJobs),
		calls:    newCache[[32]byte, int64](rememberJobs),
		contents: newCache[content.Digest, int64](rememberContents),
		jobs:     newCache[jobName, *job](rememberJobs),
		runs:     newCache[string, *savedRun](rememberFew),
	}
}

func (n *names) forget() {
	n.masters.clear()
	n.minions.clear()
	n.states.clear()
	n.keys.clear()
	n.sets.clear()
	n.calls.clear()
	n.contents.clear()
	n.jobs.clear()
	n.runs.clear()
}

// number finds the number of something, or gives it one.
func number[K comparable](t *tx, c *cache[K, int64], key K, insert, find string, args ...any) (int64, error) {
	if id, ok := c.get(key); ok {
		return id, nil
	}
	id, inserted, err := t.insert(insert, args...)
	if err == nil && !inserted {
		err = t.row(find, args...).Scan(&id)
	}
	if err == nil {
		c.put(key, id)
	}
	return id, err
}

func (t *tx) master(name string) (int64, error) {
	return number(t, t.names.masters, name,
		`INSERT INTO masters (name) VALUES (?) ON CONFLICT DO NOTHING`,
		`SELECT id FROM masters WHERE name = ?`, name)
}

func (t *tx) minion(master int64, name string) (int64, error) {
	return number(t, t.names.minions, minionName{master, name},
		`INSERT INTO minions (master_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		`SELECT id FROM minions WHERE master_id = ? AND name = ?`, master, name)
}

func (t *tx) state(key, sls string) (int64, error) {
	return number(t, t.names.states, stateName{key, sls},
		`INSERT INTO states (state, sls) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		`SELECT id FROM states WHERE state = ? AND sls = ?`, key, sls)
}

func (t *tx) stateKey(master int64, key string) (int64, error) {
	return number(t, t.names.keys, minionName{master, key},
		`INSERT INTO state_keys (master_id, state_key) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		`SELECT id FROM state_keys WHERE master_id = ? AND state_key = ?`, master, key)
}
