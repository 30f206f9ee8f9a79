package provider

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// What the three resources, which are all definitions, have in common.

// setPlan sets attributes of a plan one by one: an attribute that is not named keeps what Terraform proposed.
func setPlan(ctx context.Context, resp *resource.ModifyPlanResponse, values map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root(name), values[name])...)
	}
}

// stored takes the id and the ref of a definition that was stored. Where the plan showed another version nothing may go on:
// what refers to it would refer to nothing.
func (s *session) stored(diags *diag.Diagnostics, d gaea.Definition, ref string, id, planned *types.String) bool {
	if want := gaea.RefOf(d); !gaea.SameRef(ref, want) {
		diags.AddError("jobd stored something else than was planned", fmt.Sprintf("The plan shows the ref %q, jobd answers %q. The "+
			"provider and jobd are of versions that do not fit: use the same version of both.", want, ref))
		return false
	}
	*id, *planned = types.StringValue(d.DefinitionName()), s.ref(d, *planned)
	return true
}

// gone deals with a definition that jobd says does not exist: the resource is removed from the state, and no other error does
// that. One that a provider without a jobd made, which shows in the references that it has in state, stays: jobd is given it by
// the next apply, and nothing has to be made anew.
func (s *session) gone(ctx context.Context, resp *resource.ReadResponse, err error, refs ...types.String) bool {
	if gaea.CodeOf(err) != gaea.CodeNotFound {
		return false
	}
	if carried(refs...) {
		tflog.Info(ctx, "jobd does not have the definition yet, which was made without a jobd")
		return true
	}
	tflog.Warn(ctx, "the definition was deleted outside of Terraform")
	resp.State.RemoveResource(ctx)
	return true
}

// carried says whether one of the references in a state was made without a jobd.
func carried(refs ...types.String) bool {
	return slices.ContainsFunc(refs, func(ref types.String) bool { return gaea.CarriesDefinition(ref.ValueString()) })
}

// importByName takes a definition's name as the id of what is imported; Read does the rest.
func (s *session) importByName(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	if s != nil && s.direct {
		resp.Diagnostics.AddError("There is nothing to import from", "Without a jobd definitions are in Terraform's state and nowhere else. Write the "+
			"resource and apply it: that touches no minion where nothing differs.")
		return
	}
	if err := gaea.ValidateName(req.ID); err != nil {
		resp.Diagnostics.AddError("Invalid import id", fmt.Sprintf("%q is not the name of a definition; import it by its name, for "+
			"example \"web-servers\".", req.ID))
		return
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("id"), req.ID)...)
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("name"), req.ID)...)
}
