package tables

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Evidence implements [gaea.EvidenceStore]. It is sorted by minion; no minions, no evidence.
func (s *Store) Evidence(ctx context.Context, master, stateKey string, minions []string) ([]gaea.Evidence, error) {
	wanted := make(map[string]bool, len(minions))
	for _, m := range minions {
		wanted[m] = true
	}
	found := make(map[string]gaea.Evidence, len(minions))
	err := s.db.Read(ctx, func(q Query) error {
		var key int64
		named, args := q.Dialect().equal("k.state_key", stateKey)
		err := q.Row(`SELECT k.id FROM state_keys k JOIN masters m ON m.id = k.master_id WHERE m.name = ? AND `+named, append([]any{master}, args...)...).Scan(&key)
		if err != nil {
			return missing(err, "no evidence for this state key")
		}
		if err = evidenceOf(q, key, wanted, found); err != nil {
			return err
		}
		return silencesOf(q, key, wanted, found)
	})
	if gaea.CodeOf(err) == gaea.CodeNotFound {
		return []gaea.Evidence{}, nil
	}
	if err != nil {
		return nil, err
	}
	s.ask(ctx, master, stateKey)
	list := make([]gaea.Evidence, 0, len(found))
	for _, e := range found {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b gaea.Evidence) int { return cmp.Compare(a.Minion, b.Minion) })
	return list, nil
}

// evidenceOf reads the newest return of each minion for a key. Bodies are read only where a state is not clean.
func evidenceOf(q Query, key int64, wanted map[string]bool, found map[string]gaea.Evidence) error {
	type unclean struct {
		minion          string
		jobID, minionID int64
		body            storedBody
	}
	var rest []unclean
	err := q.Each(`SELECT m.name, e.jid, e.job_id, e.minion_id, e.stamp, r.outcome, coalesce(r.message, ''), c.test`+bodyColumns+`
		FROM evidence e JOIN minions m ON m.id = e.minion_id JOIN returns r ON r.job_id = e.job_id AND r.minion_id = e.minion_id
		JOIN calls c ON c.id = r.call_id LEFT JOIN content_bodies b ON b.content_id = r.content_id AND r.unclean > 0
		WHERE e.state_key_id = ?`, func(row Scanner) error {
		var e gaea.Evidence
		var stamp, outcome int64
		var u unclean
		err := row.Scan(append([]any{&e.Minion, &e.JID, &u.jobID, &u.minionID, &stamp, &outcome, &e.Message, &e.Test}, u.body.into()...)...)
		if err != nil || !wanted[e.Minion] {
			return err
		}
		e.At, e.Outcome = TimeOf(stamp), OutcomeOf(outcome)
		found[e.Minion] = e
		if u.body.unclean > 0 {
			u.minion = e.Minion
			rest = append(rest, u)
		}
		return nil
	}, key)
	for _, u := range rest {
		if err != nil {
			return err
		}
		var outcomes map[int64]map[int]gaea.Outcome
		if outcomes, err = uncleanOf(q, u.jobID, u.minionID, u.minionID); err != nil {
			return err
		}
		e := found[u.minion]
		_, states, failed := u.body.rebuild(outcomes[u.minionID])
		if failed != nil {
			return gaea.Wrap(failed, gaea.CodeInternal, "the return of %s for job %s is damaged in the archive", e.Minion, e.JID)
		}
		e.States = slices.DeleteFunc(states, func(s gaea.StateResult) bool { return s.Outcome == gaea.OutcomeInSync })
		found[u.minion] = e
	}
	return err
}

// silencesOf reads the silences for a key, and keeps those that are newer than what was found.
func silencesOf(q Query, key int64, wanted map[string]bool, found map[string]gaea.Evidence) error {
	return q.Each(`SELECT m.name, s.jid, s.stamp FROM silences s JOIN minions m ON m.id = s.minion_id WHERE s.state_key_id = ?`, func(row Scanner) error {
		e := gaea.Evidence{Test: true, Outcome: gaea.OutcomeUnreachable}
		var stamp int64
		if err := row.Scan(&e.Minion, &e.JID, &stamp); err != nil || !wanted[e.Minion] {
			return err
		}
		e.At = TimeOf(stamp)
		if have, ok := found[e.Minion]; !ok || e.At.After(have.At) {
			found[e.Minion] = e
		}
		return nil
	}, key)
}

// PutSilence implements [gaea.EvidenceStore]. An older silence than the recorded one changes nothing.
func (s *Store) PutSilence(ctx context.Context, master, stateKey string, minions []string, jid string, at time.Time) error {
	switch {
	case master == "" || stateKey == "":
		return gaea.Invalid("state_key", "a silence needs a master and a state key (master %q, state key %q)", master, stateKey)
	case len(minions) == 0:
		return nil
	}
	return s.db.Write(ctx, func(tx Tx) error {
		masterID, err := tx.Master(master)
		if err != nil {
			return err
		}
		key, err := tx.StateKey(masterID, stateKey)
		if err != nil {
			return err
		}
		for _, m := range minions {
			var id int64
			if id, err = tx.Minion(masterID, m); err == nil {
				err = tx.Exec(`INSERT INTO silences (state_key_id, minion_id, stamp, jid) VALUES (?, ?, ?, ?)
					ON CONFLICT (state_key_id, minion_id) DO UPDATE SET stamp = excluded.stamp, jid = excluded.jid WHERE excluded.stamp > silences.stamp`, key, id, Micros(at), jid)
			}
			if err != nil {
				return err
			}
		}
		return tx.Exec(`UPDATE state_keys SET asked = ? WHERE id = ?`, Micros(s.now()), key)
	})
}

// rememberKeys is of how many state keys it is remembered when somebody asked.
const rememberKeys = 500

// askedEvery is how often it is noted that a state key is still asked about.
const askedEvery = 10 * time.Minute

// askedKeys remembers when it was noted last that somebody wants the evidence of a state key.
type askedKeys struct {
	mu   sync.Mutex
	keys *Cache[[2]string, time.Time]
}

func newAskedKeys() *askedKeys { return &askedKeys{keys: NewCache[[2]string, time.Time](rememberKeys)} }

// due says whether it is time to note that a key was asked about; the caller does.
func (a *askedKeys) due(master, key string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := [2]string{master, key}
	if last, ok := a.keys.Get(k); ok && now.Sub(last) < askedEvery {
		return false
	}
	a.keys.Put(k, now)
	return true
}

// ask notes that the evidence of a state key is wanted, which keeps it from being pruned. A failure is no reason to withhold
// the evidence: at worst it is pruned when it is old, and made anew by a check.
func (s *Store) ask(ctx context.Context, master, stateKey string) {
	now := s.now()
	if !s.asked.due(master, stateKey, now) {
		return
	}
	err := s.db.Write(ctx, func(tx Tx) error {
		return tx.Exec(`UPDATE state_keys SET asked = ? WHERE asked < ? AND state_key = ? AND master_id = (SELECT id FROM masters WHERE name = ?)`,
			Micros(now), Micros(now), stateKey, master)
	})
	if err != nil {
		s.logger.WarnContext(ctx, "could not note that evidence is in use", "master", master, "error", err)
	}
}
