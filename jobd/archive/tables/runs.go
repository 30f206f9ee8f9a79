package tables

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
	return s.createRun(ctx, unguarded, r, key, digest)
}

// unguarded has nothing against a change.
func unguarded(Tx) error { return nil }

// createRun stores a new run, unless the guard has something against it.
func (s *Store) createRun(ctx context.Context, guard func(tx Tx) error, r *gaea.Run, key, digest string) (stored *gaea.Run, created bool, err error) {
	row, err := rowOf(r)
	if err != nil {
		return nil, false, err
	}
	call, err := s.seal(r.Call)
	if err != nil {
		return nil, false, err
	}
	err = s.db.WriteRun(ctx, r.ID, func(tx Tx) error {
		if err := guard(tx); err != nil {
			return err
		}
		if key != "" {
			if err := tx.Alone("key " + r.User + " " + key); err != nil {
				return err
			}
			if stored, err = s.runOfKey(tx, r, key, digest); err != nil || stored != nil {
				return err
			}
		}
		if err := insertRun(tx, row); err != nil {
			return err
		}
		if key != "" {
			err := tx.Exec(`INSERT INTO run_keys ("user", key, run_id, digest, created) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT ("user", key) DO UPDATE SET run_id = excluded.run_id, digest = excluded.digest, created = excluded.created`,
				r.User, key, r.ID, digest, Micros(r.Created))
			if err != nil {
				return err
			}
		}
		was, err := insertRequest(tx, r, call)
		if err != nil {
			return err
		}
		tx.RememberRun(r.ID, was)
		if err = saveParts(tx, row); err != nil {
			return err
		}
		counts := outcomeCounts{}
		if err = saveMinions(tx, r, nil, counts); err != nil {
			return err
		}
		if err = tx.Exec(`UPDATE runs SET counts = ? WHERE id = ?`, counts.text(), r.ID); err != nil {
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
func (s *Store) runOfKey(q Query, r *gaea.Run, key, digest string) (*gaea.Run, error) {
	var id, was string
	var created int64
	err := q.Row(`SELECT run_id, digest, created FROM run_keys WHERE "user" = ? AND key = ?`, r.User, key).Scan(&id, &was, &created)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	case r.Created.Sub(TimeOf(created)) >= keyLife:
		return nil, nil
	case was != digest:
		return nil, gaea.Errorf(gaea.CodeConflict, "the idempotency key %q was used for run %s, which asked for something else; use another key", key, id)
	}
	return s.getRun(q, id)
}

// ForgetKey implements [archive.Store].
func (s *Store) ForgetKey(ctx context.Context, user, runID string) error {
	return s.db.Write(ctx, func(tx Tx) error {
		return tx.Exec(`DELETE FROM run_keys WHERE "user" = ? AND run_id = ?`, user, runID)
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
	head.TakeBy = trim(r.TakeBy)
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
	b, err := Marshal(head)
	if err != nil {
		return runRow{}, gaea.Wrap(err, gaea.CodeInvalid, "run %s cannot be stored as JSON", r.ID)
	}
	return runRow{Run: r, active: !r.Complete(), head: b}, nil
}

func insertRun(tx Tx, r runRow) error {
	err := tx.Exec(`INSERT INTO runs (id, created, master, kind, status, assignment, "user", parent, retry_of, active, head, allow_empty)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, Micros(r.Created), r.Master, string(r.Kind), string(r.Status), r.Assignment, r.User, r.Parent, r.RetryOf, r.active, r.head, r.AllowEmpty)
	if tx.Taken(err) {
		return gaea.Wrap(err, gaea.CodeConflict, "there is a run %s already", r.ID)
	}
	return err
}

// SaveRun implements [gaea.RunStore]. The Call stays as it was created. A minion that is named and not in r.Minions is taken
// out of the run; where none is named, so is every one that r.Minions does not have. CodeNotFound.
func (s *Store) SaveRun(ctx context.Context, r *gaea.Run, minions ...string) error {
	return s.saveRun(ctx, unguarded, r, minions)
}

// saveRun stores a run, unless the guard has something against it.
func (s *Store) saveRun(ctx context.Context, guard func(tx Tx) error, r *gaea.Run, minions []string) error {
	row, err := rowOf(r)
	if err != nil {
		return err
	}
	return s.db.WriteRun(ctx, r.ID, func(tx Tx) error {
		if err := guard(tx); err != nil {
			return err
		}
		if err := tx.Alone("run " + r.ID); err != nil {
			return err
		}
		counts := outcomeCounts{}
		if err := tx.Row(`SELECT counts FROM runs WHERE id = ?`, r.ID).Scan(counts); err != nil {
			return missing(err, "there is no run %s", r.ID)
		}
		if err := saveParts(tx, row); err != nil {
			return err
		}
		if err := saveMinions(tx, r, minions, counts); err != nil {
			return err
		}
		return tx.Exec(`UPDATE runs SET created = ?, master = ?, kind = ?, status = ?, assignment = ?, "user" = ?, parent = ?, retry_of = ?, active = ?, head = ?, allow_empty = ?,
			counts = ? WHERE id = ?`, Micros(r.Created), r.Master, string(r.Kind), string(r.Status), r.Assignment, r.User, r.Parent, r.RetryOf, row.active, row.head,
			r.AllowEmpty, counts.text(), r.ID)
	})
}

// saveParts writes what differs from what was written before of a run that has a row, but for its minions.
func saveParts(tx Tx, r runRow) error {
	was, known := tx.SavedRun(r.ID)
	if !known {
		was = &SavedRun{}
	}
	if err := saveRequest(tx, r.Run, was, known); err != nil {
		return err
	}
	if err := saveSlices(tx, r.Run, was, known); err != nil {
		return err
	}
	if r.active {
		tx.RememberRun(r.ID, was)
	} else {
		tx.ForgetRun(r.ID)
	}
	return nil
}

// GetRun implements [gaea.RunStore].
func (s *Store) GetRun(ctx context.Context, id string) (*gaea.Run, error) {
	var r *gaea.Run
	err := s.db.Read(ctx, func(q Query) error {
		var err error
		r, err = s.getRun(q, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (s *Store) getRun(q Query, id string) (*gaea.Run, error) {
	var sealed []byte
	var row runScan
	err := q.Row(`SELECT `+runColumns+`, q.call FROM runs u LEFT JOIN run_requests q ON q.run_id = u.id WHERE u.id = ?`, id).Scan(append(row.into(), &sealed)...)
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
const runColumns = `u.head, u.allow_empty, coalesce(q.args, ''), coalesce(q.target, '{}')`

// runScan reads a run without its parts.
type runScan struct {
	head, target string
	args         RawText
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
