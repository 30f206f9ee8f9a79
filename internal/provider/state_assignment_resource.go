package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// How long a read and a delete wait where the configuration does not say.
const (
	defaultReadTimeout   = 30 * time.Minute
	defaultDeleteTimeout = 5 * time.Minute
)

type stateAssignmentResource struct{ session *session }

func newStateAssignmentResource() resource.Resource { return &stateAssignmentResource{} }

var (
	_ resource.ResourceWithConfigure      = (*stateAssignmentResource)(nil)
	_ resource.ResourceWithValidateConfig = (*stateAssignmentResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*stateAssignmentResource)(nil)
	_ resource.ResourceWithImportState    = (*stateAssignmentResource)(nil)
)

func (r *stateAssignmentResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_state_assignment"
}

func (r *stateAssignmentResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.session = sessionOf(req.ProviderData, &resp.Diagnostics)
}

// Create stores the definition, or takes over the one that its owner has under the name already, and applies the states.
func (r *stateAssignmentResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config stateAssignmentModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	timeout, diags := plan.Timeouts.Create(ctx, 0)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || !r.session.connected(&resp.Diagnostics) {
		return
	}
	a := application{session: r.session, state: plan, timeout: timeout, diags: &resp.Diagnostics}
	if !a.put(ctx, &config) {
		return
	}
	finished := a.carryOut(ctx, plan.intent(nil, false))
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, unfinishedKey, unfinishedValue(finished))...)
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, memoryKey, a.remember(ctx, nil))...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &a.state)...)
	if resp.Diagnostics.HasError() {
		resp.Diagnostics.AddWarning("The next apply would start over", fmt.Sprintf("The definition of the state assignment %q is stored, and "+
			"what was applied stays. Terraform marks a resource whose creation fails as tainted and would replace it: delete the "+
			"definition, and apply to all minions anew. To repair only what is left, run `terraform untaint` with this resource's "+
			"address and apply again.", plan.Name.ValueString()))
	}
}

// Update stores the definition and applies the states: on all minions where an input changed, else on those that drifted.
func (r *stateAssignmentResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, config, prior stateAssignmentModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &prior)...)
	timeout, diags := plan.Timeouts.Update(ctx, 0)
	resp.Diagnostics.Append(diags...)
	unfinished, diags := req.Private.GetKey(ctx, unfinishedKey)
	resp.Diagnostics.Append(diags...)
	memory, diags := req.Private.GetKey(ctx, memoryKey)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || !r.session.connected(&resp.Diagnostics) {
		return
	}
	a := application{session: r.session, state: plan, prior: &prior, timeout: timeout, diags: &resp.Diagnostics}
	if !a.put(ctx, &config) {
		return
	}
	r.session.recall(ctx, a.definition.Name, memory)
	finished := a.carryOut(ctx, a.state.intent(&prior, unfinished != nil))
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, unfinishedKey, unfinishedValue(finished))...)
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, memoryKey, a.remember(ctx, memory))...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &a.state)...)
}

