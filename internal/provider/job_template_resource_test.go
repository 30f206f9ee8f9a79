package provider_test

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAJobTemplateIsStoredAsPlanned(t *testing.T) {
	f := newFakeJobd()
	size, err := gaea.ParseAmount("10%")
	if err != nil {
		t.Fatal(err)
	}
	template := gaea.JobTemplate{
		Name: "upgrade", Function: "pkg.upgrade", Args: []any{"-y"}, Kwargs: map[string]any{"refresh": true, "wait": 1.5},
		Batch: gaea.Batch{Size: size}, Timeouts: gaea.Timeouts{Job: 3600e9},
	}
	const address = "gaea_job_template.upgrade"
	config := func(size, kwargs string) string {
		return `resource "gaea_job_template" "upgrade" {
  name     = "upgrade"
  function = "pkg.upgrade"
  args     = ["-y"]
  kwargs   = ` + kwargs + `
  batch    = { size = "` + size + `" }
  timeouts = { job = "60m" }
}`
	}
	unitTest(t, f,
		resource.TestStep{
			Config: config("10%", `jsonencode({ wait = 1.5, refresh = true })`),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectKnownValue(address, tfjsonpath.New("ref"), knownvalue.StringExact(gaea.RefOf(template))),
			}},
		},
		resource.TestStep{
			ResourceName: address, ImportState: true, ImportStateId: "upgrade", ImportStateVerify: true,
			// "60m" is "1h" to jobd: the same time in other words.
			ImportStateVerifyIgnore: []string{"timeouts"},
		},
		resource.TestStep{ // the same object in other words plans no other ref
			Config: config("10%", `"{ \"refresh\": true,  \"wait\": 15e-1 }"`),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectKnownValue(address, tfjsonpath.New("ref"), knownvalue.StringExact(gaea.RefOf(template))),
			}},
		},
		resource.TestStep{
			PreConfig: func() {
				f.do(func() {
					f.templates["upgrade"] = gaea.JobTemplate{Name: "upgrade", Function: "pkg.upgrade", Args: []any{1.0}}
				})
			},
			RefreshState: true, ExpectNonEmptyPlan: true,
		},
		resource.TestStep{
			Config: config("5", `jsonencode({})`),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction(address, plancheck.ResourceActionUpdate),
			}},
		},
		resource.TestStep{
			Config: `resource "gaea_job_template" "upgrade" {
  name     = "upgrade"
  timeouts = {}
}`,
		},
	)
}
