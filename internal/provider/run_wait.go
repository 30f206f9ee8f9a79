package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// What becomes of a run that Terraform is interrupted in.
const (
	interruptDetach = "detach" // it goes on, and the next apply joins it
	interruptCancel = "cancel" // it is cancelled, and its end is waited for
)

// How long a run is waited for where the configuration does not say: an hour, or the run's own limit twice (the run and
// the check after it) and some time in a queue, whichever is longer.
const (
	minRunWait   = time.Hour
	queueReserve = 15 * time.Minute
)

const (
	// cancelTime is how long an interrupted apply waits for the end of the run that it cancels. Terraform waits for as long
	// unless it is interrupted again, and whoever interrupted it waits for Terraform.
	cancelTime = 2 * time.Minute
	// lastWordTime bounds the question how a run stands that is not waited for any longer.
	lastWordTime = 5 * time.Second
)

// runWait is one wait for a run's end, with what is said where the end is not seen.
type runWait struct {
	session     *session
	diags       *diag.Diagnostics
	kind, name  string        // of the resource that it is for, for the log
	timeout     time.Duration // 0: by the run
	onInterrupt types.String
	afterwards  string // what comes next where the run goes on without Terraform: a sentence
}

// wait waits until a run and the check after it have ended, and returns the run as it stands. ended is false where that was
// not seen, and an error says so then. interrupted is true where Terraform was, and so the run was cancelled.
func (w *runWait) wait(ctx context.Context, run *gaea.Run) (now *gaea.Run, ended, interrupted bool) {
	limit := w.timeout
	if limit == 0 {
		limit = max(minRunWait, 2*run.Timeouts.WithDefaults().Job.Std()+queueReserve)
	}
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ctx = tflog.SetField(ctx, w.kind, w.name)
	tflog.Info(ctx, "waiting for a run", map[string]any{"run_id": run.ID, "limit": limit.String()})
	last, err := w.session.backend.WaitRun(waiting, run.ID, runLog(ctx))
	if last != nil {
		run = last
	}
	if err != nil {
		run, err = w.lastWord(ctx, run, err)
	}
	interrupted = err != nil && ctx.Err() != nil && w.onInterrupt.ValueString() == interruptCancel
	switch {
	case interrupted:
		run, err = w.cancel(ctx, run)
	case err != nil:
		run = w.leave(ctx, run)
	}
	tflog.Info(ctx, "stopped waiting for a run", map[string]any{"run_id": run.ID, "status": string(run.Status), "counts": run.Tally()})
	if err == nil && !run.Complete() {
		err = gaea.Errorf(gaea.CodeTimeout, "the run %s is not complete", run.ID)
	}
	switch {
	case err != nil && interrupted:
		w.addLostCancel(run, err)
	case err != nil:
		w.addLost(run, limit, err)
	}
	return run, err == nil, interrupted
}

// lastWord asks once more how a run stands whose wait ended with err: what the wait itself saw last can be half a minute old.
// A run that is complete after all is no error. It is asked even when Terraform is being stopped.
func (w *runWait) lastWord(ctx context.Context, run *gaea.Run, err error) (*gaea.Run, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWordTime)
	defer cancel()
	now, askErr := w.session.backend.GetRun(ctx, run.ID)
	switch {
	case askErr != nil:
		return run, err
	case now.Complete():
		return now, nil
	default:
		return now, err
	}
}

// leave lets go of a run that is not waited for any longer, also when Terraform is being stopped.
func (w *runWait) leave(ctx context.Context, run *gaea.Run) *gaea.Run {
	if !w.session.direct {
		return run
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWordTime)
	defer cancel()
	left, err := w.session.backend.LeaveRun(ctx, run.ID)
	if err != nil {
		tflog.Warn(ctx, "it is not known how the run stands", map[string]any{"run_id": run.ID, "error": err.Error()})
		return run
	}
	return left
}

// cancel cancels a run and waits until jobd has verified its end on each minion. The context has ended already, and does
// not count.
func (w *runWait) cancel(ctx context.Context, run *gaea.Run) (*gaea.Run, error) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer stop()
	tflog.Warn(ctx, "Terraform is interrupted: cancelling the run", map[string]any{"run_id": run.ID})
	// Somebody else may have been faster, or the run itself: then how it ended is what counts.
	if _, err := w.session.backend.CancelRun(ctx, run.ID, gaea.CancelRequest{}); err != nil && gaea.CodeOf(err) != gaea.CodeConflict {
		return run, err
	}
	ended, err := w.session.backend.WaitRun(ctx, run.ID, runLog(ctx))
	if ended != nil {
		run = ended
	}
	if err != nil {
		return w.lastWord(ctx, run, err)
	}
	return run, nil
}

