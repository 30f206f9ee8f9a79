package engine

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Cancel tells a run to stop: nothing more is published, the minions that were told are killed, after the grace that the
// request gives them, and that is verified. It returns the run as it then stands; [Engine.Wait] tells when the last minion
// is accounted for. A second cancel gives up the post-actions that the first left. Cancelling a run that has ended changes
// nothing. The context's principal is named in the run's message. CodeInvalid for a grace that is out of range;
// CodeNotFound; CodeConflict where the run goes on under another jobd.
func (e *Engine) Cancel(ctx context.Context, id string, req gaea.CancelRequest) (*gaea.Run, error) {
	if req.Grace < 0 || req.Grace > gaea.MaxGrace {
		return nil, gaea.Invalid("grace", "%s is not possible; use up to %s, or leave grace out to kill at once", req.Grace, gaea.MaxGrace)
	}
	run, err := e.control(ctx, id, machine.Cancel{By: gaea.PrincipalFrom(ctx).Name, Grace: req.Grace}, nil)
	if !errors.Is(err, errRunEnded) {
		return run, err
	}
	return e.elsewhere(ctx, id, "cancel")
}

// Pause has a run start nothing more until it is resumed; what runs is let end. It returns the run as it then stands.
// Pausing a run that is paused changes nothing. CodeNotFound; CodeConflict where the run has ended, is on its way there, or
// goes on under another jobd.
func (e *Engine) Pause(ctx context.Context, id string) (*gaea.Run, error) {
	run, err := e.control(ctx, id, machine.Pause{By: gaea.PrincipalFrom(ctx).Name}, func(run *gaea.Run) error {
		switch {
		case run.Status == gaea.RunCancelling:
			return gaea.Errorf(gaea.CodeConflict, "run %s is being cancelled; it cannot be paused any more", id)
		case run.Verdict != "":
			return gaea.Errorf(gaea.CodeConflict, "run %s is decided (%s) and starts nothing more; there is nothing to pause", id, run.Verdict)
		default:
			return nil
		}
	})
	if !errors.Is(err, errRunEnded) {
		return run, err
	}
	if run, err = e.elsewhere(ctx, id, "pause"); err != nil {
		return nil, err
	}
	return nil, gaea.Errorf(gaea.CodeConflict, "run %s has ended (%s); there is nothing to pause", id, run.Status)
}

// Resume lets a run go on that was paused, or asked to pause. CodeNotFound; CodeConflict where it was not, has ended, or
// goes on under another jobd.
func (e *Engine) Resume(ctx context.Context, id string) (*gaea.Run, error) {
	run, err := e.control(ctx, id, machine.Resume{}, func(run *gaea.Run) error {
		if run.Pause == nil {
			return gaea.Errorf(gaea.CodeConflict, "run %s is not paused (%s); there is nothing to resume", id, run.Status)
		}
		return nil
	})
	if !errors.Is(err, errRunEnded) {
		return run, err
	}
	if run, err = e.elsewhere(ctx, id, "resume"); err != nil {
		return nil, err
	}
	return nil, gaea.Errorf(gaea.CodeConflict, "run %s has ended (%s); there is nothing to resume, but what failed can be tried again with a retry", id, run.Status)
}

// control gives a run an input, unless allow has something against it, and returns the run when that is stored.
// errRunEnded where the run does not go on here.
func (e *Engine) control(ctx context.Context, id string, in machine.Input, allow func(*gaea.Run) error) (*gaea.Run, error) {
	r := e.runner(id)
	if r == nil {
		return nil, errRunEnded
	}
	var run *gaea.Run
	err := r.call(ctx, func() error {
		if r.m.Ended() {
			return errRunEnded
		}
		if allow != nil {
			if err := allow(r.m.Run()); err != nil {
				return err
			}
		}
		r.step(in)
		run = Clone(r.m.Run())
		return r.flush()
	})
	return run, err
}

// elsewhere returns a run that does not go on here: it has ended, or it is another jobd's.
func (e *Engine) elsewhere(ctx context.Context, id, do string) (*gaea.Run, error) {
	run, err := e.deps.Runs.GetRun(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !run.Status.Final():
		return nil, gaea.Errorf(gaea.CodeConflict, "run %s does not go on here: %s it at the jobd of the master %q, or start that jobd again", id, do, run.Master)
	}
	return run, nil
}

// Retry makes a new run of those minions of an ended run that have one of the outcomes, with all that the run was told: its
// function and arguments, batch, timeouts, lock and actions. The user asks for it; a key works as it does for
// [Engine.Submit]. CodeNotFound; CodeConflict where the run has not ended, or is a part of another; CodeInvalid with the
// field "outcomes" where no minion has one of them; CodeUnavailable where what the run was told cannot be read.
func (e *Engine) Retry(ctx context.Context, id string, req gaea.RetryRequest, user, key string) (run *gaea.Run, created bool, err error) {
	outcomes := req.Outcomes
	if len(outcomes) == 0 {
		outcomes = gaea.RetryOutcomes()
	}
	for _, o := range outcomes {
		if !o.Final() || !slices.Contains(gaea.Outcomes(), o) {
			return nil, false, gaea.Invalid("outcomes", "%q is no outcome that a minion ends with; write for example \"failed\"", o)
		}
	}
	if live, err := e.Get(ctx, id); err != nil {
		return nil, false, err
	} else if !live.Status.Final() {
		return nil, false, gaea.Errorf(gaea.CodeConflict, "run %s has not ended (%s); wait for its end, or cancel it", id, live.Status)
	}
	first, err := e.deps.Runs.GetRun(ctx, id) // with its call
	switch {
	case err != nil:
		return nil, false, err
	case first.Kind == gaea.RunForAction:
		return nil, false, gaea.Errorf(gaea.CodeConflict, "run %s was made for an action of run %s; retry that one", id, first.Parent)
	case first.Call == nil:
		return nil, false, gaea.Errorf(gaea.CodeUnavailable, "what run %s was told cannot be read from the archive; jobd's log says why. Make a new run instead", id)
	}
	again := retryOf(first, outcomes)
	if len(again.Target.Minions) == 0 {
		return nil, false, gaea.Invalid("outcomes", "no minion of run %s has one of the outcomes %s; there is nothing to retry", id, quoted(outcomes))
	}
	again.User, again.Key = user, key
	return e.Submit(ctx, again)
}

// retryOf is the request for what a run has left undone.
func retryOf(first *gaea.Run, outcomes []gaea.Outcome) Request {
	var minions []string
	for name, rm := range first.Minions {
		if slices.Contains(outcomes, rm.Outcome) {
			minions = append(minions, name)
		}
	}
	req := Request{
		Kind: first.Kind, Call: gaea.Call{Function: first.Call.Function, Args: first.Call.Args, Kwargs: first.Call.Kwargs},
		Target: gaea.ListTarget(minions), Batch: first.Batch, Timeouts: first.Timeouts, Assignment: first.Assignment,
		Revision: first.Revision, Pre: first.Call.Pre, Post: first.Call.Post, Concurrency: first.Concurrency,
		Template: first.Template, RetryOf: first.ID,
	}
	if first.Kind == gaea.RunEnforce || first.CheckState != "" {
		req.CheckState = gaea.CheckPending
	}
	return req
}

// quoted writes outcomes for people.
func quoted(outcomes []gaea.Outcome) string {
	words := make([]string, len(outcomes))
	for i, o := range outcomes {
		words[i] = strconv.Quote(string(o))
	}
	return strings.Join(words, ", ")
}
