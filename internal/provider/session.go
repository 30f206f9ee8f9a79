package provider

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// session is what Configure hands to resources and data sources: a backend that has answered, and who we are to it.
type session struct {
	backend   Backend
	principal gaea.Principal
	// direct says that there is no jobd, see [Backend]; also while there is no backend yet.
	direct bool
	// unknown names the provider's argument that has no value before something else is applied; there is no backend then.
	unknown string
}

// sessionOf takes the session out of what the framework passes to a Configure method. nil while Terraform only validates.
func sessionOf(data any, diags *diag.Diagnostics) *session {
	if data == nil {
		return nil
	}
	s, ok := data.(*session)
	if !ok {
		diags.AddError("Fault in the provider", fmt.Sprintf("Configure was given a %T; please report this.", data))
		return nil
	}
	return s
}

// connected says whether there is a backend, and adds an error where there is none.
func (s *session) connected(diags *diag.Diagnostics) bool {
	if s.backend != nil {
		return true
	}
	diags.AddError("The provider gaea is not configured yet", fmt.Sprintf("Its argument %q is not known before something else "+
		"is applied. Apply that first (-target), or give the argument a value that does not depend on other resources.", s.unknown))
	return false
}

// visible says whether a refresh can look at jobd. Where it cannot yet, what is in state stays as it is, with a warning.
func (s *session) visible(diags *diag.Diagnostics) bool {
	if s.backend != nil {
		return true
	}
	diags.AddWarning("Not refreshed", fmt.Sprintf("The argument %q of the provider gaea is not known before something else is "+
		"applied, so nobody was asked: this plan rests on what the last apply saw.", s.unknown))
	return false
}

// ref is the reference by which others name a definition: without a jobd it carries the definition, because nothing else
// reaches the apply of a saved plan on another machine. The reference that is in state, prior, stays where it means the same.
func (s *session) ref(d gaea.Definition, prior types.String) types.String {
	if s == nil || !s.direct {
		return types.StringValue(gaea.RefOf(d))
	}
	if _, isAssignment := d.(gaea.Assignment); isAssignment { // nobody names it
		return types.StringValue(gaea.RefOf(d))
	}
	if now := prior.ValueString(); gaea.CarriesDefinition(now) && gaea.SameRef(now, gaea.RefOf(d)) {
		return prior
	}
	return types.StringValue(gaea.Carry(d))
}

// refRead is the reference after a refresh. One that means the same stays as it is, also where it was made with a jobd and there is
// none now, or the other way round: that is for a plan to change, and nothing that happened outside of Terraform.
func (s *session) refRead(d gaea.Definition, state types.String) types.String {
	if gaea.SameRef(state.ValueString(), gaea.RefOf(d)) {
		return state
	}
	return s.ref(d, state)
}

// recall gives the backend what was kept with a resource. What cannot be recalled shows as drift.
func (s *session) recall(ctx context.Context, assignment string, memory []byte) {
	if err := s.backend.Recall(ctx, assignment, memory); err != nil {
		tflog.Warn(ctx, "what was kept with the resource cannot be used", map[string]any{"assignment": assignment, "error": err.Error()})
	}
}

// validRefs checks references to what is used: without a jobd each has to carry its definition. The keys are the fields.
func (s *session) validRefs(refs map[string]string) error {
	if s == nil || !s.direct {
		return nil
	}
	for _, field := range slices.Sorted(maps.Keys(refs)) {
		if text := refs[field]; text != "" && !gaea.CarriesDefinition(text) {
			return gaea.Invalid(field, "%q names a definition that nobody keeps without a jobd; use the ref attribute of its resource, which carries it", text)
		}
	}
	return nil
}

// validWork refuses of a template what needs a jobd, where there is none.
func (s *session) validWork(t gaea.JobTemplate) error {
	if s != nil && s.direct && t.Batch.CanaryHold.Manual() {
		return gaea.Invalid("batch.canary_hold", "without a jobd nobody can resume a run that is held; give the time that it is held, for example \"10m\"")
	}
	return s.validRefs(actionGroups(t))
}

// actionGroups are the target groups of a template's actions, by field.
func actionGroups(t gaea.JobTemplate) map[string]string {
	refs := map[string]string{}
	for i := range t.PreActions {
		refs[fmt.Sprintf("pre_actions[%d].target_group", i)] = t.PreActions[i].TargetGroup
	}
	for i := range t.PostActions {
		refs[fmt.Sprintf("post_actions[%d].target_group", i)] = t.PostActions[i].TargetGroup
	}
	return refs
}

// carriable refuses a definition that a reference cannot carry, where there is no jobd to keep it.
func carriable[T gaea.Definition](s *session, d T) error {
	if s == nil || !s.direct {
		return nil
	}
	return gaea.Carriable(d)
}

// hint is a hint at jobd's command line; empty where there is no jobd.
func (s *session) hint(text string) string {
	if s.direct {
		return ""
	}
	return text
}
