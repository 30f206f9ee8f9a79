package enforce

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// What comes after a run. A check is complete when it is recorded which minions were silent, and where it belongs to an
// enforcing run, which states never settle. An enforcing run is complete when the check after it is. All of it is derived
// from the runs as they are stored and may be done twice, so after a restart it is done again.

const (
	firstPause   = time.Second
	longestPause = 30 * time.Second
)

// Follow sees to what comes after a run of an assignment that was not made by the service itself, for example a retry. A
// run that is followed already, and one without an aftermath, is left alone.
func (s *Service) Follow(run *gaea.Run) {
	if run.CheckState == gaea.CheckPending {
		s.follow(run)
	}
}

// follow has a goroutine see to what comes after a run. A run that is followed already is left alone.
func (s *Service) follow(run *gaea.Run) {
	id, kind := run.ID, run.Kind
	s.mu.Lock()
	if s.followed[id] {
		s.mu.Unlock()
		return
	}
	s.followed[id] = true
	s.mu.Unlock()
	log := s.deps.Logger.With("run", id, "assignment", run.Assignment)
	done := func() {
		s.mu.Lock()
		delete(s.followed, id)
		s.mu.Unlock()
	}
	if !s.spawn(func() {
		defer done()
		s.persist(s.ctx, log, func() error {
			run, err := s.deps.Engine.Wait(s.ctx, id)
			if err != nil || run.Complete() {
				return err
			}
			if kind == gaea.RunEnforce {
				return s.afterEnforcing(s.ctx, log, run)
			}
			return s.afterCheck(s.ctx, run)
		})
	}) {
		done()
	}
}

