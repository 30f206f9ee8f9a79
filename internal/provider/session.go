package provider

import (
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// session is what Configure hands to resources and data sources: a backend that has answered, and who we are to it.
type session struct {
	backend   Backend
	principal gaea.Principal
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
		"applied, so jobd was not asked: this plan rests on what the last apply saw.", s.unknown))
	return false
}
