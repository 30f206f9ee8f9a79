package acctest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAccThePlanIsEmptyAfterAnApply(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, strings.ReplaceAll(motd, "hello from gaea", "{{ pillar['motd'] }}"))
	config := fmt.Sprintf(`
resource "gaea_target_group" "it" {
  name        = %[1]q
  description = "every web server"
  match       = "G@role:web"
}

resource "gaea_job_template" "it" {
  name     = %[1]q
  batch    = { size = "50%%" }
  timeouts = { job = "5m", gather = "10s" }
}

resource "gaea_state_assignment" "it" {
  name         = %[1]q
  target_group = gaea_target_group.it.ref
  job_template = gaea_job_template.it.ref
  states       = [%[2]q]
  pillar       = jsonencode({ motd = "hello" })
  drift_check  = { max_age = "60m", detail = "diff", ignore = ["cmd.run:*"] }
}
`, r.name, sls)
	r.steps(t,
		resource.TestStep{
			Config: config,
			ConfigPlanChecks: resource.ConfigPlanChecks{
				PreApply: []plancheck.PlanCheck{planned(it, plancheck.ResourceActionCreate)},
				// plugin-testing itself wants both plans to be empty; said here because it is the point.
				PostApplyPreRefresh:  []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
				PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
			},
			ConfigStateChecks: []statecheck.StateCheck{
				noDrift(it), count(it, "minions", "2"), count(it, "in_sync", "2"), text(it, "status", "succeeded"),
				statecheck.ExpectKnownValue(it, tfjsonpath.New("unsettled"), knownvalue.ListExact(nil)),
				statecheck.ExpectKnownValue(it, tfjsonpath.New("unreachable"), knownvalue.ListExact(nil)),
			},
			PostApplyFunc: func() {
				for _, minion := range []string{"web1", "web2"} {
					if got := r.content(t, minion, "motd"); got != "hello\n" {
						t.Errorf("%s has %q", minion, got)
					}
				}
			},
		},
		resource.TestStep{Config: config, PlanOnly: true},
	)
}

func TestAccATemplatesBatchRunsTheMinionsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	template := fmt.Sprintf("resource \"gaea_job_template\" \"it\" {\n  name = %q\n  batch = { size = \"1\" }\n}\n", r.name)
	f := r.newTerraform(t, "apply", template+r.assignment("job_template = gaea_job_template.it.ref", "web1", "web2"))
	f.apply(t)
	run := r.run(t, f.text(t, it, "last_run_id"))
	if len(run.Slices) != 2 || len(run.Slices[0].Minions) != 1 || len(run.Slices[1].Minions) != 1 {
		t.Fatalf("two minions in slices of one gave %+v", run.Slices)
	}
	if first, second := run.Slices[0], run.Slices[1]; second.Started.Before(first.Ended) {
		t.Errorf("the second slice started at %s, before the first ended at %s", second.Started, first.Ended)
	}
}

func TestAccAFileThatWasChangedIsPlannedAndRepairedOnItsMinionAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	config := r.assignment("", "web1", "web2")
	first := statecheck.CompareValue(compare.ValuesDiffer())
	r.steps(t,
		resource.TestStep{Config: config, ConfigStateChecks: []statecheck.StateCheck{first.AddStateValue(it, tfjsonpath.New("last_run_id"))}},
		resource.TestStep{
			PreConfig: func() {
				r.write(t, "web1", "motd", "tampered\n")
				r.check(t)
			},
			Config: config,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				planned(group, plancheck.ResourceActionNoop),
				planned(it, plancheck.ResourceActionUpdate),
				refreshed{it, func(d driftOf) error {
					return d.only("web1", "file.managed motd", "@@ -1 +1 @@\n-tampered\n+hello from gaea\n")
				}},
				plancheck.ExpectKnownValue(it, tfjsonpath.New("drift"), knownvalue.MapExact(map[string]knownvalue.Check{})),
				plancheck.ExpectUnknownValue(it, tfjsonpath.New("last_run_id")),
				plancheck.ExpectUnknownValue(it, tfjsonpath.New("status")),
			}},
			ConfigStateChecks: []statecheck.StateCheck{
				noDrift(it), count(it, "in_sync", "2"), text(it, "status", "succeeded"),
				first.AddStateValue(it, tfjsonpath.New("last_run_id")),
			},
		},
	)
	if got := r.content(t, "web1", "motd"); got != "hello from gaea\n" {
		t.Errorf("web1 has %q", got)
	}
	repair := r.run(t, r.runs(t, gaea.RunEnforce)[0].ID)
	if _, ran := repair.Minions["web1"]; !ran || len(repair.Minions) != 1 {
		t.Errorf("only web1 had drifted, and the run had %v", repair.Minions)
	}
}

