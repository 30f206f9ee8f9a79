package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hashicorp/terraform-plugin-framework-validators/resourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/target"
)

type targetGroupResource struct{ session *session }

func newTargetGroupResource() resource.Resource { return &targetGroupResource{} }

var (
	_ resource.ResourceWithConfigure        = (*targetGroupResource)(nil)
	_ resource.ResourceWithConfigValidators = (*targetGroupResource)(nil)
	_ resource.ResourceWithValidateConfig   = (*targetGroupResource)(nil)
	_ resource.ResourceWithModifyPlan       = (*targetGroupResource)(nil)
	_ resource.ResourceWithImportState      = (*targetGroupResource)(nil)
)

type targetGroupModel struct {
	Name        types.String `tfsdk:"name"`
	Description types.String `tfsdk:"description"`
	Match       types.String `tfsdk:"match"`
	MatchType   types.String `tfsdk:"match_type"`
	Minions     types.Set    `tfsdk:"minions"`
	ID          types.String `tfsdk:"id"`
	Ref         types.String `tfsdk:"ref"`
}

func (r *targetGroupResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_target_group"
}

func (r *targetGroupResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "A set of minions under a name, to be used by state assignments and runs.",
		Attributes: map[string]schema.Attribute{
			"name":        nameAttribute("target group"),
			"description": descriptionAttribute(),
			"match": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Which minions, as an expression in the syntax of `match_type`, for example " +
					"`G@role:web and not E@canary.*`. Exactly one of `match` and `minions` is set.",
			},
			"match_type": schema.StringAttribute{
				Optional: true,
				Computed: true,
				MarkdownDescription: "How Salt reads `match`: `compound` (the default), `glob`, `pcre`, `grain`, `grain_pcre`, `pillar`, " +
					"`pillar_pcre`, `pillar_exact`, `nodegroup`, `range` or `ipcidr`. With `minions` it is `list`.",
				Validators: []validator.String{stringvalidator.OneOf(targetTypeNames()...)},
			},
			"minions": schema.SetAttribute{
				Optional:            true,
				ElementType:         types.StringType,
				MarkdownDescription: "The ids of the minions, where they are named one by one. Exactly one of `match` and `minions` is set.",
				Validators:          []validator.Set{setvalidator.SizeAtLeast(1), setvalidator.NoNullValues(), setvalidator.ValueStringsAre(minionValidator())},
			},
			"id":  idAttribute("target group"),
			"ref": refAttribute("target group"),
		},
	}
}

func targetTypeNames() []string {
	names := make([]string, 0, len(gaea.TargetTypes()))
	for _, t := range gaea.TargetTypes() {
		names = append(names, string(t))
	}
	return names
}

func (r *targetGroupResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.session = sessionOf(req.ProviderData, &resp.Diagnostics)
}

func (r *targetGroupResource) ConfigValidators(context.Context) []resource.ConfigValidator {
	return []resource.ConfigValidator{
		resourcevalidator.ExactlyOneOf(path.MatchRoot("match"), path.MatchRoot("minions")),
	}
}

// ValidateConfig checks the expression in the syntax of its type, as soon as both are known.
func (r *targetGroupResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m targetGroupModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || m.MatchType.IsUnknown() {
		return
	}
	list := m.MatchType.ValueString() == string(gaea.TargetList)
	switch {
	case list && !m.Match.IsNull():
		resp.Diagnostics.AddAttributeError(path.Root("match_type"), "Invalid match_type", "\"list\" goes with minion ids: "+
			"write minions = [\"web1\", \"web2\"] instead of match.")
	case !list && !m.MatchType.IsNull() && !m.Minions.IsNull():
		resp.Diagnostics.AddAttributeError(path.Root("match_type"), "Invalid match_type", "match_type says how match is read, and "+
			"minions are ids that need no reading: leave match_type out.")
	case !m.Match.IsNull() && !m.Match.IsUnknown():
		addInvalid(&resp.Diagnostics, path.Root("match"), target.Validate(m.target()))
	}
}

