package killtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// moment is when jobd is killed: a while after something was seen of the first run.
type moment struct {
	name  string
	seen  func(run *gaea.Run) bool // nil: while the last run is being asked for
	after time.Duration
}

func (m moment) String() string { return fmt.Sprintf("%v after %s", m.after, m.name) }

// moment chooses one that the runs can come to.
func (p *planner) moment(works []work) moment {
	w := &works[0]
	short, long := 40*time.Millisecond, 2500*time.Millisecond
	if !w.template.Batch.Sliced() && w.template.Function == "cmd.run" && len(w.template.PreActions) == 0 {
		long = time.Second // it takes no longer
	}
	choices := []moment{
		{"a run was asked for", nil, p.upTo(20 * time.Millisecond)},
		{"the last run was accepted", accepted, 0},
		{"the last run was accepted", accepted, p.upTo(long)},
		{"the first slice was stored", sliceStored(1), p.upTo(5 * time.Millisecond)},
		{"the first slice was stored", sliceStored(1), p.upTo(long)},
		{"the first slice was published", slicePublished(1), p.upTo(short)},
	}
	switch w.control {
	case pauseIt:
		return moment{"the run was told to pause", accepted, p.upTo(long)}
	case cancelIt:
		return moment{"the run was cancelled", accepted, w.grace.Std()/2 + p.upTo(short*10)}
	case leaveAlone:
	}
	if !w.template.Batch.Size.IsZero() && !w.halts {
		choices = append(choices,
			moment{"the second slice was stored", sliceStored(2), p.upTo(5 * time.Millisecond)},
			moment{"the second slice was published", slicePublished(2), p.upTo(short)},
			moment{"the last run was accepted", accepted, p.upTo(3 * long)},
		)
		if 2*w.template.Batch.Size.Count(len(p.minions)) < len(p.minions) {
			choices = append(choices, moment{"the third slice was stored", sliceStored(3), p.upTo(short)})
		}
	}
	if len(w.template.PreActions) > 0 {
		choices = append(choices, moment{"a pre-action began", inStatus(gaea.RunPreActions), p.upTo(short)},
			moment{"a pre-action began", inStatus(gaea.RunPreActions), p.upTo(long)})
	}
	if len(w.template.PostActions) > 0 {
		choices = append(choices, moment{"a post-action began", inStatus(gaea.RunPostActions), p.upTo(short)},
			moment{"a post-action began", inStatus(gaea.RunPostActions), p.upTo(long / 2)})
	}
	if w.template.Batch.CanaryHold.Manual() {
		choices = append(choices, moment{"the canary had paused the run", inStatus(gaea.RunPaused), p.upTo(short)})
	}
	return choices[p.rand.IntN(len(choices))]
}

func accepted(*gaea.Run) bool { return true }

func claimed(run *gaea.Run) bool { return run.Claimed }

func inStatus(s gaea.RunStatus) func(*gaea.Run) bool {
	return func(run *gaea.Run) bool { return run.Status == s }
}

// sliceStored says whether n slices have their job id.
func sliceStored(n int) func(*gaea.Run) bool {
	return func(run *gaea.Run) bool { return told(run, func(s gaea.Slice) bool { return s.JID != "" }) >= n }
}

// slicePublished says whether the master has taken n slices.
func slicePublished(n int) func(*gaea.Run) bool {
	return func(run *gaea.Run) bool {
		return told(run, func(s gaea.Slice) bool { return !s.Started.IsZero() }) >= n
	}
}

func told(run *gaea.Run, is func(gaea.Slice) bool) int {
	n := 0
	for s := range slices.Values(run.Slices) {
		if is(s) {
			n++
		}
	}
	return n
}

// stage says where in its life a run was at a time, by what it has written down of itself when it has ended.
func stage(r *job, at time.Time) string {
	run := r.run
	switch {
	case at.Before(run.Created):
		return beingAccepted
	case !at.Before(run.Ended):
		return ended
	}
	if s := actionStage(run, at); s != "" {
		return s
	}
	for i := range run.Slices {
		if s := &run.Slices[i]; s.JID != "" && !at.Before(gaea.JIDTime(s.JID, time.Local)) && at.Before(s.Started) {
			return "slice stored, publish not confirmed"
		}
	}
	if !r.cancelled.IsZero() && !at.Before(r.cancelled) {
		return "cancelling"
	}
	for i := range run.Slices {
		if s := &run.Slices[i]; !s.Started.IsZero() && !at.Before(s.Started) && (s.Ended.IsZero() || at.Before(s.Ended)) {
			if i >= 3 {
				return "slice 4 or later"
			}
			return fmt.Sprintf("slice %d", i+1)
		}
	}
	switch {
	case !r.paused.IsZero() && !at.Before(r.paused):
		return "paused"
	case run.Started.IsZero() || at.Before(run.Started):
		return "queued"
	default:
		return "between steps"
	}
}

// Two stages that are not within a run's life.
const (
	beingAccepted = "being accepted"
	ended         = "ended"
)

// stages in the order in which they are told.
var stages = []string{
	beingAccepted, "queued", "pre-actions", "pre-actions of a slice", "slice stored, publish not confirmed", "slice 1", "slice 2",
	"slice 3", "slice 4 or later", "between steps", "paused", "cancelling", "post-actions of a slice", "post-actions", ended,
}

func actionStage(run *gaea.Run, at time.Time) string {
	within := func(list []gaea.RunAction, of string) string {
		for _, a := range list {
			if !a.Started.IsZero() && !at.Before(a.Started) && at.Before(a.Ended) {
				return string(a.Phase) + "-actions" + of
			}
		}
		return ""
	}
	if s := within(run.Actions, ""); s != "" {
		return s
	}
	for i := range run.Slices {
		if s := within(run.Slices[i].Actions, " of a slice"); s != "" {
			return s
		}
	}
	return ""
}
