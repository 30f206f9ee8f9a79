package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// ModifyPlan decides what an apply will do, and says it with the results that it plans. Where an apply runs states the drift
// is planned to be an empty map, known now, so that the plan prints each drifted state on its way out; what the run will tell
// is unknown. Where nothing differs every result stays as it is, and the plan is empty.
func (r *stateAssignmentResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	var plan stateAssignmentModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	plan.ID, plan.Ref = plan.Name, plan.plannedRef(ctx, &resp.Diagnostics)
	r.withoutJobd(&plan, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	var state *stateAssignmentModel
	if !req.State.Raw.IsNull() {
		state = &stateAssignmentModel{}
		resp.Diagnostics.Append(req.State.Get(ctx, state)...)
	}
	unfinished, diags := req.Private.GetKey(ctx, unfinishedKey)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}

	switch plan.intent(state, unfinished != nil) {
	case intentNothing:
		plan.Drift, plan.DriftSummary = state.Drift, state.DriftSummary
		plan.Unreachable, plan.Unsettled = state.Unreachable, state.Unsettled
		plan.LastRunID, plan.Status = state.LastRunID, state.Status
	case intentEnforce:
		plan.expectResults()
		plan.Drift = noDrift()
		plan.LastRunID, plan.Status = types.StringUnknown(), types.StringUnknown()
	case intentLook:
		plan.expectResults()
		plan.Drift = types.MapUnknown(statesType)
		plan.LastRunID, plan.Status = types.StringNull(), types.StringNull()
		if state != nil {
			plan.LastRunID, plan.Status = state.LastRunID, state.Status
		}
	case intentUnknown:
		plan.expectResults()
		plan.Drift = types.MapUnknown(statesType)
		plan.LastRunID, plan.Status = types.StringUnknown(), types.StringUnknown()
	}
	setPlan(ctx, resp, map[string]any{
		"id": plan.ID, "ref": plan.Ref, "drift": plan.Drift, "drift_summary": plan.DriftSummary, "unreachable": plan.Unreachable,
		"unsettled": plan.Unsettled, "last_run_id": plan.LastRunID, "status": plan.Status,
	})
}

// expectResults makes unknown what a look at the minions tells.
func (m *stateAssignmentModel) expectResults() {
	m.DriftSummary = types.ObjectUnknown(summaryTypes)
	m.Unreachable, m.Unsettled = types.ListUnknown(types.StringType), types.ListUnknown(types.StringType)
}

// plannedRef is the ref that the planned definition will have; unknown while a part of the definition is.
func (m *stateAssignmentModel) plannedRef(ctx context.Context, diags *diag.Diagnostics) types.String {
	if !m.defined(ctx) {
		return types.StringUnknown()
	}
	definition, err := m.definition()
	if err == nil {
		err = definition.Validate()
	}
	if err != nil {
		addInvalid(diags, path.Root("name"), err)
		return types.StringUnknown()
	}
	return types.StringValue(gaea.RefOf(definition))
}

// intent is what an apply will do with the minions.
type intent int

const (
	intentNothing intent = iota // leave them alone
	intentEnforce               // run the states
	intentLook                  // only see what differs
	intentUnknown               // one of the above, as soon as remediate is known
)

// intent derives what an apply will do from a plan whose ref is set, the state before, and whether an earlier apply could not
// see how its run ended.
func (m *stateAssignmentModel) intent(state *stateAssignmentModel, unfinished bool) intent {
	changed := state == nil || m.Ref.IsUnknown() || !m.Ref.Equal(state.Ref)
	switch {
	case m.Remediate.IsUnknown():
		return intentUnknown
	case m.Remediate.ValueBool():
		// In the other modes the refresh has seen what the run left undone, and it is drift.
		unseen := unfinished && m.driftCheck().WithDefaults().Mode == gaea.CheckOff
		if changed || unseen || len(state.Drift.Elements()) > 0 {
			return intentEnforce
		}
	case changed:
		return intentLook
	}
	return intentNothing
}

// withoutJobd says what of a plan needs a jobd, where there is none.
func (r *stateAssignmentResource) withoutJobd(plan *stateAssignmentModel, diags *diag.Diagnostics) {
	if r.session == nil || !r.session.direct {
		return
	}
	refs := map[string]string{"target_group": plan.TargetGroup.ValueString(), "job_template": plan.JobTemplate.ValueString()}
	addInvalid(diags, path.Root("target_group"), r.session.validRefs(refs))
	check := plan.driftCheck()
	if check.Mode == gaea.CheckOff {
		return
	}
	if check.Interval > 0 {
		diags.AddAttributeWarning(path.Root("drift_check").AtName("interval"), "Nobody looks between plans", "Without a jobd the minions of "+
			plan.Name.ValueString()+" are looked at when Terraform plans and at no other time. Leave out interval, or use a jobd.")
	}
	if check.Mode == gaea.CheckArchive || check.MaxAge > 0 {
		diags.AddAttributeWarning(path.Root("drift_check"), "Drift is looked for live", "Without a jobd nothing is archived: each plan makes a test "+
			"run on every minion of "+plan.Name.ValueString()+". Leave out max_age and write mode = \"live\", or use a jobd.")
	}
}