// target is the domain's target. match_type is what the user gave, or what follows from the attributes next to it.
func (m *targetGroupModel) target() gaea.Target {
	if !m.Minions.IsNull() {
		return gaea.ListTarget(texts(m.Minions.Elements()))
	}
	t := gaea.Target{Type: gaea.TargetType(m.MatchType.ValueString()), Expr: m.Match.ValueString()}
	if t.Type == "" {
		t.Type = gaea.TargetCompound
	}
	return t
}

func (m *targetGroupModel) definition() gaea.TargetGroup {
	return gaea.TargetGroup{Name: m.Name.ValueString(), Description: m.Description.ValueString(), Target: m.target()}
}

// ModifyPlan fills in what follows from the definition, above all its ref: known in the plan, so that assignments that use it
// are planned with it.
func (r *targetGroupResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	var plan, config targetGroupModel
	state := types.StringNull()
	if !req.State.Raw.IsNull() {
		resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("ref"), &state)...)
	}
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if config.MatchType.IsNull() {
		switch {
		case !config.Match.IsNull() && !config.Match.IsUnknown():
			plan.MatchType = types.StringValue(string(gaea.TargetCompound))
		case config.Match.IsNull() && !config.Minions.IsUnknown():
			plan.MatchType = types.StringValue(string(gaea.TargetList))
		default:
			plan.MatchType = types.StringUnknown()
		}
	}
	plan.ID, plan.Ref = plan.Name, types.StringUnknown()
	if known(ctx, plan.Name, plan.Description, plan.Match, plan.MatchType, plan.Minions) {
		if err := carriable(r.session, plan.definition()); err != nil {
			addInvalid(&resp.Diagnostics, path.Root("ref"), err)
			return
		}
		plan.Ref = r.session.ref(plan.definition(), state)
	}
	setPlan(ctx, resp, map[string]any{"id": plan.ID, "ref": plan.Ref, "match_type": plan.MatchType})
}

func (r *targetGroupResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan targetGroupModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() || !r.put(ctx, &plan, &resp.Diagnostics) {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

func (r *targetGroupResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan targetGroupModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() || !r.put(ctx, &plan, &resp.Diagnostics) {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// put stores the planned definition and completes the model with what jobd made of it.
func (r *targetGroupResource) put(ctx context.Context, plan *targetGroupModel, diags *diag.Diagnostics) bool {
	if !r.session.connected(diags) {
		return false
	}
	group := plan.definition()
	plan.MatchType = types.StringValue(string(group.Target.Type))
	v, err := r.session.backend.PutTargetGroup(ctx, group)
	if err != nil {
		addError(diags, "Cannot store the target group "+group.Name, err)
		return false
	}
	return r.session.stored(diags, group, v.Ref, &plan.ID, &plan.Ref)
}

// Read takes over what changed behind Terraform's back, and leaves what means the same as the user wrote it.
func (r *targetGroupResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state targetGroupModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() || !r.session.visible(&resp.Diagnostics) {
		return
	}
	known := state.definition()
	known.Name = state.ID.ValueString()
	v, err := r.session.backend.GetTargetGroup(ctx, known)
	if r.session.gone(ctx, resp, err, state.Ref) {
		return
	}
	if err != nil {
		addError(&resp.Diagnostics, "Cannot read the target group "+state.ID.ValueString(), err)
		return
	}
	now := v.Definition
	state.ID, state.Ref = types.StringValue(now.Name), r.session.refRead(now, state.Ref)
	state.Name = state.ID
	state.Description = keepText(state.Description, now.Description)
	state.Match = keepText(state.Match, now.Target.Expr)
	state.MatchType = types.StringValue(string(now.Target.Type))
	state.Minions = keepSet(state.Minions, now.Target.Minions)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

func (r *targetGroupResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state targetGroupModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() || !r.session.connected(&resp.Diagnostics) {
		return
	}
	err := r.session.backend.DeleteTargetGroup(ctx, state.ID.ValueString())
	if err != nil && gaea.CodeOf(err) != gaea.CodeNotFound {
		addError(&resp.Diagnostics, "Cannot delete the target group "+state.ID.ValueString(), err)
	}
}

func (r *targetGroupResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	r.session.importByName(ctx, req, resp)
}
