package sqlite

import (
	"context"
	"errors"
	"math"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// Prune implements [archive.Store].
func (s *Store) Prune(ctx context.Context, e gaea.Expiry, limit int) (int, error) {
	if err := tables.ValidatePruning(limit); err != nil {
		return 0, err
	}
	var deleted int
	err := s.write(ctx, func(tx *tx) error {
		p := &pruner{tx, tables.NewPruning(tx, e, s.now(), limit)}
		if err := errors.Join(p.protect(), p.FindHeld()); err != nil {
			return err
		}
		if err := p.Parts(p.jobs, p.events, p.Runs, p.leftovers); err != nil {
			return err
		}
		deleted = p.Deleted
		return p.count()
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// pruner deletes what is old, in one transaction.
type pruner struct {
	*tx
	*tables.Pruning
}

func (p *pruner) count() error {
	if err := p.Count(); err != nil {
		return err
	}
	return p.dropUnused()
}

// protect notes which old returns are the newest evidence that somebody asks about.
func (p *pruner) protect() error {
	err := p.Exec(`CREATE TEMP TABLE IF NOT EXISTS kept (job_id INTEGER, minion_id INTEGER, PRIMARY KEY (job_id, minion_id)) WITHOUT ROWID`)
	if err == nil {
		err = p.Exec(`DELETE FROM kept`)
	}
	if err != nil {
		return err
	}
	return p.Exec(`INSERT OR IGNORE INTO kept SELECT e.job_id, e.minion_id FROM state_keys k JOIN evidence e ON e.state_key_id = k.id
		WHERE k.asked >= ? AND e.stamp < ?`, p.Asked, p.Returns)
}

// oldJob is a job that may go.
type oldJob struct {
	id, master, started, call int64
	jid                       string
}

// jobs deletes old jobs, oldest first, until enough went.
func (p *pruner) jobs() error {
	const step = 100
	last := oldJob{started: math.MinInt64}
	for p.Left > 0 {
		var old []oldJob
		err := p.Each(`SELECT j.id, j.master_id, j.started, j.call_id, j.jid FROM jobs j
			WHERE j.started < ?1 AND (j.started, j.id) > (?2, ?3)
			AND NOT EXISTS (SELECT 1 FROM runs u LEFT JOIN runs p ON p.id = u.parent AND u.kind = 'action' WHERE u.id = j.run_id AND (u.active OR p.active))
			AND NOT EXISTS (SELECT 1 FROM returns r WHERE r.job_id = j.id AND r.stamp >= ?1) AND NOT `+dialect.JobHeld("?5", "?6")+`
			ORDER BY j.started, j.id LIMIT ?4`, func(row tables.Scanner) error {
			var j oldJob
			err := row.Scan(&j.id, &j.master, &j.started, &j.call, &j.jid)
			old = append(old, j)
			return err
		}, p.Returns, last.started, last.id, step, listOf(p.Held.Jobs), listOf(p.Held.Runs))
		if err != nil {
			return err
		}
		for _, j := range old {
			if p.Left <= 0 {
				return nil
			}
			if err := p.job(j); err != nil {
				return err
			}
			last = j
		}
		if len(old) < step {
			return nil
		}
	}
	return nil
}

// goes is what holds for a return that is not kept.
const goes = ` r.job_id = ?1 AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.job_id = r.job_id AND kept.minion_id = r.minion_id)`

// job deletes a job's returns, and the job where none is kept.
func (p *pruner) job(j oldJob) error {
	statements := []string{
		`UPDATE contents SET refs = refs - d.n FROM (SELECT r.content_id, count(*) AS n FROM returns r WHERE` + goes + ` AND r.content_id IS NOT NULL GROUP BY 1) d
			WHERE id = d.content_id`,
		`UPDATE calls SET refs = refs - d.n FROM (SELECT r.call_id, count(*) AS n FROM returns r WHERE` + goes + ` GROUP BY 1) d WHERE id = d.call_id`,
		`DELETE FROM state_latest WHERE job_id = ?1 AND minion_id IN (SELECT r.minion_id FROM returns r WHERE` + goes + ` AND r.states > 0)`,
		`DELETE FROM evidence WHERE job_id = ?1 AND (state_key_id, minion_id) IN
			(SELECT c.state_key_id, r.minion_id FROM returns r JOIN calls c ON c.id = r.call_id WHERE` + goes + ` AND c.state_key_id IS NOT NULL)`,
	}
	for _, text := range statements {
		if err := p.Exec(text, j.id); err != nil {
			return err
		}
	}
	gone := p.Of(j.master)
	var raw, sized int64
	if err := p.Row(`SELECT ifnull(sum(r.size), 0), count(r.size) FROM returns r WHERE`+goes, j.id).Scan(&raw, &sized); err != nil {
		return err
	}
	n, err := p.Change(`DELETE FROM returns AS r WHERE`+goes, j.id)
	if err != nil {
		return err
	}
	gone.Returns, gone.Raw, gone.Sized = gone.Returns+n, gone.Raw+raw, gone.Sized+sized
	p.Went(int(n))
	var kept bool
	if err := p.Row(`SELECT EXISTS (SELECT 1 FROM returns WHERE job_id = ?)`, j.id).Scan(&kept); err != nil || kept {
		return err
	}
	return p.bareJob(j)
}

// bareJob deletes a job without returns, and the minion lists that were only its own.
func (p *pruner) bareJob(j oldJob) error {
	var sets []int64
	err := p.Each(`SELECT DISTINCT set_id FROM job_minions WHERE job_id = ?`, func(row tables.Scanner) error {
		var id int64
		err := row.Scan(&id)
		sets = append(sets, id)
		return err
	}, j.id)
	if err != nil {
		return err
	}
	if err := p.Exec(`DELETE FROM jobs WHERE id = ?`, j.id); err != nil {
		return err
	}
	if err := p.Exec(`DELETE FROM job_notes WHERE master_id = ? AND jid = ?`, j.master, j.jid); err != nil {
		return err
	}
	if err := p.Exec(`UPDATE calls SET refs = refs - 1 WHERE id = ?`, j.call); err != nil {
		return err
	}
	p.names.jobs.Drop(tables.JobName{Master: j.master, JID: j.jid})
	p.Of(j.master).Jobs++
	p.Went(1)
	for _, set := range sets {
		err := p.Each(`DELETE FROM minion_sets WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM job_minions WHERE set_id = ?1) RETURNING digest`,
			func(row tables.Scanner) error {
				var digest []byte
				err := row.Scan(&digest)
				p.names.sets.Drop([32]byte(digest))
				return err
			}, set)
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *pruner) events() error {
	return p.Each(`DELETE FROM events WHERE id IN (SELECT id FROM events WHERE stamp < ? ORDER BY stamp LIMIT ?) RETURNING master_id`,
		func(row tables.Scanner) error {
			var master int64
			err := row.Scan(&master)
			p.Of(master).Events++
			p.Went(1)
			return err
		}, p.Events, p.Left)
}

// leftovers deletes what only deleted things needed.
func (p *pruner) leftovers() error {
	// Calls point at state keys, so those that are left unused go first.
	if err := p.dropUnused(); err != nil {
		return err
	}
	for _, d := range []struct {
		text string
		args []any
		drop func(row tables.Scanner) error
	}{
		{`DELETE FROM silences WHERE (state_key_id, minion_id) IN (SELECT s.state_key_id, s.minion_id FROM state_keys k
			JOIN silences s ON s.state_key_id = k.id WHERE k.asked < ? AND s.stamp < ? LIMIT ?) RETURNING 1`, []any{p.Asked, p.Returns}, nil},
		{`DELETE FROM state_keys WHERE id IN (SELECT k.id FROM state_keys k WHERE k.asked < ?
			AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.state_key_id = k.id) AND NOT EXISTS (SELECT 1 FROM silences s WHERE s.state_key_id = k.id)
			AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.state_key_id = k.id) LIMIT ?) RETURNING master_id, state_key`, []any{p.Asked}, p.dropStateKey},
		{`DELETE FROM slow_states WHERE (state_id, master_id, day) IN (SELECT state_id, master_id, day FROM slow_states WHERE day < ? LIMIT ?) RETURNING 1`,
			[]any{tables.DayOf(p.Returns)}, nil},
		{`DELETE FROM run_durations WHERE (applied, test, day, master_id, bucket) IN (SELECT applied, test, day, master_id, bucket FROM run_durations WHERE day < ? LIMIT ?)
			RETURNING 1`, []any{tables.DayOf(p.Returns)}, nil},
		{`DELETE FROM states WHERE id IN (SELECT s.id FROM states s WHERE NOT EXISTS (SELECT 1 FROM state_latest l WHERE l.state_id = s.id)
			AND NOT EXISTS (SELECT 1 FROM state_results r WHERE r.state_id = s.id) AND NOT EXISTS (SELECT 1 FROM slow_states d WHERE d.state_id = s.id) LIMIT ?)
			RETURNING state, sls`, nil, p.dropState},
		{`DELETE FROM unsettled WHERE (assignment, revision, minion, label) IN (SELECT u.assignment, u.revision, u.minion, u.label FROM unsettled u
			WHERE u.recorded < ? AND EXISTS (SELECT 1 FROM unsettled n WHERE n.assignment = u.assignment AND n.revision <> u.revision AND n.recorded > u.recorded)
			LIMIT ?) RETURNING 1`, []any{p.Returns}, nil},
		{`DELETE FROM run_keys WHERE (user, key) IN (SELECT user, key FROM run_keys WHERE created < ? LIMIT ?) RETURNING 1`, []any{p.Keys}, nil},
		{`DELETE FROM job_notes WHERE (master_id, jid) IN (SELECT n.master_id, n.jid FROM job_notes n WHERE n.stamp < ?
			AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.master_id = n.master_id AND j.jid = n.jid) LIMIT ?) RETURNING 1`, []any{p.Returns}, nil},
		{`DELETE FROM gaps WHERE id IN (SELECT id FROM gaps WHERE until < ? LIMIT ?) RETURNING 1`, []any{p.Returns}, nil},
	} {
		if p.Left <= 0 {
			return nil
		}
		err := p.Each(d.text, func(row tables.Scanner) error {
			p.Went(1)
			if d.drop == nil {
				return nil
			}
			return d.drop(row)
		}, append(d.args, p.Left)...)
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *pruner) dropStateKey(row tables.Scanner) error {
	var n tables.MinionName
	err := row.Scan(&n.Master, &n.Name)
	p.names.keys.Drop(n)
	return err
}

func (p *pruner) dropState(row tables.Scanner) error {
	var n tables.StateName
	err := row.Scan(&n.Key, &n.SLS)
	p.names.states.Drop(n)
	return err
}
