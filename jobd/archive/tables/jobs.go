package tables

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// jobColumns are what scanJob reads, from fromJobs.
const (
	jobColumns = `j.id, ma.name, j.jid, j.known, j.source, j.started, j.target_type, j.target, j."user", j.origin, ` + noteColumns + `, ` + CallColumns
	jobTables  = ` JOIN masters ma ON ma.id = j.master_id JOIN calls c ON c.id = j.call_id LEFT JOIN state_keys k ON k.id = c.state_key_id LEFT JOIN job_notes n ON `
)

func (d *Dialect) fromJobs() string { return ` FROM jobs j` + jobTables + d.SameJob("n", "j") }

// storedJob is a job with its number.
type storedJob struct {
	gaea.Job
	id int64
}

func scanJob(row Scanner) (storedJob, error) {
	var j storedJob
	var c Call
	var n Note
	var source, started, origin int64
	err := row.Scan(slices.Concat([]any{
		&j.id, &j.Master, &j.JID, &j.Known, &source, &started, (*string)(&j.Target.Type), &j.Target.Expr, &j.User, &origin,
	}, n.into(), c.Into())...)
	j.Source, j.Started, j.Origin = SourceOf(source), TimeOf(started), OriginOf(origin)
	n.fill(&j.Job)
	j.Function, j.Args, j.Metadata, j.RunID, j.StateKey, j.Test = c.Function, c.Args, c.Metadata, c.RunID, c.StateKey, c.Test
	return j, err
}

// fill reads the minions and counts of jobs.
func fill(q Query, jobs []storedJob) error {
	sets, err := setsOf(q, jobs)
	for i := range jobs {
		if err == nil {
			err = jobs[i].fill(q, sets)
		}
	}
	return err
}

func (j *storedJob) fill(q Query, sets *jobSets) error {
	var err error
	if j.Minions, err = sets.minions(q, j.id, Expected); err != nil {
		return err
	}
	if j.Minions == nil {
		j.Minions = []string{} // a job always says whom it expects
	}
	if j.Missing, err = sets.minions(q, j.id, Unknown); err != nil {
		return err
	}
	if j.Target.Type == gaea.TargetList {
		if j.Target.Minions, err = sets.minions(q, j.id, Listed); err != nil {
			return err
		}
	}
	if err = j.count(q, sets.named(j.id, Expected)); err != nil {
		return err
	}
	if left, how := j.untold(); len(left) > 0 {
		j.Counts[how] += len(left)
	}
	return nil
}

// count counts the minions by their outcome. Those that are expected, as one of the sets says, and have no return are pending. A page
// has many jobs of many minions, so the returns of a job are read as one text: neither the database nor the driver makes a row of each,
// and nobody looks each up.
func (j *storedJob) count(q Query, expected []*minionSet) error {
	j.Counts = map[gaea.Outcome]int{}
	var told string
	err := q.Row(`SELECT coalesce(string_agg(CAST(minion_id * 16 + outcome AS TEXT), ','), '') FROM returns WHERE job_id = ?`, j.id).Scan(&told)
	if err != nil {
		return err
	}
	pending := len(j.Minions)
	var counts [16]int // by the numbers of outcomes
	for told != "" {
		var one string
		one, told, _ = strings.Cut(told, ",")
		both, err := strconv.ParseInt(one, 10, 64)
		if err != nil {
			return gaea.Wrap(err, gaea.CodeInternal, "the returns of job %s cannot be counted", j.JID)
		}
		counts[both%16]++
		if slices.ContainsFunc(expected, func(s *minionSet) bool { return s.has(both / 16) }) {
			pending--
		}
	}
	for code, n := range counts {
		if n > 0 {
			j.Counts[OutcomeOf(int64(code))] += n
		}
	}
	if pending > 0 {
		j.Counts[gaea.OutcomePending] += pending
	}
	return nil
}

