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

// stored takes the id and the ref of a definition that jobd has stored. Where the plan showed another ref nothing may go on:
// what refers to it would refer to nothing.
func stored(diags *diag.Diagnostics, d gaea.Definition, ref string, id, planned *types.String) bool {
	if want := gaea.RefOf(d); ref != want {
		diags.AddError("jobd stored something else than was planned", fmt.Sprintf("The plan shows the ref %q, jobd answers %q. The "+
			"provider and jobd are of versions that do not fit: use the same version of both.", want, ref))
		return false
	}
	*id, *planned = types.StringValue(d.DefinitionName()), types.StringValue(ref)
	return true
}

// gone removes a resource from the state where jobd says that its definition does not exist. No other error does that.
func gone(ctx context.Context, resp *resource.ReadResponse, err error) bool {
	if gaea.CodeOf(err) != gaea.CodeNotFound {
		return false
	}
	tflog.Warn(ctx, "the definition was deleted outside of Terraform")
	resp.State.RemoveResource(ctx)
	return true
}

// importByName takes a definition's name as the id of what is imported; Read does the rest.
func importByName(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	if err := gaea.ValidateName(req.ID); err != nil {
		resp.Diagnostics.AddError("Invalid import id", fmt.Sprintf("%q is not the name of a definition; import it by its name, for "+
			"example \"web-servers\".", req.ID))
		return
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("id"), req.ID)...)
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("name"), req.ID)...)
}
