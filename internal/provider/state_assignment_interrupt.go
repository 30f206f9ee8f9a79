package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// What becomes of the run of an apply that Terraform interrupts.
const (
	interruptDetach = "detach" // it goes on, and the next apply joins it
	interruptCancel = "cancel" // it is cancelled, and its end is waited for
)

// cancelTime is how long an interrupted apply waits for the end of the run that it cancels. Terraform waits for as long
// unless it is interrupted again, and whoever interrupted it waits for Terraform.
const cancelTime = 2 * time.Minute

// cancels says whether a run is cancelled when Terraform is interrupted.
func (a *application) cancels() bool { return a.state.OnInterrupt.ValueString() == interruptCancel }

// cancelRun cancels a run and waits until jobd has verified its end on each minion. The context has ended already, and does
// not count.
func (a *application) cancelRun(ctx context.Context, run *gaea.Run) (*gaea.Run, error) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer stop()
	tflog.Warn(ctx, "Terraform is interrupted: cancelling the run", map[string]any{"run_id": run.ID})
	// Somebody else may have been faster, or the run itself: then how it ended is what counts.
	if _, err := a.session.backend.CancelRun(ctx, run.ID, gaea.CancelRequest{}); err != nil && gaea.CodeOf(err) != gaea.CodeConflict {
		return run, err
	}
	ended, err := a.session.backend.WaitRun(ctx, run.ID, runLog(ctx))
	if ended != nil {
		run = ended
	}
	if err != nil {
		return a.lastWord(ctx, run, err)
	}
	return run, nil
}

// addLostCancel says that it is not known whether a run that was to be cancelled has ended.
func (a *application) addLostCancel(run *gaea.Run, err error) {
	why := words(err)
	if errors.Is(err, context.DeadlineExceeded) {
		why = fmt.Sprintf("It has not ended within %s", gaea.Duration(cancelTime))
	}
	a.diags.AddError("The run "+run.ID+" may still go on", fmt.Sprintf("Terraform was interrupted, and on_interrupt says that the run is to "+
		"be cancelled. %s When last seen it was %s.%s The next plan shows what it left.", sentence(why), inWords(run.Status),
		a.session.hint(" See it with `jobd show "+run.ID+"`, and cancel it with `jobd cancel "+run.ID+"` where it still goes on.")))
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
		fields := map[string]any{"run_id": run.ID, "assignment": run.Assignment}
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
