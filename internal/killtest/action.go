package killtest

import (
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// acted checks that each try of an action was made once.
func (r *round) acted(j *job) error {
	var named []string
	check := func(list []gaea.RunAction) error {
		for _, rec := range list {
			a := j.action(rec)
			if !rec.Status.Final() {
				return violation("action %s of run %s is left as %s", rec.Name, j.id, rec.Status)
			}
			if a.Function != "" && len(rec.Runs) != rec.Attempts {
				return violation("action %s of run %s was tried %d times, with the runs %q", rec.Name, j.id, rec.Attempts, rec.Runs)
			}
			if j.cancelled.IsZero() && rec.Status != gaea.ActionSucceeded && rec.Status != gaea.ActionSkipped {
				return violation("action %s of run %s ended as %s: %s", rec.Name, j.id, rec.Status, rec.Message)
			}
			named = append(named, rec.Runs...)
		}
		return nil
	}
	if err := check(j.run.Actions); err != nil {
		return err
	}
	for i := range j.run.Slices {
		if err := check(j.run.Slices[i].Actions); err != nil {
			return err
		}
	}
	var made []string
	for _, child := range j.children {
		made = append(made, child.ID)
	}
	slices.Sort(named)
	slices.Sort(made)
	if !slices.Equal(named, made) {
		return violation("the actions of run %s name the runs %q, and there are %q", j.id, named, made)
	}
	for _, list := range [][]gaea.JobAction{j.template.PreActions, j.template.PostActions} {
		for i := range list {
			if err := r.traceOf(j, &list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// action is what a record is of.
func (j *job) action(rec gaea.RunAction) gaea.JobAction {
	list := j.template.PreActions
	if rec.Phase == gaea.PhasePost {
		list = j.template.PostActions
	}
	return list[slices.IndexFunc(list, func(a gaea.JobAction) bool { return a.Name == rec.Name })]
}

// tries lists the runs that did an action, and how often it was tried in all.
func (j *job) tries(a *gaea.JobAction) (runs []string, attempts int) {
	take := func(list []gaea.RunAction) {
		for _, rec := range list {
			if rec.Name == a.Name {
				runs, attempts = append(runs, rec.Runs...), attempts+rec.Attempts
			}
		}
	}
	take(j.run.Actions)
	for i := range j.run.Slices {
		take(j.run.Slices[i].Actions)
	}
	return runs, attempts
}

// traceOf checks on the minions, or on the master, how often an action was done.
func (r *round) traceOf(j *job, a *gaea.JobAction) error {
	runs, attempts := j.tries(a)
	if a.Runner != "" {
		found, err := lines(r.traces.master(r.number))
		if err != nil {
			return err
		}
		// What a runner does is not known to a jobd that was killed meanwhile, which has it done again.
		if n := countOf(found, mark(j.letter, a.Name)); n < attempts || n > attempts+len(r.kills) {
			return violation("the runner of action %s of run %s was tried %d times, and ran %d times", a.Name, j.id, attempts, n)
		}
		return nil
	}
	least, most := map[string]int{}, map[string]int{}
	for _, child := range j.children {
		if !slices.Contains(runs, child.ID) {
			continue
		}
		for name, rm := range child.Minions {
			if rm.Outcome.Heard() {
				least[name]++
			}
			if rm.JID != "" {
				most[name]++
			}
		}
	}
	fewest := 0
	if a.Retries > 0 {
		fewest = 2
	} else if j.cancelled.IsZero() && !j.halts {
		fewest = 1
	}
	for _, name := range r.traces.lab.Minions() {
		n, err := r.marks(name, mark(j.letter, a.Name))
		if err != nil {
			return err
		}
		if n < max(least[name], fewest) || n > most[name] {
			return violation("action %s of run %s ran %d times on %s, which was told %d times and answered %d times", a.Name, j.id, n, name, most[name], least[name])
		}
	}
	return nil
}
