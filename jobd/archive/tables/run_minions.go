package tables

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// saveMinions writes the named minions of a run, or all where none is named, and keeps the counts true.
func saveMinions(tx Tx, r *gaea.Run, minions []string, counts outcomeCounts) error {
	for _, m := range minions {
		var was int64
		switch err := tx.Row(`SELECT outcome FROM run_minions WHERE run_id = ? AND minion = ?`, r.ID, m).Scan(&was); {
		case err == nil:
			counts.add(was, -1)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		if _, ok := r.Minions[m]; !ok {
			if err := tx.Exec(`DELETE FROM run_minions WHERE run_id = ? AND minion = ?`, r.ID, m); err != nil {
				return err
			}
			continue
		}
		if err := saveMinion(tx, r, m, counts); err != nil {
			return err
		}
	}
	if len(minions) > 0 {
		return nil
	}
	clear(counts)
	if err := tx.Exec(`DELETE FROM run_minions WHERE run_id = ?`, r.ID); err != nil {
		return err
	}
	for m := range r.Minions {
		if err := saveMinion(tx, r, m, counts); err != nil {
			return err
		}
	}
	return nil
}

func saveMinion(tx Tx, r *gaea.Run, minion string, counts outcomeCounts) error {
	m := r.Minions[minion]
	outcome, err := OutcomeCode(m.Outcome)
	if err != nil {
		return err
	}
	counts.add(outcome, 1)
	var retcode any
	if m.Retcode != nil {
		retcode = int64(*m.Retcode)
	}
	return tx.Exec(`INSERT INTO run_minions (run_id, minion, outcome, jid, slice, retcode, message, late, at, processes, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (run_id, minion) DO UPDATE SET outcome = excluded.outcome, jid = excluded.jid, slice = excluded.slice, retcode = excluded.retcode,
			message = excluded.message, late = excluded.late, at = excluded.at, processes = excluded.processes, seq = excluded.seq`,
		r.ID, minion, outcome, m.JID, int64(m.Slice), retcode, m.Message, m.Late, Micros(m.At), m.Processes, m.Seq)
}

func minionsOfRun(q Query, run string) (map[string]gaea.RunMinion, error) {
	minions := map[string]gaea.RunMinion{}
	err := q.Each(`SELECT minion, outcome, jid, slice, retcode, message, late, at, processes, seq FROM run_minions WHERE run_id = ?`, func(row Scanner) error {
		var name string
		var m gaea.RunMinion
		var outcome, at int64
		err := row.Scan(&name, &outcome, &m.JID, &m.Slice, &m.Retcode, &m.Message, &m.Late, &at, &m.Processes, &m.Seq)
		m.Outcome, m.At = OutcomeOf(outcome), TimeOf(at)
		minions[name] = m
		return err
	}, run)
	return minions, err
}

// outcomeCounts are how many minions have which outcome, by its number. None is 0.
type outcomeCounts map[int64]int

func (c outcomeCounts) add(outcome int64, n int) {
	if c[outcome] += n; c[outcome] == 0 {
		delete(c, outcome)
	}
}

func (c outcomeCounts) byOutcome() map[gaea.Outcome]int {
	counts := make(map[gaea.Outcome]int, len(c))
	for code, n := range c {
		counts[OutcomeOf(code)] += n
	}
	return counts
}

// text is the counts as the table has them.
func (c outcomeCounts) text() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // numbers are always JSON
	}
	return string(b)
}

// Scan implements [database/sql.Scanner]. It adds to counts that have been made.
func (c outcomeCounts) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("counts are a %T", v)
	}
	return json.Unmarshal([]byte(s), &c)
}
