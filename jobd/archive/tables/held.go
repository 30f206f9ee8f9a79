package tables

import "github.com/gaea-salt/terraform-provider-gaea/internal/gaea"

// Held is what holds keep from being deleted. It is found once for a step of pruning, from the holds down, level by level: what is
// held is little, and most runs and jobs are not.
type Held struct {
	Runs []string // those that are held, the runs of their actions, their checks and their retries, and of those again
	Jobs []int64  // those that are held or that runs above published, and the jobs that belong to them, and to those again
}

// JobHeld holds for jobs j that are among the numbers in the list jobs, or that are a small job (a ping, a question, a kill) for
// one of the runs in the list runs. The lists are places of arguments.
func (d *Dialect) JobHeld(jobs, runs string) string {
	return `(j.id IN (SELECT h.value FROM ` + d.List(jobs, "bigint") + `) OR (SELECT count(*) FROM ` + d.List(runs, "text") + ` JOIN calls hc ON ` +
		d.Contains("hc.metadata", `'"`+gaea.MetadataFor+`":"' || h.value || '"'`) + ` WHERE hc.id = j.call_id) > 0)`
}

// runHeld holds for runs u that are in a list, or that have an action of which the run is held by itself.
func (d *Dialect) runHeld(runs string) string {
	return `(u.id IN (SELECT h.value FROM ` + d.List(runs, "text") + `)
	OR EXISTS (SELECT 1 FROM holds h JOIN runs ha ON ha.id = h.run_id WHERE h.released = 0 AND h.run_id <> '' AND ha.parent = u.id AND ha.kind = 'action'))`
}

// FindHeld finds what is held now.
func (p *Pruning) FindHeld() error {
	p.Held = Held{Runs: []string{}, Jobs: []int64{}}
	var runs []string
	jobs := heldJobs{seen: map[jobName]bool{}}
	err := p.tx.Each(`SELECT run_id, master_id, jid FROM holds WHERE released = 0`, func(row Scanner) error {
		var run string
		var job jobName
		err := row.Scan(&run, &job.master, &job.jid)
		if run != "" {
			runs = append(runs, run)
		} else {
			jobs.add(job)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := p.heldRuns(runs); err != nil {
		return err
	}
	d := p.tx.Dialect()
	if err := p.eachNamed(&jobs, `SELECT j.master_id, j.jid FROM jobs j WHERE j.run_id IN (SELECT h.value FROM `+d.List("?", "text")+`) AND j.run_id <> ''`, p.Held.Runs); err != nil {
		return err
	}
	for len(jobs.fresh) > 0 {
		level := jobs.fresh
		jobs.fresh = nil
		if err := p.heldJobs(&jobs, level); err != nil {
			return err
		}
	}
	return nil
}

// jobName is a job of a master.
type jobName struct {
	master int64
	jid    string
}

// heldJobs gathers jobs, each once.
type heldJobs struct {
	seen  map[jobName]bool
	fresh []jobName // those whose numbers and children have not been looked for
}

func (h *heldJobs) add(name jobName) {
	if !h.seen[name] {
		h.seen[name] = true
		h.fresh = append(h.fresh, name)
	}
}

// heldRuns adds runs, and those that belong to them.
func (p *Pruning) heldRuns(level []string) error {
	d := p.tx.Dialect()
	seen := map[string]bool{}
	for len(level) > 0 {
		var fresh []string
		for _, id := range level {
			if !seen[id] {
				seen[id] = true
				fresh = append(fresh, id)
			}
		}
		p.Held.Runs, level = append(p.Held.Runs, fresh...), nil
		if len(fresh) == 0 {
			return nil
		}
		for _, column := range []string{"parent", "retry_of"} {
			below, err := p.ids(`SELECT id FROM runs WHERE `+column+` IN (SELECT h.value FROM `+d.List("?", "text")+`) AND `+column+` <> ''`, d.ListOf(fresh))
			if err != nil {
				return err
			}
			level = append(level, below...)
		}
	}
	return nil
}

// heldJobs adds the numbers of jobs, and finds those that belong to them.
func (p *Pruning) heldJobs(jobs *heldJobs, level []jobName) error {
	d := p.tx.Dialect()
	jids := make([]string, len(level))
	for i := range level {
		jids[i] = level[i].jid
	}
	err := p.tx.Each(`SELECT j.id, j.master_id, j.jid FROM jobs j WHERE `+d.among("j.jid"), func(row Scanner) error {
		var id int64
		var name jobName
		err := row.Scan(&id, &name.master, &name.jid)
		if jobs.seen[name] { // and not another master's of that id
			p.Held.Jobs = append(p.Held.Jobs, id)
		}
		return err
	}, d.ListOf(jids))
	if err != nil {
		return err
	}
	var children []jobName
	err = p.tx.Each(d.HeldChildren(), func(row Scanner) error {
		var child jobName
		var parent string
		err := row.Scan(&child.master, &child.jid, &parent)
		if jobs.seen[jobName{child.master, parent}] {
			children = append(children, child)
		}
		return err
	}, d.ListOf(jids))
	for _, child := range children {
		jobs.add(child)
	}
	return err
}

// HeldChildren asks for the jobs that belong to those of a list, by an index: where much is orchestrated most jobs have a note.
func (d *Dialect) HeldChildren() string {
	return `SELECT n.master_id, n.jid, n.parent FROM job_notes n WHERE ` + d.among("n.parent") + ` AND n.parent <> ''`
}

// eachNamed adds the jobs that a query names.
func (p *Pruning) eachNamed(jobs *heldJobs, text string, list []string) error {
	return p.tx.Each(text, func(row Scanner) error {
		var name jobName
		err := row.Scan(&name.master, &name.jid)
		jobs.add(name)
		return err
	}, p.tx.Dialect().ListOf(list))
}

// among holds where a column, which may be long, is one of the texts of a list.
func (d *Dialect) among(column string) string {
	if d.IndexedText == nil {
		return column + ` IN (SELECT h.value FROM ` + d.List("?1", "text") + `)`
	}
	return d.IndexedText(column) + ` IN (SELECT ` + d.IndexedText("h.value") + ` FROM ` + d.List("?1", "text") + `) AND ` + column + ` IN (SELECT h.value FROM ` + d.List("?1", "text") + `)`
}
