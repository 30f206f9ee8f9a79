package provider

import (
	"context"
	"encoding/json"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hashicorp/terraform-plugin-framework-jsontypes/jsontypes"
	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/target"
)

// jobModel is a job in a configuration, a plan or a state.
type jobModel struct {
	Name        types.String         `tfsdk:"name"`
	TargetGroup types.String         `tfsdk:"target_group"`
	Target      types.Object         `tfsdk:"target"`
	JobTemplate types.String         `tfsdk:"job_template"`
	Function    types.String         `tfsdk:"function"`
	Args        types.List           `tfsdk:"args"`
	Kwargs      jsontypes.Normalized `tfsdk:"kwargs"`
	Triggers    types.Map            `tfsdk:"triggers"`
	Wait        types.Bool           `tfsdk:"wait"`
	KeepResults types.Bool           `tfsdk:"keep_results"`
	OnInterrupt types.String         `tfsdk:"on_interrupt"`
	OnDestroy   types.Object         `tfsdk:"on_destroy"`
	Timeouts    timeouts.Value       `tfsdk:"timeouts"`

	Done     types.Bool   `tfsdk:"done"`
	RunID    types.String `tfsdk:"run_id"`
	Status   types.String `tfsdk:"status"`
	Outcomes types.Map    `tfsdk:"outcomes"`
	Results  types.Map    `tfsdk:"results"`
}

// work is what is run, and where.
type work struct {
	targetGroup types.String
	target      types.Object
	jobTemplate types.String
	function    types.String
	args        types.List
	kwargs      jsontypes.Normalized
}

func (m *jobModel) work() work {
	return work{m.TargetGroup, m.Target, m.JobTemplate, m.Function, m.Args, m.Kwargs}
}

// onDestroy is what is run when the job is destroyed: on the job's own minions where it names none.
func (m *jobModel) onDestroy() work {
	w := work{targetGroup: field(m.OnDestroy, "target_group"), jobTemplate: field(m.OnDestroy, "job_template"), function: field(m.OnDestroy, "function")}
	values := m.OnDestroy.Attributes()
	w.target, _ = values["target"].(types.Object)
	w.args, _ = values["args"].(types.List)
	w.kwargs, _ = values["kwargs"].(jsontypes.Normalized)
	if w.target.IsNull() && w.targetGroup.IsNull() {
		w.target, w.targetGroup = m.Target, m.TargetGroup
	}
	return w
}

// check names what contradicts in a configuration, in which an unknown value counts as one.
func (w work) check(at path.Path, diags *diag.Diagnostics) {
	if !w.target.IsNull() && !w.targetGroup.IsNull() {
		diags.AddAttributeError(at.AtName("target"), "Invalid target", "target and target_group exclude each other; keep one of them.")
	}
	if w.function.IsNull() && w.jobTemplate.IsNull() {
		diags.AddAttributeError(at.AtName("function"), "Nothing to run", "Name what is run, for example function = \"cmd.run\", or a job_template "+
			"that has a function.")
	}
}

// known says whether all of it is known.
func (w work) known(ctx context.Context) bool {
	return known(ctx, w.targetGroup, w.target, w.jobTemplate, w.function, w.args, w.kwargs)
}

// request is what jobd is asked for. What is unknown must be asked for before.
func (w work) request() (gaea.RunRequest, error) {
	req := gaea.RunRequest{
		Function: w.function.ValueString(), Args: textArgs(w.args), TargetGroup: w.targetGroup.ValueString(), JobTemplate: w.jobTemplate.ValueString(),
	}
	if !w.target.IsNull() {
		req.Target = jobTarget(w.target)
	}
	var err error
	if req.Kwargs, err = keywordArgs(w.kwargs); err != nil {
		return req, gaea.Invalid("kwargs", "%s", err.Error())
	}
	return req, nil
}

// fingerprint tells whether two pieces of work are the same, however their JSON is written, and whether or not their references
// carry what they name.
func (w work) fingerprint() string {
	req, err := w.request()
	if err != nil {
		return err.Error()
	}
	for _, text := range []*string{&req.TargetGroup, &req.JobTemplate} {
		if ref, err := gaea.ParseRef(*text); err == nil {
			*text = ref.Bare().String()
		}
	}
	text, err := json.Marshal(req)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func jobTarget(o types.Object) gaea.Target {
	minions, _ := o.Attributes()["minions"].(types.Set)
	m := targetGroupModel{Match: field(o, "match"), MatchType: field(o, "match_type"), Minions: minions}
	return m.target()
}

// jobTargetValidator checks a target as a whole as soon as all of it is known.
func jobTargetValidator() validator.Object {
	return objectChecker{"either match or minions", func(_ context.Context, at path.Path, object types.Object) (path.Path, error) {
		match, matchType := field(object, "match"), field(object, "match_type")
		minions, _ := object.Attributes()["minions"].(types.Set)
		switch {
		case match.IsNull() == minions.IsNull():
			return at, gaea.Errorf(gaea.CodeInvalid, "exactly one of match and minions names the minions; write for example { minions = [\"db1\"] }")
		case !minions.IsNull() && !matchType.IsNull(), matchType.ValueString() == string(gaea.TargetList):
			return at.AtName("match_type"), gaea.Errorf(gaea.CodeInvalid, "match_type says how match is read; minions are ids that need no reading: leave match_type out")
		case !minions.IsNull():
			return at.AtName("minions"), target.Validate(jobTarget(object))
		}
		return at.AtName("match"), target.Validate(jobTarget(object))
	}}
}

// jobIntent is what an apply will do.
type jobIntent int

const (
	jobNothing jobIntent = iota // what was to be run has been run
	jobRun                      // start a run
	jobJoin                     // wait for the run of before
)

// intent derives what an apply will do from the plan and the state before.
func (m *jobModel) intent(ctx context.Context, prior *jobModel) jobIntent {
	if prior == nil || !m.work().known(ctx) || !known(ctx, m.Triggers, m.Wait) || m.fingerprint() != prior.fingerprint() {
		return jobRun
	}
	status, done := gaea.RunStatus(prior.Status.ValueString()), prior.Done.ValueBool()
	switch {
	case !m.Wait.ValueBool() && done:
		return jobNothing
	case !status.Final():
		return jobJoin
	case status != gaea.RunSucceeded:
		return jobRun
	case !done:
		return jobJoin
	default:
		return jobNothing
	}
}

// fingerprint changes when the job has to be run again.
func (m *jobModel) fingerprint() string {
	triggers, _ := json.Marshal(textMap(m.Triggers)) // a map of texts: cannot fail
	return digest(m.work().fingerprint(), string(triggers))
}

// checkDirect refuses what needs a jobd, where there is none.
func (m *jobModel) checkDirect(s *session, diags *diag.Diagnostics) {
	if !m.Wait.IsUnknown() && !m.Wait.ValueBool() {
		diags.AddAttributeError(path.Root("wait"), "Invalid wait", "Without a jobd nobody carries a run out that Terraform does not wait for; leave wait out.")
	}
	refs := map[string]string{"target_group": m.TargetGroup.ValueString(), "job_template": m.JobTemplate.ValueString()}
	if !m.OnDestroy.IsNull() && !m.OnDestroy.IsUnknown() {
		w := m.onDestroy()
		refs["on_destroy.target_group"], refs["on_destroy.job_template"] = w.targetGroup.ValueString(), w.jobTemplate.ValueString()
		if field(m.OnDestroy, "target_group").IsNull() {
			delete(refs, "on_destroy.target_group") // the job's own
		}
	}
	addInvalid(diags, path.Root("target_group"), s.validRefs(refs))
}
