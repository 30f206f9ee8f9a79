package acctest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

// The addresses of what [rig.assignment] writes.
const (
	group = "gaea_target_group.it"
	it    = "gaea_state_assignment.it"
)

// steps runs plugin-testing's steps on a real Terraform, with the provider in this process and the role apply.
func (r *rig) steps(t *testing.T, steps ...resource.TestStep) {
	t.Helper()
	block := fmt.Sprintf("provider \"gaea\" {\n  endpoint = %q\n  token    = %q\n}\n", r.jobd.Endpoint, r.tokens["apply"])
	for i := range steps {
		if steps[i].Config != "" {
			steps[i].Config = block + steps[i].Config
		}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: map[string]func() (tfprotov6.ProviderServer, error){
			"gaea": providerserver.NewProtocol6WithError(provider.New("test")()),
		},
		Steps: steps,
	})
}

// assignment is the configuration of a target group of minions and a state assignment on it, both under the test's name. It
// applies the test's own states unless attributes name others.
func (r *rig) assignment(attributes string, minions ...string) string {
	if !strings.Contains(attributes, "states") && !strings.Contains(attributes, "highstate") {
		attributes += fmt.Sprintf("\n  states = [%q]", strings.ReplaceAll(r.name, "-", "_"))
	}
	return r.group(minions...) + fmt.Sprintf(`
resource "gaea_state_assignment" "it" {
  name         = %q
  target_group = gaea_target_group.it.ref
  %s
}
`, r.name, attributes)
}

// group is the configuration of a target group of minions.
func (r *rig) group(minions ...string) string {
	return fmt.Sprintf(`
resource "gaea_target_group" "it" {
  name    = %q
  minions = ["%s"]
}
`, r.name, strings.Join(minions, `", "`))
}

// driftOf is minion to state to what differs, as an assignment's drift attribute holds it.
type driftOf map[string]map[string]string

// refreshed checks what a plan says was there before: what the refresh saw.
type refreshed struct {
	address string
	check   func(drift driftOf) error
}

// CheckPlan implements plancheck.PlanCheck.
func (c refreshed) CheckPlan(_ context.Context, req plancheck.CheckPlanRequest, resp *plancheck.CheckPlanResponse) {
	change, err := changeOf(req.Plan, c.address)
	if err == nil {
		before, ok := change.Before.(map[string]any)
		if !ok {
			err = fmt.Errorf("%s was not there before: %v", c.address, change.Before)
		} else {
			err = c.check(readDrift(before["drift"]))
		}
	}
	resp.Error = err
}

func changeOf(plan *tfjson.Plan, address string) (*tfjson.Change, error) {
	for _, c := range plan.ResourceChanges {
		if c.Address == address {
			return c.Change, nil
		}
	}
	return nil, fmt.Errorf("%s is not in the plan", address)
}

func readDrift(v any) driftOf {
	drift := driftOf{}
	minions, _ := v.(map[string]any)
	for minion, m := range minions {
		drift[minion] = map[string]string{}
		states, _ := m.(map[string]any)
		for state, text := range states {
			drift[minion][state] = fmt.Sprint(text)
		}
	}
	return drift
}

// only says that just one minion drifted, in just one state, with each of the texts in what differs.
func (d driftOf) only(minion, state string, texts ...string) error {
	if len(d) != 1 || len(d[minion]) != 1 {
		return fmt.Errorf("want drift of %s, %s alone, got %v", minion, state, d)
	}
	var errs []error
	for _, text := range texts {
		if !strings.Contains(d[minion][state], text) {
			errs = append(errs, fmt.Errorf("%q is not in %q", text, d[minion][state]))
		}
	}
	if _, ok := d[minion][state]; !ok {
		errs = append(errs, fmt.Errorf("want drift of the state %q, got %v", state, d))
	}
	return errors.Join(errs...)
}

// Plan and state checks that many tests use.

func planned(address string, action plancheck.ResourceActionType) plancheck.PlanCheck {
	return plancheck.ExpectResourceAction(address, action)
}

func noDrift(address string) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(address, tfjsonpath.New("drift"), knownvalue.MapExact(map[string]knownvalue.Check{}))
}

func text(address, attribute, want string) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(address, tfjsonpath.New(attribute), knownvalue.StringExact(want))
}

func count(address, counter, want string) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(address, tfjsonpath.New("drift_summary").AtMapKey(counter), knownvalue.StringExact(want))
}
