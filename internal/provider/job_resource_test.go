package provider_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

const (
	migrate = `
resource "gaea_job" "migrate" {
  name     = "migrate"
  target   = { minions = ["db1"] }
  function = "cmd.run"
  args     = ["migrate"]
  triggers = { schema = "1" }
}
`
	migrateAddress = "gaea_job.migrate"
	migrateCall    = "run cmd.run [migrate] on [db1]"
	undoCall       = "run cmd.run [undo] on [db1]"
	undo           = `on_destroy = { function = "cmd.run", args = ["undo"] }`
)

// job is [migrate] with its triggers replaced, and other arguments added.
func job(schema string, arguments ...string) string {
	return strings.Replace(migrate, `triggers = { schema = "1" }`, fmt.Sprintf("triggers = { schema = %q }\n%s", schema, strings.Join(arguments, "\n")), 1)
}

// lost has every wait end with its time, while the runs go on, until found.
func lost(f *fakeJobd) {
	f.do(func() {
		f.wait = func(ctx context.Context, r *gaea.Run) (*gaea.Run, error) {
			if r.Complete() {
				return r, nil
			}
			<-ctx.Done()
			return r, gaea.Wrap(ctx.Err(), gaea.CodeTimeout, "the time ran out")
		}
	})
}

func found(f *fakeJobd) { f.do(func() { f.wait = nil }) }

func breaks(f *fakeJobd, minion, says string) {
	f.do(func() {
		delete(f.world[minion].broken, "")
		if says != "" {
			f.world[minion].broken[""] = says
		}
	})
}

func mustApply(t *testing.T, tf *terraform, args ...string) string {
	t.Helper()
	ok, out := tf.apply(args...)
	if !ok {
		t.Fatal(out)
	}
	return out
}

func mustFail(t *testing.T, tf *terraform, args ...string) string {
	t.Helper()
	ok, out := tf.apply(args...)
	if ok {
		t.Fatal("the apply was successful:\n" + out)
	}
	return out
}

func wantPlan(t *testing.T, tf *terraform, want int, args ...string) string {
	t.Helper()
	code, out := tf.plan(args...)
	if code != want {
		t.Errorf("terraform plan %v: exit %d, want %d\n%s", args, code, want, out)
	}
	return out
}

// wantState compares attributes of the job in the state.
func wantState(t *testing.T, tf *terraform, tainted bool, want map[string]any) {
	t.Helper()
	s, isTainted := tf.state(migrateAddress)
	if isTainted != tainted {
		t.Errorf("tainted is %t", isTainted)
	}
	for name, value := range want {
		if fmt.Sprint(s[name]) != fmt.Sprint(value) {
			t.Errorf("%s is %v, not %v", name, s[name], value)
		}
	}
}

func TestAJobIsRunOnceAndThenPlansAreEmpty(t *testing.T) {
	f := newFakeJobd("db1", "web1")
	f.world["db1"].returns = `{"tables": 3}`
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(migrate + "\noutput \"tables\" {\n  value = jsondecode(gaea_job.migrate.results[\"db1\"]).tables\n}\n")
	wantText(t, mustApply(t, tf), "tables = 3")
	for range 2 {
		wantPlan(t, tf, 0)
		wantPlan(t, tf, 0, "-refresh-only")
	}
	wantCalls(t, f, migrateCall)
	wantState(t, tf, false, map[string]any{
		"run_id": "run-1", "status": "succeeded", "done": true, "outcomes": map[string]any{"succeeded": "1"}, "results": map[string]any{"db1": `{"tables": 3}`},
	})
}

func TestAJobIsRunAgainWhenATriggerOrWhatIsRunChanges(t *testing.T) {
	for name, c := range map[string]struct{ config, call string }{
		"trigger":  {job("2"), migrateCall},
		"args":     {strings.Replace(migrate, `["migrate"]`, `["other"]`, 1), "run cmd.run [other] on [db1]"},
		"function": {strings.Replace(migrate, `"cmd.run"`, `"cmd.shell"`, 1), "run cmd.shell [migrate] on [db1]"},
		"kwargs":   {job("1", `kwargs = jsonencode({ cwd = "/" })`), migrateCall},
		"target":   {strings.Replace(migrate, `["db1"]`, `["db1", "web1"]`, 1), "run cmd.run [migrate] on [db1 web1]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeJobd("db1", "web1")
			tf := applied(t, f, job("1", undo))
			tf.write(strings.Replace(c.config, "triggers", undo+"\n  triggers", 1))
			wantText(t, wantPlan(t, tf, 2), "updated in-place", `run_id = "run-1" -> (known after apply)`)
			mustApply(t, tf)
			wantCalls(t, f, c.call)
			wantPlan(t, tf, 0)
			wantState(t, tf, false, map[string]any{"run_id": "run-2", "status": "succeeded"})
		})
	}
}

