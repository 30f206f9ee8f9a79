package provider

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// jobApplication is one apply, refresh or destroy of a job.
type jobApplication struct {
	session *session
	state   jobModel      // what will be saved
	timeout time.Duration // 0: by the run
	diags   *diag.Diagnostics
}

func (a *jobApplication) name() string { return a.state.Name.ValueString() }

// waiter is how this apply waits for a run.
func (a *jobApplication) waiter(afterwards string) *runWait {
	return &runWait{
		session: a.session, diags: a.diags, kind: "job", name: a.name(), timeout: a.timeout,
		onInterrupt: a.state.OnInterrupt, afterwards: afterwards,
	}
}

// start starts a run, or joins the one that an apply of the same has started and could not save, waits for its end where that
// is wanted, and leaves the truth in a.state. It returns false where there is no run. before is the run of before, if any.
func (a *jobApplication) start(ctx context.Context, before string) bool {
	req, err := a.state.work().request()
	if err != nil {
		addInvalid(a.diags, path.Root("function"), err)
		return false
	}
	run, err := a.submit(ctx, req, digest("gaea_job", a.name(), a.state.fingerprint(), before))
	if err != nil {
		a.addRefused(err)
		return false
	}
	if run.Complete() {
		a.diags.AddWarning("The job "+a.name()+" was run before", fmt.Sprintf("An apply that was cut off has started the run %s, and it has ended "+
			"since. It is taken as it is, and nothing was run now. To run the job once more change one of its triggers.", run.ID))
	}
	a.attend(ctx, run)
	return true
}

// join waits for the run of before. It returns false where jobd does not know it.
func (a *jobApplication) join(ctx context.Context, id string) bool {
	run, err := a.session.backend.GetRun(ctx, id)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		a.diags.AddError("How the job "+a.name()+" ended is not known", a.unknownRun())
	case err != nil:
		addError(a.diags, "Cannot read the run of the job "+a.name(), err)
	default:
		a.attend(ctx, run)
		return true
	}
	return false
}

func (a *jobApplication) unknownRun() string {
	if a.session.direct {
		return fmt.Sprintf("The master's job cache does not have the run %s, which an apply has started and did not see the end of: either it is another master than "+
			"that one, or its cache no longer goes back so far. To run the job once more change one of its triggers.", a.state.RunID.ValueString())
	}
	return fmt.Sprintf("jobd does not know the run %s, which an apply has started and did not see the end of: either it is another jobd than that one, or "+
		"what it keeps no longer goes back so far. To run the job once more change one of its triggers.", a.state.RunID.ValueString())
}

// submit asks for a run with a key. The same key gives the same run for a day, so after an apply that was cut off the next one
// is given the run of then, as it stands. One that was cancelled, or ended before any minion was told, is passed over: nobody
// waits for it any more. Terraform being stopped does not cut the question off: whether there is a run, and which, must be
// known.
func (a *jobApplication) submit(ctx context.Context, req gaea.RunRequest, key string) (*gaea.Run, error) {
	for tries := 1; ; tries++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		run, err := a.session.backend.CreateRun(context.WithoutCancel(ctx), req, key)
		if err == nil && run.Status == gaea.RunCancelling {
			run, err = a.session.backend.WaitRun(ctx, run.ID, runLog(ctx))
		}
		// Without a jobd keys are in the master's job cache and cannot be freed: a failure found there has been told, or was cut off.
		again := err == nil && (idle(run) || a.session.direct && run.Complete() && run.Status != gaea.RunSucceeded)
		if !again || tries == maxJoins {
			return run, err
		}
		tflog.Info(ctx, "a run with this key is not taken for an answer", map[string]any{"run_id": run.ID, "job": a.name()})
		key = digest(key, run.ID)
	}
}

// idle says whether a run has ended in a way that is no answer: somebody cancelled it, or no minion was told.
func idle(run *gaea.Run) bool {
	if !run.Status.Final() || run.Status == gaea.RunSucceeded {
		return false
	}
	for _, m := range run.Minions {
		if m.Outcome != gaea.OutcomeSkipped {
			return run.Status == gaea.RunCancelled
		}
	}
	return true
}

