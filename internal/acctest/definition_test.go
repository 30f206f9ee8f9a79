package acctest

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The addresses of what [rig.definitions] writes beside the others.
const (
	template = "gaea_job_template.it"
	latest   = "gaea_state_assignment.latest"
)

// definitions is a group, a template and two assignments of the same states: one by ref, one by id.
func (r *rig) definitions(sls, minions, timeout string) string {
	return fmt.Sprintf(`
resource "gaea_target_group" "it" {
  name    = %[1]q
  minions = [%[3]s]
}

resource "gaea_job_template" "it" {
  name     = %[1]q
  timeouts = { job = %[4]q }
}

resource "gaea_state_assignment" "it" {
  name         = %[1]q
  target_group = gaea_target_group.it.ref
  job_template = gaea_job_template.it.ref
  states       = [%[2]q]
}

resource "gaea_state_assignment" "latest" {
  name         = "%[1]s-latest"
  target_group = gaea_target_group.it.id
  job_template = gaea_job_template.it.id
  states       = [%[2]q]
  depends_on   = [gaea_state_assignment.it]
}
`, r.name, sls, minions, timeout)
}

func TestAccAChangedGroupOrTemplatePlansItsAssignmentsThroughRefAndReplacesNone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, motd)
	ref := statecheck.CompareValuePairs(group, tfjsonpath.New("ref"), it, tfjsonpath.New("target_group"), compare.ValuesSame())
	r.steps(t,
		resource.TestStep{Config: r.definitions(sls, `"web1"`, "5m"), ConfigStateChecks: []statecheck.StateCheck{ref}},
		resource.TestStep{
			Config: r.definitions(sls, `"web1", "web2"`, "5m"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				planned(group, plancheck.ResourceActionUpdate),
				planned(template, plancheck.ResourceActionNoop),
				planned(it, plancheck.ResourceActionUpdate),
				planned(latest, plancheck.ResourceActionNoop),
			}},
			ConfigStateChecks: []statecheck.StateCheck{ref, noDrift(it), count(it, "in_sync", "2")},
			PostApplyFunc: func() {
				if got := r.content(t, "web2", "motd"); got != "hello from gaea\n" {
					t.Errorf("the minion that came to the group has %q", got)
				}
			},
		},
		resource.TestStep{
			Config: r.definitions(sls, `"web1", "web2"`, "6m"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				planned(group, plancheck.ResourceActionNoop),
				planned(template, plancheck.ResourceActionUpdate),
				planned(it, plancheck.ResourceActionUpdate),
				planned(latest, plancheck.ResourceActionNoop),
			}},
		},
		resource.TestStep{
			// A minion that leaves the group leaves the drift.
			Config: r.definitions(sls, `"web2"`, "6m"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				planned(it, plancheck.ResourceActionUpdate), planned(latest, plancheck.ResourceActionNoop),
			}},
			ConfigStateChecks: []statecheck.StateCheck{count(it, "minions", "1"), count(it, "in_sync", "1")},
		},
	)
}

func TestAccADefinitionThatWasDeletedBehindTerraformsBackIsPlannedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	config := fmt.Sprintf("resource \"gaea_job_template\" \"it\" {\n  name = %q\n}\n", r.name) +
		r.assignment("job_template = gaea_job_template.it.ref", "web1")
	again := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{planned(it, plancheck.ResourceActionCreate)}}
	r.steps(t,
		resource.TestStep{Config: config},
		resource.TestStep{
			PreConfig: func() {
				if err := r.client.DeleteAssignment(t.Context(), r.name); err != nil {
					t.Fatal(err)
				}
			},
			Config: config, ConfigPlanChecks: again,
			ConfigStateChecks: []statecheck.StateCheck{noDrift(it), count(it, "in_sync", "1")},
		},
		resource.TestStep{
			PreConfig: func() {
				for _, err := range []error{
					r.client.DeleteAssignment(t.Context(), r.name), r.client.DeleteJobTemplate(t.Context(), r.name), r.client.DeleteTargetGroup(t.Context(), r.name),
				} {
					if err != nil {
						t.Fatal(err)
					}
				}
			},
			Config: config,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				planned(group, plancheck.ResourceActionCreate), planned(template, plancheck.ResourceActionCreate), planned(it, plancheck.ResourceActionCreate),
			}},
		},
		resource.TestStep{
			// Only what is used is gone: the plan puts it back and leaves no assignment behind.
			PreConfig: func() {
				if err := r.client.DeleteTargetGroup(t.Context(), r.name); err != nil {
					t.Fatal(err)
				}
			},
			Config: config,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				planned(group, plancheck.ResourceActionCreate), planned(it, plancheck.ResourceActionNoop),
			}},
		},
	)
}

