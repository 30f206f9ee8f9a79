package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// Prune implements [archive.Store].
func (s *Store) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	if limit < 1 {
		return 0, gaea.Invalid("limit", "%d is not how many things to delete; use 1 or more", limit)
	}
	var deleted int
	err := s.write(ctx, func(tx *tx) error {
		p := &pruner{
			tx: tx, before: tables.Micros(before), asked: tables.Micros(before.Add(-tables.AskedEvery)), day: min(tables.Micros(before), tables.Micros(s.now().Add(-tables.KeyLife))),
			left: limit, gone: map[int64]*gone{},
		}
		if err := p.protect(); err != nil {
			return err
		}
		for _, step := range []func() error{p.jobs, p.events, p.runs, p.leftovers} {
			if p.left <= 0 {
				break
			}
			if err := step(); err != nil {
				return err
			}
		}
		deleted = p.deleted
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
	before  int64 // what is older goes
	asked   int64 // evidence of state keys that were asked about since stays
	day     int64 // before, but at least as long ago as idempotency keys live: runs and their keys that are older go
	left    int   // how many rows may still go
	deleted int   // how many things went
	gone    map[int64]*gone
}

// gone is how many rows of a master went.
type gone struct{ jobs, returns, events int64 }

func (p *pruner) of(master int64) *gone {
	g := p.gone[master]
	if g == nil {
		g = &gone{}
		p.gone[master] = g
	}
	return g
}

func (p *pruner) count() error {
	for master, g := range p.gone {
		err := p.Exec(`UPDATE masters SET jobs = jobs - ?, returns = returns - ?, events = events - ? WHERE id = ?`, g.jobs, g.returns, g.events, master)
		if err != nil {
			return err
		}
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
		WHERE k.asked >= ? AND e.stamp < ?`, p.asked, p.before)
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
	for p.left > 0 {
		var old []oldJob
		err := p.Each(`SELECT j.id, j.master_id, j.started, j.call_id, j.jid FROM jobs j
			WHERE j.started < ?1 AND (j.started, j.id) > (?2, ?3)
			AND NOT EXISTS (SELECT 1 FROM runs u LEFT JOIN runs p ON p.id = u.parent AND u.kind = 'action' WHERE u.id = j.run_id AND (u.active OR p.active))
			AND NOT EXISTS (SELECT 1 FROM returns r WHERE r.job_id = j.id AND r.stamp >= ?1)
			ORDER BY j.started, j.id LIMIT ?4`, func(row tables.Scanner) error {
			var j oldJob
			err := row.Scan(&j.id, &j.master, &j.started, &j.call, &j.jid)
			old = append(old, j)
			return err
		}, p.before, last.started, last.id, step)
		if err != nil {
			return err
		}
		for _, j := range old {
			if p.left <= 0 {
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
	n, err := p.Change(`DELETE FROM returns AS r WHERE`+goes, j.id)
	if err != nil {
		return err
	}
	p.of(j.master).returns += n
	p.went(int(n))
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
	p.names.jobs.Drop(jobName{j.master, j.jid})
	p.of(j.master).jobs++
	p.went(1)
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

// went counts things that were deleted.
func (p *pruner) went(n int) {
	p.deleted += n
	p.left -= n
}

func (p *pruner) runs() error {
	runs, rows, err := tables.PruneRuns(p.tx, p.day, p.left)
	p.deleted += runs
	p.left -= rows
	return err
}

func (p *pruner) events() error {
	return p.Each(`DELETE FROM events WHERE id IN (SELECT id FROM events WHERE stamp < ? ORDER BY stamp LIMIT ?) RETURNING master_id`,
		func(row tables.Scanner) error {
			var master int64
			err := row.Scan(&master)
			p.of(master).events++
			p.went(1)
			return err
		}, p.before, p.left)
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
			JOIN silences s ON s.state_key_id = k.id WHERE k.asked < ? AND s.stamp < ? LIMIT ?) RETURNING 1`, []any{p.asked, p.before}, nil},
		{`DELETE FROM state_keys WHERE id IN (SELECT k.id FROM state_keys k WHERE k.asked < ?
			AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.state_key_id = k.id) AND NOT EXISTS (SELECT 1 FROM silences s WHERE s.state_key_id = k.id)
			AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.state_key_id = k.id) LIMIT ?) RETURNING master_id, state_key`, []any{p.asked}, p.dropStateKey},
		{`DELETE FROM states WHERE id IN (SELECT s.id FROM states s WHERE NOT EXISTS (SELECT 1 FROM state_latest l WHERE l.state_id = s.id)
			AND NOT EXISTS (SELECT 1 FROM state_results r WHERE r.state_id = s.id) LIMIT ?) RETURNING state, sls`, nil, p.dropState},
		{`DELETE FROM unsettled WHERE (assignment, revision, minion, label) IN (SELECT u.assignment, u.revision, u.minion, u.label FROM unsettled u
			WHERE u.recorded < ? AND EXISTS (SELECT 1 FROM unsettled n WHERE n.assignment = u.assignment AND n.revision <> u.revision AND n.recorded > u.recorded)
			LIMIT ?) RETURNING 1`, []any{p.before}, nil},
		{`DELETE FROM run_keys WHERE (user, key) IN (SELECT user, key FROM run_keys WHERE created < ? LIMIT ?) RETURNING 1`, []any{p.day}, nil},
		{`DELETE FROM job_notes WHERE (master_id, jid) IN (SELECT n.master_id, n.jid FROM job_notes n WHERE n.stamp < ?
			AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.master_id = n.master_id AND j.jid = n.jid) LIMIT ?) RETURNING 1`, []any{p.before}, nil},
		{`DELETE FROM gaps WHERE id IN (SELECT id FROM gaps WHERE until < ? LIMIT ?) RETURNING 1`, []any{p.before}, nil},
	} {
		if p.left <= 0 {
			return nil
		}
		err := p.Each(d.text, func(row tables.Scanner) error {
			p.went(1)
			if d.drop == nil {
				return nil
			}
			return d.drop(row)
		}, append(d.args, p.left)...)
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *pruner) dropStateKey(row tables.Scanner) error {
	var n minionName
	err := row.Scan(&n.master, &n.name)
	p.names.keys.Drop(n)
	return err
}

func (p *pruner) dropState(row tables.Scanner) error {
	var n stateName
	err := row.Scan(&n.key, &n.sls)
	p.names.states.Drop(n)
	return err
}
