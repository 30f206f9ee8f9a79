package enforce

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// standing is which minions an assignment has, as far as that is known without asking.
type standing struct {
	minions []string  // sorted
	known   bool      // false where nobody has resolved the target yet
	at      time.Time // when the target was resolved last
}

func (st *standing) has(minion string) bool {
	_, found := slices.BinarySearch(st.minions, minion)
	return found
}

// maxRunsLookedAt bounds how far back a run over the whole target is looked for.
const maxRunsLookedAt = 2000

// standing takes the minions of the newest run over the whole target. A list names its minions by itself.
func (s *Service) standing(ctx context.Context, sub *subject) (*standing, error) {
	st := &standing{}
	if sub.target.Type == gaea.TargetList {
		st.minions, st.known = sub.target.Minions, true
	}
	head, err := s.newestWhole(ctx, sub, func(run *gaea.Run) bool {
		return run.Status.Final() && (total(run.Counts) > 0 || run.Status == gaea.RunSucceeded)
	})
	switch {
	case err != nil:
		return st, err
	case head == nil && s.deps.Forgetful && !st.known:
		return st, s.partial(ctx, sub, st)
	case head == nil:
		return st, nil
	}
	st.known, st.at = true, head.Started
	if st.at.IsZero() {
		st.at = head.Created
	}
	if sub.target.Type == gaea.TargetList {
		return st, nil
	}
	run, err := s.deps.Runs.GetRun(ctx, head.ID)
	if err != nil {
		return nil, err
	}
	st.minions = slices.Sorted(maps.Keys(run.Minions))
	return st, nil
}

// partial takes the minions of the newest run over a part of the target, where that is all that is known.
func (s *Service) partial(ctx context.Context, sub *subject, st *standing) error {
	found, err := s.deps.Runs.ListRuns(ctx, gaea.RunFilter{Master: s.deps.Master, Assignment: sub.name}, gaea.PageRequest{Limit: 1})
	if err != nil || len(found.Items) == 0 {
		return err
	}
	run, err := s.deps.Runs.GetRun(ctx, found.Items[0].ID)
	if err != nil {
		return err
	}
	st.minions = slices.Sorted(maps.Keys(run.Minions))
	return nil
}

// newestWhole finds the newest check or enforcing run of an assignment over its whole target that is good; nil where there
// is none.
func (s *Service) newestWhole(ctx context.Context, sub *subject, good func(*gaea.Run) bool) (*gaea.Run, error) {
	page := gaea.PageRequest{Limit: 20}
	for seen := 0; seen < maxRunsLookedAt; {
		found, err := s.deps.Runs.ListRuns(ctx, gaea.RunFilter{Master: s.deps.Master, Assignment: sub.name}, page)
		if err != nil {
			return nil, err
		}
		for i := range found.Items {
			if run := &found.Items[i]; run.Kind != gaea.RunJob && sameTarget(run.Target, sub.target) && good(run) {
				return run, nil
			}
		}
		if seen += len(found.Items); found.Next == "" || len(found.Items) == 0 {
			return nil, nil
		}
		page.Cursor = found.Next
	}
	return nil, nil
}

