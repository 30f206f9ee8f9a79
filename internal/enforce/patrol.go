package enforce

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	tryAgain     = time.Minute      // after a check that could not be made
	turnPause    = 5 * time.Second  // while as many checks go on as may
	mostPause    = 10 * time.Second // while a run over the assignment goes on
	checksAtOnce = 4                // interval checks that go on at the same time; the next ones wait their turn
	spreadShare  = 10               // checks are spread over this part of their interval
	spreadMost   = time.Minute      // and over no more than this
)

// patrolUser is who the interval checks are made by.
const patrolUser = "jobd"

// Watched returns the assignments that are checked by interval: by name, the version that says so. The error is the store's.
func (s *Service) Watched(ctx context.Context) (map[string]string, error) {
	refs := map[string]string{}
	page := gaea.PageRequest{Limit: 1000}
	for {
		found, err := s.deps.Assignments.List(ctx, page)
		if err != nil {
			return nil, err
		}
		for i := range found.Items {
			if v := &found.Items[i]; watched(v) {
				refs[v.Definition.Name] = v.Ref
			}
		}
		if found.Next == "" {
			return refs, nil
		}
		page.Cursor = found.Next
	}
}

func watched(v *gaea.Version[gaea.Assignment]) bool {
	settings := v.Definition.DriftCheck.WithDefaults()
	return !v.Deleted && settings.Interval > 0 && settings.Mode != gaea.CheckOff
}

// Look makes the interval check of an assignment if that is due, and says when to call it again; the zero time where the
// assignment is not checked by interval (any more). It does not wait for the check's end. When a check is due follows from
// what is stored, so it may be called at any time and by several processes in turn, but for one assignment by one at a time.
// A check that cannot be made is logged and tried again later. The error is the store's.
func (s *Service) Look(ctx context.Context, name string) (again time.Time, err error) {
	v, err := s.deps.Assignments.Get(ctx, gaea.Ref{Name: name})
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, err
	case !watched(&v):
		return time.Time{}, nil
	}
	now, interval := s.now(), v.Definition.DriftCheck.Interval.Std()
	last, err := s.lastLook(ctx, name)
	switch {
	case err != nil: // its target group or job template is gone: the check says so
	case last != nil && !last.Complete():
		return now.Add(min(max(interval/10, time.Second), mostPause)), nil
	default:
		if due := s.due(&v, last); due.After(now) {
			return due, nil
		}
	}
	return s.takeTurn(ctx, name, now.Add(interval+spread(name, interval)))
}

// due is when an assignment is to be checked. Each has its own place in time, so that not all come at once, neither after
// they were defined together nor when this process was down for long.
func (s *Service) due(v *gaea.Version[gaea.Assignment], last *gaea.Run) time.Time {
	interval := v.Definition.DriftCheck.Interval.Std()
	own := spread(v.Definition.Name, interval)
	from := v.Created
	if last != nil {
		from = last.Created.Add(interval)
	}
	if from.Before(s.started) {
		from = s.started
	}
	return from.Add(own)
}

// spread is an assignment's own delay, from nothing up to a part of its interval.
func spread(name string, interval time.Duration) time.Duration {
	most := min(interval/spreadShare, spreadMost)
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return time.Duration(h.Sum64() % uint64(max(most, 1)))
}

// lastLook is the newest run over an assignment's whole target, well ended or not; nil for none.
func (s *Service) lastLook(ctx context.Context, name string) (*gaea.Run, error) {
	sub, err := s.subject(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.newestWhole(ctx, sub, func(*gaea.Run) bool { return true })
}

// takeTurn makes a check that is due, unless as many go on as may. The time next is when to look again after it.
func (s *Service) takeTurn(ctx context.Context, name string, next time.Time) (again time.Time, err error) {
	s.patrol.Lock() // nobody counts between this count and the check that follows from it
	defer s.patrol.Unlock()
	going, err := s.intervalChecks(ctx)
	switch {
	case err != nil:
		return time.Time{}, err
	case going >= checksAtOnce:
		return s.now().Add(turnPause), nil
	}
	run, err := s.Check(ctx, name, gaea.CheckRequest{})
	switch {
	case ctx.Err() != nil:
		return time.Time{}, ctx.Err()
	case err != nil:
		s.deps.Logger.Warn("the interval check could not be made", "assignment", name, "err", err)
		return s.now().Add(tryAgain), nil
	case run != nil:
		s.spawn(func() { s.report(name, run.ID) })
	}
	return next, nil
}

// intervalChecks counts the interval checks that go on.
func (s *Service) intervalChecks(ctx context.Context) (int, error) {
	going, page := 0, gaea.PageRequest{Limit: 1000}
	for {
		found, err := s.deps.Runs.ListRuns(ctx, gaea.RunFilter{Master: s.deps.Master, Active: true, Kind: gaea.RunCheck}, page)
		if err != nil {
			return 0, err
		}
		for i := range found.Items {
			run := &found.Items[i]
			if run.User == patrolUser && run.Parent == "" && !run.Complete() {
				going++
			}
		}
		if found.Next == "" {
			return going, nil
		}
		page.Cursor = found.Next
	}
}

// report logs how an interval check ended.
func (s *Service) report(assignment, id string) {
	run, err := s.deps.Engine.WaitComplete(s.ctx, id)
	log := s.deps.Logger.With("assignment", assignment, "run", id)
	switch {
	case s.ctx.Err() != nil: // the next process takes it up
	case err != nil:
		log.Warn("how the interval check ended is not known", "err", err)
	default:
		log.Info("interval check ended", "status", run.Status, "counts", run.Tally())
	}
}
