package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	w := runWait{
		session: a.session, diags: a.diags, kind: "assignment", name: a.definition.Name, timeout: a.timeout,
		onInterrupt: a.state.OnInterrupt, afterwards: "The next plan shows what it left" + a.session.hint(", and an apply while it still goes on joins it") + ".",
	}
	run, ended, interrupted := w.wait(ctx, run)
	a.note(run)
	if !ended {
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