func TestAccADefinitionThatWasChangedBehindTerraformsBackIsPlannedBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	config := r.assignment(`drift_check = { max_age = "2h" }`, "web1")
	r.steps(t,
		resource.TestStep{Config: config},
		resource.TestStep{
			PreConfig: func() {
				v, err := r.client.GetAssignment(t.Context(), r.name)
				if err != nil {
					t.Fatal(err)
				}
				v.Definition.DriftCheck.MaxAge, v.Definition.Description = gaea.DefaultMaxAge, "changed by hand"
				if _, err := r.client.PutAssignment(t.Context(), gaea.AssignmentInput{Assignment: v.Definition}); err != nil {
					t.Fatal(err)
				}
			},
			Config:           config,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{planned(it, plancheck.ResourceActionUpdate)}},
			PostApplyFunc: func() {
				v, err := r.client.GetAssignment(t.Context(), r.name)
				if err != nil || v.Definition.Description != "" {
					t.Errorf("jobd still has %+v (%v)", v, err)
				}
			},
		},
	)
}

func TestAccEachResourceIsImportedByItsName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, motd)
	config := fmt.Sprintf(`
resource "gaea_target_group" "it" {
  name        = %[1]q
  description = "one web server"
  match       = "web1"
  match_type  = "glob"
}

resource "gaea_target_group" "listed" {
  name    = "%[1]s-listed"
  minions = ["web2", "web1"]
}

resource "gaea_job_template" "it" {
  name        = %[1]q
  description = "a function with everything"
  function    = "test.arg"
  args        = ["one", "2"]
  kwargs      = jsonencode({ three = [3, { four = true }] })
  batch       = { size = "10%%" }
  timeouts    = { job = "1h30m", gather = "7s" }
}

resource "gaea_state_assignment" "it" {
  name           = %[1]q
  description    = "the message of the day"
  target_group   = gaea_target_group.it.ref
  job_template   = gaea_job_template.it.ref
  states         = [%[2]q]
  saltenv        = "base"
  pillar         = jsonencode({ a = [1, 2.5, "x"], b = { c = null } })
  on_unreachable = "warn"
  drift_check    = { mode = "archive", max_age = "2h", interval = "30m", detail = "names", ignore = ["cmd.run:*"] }
}
`, r.name, sls)
	verify := func(address string, ignore ...string) resource.TestStep {
		return resource.TestStep{ResourceName: address, ImportState: true, ImportStateVerify: true, ImportStateVerifyIgnore: ignore}
	}
	r.steps(t,
		resource.TestStep{Config: config},
		verify(group),
		verify("gaea_target_group.listed"),
		verify(template),
		// What an apply of Terraform's made is nobody else's to tell.
		verify(it, "last_run_id", "status"),
	)
}

func TestAccAnImportedAssignmentHasAnEmptyPlan(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	config := r.assignment("", "web1")
	r.newTerraform(t, "apply", config).apply(t)
	f := r.newTerraform(t, "apply", config)
	f.must(t, 0, "import", group, r.name)
	f.must(t, 0, "import", it, r.name)
	wants(t, f.plan(t, planEmpty), "No changes.")
}

func TestAccADestroyTouchesNoMinionAndKeepsHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment("", "web1"))
	f.apply(t)
	run := f.text(t, it, "last_run_id")
	f.must(t, 0, "destroy", "-auto-approve")

	if got := r.content(t, "web1", "motd"); got != "hello from gaea\n" {
		t.Errorf("web1 has %q", got)
	}
	if _, err := r.client.GetAssignment(t.Context(), r.name); gaea.CodeOf(err) != gaea.CodeNotFound {
		t.Errorf("the definition is still there: %v", err)
	}
	versions, err := r.client.AssignmentVersions(t.Context(), r.name)
	if err != nil || len(versions) == 0 || !versions[0].Deleted {
		t.Errorf("the history is %+v (%v)", versions, err)
	}
	if got := r.run(t, run); got.Status != gaea.RunSucceeded {
		t.Errorf("the run is %+v", got)
	}
}

func TestAccACreateTakesOverADefinitionThatItsOwnerHasAlready(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, motd)
	g, err := r.client.PutTargetGroup(t.Context(), gaea.TargetGroup{Name: r.name, Target: gaea.ListTarget([]string{"web1"})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.PutAssignment(t.Context(), gaea.AssignmentInput{
		Assignment: gaea.Assignment{Name: r.name, Description: "by hand", TargetGroup: g.Ref, States: []string{sls}, Remediate: true},
	}); err != nil {
		t.Fatal(err)
	}
	f := r.newTerraform(t, "apply", r.assignment("", "web1"))
	wants(t, f.apply(t), "2 added, 0 changed, 0 destroyed")
	f.plan(t, planEmpty)

	// Another's is not taken over.
	other := r.newTerraform(t, "admin", r.assignment("", "web2"))
	wants(t, other.must(t, 1, "apply", "-auto-approve"), "Error: Cannot store the target group "+r.name, `"apply"`)
	if got, err := r.client.GetTargetGroup(t.Context(), r.name); err != nil || got.Ref != g.Ref {
		t.Errorf("the group is %+v (%v)", got, err)
	}
}
