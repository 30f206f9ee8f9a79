package provider

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hashicorp/terraform-plugin-framework-jsontypes/jsontypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type jobTemplateResource struct{ session *session }

func newJobTemplateResource() resource.Resource { return &jobTemplateResource{} }

var (
	_ resource.ResourceWithConfigure   = (*jobTemplateResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*jobTemplateResource)(nil)
	_ resource.ResourceWithImportState = (*jobTemplateResource)(nil)
)

type jobTemplateModel struct {
	Name        types.String         `tfsdk:"name"`
	Description types.String         `tfsdk:"description"`
	Function    types.String         `tfsdk:"function"`
	Args        types.List           `tfsdk:"args"`
	Kwargs      jsontypes.Normalized `tfsdk:"kwargs"`
	Batch       types.Object         `tfsdk:"batch"`
	Timeouts    types.Object         `tfsdk:"timeouts"`
	ID          types.String         `tfsdk:"id"`
	Ref         types.String         `tfsdk:"ref"`
}

var (
	batchTypes       = map[string]attr.Type{"size": types.StringType}
	runTimeoutsTypes = map[string]attr.Type{"job": types.StringType, "gather": types.StringType}
)

func (r *jobTemplateResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_job_template"
}

func (r *jobTemplateResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "How a job is run: in which batches and within which limits, and for what is no state run also which " +
			"function. State assignments take batches and limits from it.",
		Attributes: map[string]schema.Attribute{
			"name":        nameAttribute("job template"),
			"description": descriptionAttribute(),
			"function": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Execution function, for example `pkg.upgrade`. State assignments do not use it: they apply their " +
					"own states.",
				Validators: []validator.String{functionValidator()},
			},
			"args": schema.ListAttribute{
				Optional:            true,
				ElementType:         types.StringType,
				MarkdownDescription: "Positional arguments of `function`.",
				Validators: []validator.List{
					listvalidator.AlsoRequires(path.MatchRoot("function")),
					listvalidator.NoNullValues(),
				},
			},
			"kwargs": schema.StringAttribute{
				Optional:   true,
				CustomType: jsontypes.NormalizedType{},
				MarkdownDescription: "Keyword arguments of `function`, as a JSON object: `jsonencode({ refresh = true })`. Not for secrets: " +
					"a definition is kept in clear.",
				Validators: []validator.String{stringvalidator.AlsoRequires(path.MatchRoot("function")), objectValidator()},
			},
			"batch": schema.SingleNestedAttribute{
				Optional:            true,
				MarkdownDescription: "Cuts a run into slices that run one after the other. All minions at once where it is not set.",
				Attributes: map[string]schema.Attribute{
					"size": schema.StringAttribute{
						Required:            true,
						MarkdownDescription: "Minions in a slice: a number such as `5`, or a share such as `10%`, which is rounded up.",
						Validators:          []validator.String{amountValidator()},
					},
				},
			},
			"timeouts": schema.SingleNestedAttribute{
				Optional: true,
				MarkdownDescription: "Limits of a run. They bound the work and never guess: a minion that is silent is asked whether it " +
					"still works.",
				Attributes: map[string]schema.Attribute{
					"job": schema.StringAttribute{
						Optional:            true,
						MarkdownDescription: "How long a whole run may take; `30m` where it is not set.",
						Validators:          []validator.String{durationValidator()},
					},
					"gather": schema.StringAttribute{
						Optional: true,
						MarkdownDescription: "How long a minion may take to answer when it is asked whether it still runs the job, before it " +
							"counts as unreachable; `5s` where it is not set.",
						Validators: []validator.String{durationValidator()},
					},
				},
			},
			"id":  idAttribute("job template"),
			"ref": refAttribute("job template"),
		},
	}
}

func (r *jobTemplateResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.session = sessionOf(req.ProviderData, &resp.Diagnostics)
}

