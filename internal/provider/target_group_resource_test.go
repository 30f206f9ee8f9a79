package provider_test

import (
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestATargetGroupsRefIsKnownInThePlan(t *testing.T) {
	f := newFakeJobd()
	group := gaea.TargetGroup{Name: "web", Target: gaea.Target{Type: gaea.TargetCompound, Expr: "G@role:web and not E@canary.*"}}
	listed := gaea.TargetGroup{Name: "web", Description: "by hand", Target: gaea.ListTarget([]string{"web2", "web1"})}
	const address = "gaea_target_group.web"
	unitTest(t, f,
		resource.TestStep{
			Config: `resource "gaea_target_group" "web" {
  name  = "web"
  match = "G@role:web and not E@canary.*"
}`,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectKnownValue(address, tfjsonpath.New("ref"), knownvalue.StringExact(gaea.RefOf(group))),
				plancheck.ExpectKnownValue(address, tfjsonpath.New("id"), knownvalue.StringExact("web")),
				plancheck.ExpectKnownValue(address, tfjsonpath.New("match_type"), knownvalue.StringExact("compound")),
			}},
		},
		resource.TestStep{ResourceName: address, ImportState: true, ImportStateId: "web", ImportStateVerify: true},
		resource.TestStep{
			Config: `resource "gaea_target_group" "web" {
  name        = "web"
  description = "by hand"
  minions     = ["web2", "web1"]
}`,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction(address, plancheck.ResourceActionUpdate),
				plancheck.ExpectKnownValue(address, tfjsonpath.New("ref"), knownvalue.StringExact(gaea.RefOf(listed))),
				plancheck.ExpectKnownValue(address, tfjsonpath.New("match_type"), knownvalue.StringExact("list")),
			}},
		},
		resource.TestStep{ResourceName: address, ImportState: true, ImportStateId: "web", ImportStateVerify: true},
		resource.TestStep{
			Config: `resource "gaea_target_group" "web" {
  name       = "web2"
  match      = "web*"
  match_type = "glob"
}`,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction(address, plancheck.ResourceActionReplace),
			}},
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownValue(address, tfjsonpath.New("match_type"), knownvalue.StringExact("glob")),
				statecheck.ExpectKnownValue(address, tfjsonpath.New("minions"), knownvalue.Null()),
			},
		},
	)
	if len(f.groups) != 0 {
		t.Errorf("groups are left: %v", f.groups)
	}
}

func TestImportTakesTheNameOfADefinition(t *testing.T) {
	const config = `resource "gaea_target_group" "web" {
  name  = "web"
  match = "*"
}`
	unitTest(t, newFakeJobd(),
		resource.TestStep{Config: config},
		resource.TestStep{
			Config: config, ResourceName: "gaea_target_group.web", ImportState: true, ImportStateId: "no name",
			ExpectError: regexp.MustCompile(`"no name" is not the name of a definition`),
		},
		resource.TestStep{
			Config: config, ResourceName: "gaea_target_group.web", ImportState: true, ImportStateId: "absent",
			ExpectError: regexp.MustCompile(`Cannot import non-existent remote object`),
		},
	)
}
