package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type jobResource struct{ session *session }

func newJobResource() resource.Resource { return &jobResource{} }

var (
	_ resource.ResourceWithConfigure      = (*jobResource)(nil)
	_ resource.ResourceWithValidateConfig = (*jobResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*jobResource)(nil)
	_ resource.ResourceWithImportState    = (*jobResource)(nil)
)

func (r *jobResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_job"
}

func (r *jobResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.session = sessionOf(req.ProviderData, &resp.Diagnostics)
}

// ModifyPlan decides what an apply will do, and says it with the results that it plans: unknown is what a run will tell.
// Where nothing is run every result stays as it is.
func (r *jobResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	var plan jobModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	var prior *jobModel
	if !req.State.Raw.IsNull() {
		prior = &jobModel{}
		resp.Diagnostics.Append(req.State.Get(ctx, prior)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	if r.session != nil && r.session.direct {
		plan.checkDirect(r.session, &resp.Diagnostics)
	}
	plan.expect(plan.intent(ctx, prior), prior)
	setPlan(ctx, resp, map[string]any{
		"done": plan.Done, "run_id": plan.RunID, "status": plan.Status, "outcomes": plan.Outcomes, "results": plan.Results,
	})
}

// expect sets the results that follow from what an apply will do.
func (m *jobModel) expect(planned jobIntent, prior *jobModel) {
	m.Results = types.MapUnknown(types.StringType)
	if !m.KeepResults.IsUnknown() && !m.KeepResults.ValueBool() {
		m.Results = types.MapNull(types.StringType)
	}
	if planned == jobNothing {
		m.Done, m.RunID, m.Status, m.Outcomes = prior.Done, prior.RunID, prior.Status, prior.Outcomes
		if m.KeepResults.Equal(prior.KeepResults) {
			m.Results = prior.Results
		}
		return
	}
	m.Done, m.RunID = types.BoolUnknown(), types.StringUnknown()
	m.Status, m.Outcomes = types.StringUnknown(), types.MapUnknown(types.StringType)
	if planned == jobJoin {
		m.RunID = prior.RunID
	}
	if prior != nil && prior.Done.ValueBool() {
		m.Done = prior.Done
	}
}

// Create runs the job, or joins the run that an apply has started which was cut off.
func (r *jobResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan jobModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	timeout, diags := plan.Timeouts.Create(ctx, 0)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || !r.session.connected(&resp.Diagnostics) {
		return
	}
	plan.Done = types.BoolValue(false)
	a := jobApplication{session: r.session, state: plan, timeout: timeout, diags: &resp.Diagnostics}
	if !a.start(ctx, "") {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &a.state)...)
	if resp.Diagnostics.HasError() {
		resp.Diagnostics.AddWarning("The next plan speaks of a replacement", "Terraform marks a resource whose creation fails as tainted, and replaces it "+
			"with the next apply. For "+a.name()+" that is calm: a run that still goes on or has succeeded meanwhile is joined, any other end "+
			"is followed by a new run, and on_destroy is not run.")
	}
}

// Update runs the job again where what is run or a trigger has changed, or where the last run did not succeed, and joins the
// last run where it still goes on. Anything else is only written down.
func (r *jobResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, prior jobModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &prior)...)
	timeout, diags := plan.Timeouts.Update(ctx, 0)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || !r.session.connected(&resp.Diagnostics) {
		return
	}
	a := jobApplication{session: r.session, state: plan, timeout: timeout, diags: &resp.Diagnostics}
	a.state.Done, a.state.RunID, a.state.Status = prior.Done, prior.RunID, prior.Status
	a.state.Outcomes, a.state.Results = prior.Outcomes, prior.Results
	goOn := true
	switch plan.intent(ctx, &prior) {
	case jobRun:
		a.warnOverlap(ctx, &prior)
		goOn = a.start(ctx, prior.RunID.ValueString())
	case jobJoin:
		goOn = a.join(ctx, prior.RunID.ValueString())
	case jobNothing:
		if !plan.KeepResults.Equal(prior.KeepResults) {
			a.refreshResults(ctx)
		}
	}
	if goOn {
		resp.Diagnostics.Append(resp.State.Set(ctx, &a.state)...)
	}
}

// Read looks only after a run that an apply did not see the end of, and takes its end once. What has been done stays done: a
// run that jobd has let go of meanwhile changes nothing.
func (r *jobResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state jobModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() || gaea.RunStatus(state.Status.ValueString()).Final() {
		return
	}
	// A creation that has not succeeded is settled by the next apply, which is then told of the run's end.
	if !state.Done.ValueBool() || !r.session.visible(&resp.Diagnostics) {
		return
	}
	a := jobApplication{session: r.session, state: state, diags: &resp.Diagnostics}
	run, err := r.session.backend.GetRun(ctx, state.RunID.ValueString())
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		tflog.Warn(ctx, "the run is not known any more", map[string]any{"run_id": state.RunID.ValueString()})
		if state.Wait.ValueBool() {
			resp.Diagnostics.AddWarning("How the job "+a.name()+" ended is not known", a.unknownRun())
		}
		return
	case err != nil:
		addError(&resp.Diagnostics, "Cannot read the run of the job "+a.name(), err)
		return
	case !run.Complete():
		return
	}
	a.take(ctx, run)
	if run.Status != gaea.RunSucceeded {
		resp.Diagnostics.AddWarning(a.judge(run, false))
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &a.state)...)
}

// Delete runs what on_destroy says, and frees the key of the last run: who creates the job again means it.
func (r *jobResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state jobModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	timeout, diags := state.Timeouts.Delete(ctx, 0)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || !r.session.connected(&resp.Diagnostics) {
		return
	}
	a := jobApplication{session: r.session, state: state, timeout: timeout, diags: &resp.Diagnostics}
	if !a.letGo(ctx) || resp.Diagnostics.HasError() {
		return
	}
	if !state.OnDestroy.IsNull() && !a.destroy(ctx) {
		return
	}
	a.forget(ctx, state.RunID.ValueString())
}

// ImportState refuses: nothing on jobd is a job of Terraform's, and a run alone does not tell what its triggers were.
func (r *jobResource) ImportState(_ context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	addNoImport(req.ID, &resp.Diagnostics)
}

func addNoImport(id string, diags *diag.Diagnostics) {
	diags.AddError("A gaea_job cannot be imported", "A run, such as "+id+", does not tell what the triggers of a job were. Write the resource and apply "+
		"it, which runs the job; where it must not be run again read what came of a run with the data source gaea_job_result.")
}