// Read takes over a definition that was changed behind Terraform's back and shows what jobd knows of the minions. It never
// touches what an apply made, last_run_id and status, and no error of it removes the resource.
func (r *stateAssignmentResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state stateAssignmentModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	timeout, diags := state.Timeouts.Read(ctx, defaultReadTimeout)
	resp.Diagnostics.Append(diags...)
	memory, diags := req.Private.GetKey(ctx, memoryKey)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || !r.session.visible(&resp.Diagnostics) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	name := state.ID.ValueString()
	known, err := state.definition()
	if err != nil && r.session.direct {
		addError(&resp.Diagnostics, "Cannot read the state assignment "+name, err)
		return
	}
	known.Name = name
	v, err := r.session.backend.GetAssignment(ctx, known)
	if r.session.gone(ctx, resp, err, state.TargetGroup, state.JobTemplate) {
		return
	}
	if err != nil {
		addError(&resp.Diagnostics, "Cannot read the state assignment "+name, err)
		return
	}
	r.session.recall(ctx, name, memory)
	state.ID, state.Ref = types.StringValue(v.Definition.Name), types.StringValue(v.Ref)
	state.Name = state.ID
	if before, err := state.definition(); err != nil || gaea.RefOf(before) != v.Ref {
		state.adopt(v.Definition)
	}
	if !r.look(ctx, &state, v.Definition, &resp.Diagnostics) {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// look takes the drift of an assignment into its state, by the assignment's own mode and as far as the token allows.
func (r *stateAssignmentResource) look(ctx context.Context, state *stateAssignmentModel, a gaea.Assignment, diags *diag.Diagnostics) bool {
	defer state.fill()
	report, err := r.session.report(ctx, a, diags)
	switch gaea.CodeOf(err) {
	case "":
	case gaea.CodeEmptyTarget, gaea.CodeNotFound, gaea.CodeInvalid:
		// Something that the assignment needs is not there, and this very plan may be what puts it right.
		diags.AddWarning("Cannot look for drift of "+a.Name, sentence(words(err))+" What is shown is what was known before.")
		return true
	default:
		addError(diags, "Cannot look for drift of the state assignment "+a.Name, err)
		return false
	}
	if report == nil {
		return true
	}
	before := *state
	state.show(report, entriesOf(report, a))
	warnUnable(diags, report)
	state.warnEmpty(diags, before.DriftSummary)
	state.warnUnreachable(diags, before.Unreachable)
	state.warnUnsettled(diags, before.Unsettled)
	return true
}

// report asks jobd how an assignment stands; nil where its mode says not to look.
func (s *session) report(ctx context.Context, a gaea.Assignment, diags *diag.Diagnostics) (*gaea.DriftReport, error) {
	check := a.DriftCheck.WithDefaults()
	if check.Mode == gaea.CheckOff {
		return nil, nil //nolint:nilnil // no report is a result here
	}
	if !s.principal.Role.Includes(gaea.RolePlan) {
		if check.Mode == gaea.CheckLive {
			diags.AddWarning("Drift from the archive only", fmt.Sprintf("The token %q has the role %q and may not cause test runs, so "+
				"assignments with drift_check.mode = \"live\" show what jobd saw last. Use a token with the role \"plan\".",
				s.principal.Name, s.principal.Role))
		}
		return s.backend.Drift(ctx, a.Name)
	}
	req := gaea.CheckRequest{}
	if check.Mode == gaea.CheckArchive {
		req.MaxAge = check.MaxAge
	}
	return s.backend.Check(ctx, a.Name, req)
}

// warnUnable quotes what Salt said on the minions on which it could not run the states.
func warnUnable(diags *diag.Diagnostics, report *gaea.DriftReport) {
	var list []quoted
	for minion, d := range report.Minions {
		if d.Status == gaea.EvidenceCouldNotRun {
			list = append(list, quoted{minion, orElse(d.Message, textUntold)})
		}
	}
	if len(list) > 0 {
		sortQuoted(list)
		diags.AddWarning("Salt cannot run the states of "+report.Assignment, "On "+countMinions(len(list))+":"+quote(list))
	}
}

// warnEmpty says that nothing is looked at, where that is new: a target that matches nothing is never out of order.
func (m *stateAssignmentModel) warnEmpty(diags *diag.Diagnostics, before types.Object) {
	if none := types.StringValue("0"); field(m.DriftSummary, "minions").Equal(none) && !field(before, "minions").Equal(none) {
		diags.AddWarning("No minion belongs to "+m.Name.ValueString(), "As far as is known its target group matches no minion, so there is "+
			"nothing that could drift. If that is not meant, look at the group's match.")
	}
}

// warnUnreachable names the minions that nothing is known of, where they are not the ones that were known before.
func (m *stateAssignmentModel) warnUnreachable(diags *diag.Diagnostics, before types.List) {
	if names := texts(m.Unreachable.Elements()); len(names) > 0 && !m.Unreachable.Equal(before) {
		diags.AddWarning("Minions of "+m.Name.ValueString()+" do not answer", countMinions(len(names))+" did not answer when last asked: "+
			listNames(names)+". Nothing is known of their states until they answer again.")
	}
}

// warnUnsettled names the states that never settle, where they are not the ones that were known before.
func (m *stateAssignmentModel) warnUnsettled(diags *diag.Diagnostics, before types.List) {
	if names := texts(m.Unsettled.Elements()); len(names) > 0 && !m.Unsettled.Equal(before) {
		diags.AddWarning("States of "+m.Name.ValueString()+" never settle", "They would change again right after they were applied, so "+
			"they are not counted as drift: "+listNames(names)+". Give them a condition (unless, onlyif, creates), or name them in "+
			"drift_check.ignore.")
	}
}

func sortQuoted(list []quoted) {
	slices.SortFunc(list, func(a, b quoted) int { return strings.Compare(a.minion, b.minion) })
}

// Delete removes the definition. It touches no minion, and jobd keeps what has happened.
func (r *stateAssignmentResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state stateAssignmentModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	timeout, diags := state.Timeouts.Delete(ctx, defaultDeleteTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || !r.session.connected(&resp.Diagnostics) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := r.session.backend.DeleteAssignment(ctx, state.ID.ValueString())
	if err != nil && gaea.CodeOf(err) != gaea.CodeNotFound {
		addError(&resp.Diagnostics, "Cannot delete the state assignment "+state.ID.ValueString(), err)
	}
}

func (r *stateAssignmentResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	r.session.importByName(ctx, req, resp)
}