func TestAJobRunsATemplateOnAGroupAndAgainWhenTheyChange(t *testing.T) {
	config := func(size, match string) string {
		return fmt.Sprintf(`
resource "gaea_target_group" "db" {
  name  = "db"
  match = %q
}
resource "gaea_job_template" "clean" {
  name     = "clean"
  function = "pkg.autoremove"
  batch    = { size = %q }
}
resource "gaea_job" "migrate" {
  name         = "migrate"
  target_group = gaea_target_group.db.ref
  job_template = gaea_job_template.clean.ref
}
`, match, size)
	}
	f := newFakeJobd("db1")
	tf := newTerraform(t, provider.WithBackend(f))
	for _, c := range []string{config("1", "db*"), config("2", "db*"), config("2", "*")} {
		tf.write(c)
		mustApply(t, tf)
		wantCalls(t, f, "run pkg.autoremove [] on [db1]")
		wantPlan(t, tf, 0)
	}
}

func TestWhatDoesNotChangeWhatIsRunRunsNothing(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, migrate)
	for _, config := range []string{
		strings.Replace(migrate, `"migrate"`+"\n", `"other"`+"\n", 1),
		job("1", `on_interrupt = "cancel"`), job("1", `timeouts = { create = "1m", delete = "2m" }`), job("1", "wait = false"), migrate, job("1", undo),
	} {
		tf.write(config)
		wantText(t, mustApply(t, tf), "1 changed")
		wantPlan(t, tf, 0)
		wantState(t, tf, false, map[string]any{"run_id": "run-1", "status": "succeeded"})
	}
	wantCalls(t, f)
}

func TestAJobWhoseCreationFailsIsRunAgainByTheNextApplyWithoutOnDestroy(t *testing.T) {
	f := newFakeJobd("db1")
	breaks(f, "db1", "no such table")
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(job("1", undo))
	for n := range 2 {
		out := mustFail(t, tf)
		wantText(t, out, "Error: The job migrate did not succeed everywhere", "failed on 1 of 1 minion:", "db1: no such table",
			"The next apply runs the job once more", "Warning: The next plan speaks of a replacement")
		wantState(t, tf, true, map[string]any{"run_id": fmt.Sprint("run-", n+1), "status": "failed", "done": false, "outcomes": map[string]any{"failed": "1"}})
	}
	breaks(f, "db1", "")
	wantPlan(t, tf, 2)
	mustApply(t, tf)
	wantPlan(t, tf, 0)
	wantState(t, tf, false, map[string]any{"run_id": "run-3", "status": "succeeded", "done": true})
	wantCalls(t, f, migrateCall, migrateCall, migrateCall)
}

func TestAReplacementThatIsCreatedFirstRunsAFailedJobAgainToo(t *testing.T) {
	f := newFakeJobd("db1")
	breaks(f, "db1", "no such table")
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(job("1", undo, "lifecycle {\n  create_before_destroy = true\n}"))
	mustFail(t, tf)
	breaks(f, "db1", "")
	mustApply(t, tf)
	wantPlan(t, tf, 0)
	wantState(t, tf, false, map[string]any{"run_id": "run-2", "status": "succeeded", "done": true})
	wantCalls(t, f, migrateCall, migrateCall)
}

func TestAJobWhoseCreationFailedIsRunAgainAfterUntaintToo(t *testing.T) {
	f := newFakeJobd("db1")
	breaks(f, "db1", "no such table")
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(job("1", undo))
	mustFail(t, tf)
	tf.must(0, "untaint", migrateAddress)
	breaks(f, "db1", "")
	wantText(t, wantPlan(t, tf, 2), "updated in-place", `status = "failed" -> (known after apply)`)
	mustApply(t, tf)
	wantState(t, tf, false, map[string]any{"run_id": "run-2", "status": "succeeded", "done": true})
	wantCalls(t, f, migrateCall, migrateCall)
}

func TestAChangedJobThatFailsIsPlannedUntilItSucceeds(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, job("1", undo))
	tf.write(job("2", undo))
	breaks(f, "db1", "no such table")
	wantText(t, mustFail(t, tf), "db1: no such table")
	wantState(t, tf, false, map[string]any{"run_id": "run-2", "status": "failed", "done": true})
	wantText(t, wantPlan(t, tf, 2), "updated in-place", `status = "failed" -> (known after apply)`)
	breaks(f, "db1", "")
	mustApply(t, tf)
	wantPlan(t, tf, 0)
	wantCalls(t, f, migrateCall, migrateCall)
}