// persist does something until it succeeds, with growing pauses, or until it is no use to go on.
func (s *Service) persist(ctx context.Context, log *slog.Logger, do func() error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := do()
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case gaea.CodeOf(err) == gaea.CodeNotFound:
			log.Error("a run is gone before its aftermath was recorded", "err", err)
			return
		}
		log.Warn("the aftermath of a run is not recorded yet; trying again", "pause", pause, "err", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// afterCheck records what a check found that its returns do not tell.
func (s *Service) afterCheck(ctx context.Context, run *gaea.Run) error {
	key := s.stateKey(run)
	if err := s.recordSilence(ctx, run, key); err != nil {
		return err
	}
	if run.Parent != "" {
		if err := s.recordUnsettled(ctx, run, key); err != nil {
			return err
		}
	}
	state := gaea.CheckDone
	if run.Status == gaea.RunCancelled || (len(run.Minions) == 0 && run.Status != gaea.RunSucceeded) {
		state = gaea.CheckFailed
	}
	return s.deps.Engine.Finish(ctx, run.ID, func(r *gaea.Run) { r.CheckState = state })
}

// afterEnforcing makes a test run on the minions that an enforcing run reached, and waits for it.
func (s *Service) afterEnforcing(ctx context.Context, log *slog.Logger, run *gaea.Run) error {
	if err := s.recordSilence(ctx, run, s.stateKey(run)); err != nil {
		return err
	}
	state := gaea.CheckDone
	target, err := s.toCheckAfter(ctx, run)
	if err != nil {
		return err
	}
	if target != nil {
		check, err := s.checkAfter(ctx, run, *target)
		switch code := gaea.CodeOf(err); {
		case code == gaea.CodeInvalid || code == gaea.CodeConflict || code == gaea.CodeNotFound: // it will not get better
			log.Error("the check after an enforcing run could not be made", "err", err)
			state = gaea.CheckFailed
		case err != nil:
			return err
		default:
			state = check.CheckState
		}
	}
	return s.deps.Engine.Finish(ctx, run.ID, func(r *gaea.Run) { r.CheckState = state })
}

// toCheckAfter is what is looked at after an enforcing run: the minions that it reached, or all of the target where nothing
// else would tell how the others stand. Nil where there is nothing to look at.
func (s *Service) toCheckAfter(ctx context.Context, run *gaea.Run) (*gaea.Target, error) {
	if run.Status == gaea.RunCancelled {
		return nil, nil
	}
	if s.deps.Forgetful {
		sub, err := s.subject(ctx, run.Assignment)
		if err != nil {
			return nil, err
		}
		st, err := s.standing(ctx, sub)
		if err != nil || st.at.IsZero() { // no run of this process was over all of it
			return &sub.target, err
		}
	}
	reached := reachedBy(run)
	if len(reached) == 0 {
		return nil, nil
	}
	list := gaea.ListTarget(reached)
	return &list, nil
}

// checkAfter starts the check after an enforcing run, or finds the one that was started before, and waits until it is complete.
func (s *Service) checkAfter(ctx context.Context, run *gaea.Run, target gaea.Target) (*gaea.Run, error) {
	id := run.CheckRun
	if id == "" {
		var err error
		if id, err = s.startedCheck(ctx, run); err != nil {
			return nil, err
		}
	}
	if id == "" {
		if run.Call == nil {
			return nil, gaea.Errorf(gaea.CodeNotFound, "what run %s called is not stored any more", run.ID)
		}
		check, err := s.submit(ctx, engine.Request{
			Kind: gaea.RunCheck, Call: testCall(run.Call), Target: target, Timeouts: asLook(run.Timeouts), AllowEmpty: true,
			Assignment: run.Assignment, Revision: run.Revision, Parent: run.ID, User: run.User, CheckState: gaea.CheckPending,
		})
		if err != nil {
			return nil, err
		}
		id = check.ID
	}
	if id != run.CheckRun {
		if err := s.deps.Engine.Finish(ctx, run.ID, func(r *gaea.Run) { r.CheckRun = id }); err != nil {
			return nil, err
		}
	}
	return s.deps.Engine.WaitComplete(ctx, id)
}

// startedCheck finds the check that a process before this one started after an enforcing run, and did not live to note;
// empty where there is none.
func (s *Service) startedCheck(ctx context.Context, run *gaea.Run) (id string, err error) {
	f := gaea.RunFilter{Kind: gaea.RunCheck, Assignment: run.Assignment, Since: run.Created}
	page := gaea.PageRequest{Limit: 100}
	for {
		found, err := s.deps.Runs.ListRuns(ctx, f, page)
		if err != nil {
			return "", err
		}
		for i := range found.Items {
			if found.Items[i].Parent == run.ID {
				return found.Items[i].ID, nil
			}
		}
		if found.Next == "" {
			return "", nil
		}
		page.Cursor = found.Next
	}
}

// testCall is a run's call in test mode.
func testCall(c *gaea.Call) gaea.Call {
	test := gaea.Call{Function: c.Function, Args: c.Args, Kwargs: maps.Clone(c.Kwargs)}
	if test.Kwargs == nil {
		test.Kwargs = map[string]any{}
	}
	test.Kwargs["test"] = true
	return test
}

// reachedBy lists the minions on which an enforcing run did its work, or some of it. The others could not run it or were
// silent: a test run tells nothing new of them.
func reachedBy(run *gaea.Run) []string {
	var reached []string
	for name, m := range run.Minions {
		if m.Outcome.OK() || m.Outcome == gaea.OutcomeFailed {
			reached = append(reached, name)
		}
	}
	slices.Sort(reached)
	return reached
}

// stateKey is the key of what a run applied. The run itself tells it, whatever became of the assignment since.
func (s *Service) stateKey(run *gaea.Run) string {
	if run.Call == nil {
		return ""
	}
	args := slices.Clone(run.Call.Args)
	if len(run.Call.Kwargs) > 0 {
		kwargs := maps.Clone(run.Call.Kwargs)
		kwargs["__kwarg__"] = true
		args = append(args, kwargs)
	}
	raw, err := json.Marshal(args)
	if err != nil { // the engine takes no such call
		return ""
	}
	key, _ := s.deps.Fingerprinter.Job(run.Call.Function, raw)
	return key
}

// recordSilence notes which minions did not answer: "unreachable at T" is evidence too.
func (s *Service) recordSilence(ctx context.Context, run *gaea.Run, key string) error {
	if key == "" {
		return nil
	}
	type moment struct {
		jid string
		at  int64
	}
	silent := map[moment][]string{}
	for name, m := range run.Minions {
		if m.Outcome != gaea.OutcomeUnreachable {
			continue
		}
		at := m.At
		if at.IsZero() {
			at = run.Ended
		}
		k := moment{jid: m.JID, at: at.UnixMicro()}
		silent[k] = append(silent[k], name)
	}
	for k, minions := range silent {
		slices.Sort(minions)
		if err := s.deps.Evidence.PutSilence(ctx, s.deps.Master, key, minions, k.jid, time.UnixMicro(k.at).UTC()); err != nil {
			return err
		}
	}
	return nil
}

// recordUnsettled compares the check after an enforcing run with that run: what was applied without an error and would
// change again does not settle. It is recorded under the state key, so that it holds for as long as the assignment applies
// the same, whatever else of it is changed.
func (s *Service) recordUnsettled(ctx context.Context, check *gaea.Run, key string) error {
	if key == "" {
		return nil
	}
	parent, err := s.deps.Runs.GetRun(ctx, check.Parent)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound: // nothing to compare with any more
		return nil
	case err != nil:
		return err
	}
	checked, err := s.returnsOf(ctx, check, check.Minions)
	if err != nil || len(checked) == 0 {
		return err
	}
	enforced, err := s.returnsOf(ctx, parent, check.Minions)
	if err != nil {
		return err
	}
	var minions []string
	told := map[string]bool{}
	for i := range enforced {
		told[enforced[i].Minion] = true
	}
	for i := range checked {
		if told[checked[i].Minion] {
			minions = append(minions, checked[i].Minion)
		}
	}
	if len(minions) == 0 {
		return nil
	}
	return s.deps.Evidence.PutUnsettled(ctx, check.Assignment, key, minions, drift.Unsettled(enforced, checked))
}

// returnsOf reads the returns with states that a run got of some minions.
func (s *Service) returnsOf(ctx context.Context, run *gaea.Run, of map[string]gaea.RunMinion) ([]gaea.Return, error) {
	jobs := map[string]bool{}
	for name := range of {
		if m := run.Minions[name]; m.JID != "" && m.Outcome.Heard() {
			jobs[m.JID] = true
		}
	}
	var all []gaea.Return
	for _, jid := range slices.Sorted(maps.Keys(jobs)) {
		err := s.deps.Returns.EachReturn(ctx, run.Master, jid, func(r *gaea.Return) error {
			if _, asked := of[r.Minion]; asked && run.Minions[r.Minion].JID == jid && len(r.States) > 0 {
				kept := *r
				kept.Body = nil // the states are all that is needed
				all = append(all, kept)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
