package gaea

import (
	"maps"
	"reflect"
	"slices"
)

// RunChange is how a run stands, with only those minions and slices that have changed since somebody saw it last. A run of
// ten thousand minions is watched by it without sending all of them for each that ends.
type RunChange struct {
	// Minions and Slices hold those that have changed, whole. Args and the minions of a list as Target, which may be large and
	// never change, are left out.
	Run
	Removed []string `json:"removed,omitempty" doc:"minions that turned out to be no part of the run"`
	// MinionCount and SliceCount let a receiver see that it has missed something.
	MinionCount int `json:"minion_count" doc:"how many minions the run has"`
	SliceCount  int `json:"slice_count" doc:"how many slices the run has"`
}

// ChangesFrom tells what is different in r from an earlier snapshot of it.
func (r *Run) ChangesFrom(before *Run) RunChange {
	c := r.change()
	known := 0
	for name, m := range r.Minions {
		old, ok := before.Minions[name]
		if ok {
			known++
		}
		if !ok || !sameMinion(&old, &m) {
			c.Minions[name] = m
		}
	}
	if known < len(before.Minions) {
		for name := range before.Minions {
			if _, ok := r.Minions[name]; !ok {
				c.Removed = append(c.Removed, name)
			}
		}
		slices.Sort(c.Removed)
	}
	for i := range r.Slices {
		if i >= len(before.Slices) || !sameSlice(&before.Slices[i], &r.Slices[i]) {
			c.Slices = append(c.Slices, r.Slices[i])
		}
	}
	return c
}

// ChangesSince tells what is different in r from how it stood at an earlier [Run.Seq]: the minions by their own Seq, and
// all slices, which have none. It does not know which minions were removed; [RunChange.Apply] finds that by the counts.
func (r *Run) ChangesSince(seq int64) RunChange {
	c := r.change()
	for name, m := range r.Minions {
		if m.Seq > seq {
			c.Minions[name] = m
		}
	}
	c.Slices = r.Slices
	return c
}

func (r *Run) change() RunChange {
	c := RunChange{Run: *r, MinionCount: len(r.Minions), SliceCount: len(r.Slices)}
	c.Minions, c.Slices = map[string]RunMinion{}, nil
	c.Args, c.Target.Minions = nil, nil
	return c
}

// Apply returns the run as it stands after the change; before is how it stood at the last one, and stays as it is.
// CodeConflict where something between the two was missed: get the run anew.
func (c *RunChange) Apply(before *Run) (*Run, error) {
	missed := Errorf(CodeConflict, "changes of run %s were missed; get it anew", c.ID)
	if before.ID != c.ID || c.SliceCount < 0 || c.MinionCount < 0 {
		return nil, missed
	}
	run := c.Run
	run.Args, run.Target = before.Args, before.Target
	run.Minions = maps.Clone(before.Minions)
	if run.Minions == nil {
		run.Minions = map[string]RunMinion{}
	}
	for _, name := range c.Removed {
		delete(run.Minions, name)
	}
	maps.Copy(run.Minions, c.Minions)
	run.Slices = slices.Clone(before.Slices[:min(len(before.Slices), c.SliceCount)])
	for _, s := range c.Slices { // by index, so that each new one follows the one before it
		switch {
		case s.Index >= 0 && s.Index < len(run.Slices):
			run.Slices[s.Index] = s
		case s.Index == len(run.Slices):
			run.Slices = append(run.Slices, s)
		default:
			return nil, missed
		}
	}
	if len(run.Minions) != c.MinionCount || len(run.Slices) != c.SliceCount {
		return nil, missed
	}
	return &run, nil
}

func sameMinion(a, b *RunMinion) bool {
	x, y := *a, *b
	if x.Retcode != nil && y.Retcode != nil && *x.Retcode == *y.Retcode {
		x.Retcode, y.Retcode = nil, nil
	}
	if x.At.Equal(y.At) {
		y.At = x.At
	}
	return x == y
}

func sameSlice(a, b *Slice) bool {
	if !slices.Equal(a.Minions, b.Minions) {
		return false
	}
	x, y := *a, *b
	x.Minions, y.Minions = nil, nil
	return reflect.DeepEqual(x, y)
}
