package postgres

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

type digest = [sha256.Size]byte

// names remembers the numbers of rows that stand for texts, so that a batch looks up only what is new in it. Transactions
// share it: what one has learnt is remembered when it is committed, and all is forgotten when the pruner, of any process, has
// deleted something, and when the server was away: one that comes back after a crash, or that has taken another's place, may
// have lost what it had committed last.
type names struct {
	mu    sync.Mutex
	epoch epoch // in which what is remembered is right

	masters  *tables.Cache[string, int64]
	minions  *tables.Cache[tables.MinionName, int64]
	states   *tables.Cache[tables.StateName, int64]
	keys     *tables.Cache[tables.MinionName, int64] // state keys by master
	sets     *tables.Cache[digest, int64]
	calls    *tables.Cache[digest, int64]
	contents *tables.Cache[content.Digest, stored]
	jobs     *tables.Cache[tables.JobName, *tables.Job]
	runs     *tables.Cache[string, *tables.SavedRun]
	// On which days returns are noted to have come.
	returnDays *tables.Cache[returnDay, bool]
	days       map[int64]bool // those that have partitions
}

// epoch is a time in which nothing goes that may be remembered.
type epoch struct {
	server time.Time // when it started
	breaks int64     // of connections
	steps  int64     // of the pruner
	drops  int64     // of partitions
}

// stored is a content: its number, and the last day that is noted for it.
type stored struct{ id, day int64 }

func newNames() *names {
	n := &names{days: map[int64]bool{}}
	n.forget()
	return n
}

// forget forgets all.
func (n *names) forget() {
	n.masters = tables.NewCache[string, int64](tables.RememberFew)
	n.minions = tables.NewCache[tables.MinionName, int64](tables.RememberMinions)
	n.states = tables.NewCache[tables.StateName, int64](tables.RememberStates)
	n.keys = tables.NewCache[tables.MinionName, int64](tables.RememberFew)
	n.sets = tables.NewCache[digest, int64](tables.RememberJobs)
	n.calls = tables.NewCache[digest, int64](tables.RememberJobs)
	n.contents = tables.NewCache[content.Digest, stored](tables.RememberContents)
	n.jobs = tables.NewCache[tables.JobName, *tables.Job](tables.RememberJobs)
	n.runs = tables.NewCache[string, *tables.SavedRun](tables.RememberFew)
	n.returnDays = tables.NewCache[returnDay, bool](tables.RememberJobs)
}

// known is what a transaction knows of one kind: what is remembered, and what it has learnt itself.
type known[K comparable, V any] struct {
	names *names
	cache func(*names) *tables.Cache[K, V]
	mine  map[K]V
}

func (k *known[K, V]) get(key K) (V, bool) {
	if v, ok := k.mine[key]; ok {
		return v, true
	}
	k.names.mu.Lock()
	defer k.names.mu.Unlock()
	return k.cache(k.names).Get(key)
}

func (k *known[K, V]) learn(key K, v V) {
	if k.mine == nil {
		k.mine = map[K]V{}
	}
	k.mine[key] = v
}

// remember hands on what was learnt; names.mu is held.
func (k *known[K, V]) remember() {
	for key, v := range k.mine {
		k.cache(k.names).Put(key, v)
	}
}

// knowledge is what a transaction knows of every kind.
type knowledge struct {
	masters  known[string, int64]
	minions  known[tables.MinionName, int64]
	states   known[tables.StateName, int64]
	keys     known[tables.MinionName, int64]
	sets     known[digest, int64]
	calls    known[digest, int64]
	contents known[content.Digest, stored]
	jobs     known[tables.JobName, *tables.Job]
	runs     map[string]*tables.SavedRun // nil: forgotten

	returnDays known[returnDay, bool]
}

func (n *names) knowledge() knowledge {
	return knowledge{
		masters:  known[string, int64]{names: n, cache: func(n *names) *tables.Cache[string, int64] { return n.masters }},
		minions:  known[tables.MinionName, int64]{names: n, cache: func(n *names) *tables.Cache[tables.MinionName, int64] { return n.minions }},
		states:   known[tables.StateName, int64]{names: n, cache: func(n *names) *tables.Cache[tables.StateName, int64] { return n.states }},
		keys:     known[tables.MinionName, int64]{names: n, cache: func(n *names) *tables.Cache[tables.MinionName, int64] { return n.keys }},
		sets:     known[digest, int64]{names: n, cache: func(n *names) *tables.Cache[digest, int64] { return n.sets }},
		calls:    known[digest, int64]{names: n, cache: func(n *names) *tables.Cache[digest, int64] { return n.calls }},
		contents: known[content.Digest, stored]{names: n, cache: func(n *names) *tables.Cache[content.Digest, stored] { return n.contents }},
		jobs:     known[tables.JobName, *tables.Job]{names: n, cache: func(n *names) *tables.Cache[tables.JobName, *tables.Job] { return n.jobs }},
		runs:     map[string]*tables.SavedRun{},

		returnDays: known[returnDay, bool]{names: n, cache: func(n *names) *tables.Cache[returnDay, bool] { return n.returnDays }},
	}
}

// remember hands on what a committed transaction has learnt, unless the pruner has deleted something since it began.
func (n *names) remember(k *knowledge, since epoch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.epoch != since {
		return
	}
	k.masters.remember()
	k.minions.remember()
	k.states.remember()
	k.keys.remember()
	k.sets.remember()
	k.calls.remember()
	k.contents.remember()
	k.jobs.remember()
	k.returnDays.remember()
	for id, r := range k.runs {
		if r != nil {
			n.runs.Put(id, r)
		}
	}
}

