package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// keyLife is how long an idempotency key stands for the run it made.
const keyLife = 24 * time.Hour

// CreateRun implements [gaea.RunStore]. The 24 hours are counted between the two runs' Created. CodeConflict also where
// another run has the id.
func (s *Store) CreateRun(ctx context.Context, r *gaea.Run, key, digest string) (stored *gaea.Run, created bool, err error) {
	row, err := s.rowOf(r)
	if err != nil {
		return nil, false, err
	}
	if row.call, err = s.seal(r.Call); err != nil {
		return nil, false, err
	}
	err = s.write(ctx, func(tx *tx) error {
		if key != "" {
			if stored, err = s.runOfKey(tx, r, key, digest); err != nil || stored != nil {
				return err
			}
		}
		if err := insertRun(tx, row); err != nil {
			return err
		}
		if key != "" {
			err := tx.exec(`INSERT INTO run_keys (user, key, run_id, digest, created) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET run_id = excluded.run_id, digest = excluded.digest, created = excluded.created`,
				r.User, key, r.ID, digest, micros(r.Created))
			if err != nil {
				return err
			}
		}
		if err := s.saveSlices(tx, r); err != nil {
			return err
		}
		if err := saveMinions(tx, r, nil); err != nil {
			return err
		}
		stored, err = s.getRun(tx, r.ID)
		created = true
		return err
	})
	if err != nil {
		s.saved.forget(r.ID)
		return nil, false, err
	}
	return stored, created, nil
}

// runOfKey returns the run that a key made before, or nil.
func (s *Store) runOfKey(q query, r *gaea.Run, key, digest string) (*gaea.Run, error) {
	var id, was string
	var created int64
	err := q.row(`SELECT run_id, digest, created FROM run_keys WHERE user = ? AND key = ?`, r.User, key).Scan(&id, &was, &created)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	case r.Created.Sub(timeOf(created)) >= keyLife:
		return nil, nil
	case was != digest:
		return nil, gaea.Errorf(gaea.CodeConflict, "the idempotency key %q was used for run %s, which asked for something else; use another key", key, id)
	}
	return s.getRun(q, id)
}

// runRow is a run as the table has it.
type runRow struct {
	*gaea.Run
	active bool
	head   string
	call   any
}

func (s *Store) rowOf(r *gaea.Run) (runRow, error) {
	if r.ID == "" {
		return runRow{}, gaea.Invalid("id", "a run needs an id")
	}
	head := *r
	head.Slices, head.Minions, head.Counts = nil, nil, nil
	head.Created, head.Started, head.Ended = trim(r.Created), trim(r.Started), trim(r.Ended)
	b, err := marshal(head)
	if err != nil {
		return runRow{}, gaea.Wrap(err, gaea.CodeInvalid, "run %s cannot be stored as JSON", r.ID)
	}
	return runRow{Run: r, active: !r.Complete(), head: b}, nil
}

