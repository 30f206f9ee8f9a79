package command

import (
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// progress is how far a run is.
type progress struct {
	total  int // minions, as far as they are known
	done   int // that have an outcome and were not skipped
	bad    int // of done: whose outcome is not OK
	atWork int // that were told and have no outcome
	toCome int // that were not told yet
	slice  int // how many slices were told; 0 in a run that has none
	slices int // how many there are; 0 while that is not known
	canary bool
	counts map[gaea.Outcome]int // of those that have an outcome
	lags   []lag                // the minions at work, the longest first
}

// lag is a minion that is at work.
type lag struct {
	minion  string
	since   time.Time
	message string
}

// progressOf counts. Slices that tell minions again are in no count of slices, and neither are those of a rolling run, of
// which nobody knows how many there will be.
func progressOf(r *gaea.Run) progress {
	p := progress{total: len(r.Minions), counts: map[gaea.Outcome]int{}}
	told := map[int]time.Time{}
	for i := range r.Slices {
		s := &r.Slices[i]
		if s.JID != "" {
			told[s.Index] = s.Started
		}
		if s.Again || r.Batch.Mode == gaea.BatchRolling || !r.Batch.Sliced() {
			continue
		}
		if !openEnded(r) {
			p.slices++
		}
		if s.JID != "" {
			p.slice++
			p.canary = s.Canary
		}
	}
	for id, m := range r.Minions {
		if m.Outcome.Final() {
			p.counts[m.Outcome]++
			if m.Outcome != gaea.OutcomeSkipped {
				p.done++
				if !m.Outcome.OK() {
					p.bad++
				}
			}
			continue
		}
		since, begun := told[m.Slice]
		if !begun {
			p.toCome++
			continue
		}
		p.atWork++
		p.lags = append(p.lags, lag{id, since, m.Message})
	}
	slices.SortFunc(p.lags, func(a, b lag) int {
		if c := a.since.Compare(b.since); c != 0 {
			return c
		}
		return strings.Compare(a.minion, b.minion)
	})
	return p
}

// openEnded says whether a run has begun, or may, while minions are still waited for, so that nobody knows how many slices it
// will have.
func openEnded(r *gaea.Run) bool {
	return r.Batch.Sliced() && !r.Resolved && r.Verdict == "" && !r.Status.Final()
}

// frozen says whether nothing can go on until something else happens.
func frozen(r *gaea.Run) bool {
	return r.Blocked != nil || r.Status == gaea.RunPaused || r.Status == gaea.RunQueued || r.Status == gaea.RunAwaitingApproval
}

// workedBefore is for how long a run was at work by now.
func workedBefore(r *gaea.Run, now time.Time) time.Duration {
	if r.Started.IsZero() {
		return 0
	}
	worked := now.Sub(r.Started) - r.PausedFor.Std()
	if r.Pause != nil && !r.Pause.Since.IsZero() {
		worked -= now.Sub(r.Pause.Since)
	}
	return max(worked, 0)
}

// nextSlice is when the slice after those that have ended begins, where it only waits for its time.
func nextSlice(r *gaea.Run) (time.Time, bool) {
	if r.Status != gaea.RunRunning || r.Verdict != "" || r.Blocked != nil {
		return time.Time{}, false
	}
	var (
		last  *gaea.Slice
		ended time.Time
		more  bool
	)
	for i := range r.Slices {
		s := &r.Slices[i]
		switch {
		case s.JID == "":
			more = true
		case s.Ended.IsZero():
			return time.Time{}, false
		case !s.Ended.Before(ended):
			last, ended = s, s.Ended
		}
	}
	if !more || last == nil {
		return time.Time{}, false
	}
	wait := r.Batch.Wait.Std()
	if last.Canary && r.CanaryDone {
		wait = r.Batch.CanaryHold.For(r.Batch.Wait)
	}
	return ended.Add(wait), wait > 0
}

// running lists the actions that are at work, the run's own first, each with the index of its slice or -1.
func running(r *gaea.Run) (list []actionAt) {
	for _, a := range allActions(r) {
		if !a.Status.Final() && a.Status != "" {
			list = append(list, a)
		}
	}
	return list
}

// actionAt is an action and the slice that it is done for; -1 for the run.
type actionAt struct {
	gaea.RunAction
	slice int
}

// actionPlace tells the actions of a run apart.
type actionPlace struct {
	slice int
	phase gaea.ActionPhase
	name  string
}

func (a *actionAt) place() actionPlace { return actionPlace{a.slice, a.Phase, a.Name} }

func allActions(r *gaea.Run) (list []actionAt) {
	for _, a := range r.Actions {
		list = append(list, actionAt{a, -1})
	}
	for i := range r.Slices {
		for _, a := range r.Slices[i].Actions {
			list = append(list, actionAt{a, r.Slices[i].Index})
		}
	}
	return list
}