// TestAccDrift shows what a user of the command line sees from an apply over a change on a minion to the repair.
func TestAccDrift(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment("", "web1", "web2"))
	f.apply(t)

	emptyTwice := func(t *testing.T) {
		for range 2 {
			wants(t, f.plan(t, planEmpty), "No changes. Your infrastructure matches the configuration.")
			f.plan(t, planEmpty, "-refresh-only")
		}
	}
	t.Run("NoneEndsPlansWithZeroTwiceInARow", emptyTwice)

	r.write(t, "web1", "motd", "tampered\n")
	r.check(t)
	before := f.text(t, it, "last_run_id")
	t.Run("IsPrintedAsAUnifiedDiffOnItsWayOut", func(t *testing.T) {
		wants(t, f.plan(t, planChanges), "# gaea_state_assignment.it will be updated in-place", `
      ~ drift         = {
          - "web1" = {
              - "file.managed motd" = <<-EOT
                    ---
                    +++
                    @@ -1 +1 @@
                    -tampered
                    +hello from gaea
                EOT
            } -> null
        }`, `~ last_run_id = "`+before+`" -> (known after apply)`, "Plan: 0 to add, 1 to change, 0 to destroy.")
	})
	t.Run("IsShownByRefreshOnly", func(t *testing.T) {
		wants(t, f.plan(t, planChanges, "-refresh-only"), `
          + "web1" = {
              + "file.managed motd" = <<-EOT
                    ---
                    +++
                    @@ -1 +1 @@
                    -tampered
                    +hello from gaea
                EOT
            }`, "This is a refresh-only plan")
	})
	t.Run("IsRepairedByAnApply", func(t *testing.T) {
		wants(t, f.apply(t), "Apply complete! Resources: 0 added, 1 changed, 0 destroyed.")
		if got := r.content(t, "web1", "motd"); got != "hello from gaea\n" {
			t.Errorf("web1 has %q", got)
		}
	})
	t.Run("RepairedEndsPlansWithZeroTwiceInARow", emptyTwice)
	t.Run("OfASLSThatWasEditedIsSeenAtTheNextCheck", func(t *testing.T) {
		r.sls(t, strings.ReplaceAll(motd, "hello from gaea", "hello again"))
		f.plan(t, planEmpty)
		r.check(t)
		out := f.plan(t, planChanges)
		wants(t, out, `- "web1" =`, `- "web2" =`, "-hello from gaea", "+hello again")
	})
}

