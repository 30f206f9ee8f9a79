package provider

import (
	"context"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type jobTemplateResource struct{ session *session }

func newJobTemplateResource() resource.Resource { return &jobTemplateResource{} }

var (
	_ resource.ResourceWithConfigure      = (*jobTemplateResource)(nil)
	_ resource.ResourceWithValidateConfig = (*jobTemplateResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*jobTemplateResource)(nil)
	_ resource.ResourceWithImportState    = (*jobTemplateResource)(nil)
)

func (r *jobTemplateResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_job_template"
}

func (r *jobTemplateResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.session = sessionOf(req.ProviderData, &resp.Diagnostics)
}

// ValidateConfig checks what depends on more than one attribute, as far as it is known: what is not is left to the plan.
func (r *jobTemplateResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m jobTemplateModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	var part jobTemplateModel
	if known(ctx, m.Batch) {
		part.Batch = m.Batch
	}
	if known(ctx, m.Concurrency) {
		part.Concurrency = m.Concurrency
	}
	if known(ctx, m.PreActions) {
		part.PreActions = m.PreActions
	}
	if known(ctx, m.PostActions) {
		part.PostActions = m.PostActions
	}
	t, err := part.definition(ctx)
	if err != nil {
		return // a value that cannot be read, which the validator of its attribute names
	}
	addInvalid(&resp.Diagnostics, path.Root("name"), gaea.ValidateWork(t.Batch, t.Concurrency, t.PreActions, t.PostActions))
}

// ModifyPlan makes the ref known in the plan.
func (r *jobTemplateResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	var plan jobTemplateModel
	state := types.StringNull()
	if !req.State.Raw.IsNull() {
		resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("ref"), &state)...)
	}
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	plan.ID, plan.Ref = plan.Name, types.StringUnknown()
	if plan.defined(ctx) {
		definition, err := plan.definition(ctx)
		if err == nil {
			err = validateTemplate(definition)
		}
		if err == nil {
			err = r.session.validWork(definition)
		}
		if err != nil {
			addInvalid(&resp.Diagnostics, path.Root("name"), err)
			return
		}
		if err := carriable(r.session, definition); err != nil {
			addInvalid(&resp.Diagnostics, path.Root("ref"), err)
			return
		}
		plan.Ref = r.session.ref(definition, state)
		r.warnShown(definition, &resp.Diagnostics)
	}
	setPlan(ctx, resp, map[string]any{"id": plan.ID, "ref": plan.Ref})
}

func (r *jobTemplateResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan jobTemplateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() || !r.put(ctx, &plan, &resp.Diagnostics) {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

func (r *jobTemplateResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan jobTemplateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() || !r.put(ctx, &plan, &resp.Diagnostics) {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

func (r *jobTemplateResource) put(ctx context.Context, plan *jobTemplateModel, diags *diag.Diagnostics) bool {
	if !r.session.connected(diags) {
		return false
	}
	template, err := plan.definition(ctx)
	if err == nil {
		err = validateTemplate(template) // what the plan did not know
	}
	if err != nil {
		addInvalid(diags, path.Root("name"), err)
		return false
	}
	v, err := r.session.backend.PutJobTemplate(ctx, template)
	if err != nil {
		addError(diags, "Cannot store the job template "+template.Name, err)
		return false
	}
	return r.session.stored(diags, template, v.Ref, &plan.ID, &plan.Ref)
}

// Read takes over what changed behind Terraform's back, and leaves what means the same as the user wrote it.
func (r *jobTemplateResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state jobTemplateModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() || !r.session.visible(&resp.Diagnostics) {
		return
	}
	known, err := state.definition(ctx)
	if err != nil && r.session.direct {
		addError(&resp.Diagnostics, "Cannot read the job template "+state.ID.ValueString(), err)
		return
	}
	known.Name = state.ID.ValueString()
	v, err := r.session.backend.GetJobTemplate(ctx, known)
	if r.session.gone(ctx, resp, err, state.Ref) {
		return
	}
	if err != nil {
		addError(&resp.Diagnostics, "Cannot read the job template "+state.ID.ValueString(), err)
		return
	}
	state.ID, state.Ref = types.StringValue(v.Definition.Name), r.session.refRead(v.Definition, state.Ref)
	state.Name = state.ID
	if before, err := state.definition(ctx); err != nil || !gaea.SameRef(gaea.RefOf(before), v.Ref) {
		if err := state.adopt(ctx, v.Definition); err != nil {
			addError(&resp.Diagnostics, "Cannot read the job template "+v.Definition.Name, err)
			return
		}
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

func (r *jobTemplateResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state jobTemplateModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() || !r.session.connected(&resp.Diagnostics) {
		return
	}
	err := r.session.backend.DeleteJobTemplate(ctx, state.ID.ValueString())
	if err != nil && gaea.CodeOf(err) != gaea.CodeNotFound {
		addError(&resp.Diagnostics, "Cannot delete the job template "+state.ID.ValueString(), err)
	}
}

func (r *jobTemplateResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	r.session.importByName(ctx, req, resp)
}

// warnShown says that without a jobd the ref shows what the attributes hide.
func (r *jobTemplateResource) warnShown(t gaea.JobTemplate, diags *diag.Diagnostics) {
	if r.session == nil || !r.session.direct {
		return
	}
	for _, a := range slices.Concat(t.PreActions, t.PostActions) {
		if a.HTTP != nil && len(a.HTTP.Headers) > 0 {
			diags.AddAttributeWarning(path.Root("ref"), "Headers can be read in ref", "Without a jobd the ref of the job template "+t.Name+" carries the whole "+
				"template, the headers of its requests included: whoever sees a plan or a state can read them. Use a jobd for requests "+
				"that need a secret, or give it to a function on the minions by pillar.")
			return
		}
	}
}