// definition is the domain's template. The validators have passed every value; what is unknown must be asked for before.
func (m *jobTemplateModel) definition() (gaea.JobTemplate, error) {
	t := gaea.JobTemplate{
		Name:        m.Name.ValueString(),
		Description: m.Description.ValueString(),
		Function:    m.Function.ValueString(),
	}
	for _, a := range texts(m.Args.Elements()) {
		t.Args = append(t.Args, a)
	}
	if !m.Kwargs.IsNull() {
		kwargs, err := plainObject(m.Kwargs.ValueString())
		if err != nil {
			return t, gaea.Invalid("kwargs", "%s", err.Error())
		}
		if len(kwargs) > 0 {
			t.Kwargs = kwargs
		}
	}
	if !m.Batch.IsNull() {
		size, err := gaea.ParseAmount(field(m.Batch, "size").ValueString())
		if err != nil {
			return t, err
		}
		t.Batch.Size = size
	}
	t.Timeouts.Job = duration(field(m.Timeouts, "job"))
	t.Timeouts.Gather = duration(field(m.Timeouts, "gather"))
	return t, nil
}

// ModifyPlan makes the ref known in the plan.
func (r *jobTemplateResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	var plan jobTemplateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	plan.ID, plan.Ref = plan.Name, types.StringUnknown()
	if known(ctx, plan.Name, plan.Description, plan.Function, plan.Args, plan.Kwargs, plan.Batch, plan.Timeouts) {
		definition, err := plan.definition()
		if err == nil {
			err = definition.Validate()
		}
		if err != nil {
			addInvalid(&resp.Diagnostics, path.Root("name"), err)
			return
		}
		plan.Ref = types.StringValue(gaea.RefOf(definition))
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
	template, err := plan.definition()
	if err != nil {
		addInvalid(diags, path.Root("name"), err)
		return false
	}
	v, err := r.session.backend.PutJobTemplate(ctx, template)
	if err != nil {
		addError(diags, "Cannot store the job template "+template.Name, err)
		return false
	}
	return stored(diags, template, v.Ref, &plan.ID, &plan.Ref)
}

// Read takes over what changed behind Terraform's back, and leaves what means the same as the user wrote it.
func (r *jobTemplateResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state jobTemplateModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() || !r.session.visible(&resp.Diagnostics) {
		return
	}
	v, err := r.session.backend.GetJobTemplate(ctx, state.ID.ValueString())
	if gone(ctx, resp, err) {
		return
	}
	if err != nil {
		addError(&resp.Diagnostics, "Cannot read the job template "+state.ID.ValueString(), err)
		return
	}
	state.ID, state.Ref = types.StringValue(v.Definition.Name), types.StringValue(v.Ref)
	state.Name = state.ID
	if before, err := state.definition(); err != nil || gaea.RefOf(before) != v.Ref {
		if err := state.adopt(v.Definition); err != nil {
			addError(&resp.Diagnostics, "Cannot read the job template "+v.Definition.Name, err)
			return
		}
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// adopt takes over each value of a definition that means something else than the one in state.
func (m *jobTemplateModel) adopt(now gaea.JobTemplate) error {
	m.Description = keepText(m.Description, now.Description)
	m.Function = keepText(m.Function, now.Function)
	args := make([]string, 0, len(now.Args))
	for _, a := range now.Args {
		if s, ok := a.(string); ok {
			args = append(args, s)
			continue
		}
		b, err := json.Marshal(a) // an argument that is no text was not set by Terraform: show it as JSON
		if err != nil {
			return fmt.Errorf("argument %v: %w", a, err)
		}
		args = append(args, string(b))
	}
	m.Args = keepList(m.Args, args)
	var kwargs json.RawMessage
	if len(now.Kwargs) > 0 {
		var err error
		if kwargs, err = json.Marshal(now.Kwargs); err != nil {
			return fmt.Errorf("kwargs: %w", err)
		}
	}
	m.Kwargs = keepObject(m.Kwargs, kwargs)
	m.Batch = keepFields(m.Batch, batchTypes, map[string]attr.Value{"size": keepText(field(m.Batch, "size"), now.Batch.Size.String())})
	m.Timeouts = keepFields(m.Timeouts, runTimeoutsTypes, map[string]attr.Value{
		"job":    keepDuration(field(m.Timeouts, "job"), now.Timeouts.Job),
		"gather": keepDuration(field(m.Timeouts, "gather"), now.Timeouts.Gather),
	})
	return nil
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
	importByName(ctx, req, resp)
}