func TestAccAnAssignmentThatDoesNotRemediateReportsAndNeverApplies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	report, repair := r.assignment("remediate = false", "web1"), r.assignment("remediate = true", "web1")
	wouldCreate := func(d driftOf) error { return d.only("web1", "file.managed motd", "would create") }
	untouched := func() {
		if r.exists("web1", "motd") {
			t.Error("the minion was touched")
		}
		if runs := r.runs(t, gaea.RunEnforce); len(runs) > 0 {
			t.Errorf("there are enforcing runs: %+v", runs)
		}
	}
	r.steps(t,
		resource.TestStep{
			Config: report, PostApplyFunc: untouched,
			ConfigStateChecks: []statecheck.StateCheck{
				count(it, "drifted", "1"),
				statecheck.ExpectKnownValue(it, tfjsonpath.New("last_run_id"), knownvalue.Null()),
				statecheck.ExpectKnownValue(it, tfjsonpath.New("drift").AtMapKey("web1").AtMapKey("file.managed motd"),
					knownvalue.StringFunc(func(s string) error {
						return driftOf{"web1": {"file.managed motd": s}}.only("web1", "file.managed motd", "would create")
					})),
			},
		},
		resource.TestStep{
			Config: report, PostApplyFunc: untouched,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan(), refreshed{it, wouldCreate}}},
		},
		resource.TestStep{
			Config: repair,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				planned(it, plancheck.ResourceActionUpdate), refreshed{it, wouldCreate},
			}},
			ConfigStateChecks: []statecheck.StateCheck{noDrift(it), text(it, "status", "succeeded")},
			PostApplyFunc: func() {
				if !r.exists("web1", "motd") {
					t.Error("remediate = true did not apply")
				}
			},
		},
		resource.TestStep{
			// Back to reporting: drift is shown by a refresh and planned by nothing.
			Config: report,
		},
		resource.TestStep{
			PreConfig: func() {
				r.write(t, "web1", "motd", "tampered\n")
				r.check(t)
			},
			Config: report,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectEmptyPlan(),
				refreshed{it, func(d driftOf) error { return d.only("web1", "file.managed motd", "-tampered", "+hello from gaea") }},
			}},
			PostApplyFunc: func() {
				if got := r.content(t, "web1", "motd"); got != "tampered\n" {
					t.Errorf("web1 was repaired: %q", got)
				}
			},
		},
	)
}

func TestAccOddStateIDsComeThroughWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ids := []string{`a_|-b_|-c`, `say "hi" it's \ back`, `<b>bold</b> & <script>`, `${var.x} %{ if true }`, `größe 名前 🙂`}
	var sls strings.Builder
	for i, id := range ids {
		fmt.Fprintf(&sls, "'%s':\n  file.managed:\n    - name: {{ dir }}/%d\n    - makedirs: True\n    - contents: 'ok %s'\n",
			strings.ReplaceAll(id, "'", "''"), i, strings.ReplaceAll(id, "'", "''"))
	}
	r.sls(t, sls.String())
	config := r.assignment("", "db1")
	r.steps(t,
		resource.TestStep{Config: config},
		resource.TestStep{
			PreConfig: func() {
				for i := range ids {
					r.write(t, "db1", fmt.Sprint(i), "tampered\n")
				}
				r.check(t)
			},
			Config: config,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				planned(it, plancheck.ResourceActionUpdate),
				refreshed{it, func(d driftOf) error {
					for _, id := range ids {
						if err := (driftOf{"db1": {id: d["db1"]["file.managed "+id]}}).only("db1", id, "-tampered\n+ok "+id+"\n"); err != nil {
							return err
						}
					}
					if len(d["db1"]) != len(ids) {
						return fmt.Errorf("%d states drifted, and the plan has %v", len(ids), d)
					}
					return nil
				}},
			}},
			ConfigStateChecks: []statecheck.StateCheck{noDrift(it)},
		},
	)
}

// This test keeps the minions busy, so it does not run in parallel with others.
func TestAccTwentyAssignmentsOnTheSameMinionsAreAppliedAtOnce(t *testing.T) {
	r := newRig(t)
	sls := r.sls(t, `
part:
  file.managed:
    - name: {{ dir }}/{{ pillar['part'] }}
    - makedirs: True
    - contents: part {{ pillar['part'] }}
`)
	f := r.newTerraform(t, "apply", r.group("web1", "web2")+fmt.Sprintf(`
resource "gaea_state_assignment" "it" {
  count        = 20
  name         = "%s-${count.index}"
  target_group = gaea_target_group.it.ref
  states       = [%q]
  pillar       = jsonencode({ part = count.index })
}
`, r.name, sls))
	wants(t, f.must(t, 0, "apply", "-auto-approve", "-parallelism=20"), "Apply complete! Resources: 21 added, 0 changed, 0 destroyed.")
	for i := range 20 {
		for _, minion := range []string{"web1", "web2"} {
			if got, want := r.content(t, minion, fmt.Sprint(i)), fmt.Sprintf("part %d\n", i); got != want {
				t.Errorf("%s has %q, not %q", minion, got, want)
			}
		}
	}
	f.plan(t, planEmpty)
}