// addRefused says why there is no run.
func (a *jobApplication) addRefused(err error) {
	summary := "Cannot run the job " + a.name()
	if gaea.CodeOf(err) == gaea.CodeConflict && strings.Contains(words(err), "idempotency key") {
		a.diags.AddError(summary, "An apply that was cut off has started a run of it, and what its target group or its job template mean has changed "+
			"since. That run is not this one, so it was not joined, and nothing was started."+a.session.hint(" See what came of it with `jobd runs`.")+
			" Change one of the job's triggers to run it as it is now. The answer was: "+sentence(words(err)))
		return
	}
	addError(a.diags, summary, err)
}

// attend waits for a run's end where that is wanted, and takes it.
func (a *jobApplication) attend(ctx context.Context, run *gaea.Run) {
	a.note(run)
	if !a.state.Wait.ValueBool() && !run.Complete() {
		a.state.Done = types.BoolValue(true)
		return
	}
	run, ended, interrupted := a.waiter("The next apply joins it and starts no second one.").wait(ctx, run)
	if !ended {
		a.note(run)
		return
	}
	a.take(ctx, run)
	switch {
	case run.Status == gaea.RunSucceeded:
		a.state.Done = types.BoolValue(true)
	case a.state.Wait.ValueBool():
		a.diags.AddError(a.judge(run, interrupted))
		// It is told now, and the next apply is to try again, also where Terraform creates a replacement before it deletes this.
		if err := a.free(ctx, run.ID); err != nil {
			tflog.Warn(ctx, "the key of a run that did not succeed is not freed", map[string]any{"run_id": run.ID, "error": err.Error()})
		}
	default:
		a.state.Done = types.BoolValue(true)
		a.diags.AddWarning(a.judge(run, interrupted))
	}
}

// note keeps which run it is and how it stands.
func (a *jobApplication) note(run *gaea.Run) {
	a.state.RunID, a.state.Status = types.StringValue(run.ID), types.StringValue(string(run.Status))
	a.state.Outcomes, a.state.Results = noTexts(), noTexts()
	if !a.state.KeepResults.ValueBool() {
		a.state.Results = types.MapNull(types.StringType)
	}
}

// take keeps how a run ended, and what the minions returned.
func (a *jobApplication) take(ctx context.Context, run *gaea.Run) {
	a.note(run)
	a.state.Outcomes = countValues(run.Tally())
	if !a.state.KeepResults.ValueBool() {
		return
	}
	var err error
	if a.state.Results, err = a.session.results(ctx, run); err != nil {
		a.diags.AddWarning("The results of the job "+a.name()+" cannot be read", sentence(words(err))+a.session.hint(" `jobd show "+run.ID+"` has them."))
	}
}

// refreshResults fills or empties the results of a run that is over, as keep_results says now.
func (a *jobApplication) refreshResults(ctx context.Context) {
	a.state.Results = types.MapNull(types.StringType)
	if !a.state.KeepResults.ValueBool() {
		return
	}
	a.state.Results = noTexts()
	run, err := a.session.backend.GetRun(ctx, a.state.RunID.ValueString())
	if err == nil && run.Complete() {
		a.state.Results, err = a.session.results(ctx, run)
	}
	if err != nil {
		a.diags.AddWarning("The results of the job "+a.name()+" cannot be read", sentence(words(err)))
	}
}

// warnOverlap says where the run of before may still be at work beside the new one.
func (a *jobApplication) warnOverlap(ctx context.Context, prior *jobModel) {
	if gaea.RunStatus(prior.Status.ValueString()).Final() {
		return
	}
	run, err := a.session.backend.GetRun(ctx, prior.RunID.ValueString())
	if err == nil && !run.Complete() {
		a.diags.AddWarning("The run "+run.ID+" of before still goes on", "The job "+a.name()+" was changed, so a new run was started beside it."+
			a.session.hint(" `jobd cancel "+run.ID+"` stops it.")+" A job template with concurrency.lock keeps runs apart.")
	}
}

