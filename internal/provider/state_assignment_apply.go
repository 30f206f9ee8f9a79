package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// unfinishedKey is the key of a resource's private state that is set while an apply could not see how its run ended.
const unfinishedKey = "unfinished"

// unfinishedValue is that key's value: JSON, or nothing, which removes the key.
func unfinishedValue(finished bool) []byte {
	if finished {
		return nil
	}
	return []byte("true")
}

// memoryKey is the key of a resource's private state under which a backend without a memory keeps what it has to know again.
const memoryKey = "memory"

// remember has the backend's memory kept with the resource. Without it the next plan knows less, which is no reason to fail.
func (a *application) remember(ctx context.Context, before []byte) []byte {
	memory, err := a.session.backend.Memory(context.WithoutCancel(ctx), a.definition.Name)
	if err != nil {
		tflog.Warn(ctx, "what is to be remembered with the resource cannot be read", map[string]any{"error": err.Error()})
		return before
	}
	return memory
}

// How long an apply waits for a run where the configuration does not say: an hour, or the run's own limit twice (the run and
// the check after it) and some time in a queue, whichever is longer.
const (
	minRunWait   = time.Hour
	queueReserve = 15 * time.Minute
)

// maxJoins bounds how many finished runs an apply passes over before it takes what it is given.
const maxJoins = 100

// application is one apply of a state assignment.
type application struct {
	session *session
	state   stateAssignmentModel  // what will be saved: the plan at first
	prior   *stateAssignmentModel // nil for a create
	timeout time.Duration         // 0: by the run
	diags   *diag.Diagnostics

	definition gaea.Assignment
}

// put stores the planned definition. The secret pillar goes with it where the definition is a new one, or new to who keeps it:
// else jobd has it.
func (a *application) put(ctx context.Context, config *stateAssignmentModel) bool {
	var err error
	if a.definition, err = a.state.definition(); err != nil {
		addInvalid(a.diags, path.Root("name"), err)
		return false
	}
	input := gaea.AssignmentInput{Assignment: a.definition}
	if a.prior == nil || a.prior.Ref.ValueString() != gaea.RefOf(a.definition) || a.session.direct || carried(a.prior.TargetGroup, a.prior.JobTemplate) {
		if input.SecretPillar, err = config.secretPillar(); err != nil {
			addInvalid(a.diags, path.Root("pillar_wo"), err)
			return false
		}
	}
	v, err := a.session.backend.PutAssignment(ctx, input)
	if err != nil {
		addError(a.diags, "Cannot store the state assignment "+a.definition.Name, err)
		return false
	}
	return a.session.stored(a.diags, a.definition, v.Ref, &a.state.ID, &a.state.Ref)
}

// carryOut does what was planned for the minions and leaves the true state in a.state, whatever happens. It returns false
// where it cannot tell how the minions stand.
func (a *application) carryOut(ctx context.Context, planned intent) bool {
	a.state.settle(a.prior)
	switch planned {
	case intentEnforce:
		return a.enforce(ctx)
	case intentLook, intentUnknown: // unknown before the apply; an apply knows remediate, so it is a look
		r := stateAssignmentResource{session: a.session}
		return r.look(ctx, &a.state, a.definition, a.diags)
	case intentNothing:
	}
	return true
}

// enforce runs the states, waits for the run and the check after it, and judges what came of it.
func (a *application) enforce(ctx context.Context) bool {
	if a.prior != nil {
		a.state.Drift = a.prior.Drift // not repaired before the run has said so
	}
	run, err := a.start(ctx)
	if err != nil {
		addError(a.diags, "Cannot apply the state assignment "+a.definition.Name, err)
		return false
	}
	a.note(run)
	limit := a.timeout
	if limit == 0 {
		limit = max(minRunWait, 2*run.Timeouts.WithDefaults().Job.Std()+queueReserve)
	}
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tflog.Info(ctx, "waiting for a run", map[string]any{"run_id": run.ID, "assignment": a.definition.Name, "limit": limit.String()})
	ended, err := a.session.backend.WaitRun(waiting, run.ID, runLog(ctx))
	if ended != nil {
		run = ended
	}
	if err != nil {
		run, err = a.lastWord(ctx, run, err)
	}
	interrupted := err != nil && ctx.Err() != nil && a.cancels()
	switch {
	case interrupted:
		run, err = a.cancelRun(ctx, run)
	case err != nil:
		run = a.leave(ctx, run)
	}
	a.note(run)
	tflog.Info(ctx, "stopped waiting for a run", map[string]any{"run_id": run.ID, "status": string(run.Status), "counts": run.Tally()})
	if err == nil && !run.Complete() {
		err = gaea.Errorf(gaea.CodeTimeout, "the run %s is not complete", run.ID)
	}
	switch {
	case err != nil && interrupted:
		a.addLostCancel(run, err)
		return false
	case err != nil:
		a.addLostRun(run, limit, err)
		return false
	}
	// What the run did is saved even when Terraform is being stopped: this last question is short.
	report, err := a.session.backend.Drift(context.WithoutCancel(ctx), a.definition.Name)
	if err != nil {
		addError(a.diags, fmt.Sprintf("The run %s has ended, but what it left cannot be read", run.ID), err)
		return false
	}
	v := a.judge(run, report)
	v.interrupted = interrupted
	a.report(run, v)
	return true
}