// addLost says that the wait ended before the run did. The run goes on; its id is in the state.
func (w *runWait) addLost(run *gaea.Run, limit time.Duration, err error) {
	why := words(err)
	if errors.Is(err, context.DeadlineExceeded) {
		why = fmt.Sprintf("%s have passed, which is as long as timeouts allow to wait", gaea.Duration(limit))
	}
	if w.session.direct {
		w.diags.AddError("Stopped waiting for the run "+run.ID, sentence(why)+" "+untold(run)+" "+w.afterwards)
		return
	}
	goesOn := "The run goes on without Terraform; when last seen it was " + inWords(run.Status) + "."
	if run.Status == gaea.RunPaused {
		goesOn = "The run is paused: " + pauseReason(run) + ". `jobd resume " + run.ID + "` lets it go on."
	}
	w.diags.AddError("Stopped waiting for the run "+run.ID, fmt.Sprintf("%s %s See it with `jobd show %s`, stop it with `jobd cancel %s`. %s",
		sentence(why), goesOn, run.ID, run.ID, w.afterwards))
}

// addLostCancel says that it is not known whether a run that was to be cancelled has ended.
func (w *runWait) addLostCancel(run *gaea.Run, err error) {
	why := words(err)
	if errors.Is(err, context.DeadlineExceeded) {
		why = fmt.Sprintf("It has not ended within %s", gaea.Duration(cancelTime))
	}
	w.diags.AddError("The run "+run.ID+" may still go on", fmt.Sprintf("Terraform was interrupted, and on_interrupt says that the run is to "+
		"be cancelled. %s When last seen it was %s.%s %s", sentence(why), inWords(run.Status),
		w.session.hint(" See it with `jobd show "+run.ID+"`, and cancel it with `jobd cancel "+run.ID+"` where it still goes on."), w.afterwards))
}

// untold says what becomes of a run that nobody carries out any longer.
func untold(run *gaea.Run) string {
	told, rest := 0, 0
	for _, m := range run.Minions {
		switch {
		case m.Outcome.Final():
		case m.JID != "":
			told++
		default:
			rest++
		}
	}
	switch {
	case rest > 0:
		return fmt.Sprintf("Without a jobd nobody goes on with the run: %s that were told carry on by themselves, and %s were not told and are "+
			"skipped.", countMinions(told), countMinions(rest))
	case told > 0:
		return fmt.Sprintf("Without a jobd nobody watches the run any longer: %s that were told carry on by themselves.", countMinions(told))
	default:
		return "No minion of it is at work, as far as was seen."
	}
}

// runLog returns what logs how a run that is waited for goes on: each state of it once, and how to go on where it waits for
// somebody.
func runLog(ctx context.Context) func(*gaea.Run) {
	var last string
	return func(run *gaea.Run) {
		message, waits := "the run goes on: "+inWords(run.Status), false
		switch {
		case run.Status == gaea.RunPaused:
			message, waits = fmt.Sprintf("the run is paused: %s; `jobd resume %s` lets it go on, `jobd cancel %s` stops it", pauseReason(run), run.ID, run.ID), true
		case run.Blocked != nil:
			message, waits = fmt.Sprintf("the run waits for minions that are busy under the lock %q in %s", run.Blocked.Lock, listNames(run.Blocked.Runs)), true
		}
		if message == last {
			return
		}
		last = message
		fields := map[string]any{"run_id": run.ID}
		if waits {
			tflog.Warn(ctx, message, fields)
			return
		}
		tflog.Info(ctx, message, fields)
	}
}

// pauseReason says why a run is paused, and who did it.
func pauseReason(run *gaea.Run) string {
	switch {
	case run.Pause == nil:
		return "somebody asked for it"
	case run.Pause.Reason == gaea.PauseCanary:
		return "the canary has ended well, and canary_hold is manual"
	case run.Pause.By != "":
		return run.Pause.By + " asked for it"
	default:
		return "somebody asked for it"
	}
}