// findJob finds the newest job with a jid.
func findJob(q Query, master, jid string) (storedJob, error) {
	named, args := q.Dialect().equal("j.jid", jid)
	where := ` WHERE ` + named
	if master != "" {
		where, args = where+` AND ma.name = ?`, append(args, master)
	} else {
		where += ` AND j.master_id IN (SELECT id FROM masters)` // so that the index of master and jid serves
	}
	j, err := scanJob(q.Row(`SELECT `+jobColumns+q.Dialect().fromJobs()+where+` ORDER BY j.started DESC, j.id DESC LIMIT 1`, args...))
	return j, missing(err, "there is no job %s in the archive", jid)
}

// Job implements [archive.Store].
func (s *Store) Job(ctx context.Context, master, jid string) (*gaea.JobDetail, error) {
	var d gaea.JobDetail
	err := s.db.Read(ctx, func(q Query) error {
		j, err := findJob(q, master, jid)
		one := []storedJob{j}
		if err == nil {
			err = fill(q, one)
			j = one[0]
		}
		if err == nil {
			d.Children, err = j.children(q)
		}
		if err != nil {
			return err
		}
		d.Job, d.Returns = j.Job, make(map[string]gaea.ReturnHead, len(j.Minions))
		left, how := j.untold()
		for _, m := range left {
			d.Returns[m] = gaea.ReturnHead{Outcome: how}
		}
		for _, m := range j.Minions {
			d.Returns[m] = gaea.ReturnHead{Outcome: gaea.OutcomePending}
		}
		return q.Each(`SELECT m.name, r.outcome, r.retcode, coalesce(r.message, ''), r.stamp FROM returns r JOIN minions m ON m.id = r.minion_id WHERE r.job_id = ?`,
			func(row Scanner) error {
				var minion string
				var outcome, stamp int64
				var h gaea.ReturnHead
				err := row.Scan(&minion, &outcome, &h.Retcode, &h.Message, &stamp)
				h.Outcome, h.Stamp = OutcomeOf(outcome), TimeOf(stamp)
				d.Returns[minion] = h
				return err
			}, j.id)
	})
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// Jobs implements [archive.Store].
func (s *Store) Jobs(ctx context.Context, f gaea.JobFilter, p gaea.PageRequest) (gaea.Page[gaea.Job], error) {
	after, limit, err := archive.ParsePage(p, "jobs", 2, 0)
	if err != nil {
		return gaea.Page[gaea.Job]{}, err
	}
	page := pager[gaea.Job]{list: "jobs", limit: limit}
	err = s.db.Read(ctx, func(q Query) error {
		c, err := jobConditions(q, f)
		if err != nil {
			return err
		}
		text := jobsQuery(&c, f, after)
		var jobs []storedJob
		err = q.Each(text, func(row Scanner) error {
			j, err := scanJob(row)
			jobs = append(jobs, j)
			return err
		}, append(c.args, limit+1)...)
		if err == nil {
			err = fill(q, jobs[:min(len(jobs), limit)])
		}
		for i := range jobs {
			at := archive.Cursor{Numbers: []int64{Micros(jobs[i].Started), jobs[i].id}}
			if f.Running && i < limit && jobs[i].Counts[gaea.OutcomePending] == 0 {
				page.pass(at)
				continue
			}
			page.add(jobs[i].Job, at)
		}
		return err
	})
	return page.done(err)
}

// jobsQuery lists jobs from a cursor on: of all, or of the few that wait for minions.
func jobsQuery(c *conditions, f gaea.JobFilter, from *archive.Cursor) string {
	if f.Running {
		c.after(from, "o.started", "o.job_id")
		return `SELECT ` + jobColumns + c.dialect.fromOpenJobs() + c.where() + ` ORDER BY o.started DESC, o.job_id DESC LIMIT ?`
	}
	c.after(from, "j.started", "j.id")
	return `SELECT ` + jobColumns + c.dialect.fromJobs() + c.where() + ` ORDER BY j.started DESC, j.id DESC LIMIT ?`
}

// jobConditions are those of a filter for jobs.
func jobConditions(q Query, f gaea.JobFilter) (conditions, error) {
	c := conditions{dialect: q.Dialect()}
	c.ofMaster("j.master_id", f.Master)
	if f.Minion != "" {
		ids, err := minionIDs(q, f.Master, f.Minion)
		if err != nil || len(ids) == 0 {
			c.add("FALSE")
			return c, err
		}
		c.add(`(EXISTS (SELECT 1 FROM returns r WHERE r.job_id = j.id AND r.minion_id IN (`+marks(len(ids))+`))
			OR EXISTS (SELECT 1 FROM job_minions jm JOIN minion_set_members s ON s.set_id = jm.set_id
				WHERE jm.job_id = j.id AND jm.role = 0 AND s.minion_id IN (`+marks(len(ids))+`)))`, append(ids, ids...)...)
	}
	started, plus := "j.started", ""
	if f.Running {
		started, plus = "o.started", c.dialect.Unindexed
		c.add(`NOT EXISTS (SELECT 1 FROM runs u WHERE u.id = j.run_id AND NOT u.active)`)
	}
	c.between(started, f.Since, f.Until)
	if err := c.outcome(f); err != nil {
		return c, err
	}
	return c, c.published(q, f, plus)
}

// published adds what the filter says about the publication: function, user, run, parent and target. With a plus each is only looked
// at, and no index is used for it.
func (c *conditions) published(q Query, f gaea.JobFilter, plus string) error {
	c.prefixed(plus+"j.function", f.Function)
	if f.User != "" {
		c.equal(plus+`j."user"`, f.User)
	}
	if f.RunID != "" {
		c.equal(plus+"j.run_id", f.RunID)
		c.add("j.run_id <> ''")
	}
	if f.Parent != "" {
		named, args := c.dialect.equal("cn.parent", f.Parent)
		c.add(plus+`j.id IN (SELECT child.id FROM job_notes cn JOIN jobs child ON `+c.dialect.SameJob("cn", "child")+` WHERE `+named+` AND cn.parent <> '')`, args...)
	}
	if f.Target == "" {
		return nil
	}
	sets, err := listedSets(q, f.Target)
	if err != nil || len(sets) == 0 {
		c.equal(plus+"j.target", f.Target)
		return err
	}
	same, args := c.dialect.equal(plus+"j.target", f.Target)
	c.add(`(`+same+` OR `+plus+`j.id IN (SELECT job_id FROM job_minions WHERE role = 2 AND set_id IN (`+marks(len(sets))+`)))`, append(args, sets...)...)
	return nil
}

// listedSets are the sets of minions that a text names with commas between: one for each master at most.
func listedSets(q Query, target string) ([]any, error) {
	masters, err := idsOf(q, `SELECT id FROM masters`)
	if err != nil {
		return nil, err
	}
	minions := slices.Sorted(slices.Values(strings.Split(target, ",")))
	var sets []any
	for _, master := range masters {
		digest := SetDigest(master.(int64), minions) //nolint:errcheck // idsOf reads int64
		found, err := idsOf(q, `SELECT id FROM minion_sets WHERE digest = ?`, digest[:])
		if err != nil {
			return nil, err
		}
		sets = append(sets, found...)
	}
	return sets, nil
}

// outcome adds that at least one return has an outcome.
func (c *conditions) outcome(f gaea.JobFilter) error {
	if f.Outcome == "" {
		return nil
	}
	code, err := OutcomeCode(f.Outcome)
	if err != nil {
		return err
	}
	if f.Outcome == gaea.OutcomeSucceeded || f.Outcome == gaea.OutcomeInSync {
		// Nearly every job has one: look into each, by its own returns and not by all of that outcome.
		c.add("EXISTS (SELECT 1 FROM returns r WHERE r.job_id = j.id AND "+c.dialect.Unindexed+"r.outcome = ?)", code)
		return nil
	}
	// Few jobs have one: start from those returns. A return never comes before its job.
	c.add("j.id IN (SELECT job_id FROM returns WHERE outcome = ? AND stamp >= ?)", code, Micros(f.Since))
	return nil
}