// judge says what went wrong in a run that has ended: which minions, and in their words.
func (a *jobApplication) judge(run *gaea.Run, interrupted bool) (summary, detail string) {
	v := a.session.verdictOf(run)
	v.interrupted = interrupted
	v.failed = append(v.failed, v.unreachable...)
	sortQuoted(v.failed)
	summary = "The job " + a.name() + " did not succeed"
	if len(v.failed)+len(v.killed)+len(v.skipped) > 0 {
		summary += " everywhere"
	}
	detail = v.account(run)
	if a.state.Wait.ValueBool() {
		detail += " The next apply runs the job once more, on all its minions."
	}
	return summary, detail
}

// letGo sees to what a job leaves behind that is destroyed. It returns false where there is nothing more to do: the creation
// has never succeeded, so on_destroy is not for it, and its run is kept for the creation that may come next, unless it has
// ended in a way that is to be tried again.
func (a *jobApplication) letGo(ctx context.Context) bool {
	done, status := a.state.Done.ValueBool(), gaea.RunStatus(a.state.Status.ValueString())
	if done && status.Final() {
		return true
	}
	id := a.state.RunID.ValueString()
	run, err := a.session.backend.GetRun(ctx, id)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		return done
	case err != nil:
		addError(a.diags, "Cannot read the run of the job "+a.name(), err)
		return false
	case !run.Complete():
		next := ""
		if !done {
			next = " Where the job is replaced, or created again within a day, it is joined."
		}
		a.diags.AddWarning("The run "+id+" still goes on", "The job "+a.name()+" is destroyed, and its run was left alone."+
			a.session.hint(" `jobd cancel "+id+"` stops it.")+next)
	case !done && run.Status != gaea.RunSucceeded:
		a.forget(ctx, id)
	}
	if !done && !a.state.OnDestroy.IsNull() {
		tflog.Info(ctx, "on_destroy is not run: the creation never succeeded", map[string]any{"job": a.name()})
	}
	return done
}

// destroy runs what on_destroy says and waits for its end. It returns false where the resource has to stay.
func (a *jobApplication) destroy(ctx context.Context) bool {
	var said diag.Diagnostics
	inner := *a
	inner.diags = &said
	ok := inner.runOnDestroy(ctx)
	if ok || ctx.Err() != nil || field(a.state.OnDestroy, "on_failure").ValueString() != string(gaea.FailureContinue) {
		a.diags.Append(said...)
		return ok
	}
	for _, d := range said {
		a.diags.AddWarning(d.Summary(), d.Detail())
	}
	return true
}

func (a *jobApplication) runOnDestroy(ctx context.Context) bool {
	summary := "Cannot run on_destroy of the job " + a.name()
	w := a.state.onDestroy()
	req, err := w.request()
	if err != nil {
		addError(a.diags, summary, err)
		return false
	}
	run, err := a.submit(ctx, req, digest("gaea_job on_destroy", a.name(), w.fingerprint(), a.state.RunID.ValueString()))
	if err != nil {
		addError(a.diags, summary, err)
		return false
	}
	run, ended, interrupted := a.waiter("The next destroy joins it and starts no second one.").wait(ctx, run)
	if !ended {
		return false
	}
	if run.Status == gaea.RunSucceeded {
		return true
	}
	a.forget(ctx, run.ID) // the next destroy tries anew
	v := a.session.verdictOf(run)
	v.interrupted = interrupted
	v.failed = append(v.failed, v.unreachable...)
	sortQuoted(v.failed)
	a.diags.AddError("on_destroy of the job "+a.name()+" did not succeed", v.account(run)+" Destroy again to run it once more. "+
		"on_destroy.on_failure = \"continue\" lets a destroy go on without it.")
	return false
}

// free frees the key of a run, so that the same is run anew when it is asked for again.
func (a *jobApplication) free(ctx context.Context, runID string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWordTime)
	defer cancel()
	return a.session.backend.ForgetKey(ctx, runID)
}

// forget is free where it must not fail.
func (a *jobApplication) forget(ctx context.Context, runID string) {
	if err := a.free(ctx, runID); err != nil {
		addError(a.diags, "Cannot let go of the run "+runID+" of the job "+a.name(), err)
	}
}
