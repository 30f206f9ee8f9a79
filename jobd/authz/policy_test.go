package authz_test

import (
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authz"
)

func TestEachRoleMayDoWhatItSays(t *testing.T) {
	policy := authz.Default()
	may := map[gaea.Role][]gaea.Action{
		gaea.RoleRead:  {gaea.ActionRead},
		gaea.RolePlan:  {gaea.ActionRead, gaea.ActionCheck},
		gaea.RoleApply: {gaea.ActionRead, gaea.ActionCheck, gaea.ActionDefine, gaea.ActionApply, gaea.ActionRun, gaea.ActionCancel},
		gaea.RoleAdmin: {gaea.ActionRead, gaea.ActionCheck, gaea.ActionDefine, gaea.ActionApply, gaea.ActionRun, gaea.ActionCancel, gaea.ActionTokens},
	}
	all := may[gaea.RoleAdmin]
	for _, role := range gaea.Roles() {
		allowed := map[gaea.Action]bool{}
		for _, a := range may[role] {
			allowed[a] = true
		}
		for _, action := range all {
			err := policy.Authorize(gaea.Principal{Name: "ci", Role: role}, action)
			if (err == nil) != allowed[action] {
				t.Errorf("role %s, action %s: got %v, want allowed %v", role, action, err, allowed[action])
			}
			if err != nil && gaea.CodeOf(err) != gaea.CodeForbidden {
				t.Errorf("role %s, action %s: the code is %s", role, action, gaea.CodeOf(err))
			}
		}
	}
}

func TestARefusalNamesTheTokenAndTheRoleItNeeds(t *testing.T) {
	err := authz.Default().Authorize(gaea.Principal{Name: "ci", Role: gaea.RolePlan}, gaea.ActionApply)
	want := `the token "ci" has the role plan; applying needs the role apply. Make one with: jobd token create --role apply`
	if gaea.MessageOf(err) != want {
		t.Errorf("got  %q\nwant %q", gaea.MessageOf(err), want)
	}
}

func TestNobodyMayDoAnything(t *testing.T) {
	if err := authz.Default().Authorize(gaea.Principal{}, gaea.ActionRead); err == nil {
		t.Error("a caller without a role may read")
	}
	if err := authz.Default().Authorize(gaea.Principal{Name: "x", Role: "root"}, gaea.ActionRead); err == nil {
		t.Error("an unknown role may read")
	}
	err := authz.Default().Authorize(gaea.Principal{Name: "x", Role: gaea.RoleAdmin}, "teleport")
	if err == nil || !strings.Contains(err.Error(), "teleport") {
		t.Errorf("an unknown action: got %v", err)
	}
	if err := new(authz.Policy).Authorize(gaea.Principal{Name: "x", Role: gaea.RoleAdmin}, gaea.ActionRead); err == nil {
		t.Error("an empty policy allows reading")
	}
}
