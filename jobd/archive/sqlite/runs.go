package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// keyLife is how long an idempotency key stands for the run it made.
const keyLife = 24 * time.Hour

// CreateRun implements [gaea.RunStore]. The 24 hours are counted between the two runs' Created. CodeConflict also where
// another run has the id.
func (s *Store) CreateRun(ctx context.Context, r *gaea.Run, key, digest string) (stored *gaea.Run, created bool, err error) {
	row, err := rowOf(r)
	if err != nil {
		return nil, false, err
	}
	call, err := s.seal(r.Call)
	if err != nil {
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
		was, err := insertRequest(tx, r, call)
		if err != nil {
			return err
		}
		tx.names.runs.put(r.ID, was)
		if err = saveParts(tx, row); err != nil {
			return err
		}
		counts := outcomeCounts{}
		if err = saveMinions(tx, r, nil, counts); err != nil {
			return err
		}
		if err = tx.exec(`UPDATE runs SET counts = ? WHERE id = ?`, counts.text(), r.ID); err != nil {
			return err
		}
		stored, err = s.getRun(tx, r.ID)
		created = true
		return err
	})
	if err != nil {
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

// ForgetKey implements [archive.Store].
func (s *Store) ForgetKey(ctx context.Context, user, runID string) error {
	return s.write(ctx, func(tx *tx) error {
		return tx.exec(`DELETE FROM run_keys WHERE user = ? AND run_id = ?`, user, runID)
	})
}

// runRow is a run as the table has it.
type runRow struct {
	*gaea.Run
	active bool
	head   string
}

// rowOf makes a run's row. The head is what a save writes each time, so nothing is in it that grows with the run, or that
// never changes and may be large.
func rowOf(r *gaea.Run) (runRow, error) {
	if r.ID == "" {
		return runRow{}, gaea.Invalid("id", "a run needs an id")
	}
	head := *r
	head.Slices, head.Minions, head.Counts, head.Args, head.Target = nil, nil, nil, nil, gaea.Target{}
	head.Created, head.Started, head.Ended = trim(r.Created), trim(r.Started), trim(r.Ended)
	head.Actions = trimmedActions(r.Actions)
	if r.Blocked != nil {
		blocked := *r.Blocked
		blocked.Since = trim(blocked.Since)
		head.Blocked = &blocked
	}
	if r.Pause != nil {
		pause := *r.Pause
		pause.Asked, pause.Since = trim(pause.Asked), trim(pause.Since)
		head.Pause = &pause
	}
	b, err := marshal(head)
	if err != nil {
		return runRow{}, gaea.Wrap(err, gaea.CodeInvalid, "run %s cannot be stored as JSON", r.ID)
	}
	return runRow{Run: r, active: !r.Complete(), head: b}, nil
}

func insertRun(tx *tx, r runRow) error {
	err := tx.exec(`INSERT INTO runs (id, created, kind, status, assignment, user, parent, retry_of, active, head, allow_empty) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, micros(r.Created), string(r.Kind), string(r.Status), r.Assignment, r.User, r.Parent, r.RetryOf, truth(r.active), r.head, truth(r.AllowEmpty))
	if taken(err) {
		return gaea.Wrap(err, gaea.CodeConflict, "there is a run %s already", r.ID)
	}
	return err
}

// SaveRun implements [gaea.RunStore]. The Call stays as it was created. A minion that is named and not in r.Minions is taken
// out of the run; where none is named, so is every one that r.Minions does not have. CodeNotFound.
func (s *Store) SaveRun(ctx context.Context, r *gaea.Run, minions ...string) error {
	row, err := rowOf(r)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx *tx) error {
		counts := outcomeCounts{}
		if err := tx.row(`SELECT counts FROM runs WHERE id = ?`, r.ID).Scan(counts); err != nil {
			return missing(err, "there is no run %s", r.ID)
		}
		if err := saveParts(tx, row); err != nil {
			return err
		}
		if err := saveMinions(tx, r, minions, counts); err != nil {
			return err
		}
		return tx.exec(`UPDATE runs SET created = ?, kind = ?, status = ?, assignment = ?, user = ?, parent = ?, retry_of = ?, active = ?, head = ?, allow_empty = ?,
			counts = ? WHERE id = ?`, micros(r.Created), string(r.Kind), string(r.Status), r.Assignment, r.User, r.Parent, r.RetryOf, truth(row.active), row.head,
			truth(r.AllowEmpty), counts.text(), r.ID)
	})
}

// saveParts writes what differs from what was written before of a run that has a row, but for its minions.
func saveParts(tx *tx, r runRow) error {
	was, known := tx.names.runs.get(r.ID)
	if !known {
		was = &savedRun{}
	}
	if err := saveRequest(tx, r.Run, was, known); err != nil {
		return err
	}
	if err := saveSlices(tx, r.Run, was, known); err != nil {
		return err
	}
	if r.active {
		tx.names.runs.put(r.ID, was)
	} else {
		tx.names.runs.drop(r.ID)
	}
	return nil
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
	var sealed []byte
	var row runScan
	err := q.row(`SELECT `+runColumns+`, q.call FROM runs u LEFT JOIN run_requests q ON q.run_id = u.id WHERE u.id = ?`, id).Scan(append(row.into(), &sealed)...)
	if err != nil {
		return nil, missing(err, "there is no run %s", id)
	}
	r, err := row.run()
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInternal, "run %s is damaged in the archive", id)
	}
	if r.Call, err = s.open(sealed); err != nil {
		return nil, err
	}
	if r.Slices, err = slicesOf(q, id); err != nil {
		return nil, err
	}
	if r.Minions, err = minionsOfRun(q, id); err != nil {
		return nil, err
	}
	r.Counts = r.Tally()
	return &r, nil
}

// runColumns are the columns that runScan reads, of runs as u and run_requests as q.
const runColumns = `u.head, u.allow_empty, ifnull(q.args, ''), ifnull(q.target, '{}')`

// runScan reads a run without its parts.
type runScan struct {
	head, target string
	args         rawText
	allowEmpty   bool
}

func (s *runScan) into() []any { return []any{&s.head, &s.allowEmpty, &s.args, &s.target} }

func (s *runScan) run() (r gaea.Run, err error) {
	if err = json.Unmarshal([]byte(s.head), &r); err != nil {
		return r, err
	}
	r.Args, r.AllowEmpty, r.Target = json.RawMessage(s.args), s.allowEmpty, gaea.Target{}
	return r, json.Unmarshal([]byte(s.target), &r.Target)
}