func TestAJobThatIsDestroyedOrReplacedByForceRunsOnDestroyAndThenAnew(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, job("1", undo))
	mustApply(t, tf, "-replace="+migrateAddress)
	wantCalls(t, f, undoCall, migrateCall)
	mustApply(t, tf, "-destroy")
	mustApply(t, tf)
	wantCalls(t, f, undoCall, migrateCall)
	wantState(t, tf, false, map[string]any{"status": "succeeded"})
}

func TestWhatOnDestroyRunsMayBeATemplateOnOtherMinions(t *testing.T) {
	f := newFakeJobd("db1", "web1")
	tf := applied(t, f, `
resource "gaea_job_template" "undo" {
  name     = "undo"
  function = "pkg.remove"
}
`+job("1", `on_destroy = { job_template = gaea_job_template.undo.id, args = ["app"], target = { match = "*" } }`))
	mustApply(t, tf, "-destroy")
	wantCalls(t, f, "run pkg.remove [app] on [db1 web1]")
}

func TestAnOnDestroyThatFailsKeepsTheJobUntilItSucceeds(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, job("1", undo))
	breaks(f, "db1", "no such table")
	for range 2 {
		wantText(t, mustFail(t, tf, "-destroy"), "Error: on_destroy of the job migrate did not succeed", "db1: no such table", "Destroy again")
		wantState(t, tf, false, map[string]any{"run_id": "run-1", "status": "succeeded"})
	}
	breaks(f, "db1", "")
	mustApply(t, tf, "-destroy")
	wantCalls(t, f, undoCall, undoCall, undoCall)
}

func TestAnOnDestroyThatMayFailIsAWarning(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, job("1", `on_destroy = { function = "cmd.run", args = ["undo"], on_failure = "continue" }`))
	breaks(f, "db1", "no such table")
	wantText(t, mustApply(t, tf, "-destroy"), "Warning: on_destroy of the job migrate did not succeed", "db1: no such table")
	wantCalls(t, f, undoCall)
}

func TestAnOnDestroyThatWasCutOffIsJoined(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, job("1", undo, `timeouts = { delete = "50ms" }`))
	lost(f)
	wantText(t, mustFail(t, tf, "-destroy"), "Error: Stopped waiting for the run run-2", "The next destroy joins it")
	found(f)
	mustApply(t, tf, "-destroy")
	wantCalls(t, f, undoCall)
}

func TestAJobThatIsNotWaitedForTellsItsEndAtARefreshAndPlansNothing(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, job("1", "wait = false"))
	wantState(t, tf, false, map[string]any{"run_id": "run-1", "status": "running", "done": true})
	wantPlan(t, tf, 0)
	wantPlan(t, tf, 0, "-refresh-only")
	breaks(f, "db1", "no such table")
	f.finish("run-1")
	wantText(t, wantPlan(t, tf, 0), "Warning: The job migrate did not succeed everywhere", "db1: no such table")
	mustApply(t, tf)
	wantState(t, tf, false, map[string]any{"run_id": "run-1", "status": "failed", "outcomes": map[string]any{"failed": "1"}})
	wantPlan(t, tf, 0)
	wantPlan(t, tf, 0, "-refresh-only")
	wantCalls(t, f)
}

func TestResultsAreKeptOnlyWhereTheyAreWanted(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, job("1", "keep_results = false"))
	wantState(t, tf, false, map[string]any{"results": nil, "outcomes": map[string]any{"succeeded": "1"}})
	tf.write(migrate)
	mustApply(t, tf)
	wantState(t, tf, false, map[string]any{"results": map[string]any{"db1": `"done"`}})
	wantPlan(t, tf, 0)
	tf.write(job("1", "keep_results = false"))
	wantText(t, mustApply(t, tf), `- "db1"`)
	wantState(t, tf, false, map[string]any{"results": nil})
	wantPlan(t, tf, 0)
	wantCalls(t, f)
}

func TestResultsAreBounded(t *testing.T) {
	var minions []string
	for i := range 120 {
		minions = append(minions, fmt.Sprintf("m%03d", i))
	}
	f := newFakeJobd(minions...)
	f.world["m000"].returns = `"` + strings.Repeat("ä", 40_000) + `"`
	for _, m := range minions[1:] {
		f.world[m].returns = `"` + strings.Repeat("x", 50_000) + `"`
	}
	tf := applied(t, f, `
resource "gaea_job" "migrate" {
  name     = "migrate"
  target   = { match = "*" }
  function = "cmd.run"
}
output "first" {
  value = [for m in ["m000", "m099"] : strcontains(jsondecode(gaea_job.migrate.results[m]), "(cut)")]
}
`)
	s, _ := tf.state(migrateAddress)
	results, total := object(s["results"]), 0
	for _, r := range results {
		text, _ := r.(string)
		total += len(text)
	}
	if names := slices.Sorted(maps.Keys(results)); len(names) != 100 || names[99] != "m099" || total > 4<<20+100*16 {
		t.Errorf("%d results to %s, %d bytes", len(names), names[len(names)-1], total)
	}
	if got := object(s["outcomes"])["succeeded"]; got != "120" {
		t.Errorf("%v succeeded", got)
	}
	if out := tf.must(0, "output", "-json"); !strings.Contains(strings.Join(strings.Fields(out), ""), `"value":[true,true]`) {
		t.Error(out)
	}
	wantPlan(t, tf, 0)
}