// lastWordTime bounds the question how a run stands that is not waited for any longer.
const lastWordTime = 5 * time.Second

// lastWord asks once more how a run stands whose wait ended with err: what the wait itself saw last can be half a minute old.
// A run that is complete after all is no error. It is asked even when Terraform is being stopped.
func (a *application) lastWord(ctx context.Context, run *gaea.Run, err error) (*gaea.Run, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWordTime)
	defer cancel()
	now, askErr := a.session.backend.GetRun(ctx, run.ID)
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
func (a *application) leave(ctx context.Context, run *gaea.Run) *gaea.Run {
	if !a.session.direct {
		return run
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWordTime)
	defer cancel()
	left, err := a.session.backend.LeaveRun(ctx, run.ID)
	if err != nil {
		tflog.Warn(ctx, "it is not known how the run stands", map[string]any{"run_id": run.ID, "error": err.Error()})
		return run
	}
	return left
}

// note keeps which run it is and how it stands.
func (a *application) note(run *gaea.Run) {
	a.state.LastRunID = types.StringValue(run.ID)
	a.state.Status = types.StringValue(string(run.Status))
}

// start starts the run, or joins the one that an apply that was cut off has started. A run that is over already was somebody
// else's answer to the same question: it tells nothing of now, so another one is asked for. Terraform being stopped does not
// cut the question off: whether there is a run, and which, must be known.
func (a *application) start(ctx context.Context) (*gaea.Run, error) {
	req := gaea.EnforceRequest{Ref: a.state.Ref.ValueString(), Minions: a.minions()}
	key := a.key(req.Minions)
	for tries := 1; ; tries++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		run, err := a.session.backend.Enforce(context.WithoutCancel(ctx), a.definition.Name, req, key)
		if err != nil || !run.Complete() || tries == maxJoins {
			return run, err
		}
		tflog.Debug(ctx, "a run with this key is over", map[string]any{"run_id": run.ID})
		key = digest(key, run.ID)
	}
}

// minions are those that an apply runs: the drifted ones where nothing but drift is to be repaired and drift names them all,
// else, as nil, all of the target.
func (a *application) minions() []string {
	if a.prior == nil || !a.prior.Ref.Equal(a.state.Ref) {
		return nil
	}
	drifted := entriesIn(a.prior.Drift).minions()
	if len(drifted) == 0 || counted(a.prior.DriftSummary) > len(drifted) {
		return nil
	}
	return drifted
}

// key is the idempotency key of the run: made of the assignment's ref, of the minions, of the run before and of the drift
// that was planned away. The same apply asks with the same key, so when the provider was killed its next try joins the run
// it had started; an apply of anything else, or after another run, has another key.
func (a *application) key(minions []string) string {
	last, drift := "", []byte("{}")
	if a.prior != nil {
		last = a.prior.LastRunID.ValueString()
		drift, _ = json.Marshal(entriesIn(a.prior.Drift)) // maps of texts: cannot fail
	}
	return digest("gaea_state_assignment", a.state.Ref.ValueString(), strings.Join(minions, ","), last, string(drift))
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s\n", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// addLostRun says that the wait ended before the run did. The run goes on; its id is in the state.
func (a *application) addLostRun(run *gaea.Run, limit time.Duration, err error) {
	why := words(err)
	if errors.Is(err, context.DeadlineExceeded) {
		why = fmt.Sprintf("%s have passed, which is as long as timeouts allow to wait", gaea.Duration(limit))
	}
	if a.session.direct {
		a.diags.AddError("Stopped waiting for the run "+run.ID, sentence(why)+" "+untold(run)+" The next plan shows what it left.")
		return
	}
	goesOn := "The run goes on without Terraform; when last seen it was " + inWords(run.Status) + "."
	if run.Status == gaea.RunPaused {
		goesOn = "The run is paused: " + pauseReason(run) + ". `jobd resume " + run.ID + "` lets it go on."
	}
	a.diags.AddError("Stopped waiting for the run "+run.ID, fmt.Sprintf("%s %s See it with `jobd show %s`, stop it with `jobd cancel %s`. "+
		"The next plan shows what it left, and an apply while it still goes on joins it.", sentence(why), goesOn, run.ID, run.ID))
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