func total(counts map[gaea.Outcome]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

func sameTarget(a, b gaea.Target) bool {
	return a.Type == b.Type && a.Expr == b.Expr && slices.Equal(a.Minions, b.Minions)
}

// covers says whether a run reaches what is wanted: the whole target, or some of its minions.
func covers(run *gaea.Run, whole, wanted gaea.Target) bool {
	if sameTarget(run.Target, whole) {
		return true
	}
	if run.Target.Type != gaea.TargetList || wanted.Type != gaea.TargetList {
		return false
	}
	for _, m := range wanted.Minions {
		if !slices.Contains(run.Target.Minions, m) {
			return false
		}
	}
	return true
}

// joinable finds a run of this kind and revision that is going on and covers what is wanted; nil where there is none.
func (s *Service) joinable(ctx context.Context, sub *subject, kind gaea.RunKind, wanted gaea.Target) (*gaea.Run, error) {
	page := gaea.PageRequest{Limit: 100}
	for {
		found, err := s.deps.Runs.ListRuns(ctx, gaea.RunFilter{Master: s.deps.Master, Active: true, Kind: kind, Assignment: sub.name}, page)
		if err != nil {
			return nil, err
		}
		for i := range found.Items {
			run := &found.Items[i]
			stopping := run.Status == gaea.RunCancelling || run.Status == gaea.RunCancelled
			if run.Revision == sub.revision && !stopping && covers(run, sub.target, wanted) {
				return s.deps.Runs.GetRun(ctx, run.ID)
			}
		}
		if found.Next == "" {
			return nil, nil
		}
		page.Cursor = found.Next
	}
}

// named checks the minions that a request names: each must be one of the assignment's.
func (s *Service) named(st *standing, sub *subject, minions []string) error {
	for _, m := range minions {
		if err := gaea.ValidateMinionID(m); err != nil {
			return err
		}
		if !st.has(m) {
			how := "check the whole assignment first (jobd check " + sub.name + ")"
			if s.deps.Forgetful {
				how = "plan again"
			}
			return gaea.Invalid("minions", "%q is not one of the minions of the assignment %q by its newest check; if it is new, %s", m, sub.name, how)
		}
	}
	return nil
}

// Drift reports how an assignment stands by what is archived; it asks no minion. The minions are those of the newest run
// over the whole target, so a new assignment has none before its first check. CodeNotFound, also where the assignment's
// target group or job template is gone.
func (s *Service) Drift(ctx context.Context, name string) (*gaea.DriftReport, error) {
	sub, err := s.subject(ctx, name)
	if err != nil {
		return nil, err
	}
	st, err := s.standing(ctx, sub)
	if err != nil {
		return nil, err
	}
	in := drift.Input{Assignment: sub.version.Definition, Ref: sub.version.Ref, Revision: sub.revision, Minions: st.minions}
	if in.Evidence, err = s.deps.Evidence.Evidence(ctx, s.deps.Master, sub.stateKey, st.minions); err != nil {
		return nil, err
	}
	if in.Unsettled, err = s.deps.Evidence.Unsettled(ctx, name, sub.stateKey); err != nil {
		return nil, err
	}
	if in.Failed, err = s.failed(ctx, sub, in.Evidence); err != nil {
		return nil, err
	}
	return drift.Report(in), nil
}

// recentEnforcing is how many of the newest enforcing runs are asked for failures.
const recentEnforcing = 20

// failed collects the states that enforcing runs failed on minions whose newest evidence is the check right after that run.
func (s *Service) failed(ctx context.Context, sub *subject, evidence []gaea.Evidence) (map[string][]gaea.StateResult, error) {
	recent, err := s.deps.Runs.ListRuns(ctx, gaea.RunFilter{Master: s.deps.Master, Kind: gaea.RunEnforce, Assignment: sub.name}, gaea.PageRequest{Limit: recentEnforcing})
	if err != nil {
		return nil, err
	}
	byMinion := make(map[string]*gaea.Evidence, len(evidence))
	for i := range evidence {
		byMinion[evidence[i].Minion] = &evidence[i]
	}
	failed := map[string][]gaea.StateResult{}
	for _, head := range recent.Items {
		if head.CheckRun == "" || head.Counts[gaea.OutcomeFailed] == 0 {
			continue
		}
		jobs, err := s.failedJobs(ctx, &head, byMinion)
		if err != nil {
			return nil, err
		}
		for jid, minions := range jobs {
			err := s.deps.Returns.EachReturn(ctx, s.deps.Master, jid, func(r *gaea.Return) error {
				if slices.Contains(minions, r.Minion) {
					failed[r.Minion] = failedStates(r.States)
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return failed, nil
}

// failedJobs are the jobs of an enforcing run that failed on minions whose evidence is the check after it, with those minions.
func (s *Service) failedJobs(ctx context.Context, head *gaea.Run, evidence map[string]*gaea.Evidence) (map[string][]string, error) {
	run, err := s.deps.Runs.GetRun(ctx, head.ID)
	if err != nil {
		return nil, err
	}
	check, err := s.deps.Runs.GetRun(ctx, head.CheckRun)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound: // too old to be kept, so no evidence is of it
		return nil, nil
	case err != nil:
		return nil, err
	}
	jobs := map[string][]string{}
	for name, m := range run.Minions {
		e := evidence[name]
		if m.Outcome == gaea.OutcomeFailed && e != nil && e.JID != "" && e.JID == check.Minions[name].JID {
			jobs[m.JID] = append(jobs[m.JID], name)
		}
	}
	return jobs, nil
}

func failedStates(states []gaea.StateResult) []gaea.StateResult {
	var failed []gaea.StateResult
	for _, st := range states {
		if st.Outcome == gaea.OutcomeFailed {
			failed = append(failed, st)
		}
	}
	slices.SortFunc(failed, func(a, b gaea.StateResult) int { return strings.Compare(a.Key, b.Key) })
	return failed
}