func TestAJobThatJobdDoesNotTakeLeavesTheStateAsItWas(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, migrate)
	f.do(func() { f.createErr = gaea.Errorf(gaea.CodeEmptyTarget, "the target matches no minion") })
	tf.write(job("2"))
	wantText(t, mustFail(t, tf), "Error: Cannot run the job migrate", "the target matches no minion.")
	wantState(t, tf, false, map[string]any{"run_id": "run-1", "status": "succeeded", "triggers": map[string]any{"schema": "1"}})
	f.do(func() { f.createErr = nil })
	mustApply(t, tf)
	wantCalls(t, f, migrateCall)
}

func TestAJobWithWrongArgumentsNamesThem(t *testing.T) {
	const head = "resource \"gaea_job\" \"j\" {\n  name = \"j\"\n"
	for name, c := range map[string]struct{ arguments, says string }{
		"no target":          {`function = "test.ping"`, "Say where the job is run"},
		"two targets":        {"function = \"test.ping\"\ntarget_group = \"db\"\ntarget = { match = \"*\" }", "target and target_group exclude each other"},
		"an empty target":    {"function = \"test.ping\"\ntarget = {}", "exactly one of match and minions"},
		"no minions":         {"function = \"test.ping\"\ntarget = { minions = [] }", "Invalid target.minions"},
		"a wrong expression": {"function = \"test.ping\"\ntarget = { match = \"G@role:web and\" }", "target.match"},
		"a list to read":     {"function = \"test.ping\"\ntarget = { minions = [\"a\"], match_type = \"glob\" }", "leave match_type out"},
		"nothing to run":     {`target = { match = "*" }`, "Nothing to run"},
		"no function":        {"target = { match = \"*\" }\nfunction = \"ping\"", "ping"},
		"kwargs":             {"target = { match = \"*\" }\nfunction = \"test.ping\"\nkwargs = \"[]\"", "not a JSON object"},
		"a trigger":          {"target = { match = \"*\" }\nfunction = \"test.ping\"\ntriggers = { a = null }", "triggers"},
		"on_destroy":         {"target = { match = \"*\" }\nfunction = \"test.ping\"\non_destroy = { args = [\"a\"] }", "Nothing to run"},
		"on_interrupt":       {"target = { match = \"*\" }\nfunction = \"test.ping\"\non_interrupt = \"stop\"", `"detach"`},
		"a time":             {"target = { match = \"*\" }\nfunction = \"test.ping\"\ntimeouts = { create = \"-5m\" }", "timeouts.create"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tf := newTerraform(t, provider.WithBackend(newFakeJobd("db1")))
			tf.write(head + c.arguments + "\n}\n")
			code, out := tf.run("plan", "-no-color")
			if code != 1 {
				t.Errorf("it is planned:\n%s", out)
			}
			wantText(t, out, c.says)
		})
	}
}

func TestAJobIsNotImportedAndItIsSaidWhy(t *testing.T) {
	tf := newTerraform(t, provider.WithBackend(newFakeJobd("db1")))
	tf.write(migrate)
	code, out := tf.run("import", "-no-color", migrateAddress, "run-1")
	if code != 1 {
		t.Errorf("it was imported:\n%s", out)
	}
	wantText(t, out, "A gaea_job cannot be imported", "gaea_job_result")
}

func TestUnknownTriggersAreDecidedByTheApply(t *testing.T) {
	f := newFakeJobd("db1")
	config := func(input string) string {
		return fmt.Sprintf("resource \"terraform_data\" \"d\" {\n  input = %q\n}\n", input) +
			strings.Replace(migrate, `"1"`, "substr(terraform_data.d.output, 0, 1)", 1)
	}
	unitTest(t, f,
		resource.TestStep{Config: config("1a")},
		resource.TestStep{Config: config("1b"), Check: resource.TestCheckResourceAttr(migrateAddress, "run_id", "run-1")},
		resource.TestStep{Config: config("2"), Check: resource.TestCheckResourceAttr(migrateAddress, "run_id", "run-2")},
	)
}