// at forgets what is remembered of another epoch than what a transaction has found, which it returns.
func (n *names) at(found epoch) epoch {
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.epoch
	found.breaks = was.breaks
	if n.epoch = found; found != was {
		n.forget()
	}
	if was.steps = found.steps; found != was {
		n.days = map[int64]bool{}
	}
	return found
}

// broke forgets all, because the server was away.
func (n *names) broke() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.epoch.breaks++
	n.forget()
	n.days = map[int64]bool{}
}

// forgetRuns forgets what was written of runs, which another process may have changed.
func (n *names) forgetRuns() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.runs = tables.NewCache[string, *tables.SavedRun](tables.RememberFew)
}

// digestOf is what a name is found by: its parts, with the number of a master before it where it is a master's own.
func digestOf(master int64, parts ...string) (d digest) {
	h := sha256.New()
	b := binary.BigEndian.AppendUint64(nil, uint64(master))
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	h.Write(b)
	h.Sum(d[:0])
	return d
}

// found reads the number and the digest of each row of a query.
func (t *tx) found(into map[digest]int64, text string, args ...any) error {
	return t.Each(text, func(row tables.Scanner) error {
		var id int64
		var d []byte
		err := row.Scan(&id, &d)
		if err == nil {
			into[digest(d)] = id
		}
		return err
	}, args...)
}

// number finds the numbers of rows by their digests, or makes the rows: insert takes the digests as its first argument and
// returns number and digest of what it made. What masters have in common is inserted in the order of the digests, so that no two
// transactions wait for each other.
func (t *tx) number(table, insert string, digests []digest, columns ...any) (ids map[digest]int64, made int, err error) {
	ids = make(map[digest]int64, len(digests))
	if len(digests) == 0 {
		return ids, 0, nil
	}
	keys := make([][]byte, len(digests))
	for i := range digests {
		keys[i] = digests[i][:]
	}
	if err = t.found(ids, insert, append([]any{keys}, columns...)...); err != nil {
		return nil, 0, err
	}
	if made = len(ids); made == len(digests) {
		return ids, made, nil
	}
	rest := keys[:0]
	for i := range digests {
		if _, ok := ids[digests[i]]; !ok {
			rest = append(rest, digests[i][:])
		}
	}
	return ids, made, t.found(ids, `SELECT id, digest FROM `+table+` WHERE digest = ANY($1)`, rest)
}

// Master implements [tables.Tx].
func (t *tx) Master(name string) (int64, error) {
	if id, ok := t.knows.masters.get(name); ok {
		return id, nil
	}
	d := digestOf(0, name)
	ids, _, err := t.number("masters", `INSERT INTO masters (digest, name) SELECT d, $2 FROM unnest($1::bytea[]) d ON CONFLICT DO NOTHING RETURNING id, digest`,
		[]digest{d}, name)
	if err == nil {
		t.knows.masters.learn(name, ids[d])
	}
	return ids[d], err
}

// Minion implements [tables.Tx].
func (t *tx) Minion(master int64, name string) (int64, error) {
	n := tables.MinionName{Master: master, Name: name}
	if err := t.minions(master, []string{name}); err != nil {
		return 0, err
	}
	id, _ := t.knows.minions.get(n)
	return id, nil
}

// StateKey implements [tables.Tx].
func (t *tx) StateKey(master int64, key string) (int64, error) {
	n := tables.MinionName{Master: master, Name: key}
	if err := t.stateKeys(master, []string{key}); err != nil {
		return 0, err
	}
	id, _ := t.knows.keys.get(n)
	return id, nil
}

// minions numbers minions of a master; stateKeys its state keys. Both may be named several times.
func (t *tx) minions(master int64, list []string) error {
	return t.named(&t.knows.minions, master, list, "minions",
		`INSERT INTO minions (digest, master_id, name) SELECT d, $2, n FROM unnest($1::bytea[], $3::text[]) g(d, n)
			ON CONFLICT DO NOTHING RETURNING id, digest`)
}

func (t *tx) stateKeys(master int64, list []string) error {
	return t.named(&t.knows.keys, master, list, "state_keys",
		`INSERT INTO state_keys (digest, master_id, state_key) SELECT d, $2, n FROM unnest($1::bytea[], $3::text[]) g(d, n)
			ON CONFLICT DO NOTHING RETURNING id, digest`)
}

func (t *tx) named(k *known[tables.MinionName, int64], master int64, list []string, table, insert string) error {
	var digests []digest
	var names []string
	asked := map[string]digest{}
	for _, name := range list {
		if _, ok := asked[name]; ok {
			continue
		}
		if _, ok := k.get(tables.MinionName{Master: master, Name: name}); ok {
			continue
		}
		d := digestOf(master, name)
		asked[name] = d
		digests, names = append(digests, d), append(names, written(name))
	}
	ids, _, err := t.number(table, insert, digests, master, names)
	for name, d := range asked {
		k.learn(tables.MinionName{Master: master, Name: name}, ids[d])
	}
	return err
}

// SavedRun implements [tables.Tx]. Another transaction does not find it until this one is committed.
func (t *tx) SavedRun(id string) (*tables.SavedRun, bool) {
	if r, ok := t.knows.runs[id]; ok {
		return r, r != nil
	}
	t.s.names.mu.Lock()
	defer t.s.names.mu.Unlock()
	r, ok := t.s.names.runs.Get(id)
	t.s.names.runs.Drop(id)
	return r, ok
}

// RememberRun implements [tables.Tx].
func (t *tx) RememberRun(id string, r *tables.SavedRun) { t.knows.runs[id] = r }

// ForgetRun implements [tables.Tx].
func (t *tx) ForgetRun(id string) { t.knows.runs[id] = nil }
