package postgres

import (
	"context"
	"math"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// Prune implements [archive.Store]. It deletes alone, so that no batch points at what goes; a step is short.
//
// Where a whole day is old, its jobs are forgotten step by step while the rows of their returns stay, which nobody sees without
// the job; when the last job is gone the day's partitions are dropped. What of a day must stay moves out of it first: such jobs
// get numbers of day 0. Everything else that is old goes row by row.
//
// References to calls are counted, each time that a job is forgotten or deleted. Those to contents are not: many masters share
// a content, and would wait for each other to count. A content has the last day whose returns point at it instead, and goes
// when that day has gone and no return is found that points at it.
func (s *Store) Prune(ctx context.Context, e gaea.Expiry, limit int) (int, error) {
	if err := tables.ValidatePruning(limit); err != nil {
		return 0, err
	}
	var deleted int
	err := s.write(ctx, true, func(t *tx) error {
		p := &pruner{t, tables.NewPruning(t, e, s.now(), limit)}
		if err := p.Parts(p.FindHeld, p.days, p.jobs, p.eventDays, p.events, p.Runs, p.leftovers); err != nil {
			return err
		}
		deleted = p.Deleted
		t.deleted = t.deleted || deleted > 0
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
	n, err := p.Change(`DELETE FROM calls WHERE refs = 0`)
	p.deleted = p.deleted || n > 0
	return err
}

// oldJob is a job that may go.
type oldJob struct {
	id, master, started, call int64
	jid                       string
	returns                   int
	stays                     bool
}

const (
	// ofActiveRun holds for jobs of runs that are active, or belong to one that is.
	ofActiveRun = `EXISTS (SELECT 1 FROM runs u LEFT JOIN runs p ON p.id = u.parent AND u.kind = 'action' WHERE u.id = j.run_id AND (u.active OR p.active))`
	// hasLate holds for jobs with a return that is not old; the first argument is the time.
	hasLate = `EXISTS (SELECT 1 FROM returns r WHERE r.job_id = j.id AND r.stamp >= $1)`
	// isKept holds for returns that are the newest evidence that somebody asks about; the second argument is since when.
	isKept = `EXISTS (SELECT 1 FROM calls kc JOIN state_keys kk ON kk.id = kc.state_key_id JOIN evidence ke ON ke.state_key_id = kk.id
		WHERE kc.id = r.call_id AND ke.minion_id = r.minion_id AND ke.job_id = r.job_id AND kk.asked >= $2)`
	oldJobColumns = `j.id, j.master_id, j.started, j.call_id, j.jid, (SELECT count(*) FROM returns r WHERE r.job_id = j.id)`
)

func (p *pruner) oldJobs(text string, args ...any) ([]oldJob, error) {
	var list []oldJob
	err := p.Each(text, func(row tables.Scanner) error {
		var j oldJob
		err := row.Scan(&j.id, &j.master, &j.started, &j.call, &j.jid, &j.returns, &j.stays)
		list = append(list, j)
		return err
	}, args...)
	return list, err
}

// enough cuts a list of jobs after as many as may go in this step. A job goes whole.
func (p *pruner) enough(list []oldJob) []oldJob {
	left := p.Left
	for i := range list {
		if left -= 1 + list[i].returns; left <= 0 {
			return list[:i+1]
		}
	}
	return list
}

// jobs deletes old jobs, oldest first, until enough went.
func (p *pruner) jobs() error {
	const step = 500
	last := oldJob{started: math.MinInt64}
	for p.Left > 0 {
		old, err := p.oldJobs(`SELECT `+oldJobColumns+`, FALSE FROM jobs j
			WHERE j.started < $1 AND (j.started, j.id) > ($2, $3) AND NOT `+ofActiveRun+` AND NOT `+hasLate+` AND NOT `+dialect.JobHeld("$5", "$6")+` ORDER BY j.started, j.id LIMIT $4`,
			p.Returns, last.started, last.id, step, p.Held.Jobs, p.Held.Runs)
		if err != nil {
			return err
		}
		some := p.enough(old)
		if len(some) == 0 {
			return nil
		}
		if err := p.rows(some); err != nil {
			return err
		}
		if len(some) == len(old) && len(old) < step {
			return nil
		}
		last = some[len(some)-1] // what is kept of it is not looked at again
	}
	return nil
}

// ids are the numbers of jobs.
func ids(jobs []oldJob) []int64 {
	list := make([]int64, len(jobs))
	for i := range jobs {
		list[i] = jobs[i].id
	}
	return list
}

// rows deletes jobs' returns, and those jobs of which none is kept.
func (p *pruner) rows(jobs []oldJob) error {
	list := ids(jobs)
	if err := p.told(list, true); err != nil {
		return err
	}
	masters := map[int64]int64{}
	for i := range jobs {
		masters[jobs[i].id] = jobs[i].master
	}
	calls, contents := map[int64]int64{}, map[int64]bool{}
	err := p.Each(`DELETE FROM returns r WHERE r.job_id = ANY($1) AND NOT `+isKept+` RETURNING r.job_id, r.call_id, coalesce(r.content_id, 0), coalesce(r.size, 0)`, func(row tables.Scanner) error {
		var job, call, contentID, size int64
		err := row.Scan(&job, &call, &contentID, &size)
		calls[call]++
		contents[contentID] = true
		gone := p.Of(masters[job])
		gone.Returns++
		if size > 0 {
			gone.Raw += size
			gone.Sized++
		}
		p.Went(1)
		return err
	}, list, p.Asked)
	if err == nil {
		err = p.Exec(`DELETE FROM state_results s WHERE s.job_id = ANY($1)
			AND NOT EXISTS (SELECT 1 FROM returns r WHERE r.job_id = s.job_id AND r.minion_id = s.minion_id)`, list)
	}
	if err != nil {
		return err
	}
	kept := map[int64]bool{}
	err = p.Each(`SELECT DISTINCT job_id FROM returns WHERE job_id = ANY($1)`, func(row tables.Scanner) error {
		var id int64
		err := row.Scan(&id)
		kept[id] = true
		return err
	}, list)
	if err != nil {
		return err
	}
	if err := p.bareJobs(slices.DeleteFunc(slices.Clone(jobs), func(j oldJob) bool { return kept[j.id] }), calls); err != nil {
		return err
	}
	delete(contents, 0)
	candidates := make([]int64, 0, len(contents))
	for id := range contents {
		candidates = append(candidates, id)
	}
	return p.dropContents(candidates)
}

// told deletes what the returns of jobs told of states, and as evidence. Those that are kept are left out, or there are none.
func (p *pruner) told(jobs []int64, some bool) error {
	going, args := `r.job_id = ANY($1)`, []any{jobs}
	if some {
		going, args = going+` AND NOT `+isKept, append(args, p.Asked)
	}
	err := p.Exec(`DELETE FROM state_latest l USING returns r WHERE `+going+` AND r.states > 0 AND l.minion_id = r.minion_id AND l.job_id = r.job_id`, args...)
	if err != nil {
		return err
	}
	return p.Exec(`DELETE FROM evidence e USING returns r, calls c WHERE `+going+` AND c.id = r.call_id AND c.state_key_id = e.state_key_id
		AND e.minion_id = r.minion_id AND e.job_id = r.job_id`, args...)
}

// bareJobs deletes jobs without returns, and the minion lists that were only theirs. calls are the references of their returns
// that went.
func (p *pruner) bareJobs(jobs []oldJob, calls map[int64]int64) error {
	list := ids(jobs)
	digests := make([][]byte, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		d := digestOf(j.master, j.jid)
		digests[i] = d[:]
		calls[j.call]++
		p.Of(j.master).Jobs++
	}
	sets := []int64{}
	err := p.Each(`SELECT DISTINCT set_id FROM job_minions WHERE job_id = ANY($1)`, func(row tables.Scanner) error {
		var id int64
		err := row.Scan(&id)
		sets = append(sets, id)
		return err
	}, list)
	for _, d := range []struct {
		text string
		arg  any
	}{
		{`DELETE FROM jobs WHERE id = ANY($1)`, list},
		{`DELETE FROM job_notes WHERE digest = ANY($1)`, digests},
		{`DELETE FROM minion_sets s WHERE s.id = ANY($1) AND NOT EXISTS (SELECT 1 FROM job_minions m WHERE m.set_id = s.id)`, sets},
	} {
		if err == nil {
			err = p.Exec(d.text, d.arg)
		}
	}
	if err != nil {
		return err
	}
	p.Went(len(jobs))
	var calledIDs, counts []int64
	for id, n := range calls {
		calledIDs, counts = append(calledIDs, id), append(counts, n)
	}
	return p.Exec(`UPDATE calls SET refs = refs - d.n FROM unnest($1::bigint[], $2::bigint[]) d(id, n) WHERE calls.id = d.id`, calledIDs, counts)
}

// dropContents deletes those contents that no return points at. Those that stay are looked at again when today has gone.
func (t *tx) dropContents(candidates []int64) error {
	if len(candidates) == 0 {
		return nil
	}
	n, err := t.Change(`DELETE FROM contents c WHERE c.id = ANY($1) AND NOT EXISTS (SELECT 1 FROM returns r WHERE r.content_id = c.id)`, candidates)
	if err != nil {
		return err
	}
	if int(n) < len(candidates) {
		if err := t.Exec(`UPDATE contents SET last_day = $2 WHERE id = ANY($1) AND last_day < $2`, candidates, wholeDay(t.s.now())); err != nil {
			return err
		}
	}
	t.deleted = true
	return t.Exec(`UPDATE pruned SET contents = contents + $1`, n)
}

func (p *pruner) events() error {
	masters := map[int64]int64{}
	err := p.Each(`WITH old AS (SELECT stamp, digest, master_id FROM events WHERE stamp < $1 ORDER BY stamp LIMIT $2)
		DELETE FROM events e USING old WHERE e.stamp = old.stamp AND e.digest = old.digest AND e.master_id = old.master_id RETURNING e.master_id`,
		func(row tables.Scanner) error {
			var master int64
			err := row.Scan(&master)
			masters[master]++
			return err
		}, p.Events, p.Left)
	for master, n := range masters {
		p.Of(master).Events += n
		p.Went(int(n))
	}
	return err
}

// leftovers deletes what only deleted things needed.
func (p *pruner) leftovers() error {
	// Calls point at state keys, so those that are left unused go first.
	if err := p.count(); err != nil {
		return err
	}
	if err := p.oldContents(); err != nil {
		return err
	}
	for _, d := range []struct {
		text string
		args []any
	}{
		{`DELETE FROM silences WHERE (state_key_id, minion_id) IN (SELECT s.state_key_id, s.minion_id FROM state_keys k
			JOIN silences s ON s.state_key_id = k.id WHERE k.asked < ? AND s.stamp < ? LIMIT ?)`, []any{p.Asked, p.Returns}},
		{`DELETE FROM state_keys WHERE id IN (SELECT k.id FROM state_keys k WHERE k.asked < ?
			AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.state_key_id = k.id) AND NOT EXISTS (SELECT 1 FROM silences s WHERE s.state_key_id = k.id)
			AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.state_key_id = k.id) LIMIT ?)`, []any{p.Asked}},
		{noReturns, []any{tables.DayOf(p.Returns)}},
		{`DELETE FROM slow_states WHERE ctid IN (SELECT ctid FROM slow_states WHERE day < ? LIMIT ?)`, []any{tables.DayOf(p.Returns)}},
		{`DELETE FROM run_durations WHERE ctid IN (SELECT ctid FROM run_durations WHERE day < ? LIMIT ?)`, []any{tables.DayOf(p.Returns)}},
		{`DELETE FROM states WHERE id IN (SELECT s.id FROM states s WHERE NOT EXISTS (SELECT 1 FROM state_latest l WHERE l.state_id = s.id)
			AND NOT EXISTS (SELECT 1 FROM state_results r WHERE r.state_id = s.id) AND NOT EXISTS (SELECT 1 FROM slow_states d WHERE d.state_id = s.id) LIMIT ?)`, nil},
		{`DELETE FROM unsettled WHERE ctid IN (SELECT u.ctid FROM unsettled u
			WHERE u.recorded < ? AND EXISTS (SELECT 1 FROM unsettled n WHERE n.assignment = u.assignment AND n.revision <> u.revision AND n.recorded > u.recorded)
			LIMIT ?)`, []any{p.Returns}},
		{`DELETE FROM run_keys WHERE ("user", key) IN (SELECT "user", key FROM run_keys WHERE created < ? LIMIT ?)`, []any{p.Keys}},
		{`DELETE FROM job_notes WHERE digest IN (SELECT n.digest FROM job_notes n WHERE n.stamp < ?
			AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.digest = n.digest) LIMIT ?)`, []any{p.Returns}},
		{`DELETE FROM gaps WHERE id IN (SELECT id FROM gaps WHERE until < ? LIMIT ?)`, []any{p.Returns}},
	} {
		if p.Left <= 0 {
			return nil
		}
		n, err := p.Change(d.text, append(d.args, p.Left)...)
		if err != nil {
			return err
		}
		p.Went(int(n))
	}
	return nil
}

// oldContents deletes contents whose last day has gone.
func (p *pruner) oldContents() error {
	days, err := storedDays(p.ctx, p.view.tx, "returns")
	if err != nil {
		return err
	}
	gone := dayOf(p.Returns)
	if len(days) > 0 {
		gone = min(gone, days[0])
	}
	candidates := []int64{}
	err = p.Each(`SELECT id FROM contents WHERE last_day < $1 ORDER BY id LIMIT $2`, func(row tables.Scanner) error {
		var id int64
		err := row.Scan(&id)
		candidates = append(candidates, id)
		return err
	}, gone, p.Left)
	if err != nil || len(candidates) == 0 {
		return err
	}
	p.Went(len(candidates))
	return p.dropContents(candidates)
}

// days forgets the jobs of days that are old, oldest first, and drops their partitions.
func (p *pruner) days() error {
	days, err := storedDays(p.ctx, p.view.tx, "returns")
	for _, day := range days {
		if err != nil || p.Left <= 0 || (day+1)*microsADay > p.Returns {
			return err
		}
		err = p.day(day)
	}
	return err
}

func (p *pruner) day(day int64) error {
	for p.Left > 0 {
		const step = 500
		jobs, err := p.oldJobs(`SELECT `+oldJobColumns+`, (j.started >= $1 OR `+ofActiveRun+` OR `+hasLate+` OR `+dialect.JobHeld("$6", "$7")+` OR EXISTS (SELECT 1 FROM returns r WHERE r.job_id = j.id AND `+isKept+`))
			FROM jobs j WHERE j.id >= $3 AND j.id < $4 ORDER BY j.id LIMIT $5`, p.Returns, p.Asked, firstOf(day), firstOf(day+1), step, p.Held.Jobs, p.Held.Runs)
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			return p.drop(day)
		}
		var going []oldJob
		for _, j := range p.enough(jobs) {
			if !j.stays {
				going = append(going, j)
			} else if err := p.move(j); err != nil {
				return err
			}
		}
		if err := p.forgetJobs(going); err != nil {
			return err
		}
	}
	return nil
}

// move takes a job out of its day. What of it may go goes as that of other jobs that are not of a whole day.
func (p *pruner) move(j oldJob) error {
	var to int64
	if err := p.Row(`SELECT nextval('job_numbers')`).Scan(&to); err != nil {
		return err
	}
	for _, text := range []string{
		`UPDATE jobs SET id = $2 WHERE id = $1`,
		`UPDATE returns SET job_id = $2 WHERE job_id = $1`,
		`UPDATE state_results SET job_id = $2 WHERE job_id = $1`,
		`UPDATE state_latest l SET job_id = $2 FROM returns r WHERE r.job_id = $2 AND r.states > 0 AND l.minion_id = r.minion_id AND l.job_id = $1`,
		`UPDATE evidence e SET job_id = $2 FROM returns r, calls c WHERE r.job_id = $2 AND c.id = r.call_id AND c.state_key_id = e.state_key_id
			AND e.minion_id = r.minion_id AND e.job_id = $1`,
	} {
		if err := p.Exec(text, j.id, to); err != nil {
			return err
		}
	}
	if err := p.movedReturns(to); err != nil {
		return err
	}
	if slices.Contains(p.Held.Jobs, j.id) {
		p.Held.Jobs = append(p.Held.Jobs, to)
	}
	p.Left -= j.returns
	p.Went(1) // from its day: there may be more to do
	return nil
}

// forgetJobs deletes jobs and what their returns told, and leaves the rows of the returns to the drop of the day.
func (p *pruner) forgetJobs(jobs []oldJob) error {
	if len(jobs) == 0 {
		return nil
	}
	list := ids(jobs)
	if err := p.told(list, false); err != nil {
		return err
	}
	masters := map[int64]int64{}
	for i := range jobs {
		masters[jobs[i].id] = jobs[i].master
	}
	err := p.Each(`SELECT job_id, coalesce(sum(size), 0)::bigint, count(size) FROM returns WHERE job_id = ANY($1) GROUP BY job_id`, func(row tables.Scanner) error {
		var job, raw, sized int64
		err := row.Scan(&job, &raw, &sized)
		gone := p.Of(masters[job])
		gone.Raw, gone.Sized = gone.Raw+raw, gone.Sized+sized
		return err
	}, list)
	if err != nil {
		return err
	}
	calls := map[int64]int64{}
	err = p.Each(`SELECT call_id, count(*) FROM returns WHERE job_id = ANY($1) GROUP BY call_id`, func(row tables.Scanner) error {
		var call, n int64
		err := row.Scan(&call, &n)
		calls[call] = n
		return err
	}, list)
	if err != nil {
		return err
	}
	for i := range jobs {
		p.Of(jobs[i].master).Returns += int64(jobs[i].returns)
		p.Went(jobs[i].returns)
	}
	return p.bareJobs(jobs, calls)
}

// dropTimeout bounds the wait for those who read a table whose partition is dropped; they wait for it meanwhile.
const dropTimeout = "2s"

// drop drops the partitions of a day without jobs, one a step: first what returns told of states, then the returns.
func (p *pruner) drop(day int64) error {
	var states bool
	if err := p.Row(`SELECT to_regclass($1) IS NOT NULL`, partition("state_results", day)).Scan(&states); err != nil {
		return err
	}
	if states {
		return p.dropPartition("state_results", day)
	}
	if err := p.Exec(`DELETE FROM return_days WHERE day = $1`, day); err != nil {
		return err
	}
	return p.dropPartition("returns", day)
}

// eventDays drops the events of days that are old, oldest first.
func (p *pruner) eventDays() error {
	days, err := storedDays(p.ctx, p.view.tx, "events")
	for _, day := range days {
		if err != nil || p.Left <= 0 || (day+1)*microsADay > p.Events {
			return err
		}
		err = p.Each(`SELECT master_id, count(*) FROM `+partition("events", day)+` GROUP BY master_id`, func(row tables.Scanner) error {
			var master, n int64
			err := row.Scan(&master, &n)
			p.Of(master).Events += n
			p.Deleted += int(n)
			return err
		})
		if err == nil {
			err = p.dropPartition("events", day)
		}
	}
	return err
}

// dropPartition drops the partition of a table for a day, and ends the step. It locks out who reads the table, and they read several in an
// order of their own: whoever had two of them locked out would wait for a reader that waits for him.
func (p *pruner) dropPartition(table string, day int64) error {
	for _, text := range []string{`SET LOCAL lock_timeout = '` + dropTimeout + `'`, `DROP TABLE ` + partition(table, day), `SET LOCAL lock_timeout = DEFAULT`} {
		if err := p.Exec(text); err != nil {
			return err
		}
	}
	p.Went(1)
	p.Left, p.dropped = 0, true
	return nil
}