func insertRun(tx *tx, r runRow) error {
	err := tx.exec(`INSERT INTO runs (id, created, kind, status, assignment, user, active, head, call, allow_empty) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, micros(r.Created), string(r.Kind), string(r.Status), r.Assignment, r.User, truth(r.active), r.head, r.call, truth(r.AllowEmpty))
	if taken(err) {
		return gaea.Wrap(err, gaea.CodeConflict, "there is a run %s already", r.ID)
	}
	return err
}

// SaveRun implements [gaea.RunStore]. The Call stays as it was created. A minion that is named and not in r.Minions is taken
// out of the run; where none is named, so is every one that r.Minions does not have. CodeNotFound.
func (s *Store) SaveRun(ctx context.Context, r *gaea.Run, minions ...string) error {
	row, err := s.rowOf(r)
	if err != nil {
		return err
	}
	err = s.write(ctx, func(tx *tx) error {
		n, err := tx.change(`UPDATE runs SET created = ?, kind = ?, status = ?, assignment = ?, user = ?, active = ?, head = ?, allow_empty = ? WHERE id = ?`,
			micros(r.Created), string(r.Kind), string(r.Status), r.Assignment, r.User, truth(row.active), row.head, truth(r.AllowEmpty), r.ID)
		if err == nil && n == 0 {
			err = gaea.Errorf(gaea.CodeNotFound, "there is no run %s", r.ID)
		}
		if err == nil {
			err = s.saveSlices(tx, r)
		}
		if err == nil {
			err = saveMinions(tx, r, minions)
		}
		return err
	})
	if err != nil || !row.active {
		s.saved.forget(r.ID)
	}
	return err
}

func saveMinions(tx *tx, r *gaea.Run, minions []string) error {
	if len(minions) > 0 {
		for _, m := range minions {
			if err := saveMinion(tx, r, m); err != nil {
				return err
			}
		}
		return nil
	}
	if err := tx.exec(`DELETE FROM run_minions WHERE run_id = ?`, r.ID); err != nil {
		return err
	}
	for m := range r.Minions {
		if err := saveMinion(tx, r, m); err != nil {
			return err
		}
	}
	return nil
}

func saveMinion(tx *tx, r *gaea.Run, minion string) error {
	m, ok := r.Minions[minion]
	if !ok {
		return tx.exec(`DELETE FROM run_minions WHERE run_id = ? AND minion = ?`, r.ID, minion)
	}
	outcome, err := outcomeCode(m.Outcome)
	if err != nil {
		return err
	}
	var retcode any
	if m.Retcode != nil {
		retcode = int64(*m.Retcode)
	}
	return tx.exec(`INSERT INTO run_minions (run_id, minion, outcome, jid, slice, retcode, message, late, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET outcome = excluded.outcome, jid = excluded.jid, slice = excluded.slice, retcode = excluded.retcode,
			message = excluded.message, late = excluded.late, at = excluded.at`,
		r.ID, minion, outcome, m.JID, int64(m.Slice), retcode, m.Message, truth(m.Late), micros(m.At))
}

// GetRun implements [gaea.RunStore].
func (s *Store) GetRun(ctx context.Context, id string) (*gaea.Run, error) {
	var r *gaea.Run
	err := s.read(ctx, func(q query) error {
		var err error
		r, err = s.getRun(q, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (s *Store) getRun(q query, id string) (*gaea.Run, error) {
	var head string
	var sealed []byte
	r := &gaea.Run{}
	err := q.row(`SELECT head, call, allow_empty FROM runs WHERE id = ?`, id).Scan(&head, &sealed, &r.AllowEmpty)
	if err != nil {
		return nil, missing(err, "there is no run %s", id)
	}
	if err = json.Unmarshal([]byte(head), r); err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInternal, "run %s is damaged in the archive", id)
	}
	if r.Call, err = s.open(sealed); err != nil {
		return nil, err
	}
	if r.Slices, err = slicesOf(q, id); err != nil {
		return nil, err
	}
	r.Minions = map[string]gaea.RunMinion{}
	err = q.each(`SELECT minion, outcome, jid, slice, retcode, message, late, at FROM run_minions WHERE run_id = ?`, func(row scanner) error {
		var name string
		var m gaea.RunMinion
		var outcome, at int64
		err := row.Scan(&name, &outcome, &m.JID, &m.Slice, &m.Retcode, &m.Message, &m.Late, &at)
		m.Outcome, m.At = outcomeOf(outcome), timeOf(at)
		r.Minions[name] = m
		return err
	}, id)
	r.Counts = r.Tally()
	return r, err
}

// ListRuns implements [gaea.RunStore]. The runs have neither slices nor Call: a list would name every minion of each.
func (s *Store) ListRuns(ctx context.Context, f gaea.RunFilter, p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
	after, limit, err := archive.ParsePage(p, "runs", 1, 1)
	if err != nil {
		return gaea.Page[gaea.Run]{}, err
	}
	c := runConditions(f)
	c.after(after, "created", "id")
	page := pager[gaea.Run]{list: "runs", limit: limit}
	err = s.read(ctx, func(q query) error {
		var runs []gaea.Run
		err := q.each(`SELECT head, allow_empty FROM runs`+c.where()+` ORDER BY created DESC, id DESC LIMIT ?`, func(row scanner) error {
			var head string
			var r gaea.Run
			if err := row.Scan(&head, &r.AllowEmpty); err != nil {
				return err
			}
			err := json.Unmarshal([]byte(head), &r)
			runs = append(runs, r)
			return err
		}, append(c.args, limit+1)...)
		for i := range runs {
			r := &runs[i]
			if err == nil && i < limit {
				r.Counts, err = countsOf(q, r.ID)
			}
			page.add(*r, archive.Cursor{Numbers: []int64{micros(r.Created)}, Texts: []string{r.ID}})
		}
		return err
	})
	return page.done(err)
}

func runConditions(f gaea.RunFilter) conditions {
	var c conditions
	if f.Status != "" {
		c.add("status = ?", string(f.Status))
	}
	if f.Kind != "" {
		c.add("kind = ?", string(f.Kind))
	}
	if f.Assignment != "" {
		c.add("assignment = ? AND assignment <> ''", f.Assignment)
	}
	if f.User != "" {
		c.add("user = ?", f.User)
	}
	c.between("created", f.Since, f.Until)
	if f.Active {
		c.add("active")
	}
	return c
}

func countsOf(q query, id string) (map[gaea.Outcome]int, error) {
	counts := map[gaea.Outcome]int{}
	err := q.each(`SELECT outcome, count(*) FROM run_minions WHERE run_id = ? GROUP BY outcome`, func(row scanner) error {
		var outcome int64
		var n int
		err := row.Scan(&outcome, &n)
		counts[outcomeOf(outcome)] = n
		return err
	}, id)
	return counts, err
}
