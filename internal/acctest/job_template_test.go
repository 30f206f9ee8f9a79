package acctest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// templated is an assignment of the test's own states with a job template of the given attributes.
func (r *rig) templated(template string, minions ...string) string {
	return fmt.Sprintf("resource \"gaea_job_template\" \"it\" {\n  name = %q\n  %s\n}\n", r.name, template) +
		r.assignment("job_template = gaea_job_template.it.ref", minions...)
}

// shell is an action's function with a shell command in the test's directory on each minion.
func (r *rig) shell(command string) string {
	return fmt.Sprintf(`function = "cmd.run", args = ["mkdir -p {{ grains.lab_root }}/%[1]s; cd {{ grains.lab_root }}/%[1]s; %[2]s"], `+
		`kwargs = jsonencode({ python_shell = true, template = "jinja" })`, r.name, command)
}

// callee is a server on loopback that notes what it is asked for.
type callee struct {
	url string

	mu    sync.Mutex
	calls []string
}

func newCallee(t *testing.T) *callee {
	t.Helper()
	c := &callee{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.calls = append(c.calls, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", req.Method, req.URL.Path, req.Header.Get("X-Of"), body)))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"drained": true}`)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *callee) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

func TestAccACanaryThatFailsHaltsTheRunAndTheRestIsSkipped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	pager := newCallee(t)
	r.sls(t, motd+`
{% if grains.id == 'db1' %}
disk:
  cmd.run:
    - name: test -e {{ dir }}/disk || { echo no disk is there >&2; exit 3; }; touch {{ dir }}/full
    - creates: {{ dir }}/full
{% endif %}
`)
	f := r.newTerraform(t, "apply", r.templated(fmt.Sprintf(`
  batch        = { size = 1, canary = 1 }
  post_actions = [
    { name = "page", when = "failure", http = { url = "%[1]s/page", method = "POST" } },
    { name = "rejoice", http = { url = "%[1]s/rejoice" } },
  ]`, pager.url), "db1", "web1", "web2"))
	out := f.must(t, 1, "apply", "-auto-approve")
	run := f.text(t, it, "last_run_id")
	wants(t, out, "Error: The states of "+r.name+" were not applied everywhere", "The run "+run+" was halted", "It failed on 1 of 3 minions:",
		"db1:", "no disk is there", "2 of 3 minions were skipped, and nothing was done there: web1, web2.", "jobd retry "+run)
	ended := r.run(t, run)
	if ended.Status != gaea.RunHalted || ended.Counts[gaea.OutcomeSkipped] != 2 || ended.Minions["db1"].Outcome != gaea.OutcomeFailed {
		t.Errorf("the run ended as %s, %v", ended.Status, ended.Minions)
	}
	if r.exists("web1", "motd") || r.exists("web2", "motd") {
		t.Error("a minion that was skipped was touched")
	}
	if got := pager.asked(); !slices.Equal(got, []string{"POST /page"}) {
		t.Errorf("after the failure jobd asked for %q", got)
	}
	if got := f.attributes(t, it); got["status"] != "halted" || len(f.driftIn(t, it)) != 3 {
		t.Errorf("the state is %v", got)
	}

	r.write(t, "db1", "disk", "")
	f.must(t, 0, "untaint", it)
	wants(t, f.plan(t, planChanges), `- "db1" =`, `- "web1" =`, `- "web2" =`)
	f.apply(t)
	f.plan(t, planEmpty)
	f.plan(t, planEmpty, "-refresh-only")
	if got := pager.asked(); !slices.Equal(got, []string{"POST /page", "GET /rejoice"}) {
		t.Errorf("in the end jobd asked for %q", got)
	}
}

func TestAccActionsAreDoneBeforeAndAfterTheStates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	balancer := newCallee(t)
	r.sls(t, `
app:
  cmd.run:
    - name: test -e {{ dir }}/stopped && touch {{ dir }}/app
    - creates: {{ dir }}/app
`)
	f := r.newTerraform(t, "apply", r.templated(fmt.Sprintf(`
  pre_actions = [
    { name = "drain", http = { url = "%[1]s/drain", method = "POST", headers = { "X-Of" = %[2]q }, body = "all" }, expect = "ret.json.drained" },
    { name = "stop", %[3]s },
    { name = "known", runner = "manage.versions", expect = "size(ret) > 0" },
  ]
  post_actions = [
    { name = "start", %[4]s },
    { name = "health", %[5]s, expect = "int(ret) >= 3", retries = 5, interval = "1s" },
    { name = "never", when = "failure", %[6]s },
  ]`, balancer.url, r.name, r.shell("touch stopped"), r.shell("test -e app && touch started"), r.shell("echo try >> tries; wc -l < tries"),
		r.shell("touch failed")), "web1", "web2"))
	f.apply(t)
	for _, minion := range []string{"web1", "web2"} {
		if !r.exists(minion, "app") || !r.exists(minion, "started") || r.exists(minion, "failed") {
			t.Errorf("%s: app %t, started %t, failed %t", minion, r.exists(minion, "app"), r.exists(minion, "started"), r.exists(minion, "failed"))
		}
		if got := strings.Count(r.content(t, minion, "tries"), "try"); got != 3 {
			t.Errorf("%s was looked at %d times", minion, got)
		}
	}
	if got := balancer.asked(); !slices.Equal(got, []string{"POST /drain " + r.name + " all"}) {
		t.Errorf("jobd asked the balancer for %q", got)
	}
	run := r.run(t, f.text(t, it, "last_run_id"))
	var actions []string
	for _, a := range run.Actions {
		actions = append(actions, fmt.Sprintf("%s %s %s", a.Phase, a.Name, a.Status))
		if a.Name == "health" && (a.Attempts != 3 || len(a.Runs) != 3) {
			t.Errorf("the health check is %+v", a)
		}
	}
	if want := []string{
		"pre drain succeeded", "pre stop succeeded", "pre known succeeded", "post start succeeded", "post health succeeded", "post never skipped",
	}; !slices.Equal(actions, want) {
		t.Errorf("the run's actions are %q", actions)
	}
	f.plan(t, planEmpty)
	f.plan(t, planEmpty, "-refresh-only")
}

func TestAccAnActionThatFailsIsAnErrorAndTheStateTellsTheTruth(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.templated(`post_actions = [{ name = "health", function = "test.echo", args = ["ill"], expect = "ret == 'well'", retries = 1, interval = "1s" }]`, "web1"))
	out := f.must(t, 1, "apply", "-auto-approve")
	wants(t, out, "Error: The run for "+r.name+" did not succeed", "health")
	if got := r.content(t, "web1", "motd"); got != "hello from gaea\n" {
		t.Errorf("web1 has %q", got)
	}
	if len(f.driftIn(t, it)) != 0 || f.text(t, it, "status") != "failed" {
		t.Errorf("the state is %v", f.attributes(t, it))
	}
	f.must(t, 0, "untaint", it)
	f.plan(t, planEmpty)
}

func TestAccAPreActionThatFailsTouchesNoMinion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.templated(`pre_actions = [{ name = "drain", function = "cmd.run", args = ["exit 3"], on_failure = "abort" }]`, "web1"))
	out := f.must(t, 1, "apply", "-auto-approve")
	wants(t, out, "Error: The states of "+r.name+" were not applied everywhere", "drain", "web1:")
	if r.exists("web1", "motd") {
		t.Error("the states ran")
	}
	if len(f.driftIn(t, it)["web1"]) != 1 || f.text(t, it, "status") != "failed" {
		t.Errorf("the state is %v", f.attributes(t, it))
	}
}

func TestAccAnApplyWaitsForWhoResumesAPausedRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.templated(`batch = { canary = 1, canary_hold = "manual" }`, "web1", "web2"))
	f.setenv("TF_LOG_PROVIDER", "WARN")
	apply := f.background(t, "apply", "-auto-approve")
	var run string
	eventually(t, "the run is paused after the canary", func() bool {
		runs := r.runs(t, gaea.RunEnforce)
		if len(runs) == 0 || runs[0].Status != gaea.RunPaused {
			return false
		}
		run = runs[0].ID
		return true
	})
	if !r.exists("web1", "motd") || r.exists("web2", "motd") {
		t.Error("the canary is web1 alone")
	}
	if _, err := r.client.ResumeRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	code, out := apply.wait(t)
	if code != 0 {
		t.Errorf("the apply ended with %d", code)
	}
	wants(t, out, "the run is paused: the canary has ended well, and canary_hold is manual; `jobd resume "+run+"` lets it go on")
	if got := r.content(t, "web2", "motd"); got != "hello from gaea\n" {
		t.Errorf("web2 has %q", got)
	}
}

func TestAccATemplateWithEverythingIsImportedAsItWas(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := fmt.Sprintf(`
resource "gaea_target_group" "it" {
  name  = %[1]q
  match = "db1"
}

resource "gaea_job_template" "it" {
  name        = %[1]q
  batch       = { size = 2, mode = "stepped", wait = "1m", canary = "5%%", canary_hold = "manual", max_failures = "5%%", min_sample = 20, order = "random" }
  timeouts    = { job = "2h", slice = "10m", gather = "7s" }
  concurrency = { lock = "deploy", policy = "refuse" }
  pre_actions = [
    { name = "drain", http = { url = "https://lb/drain", method = "POST", headers = { Authorization = "Bearer hunter2" }, body = "{}" }, retries = 3, interval = "2s", timeout = "30s" },
    { name = "known", runner = "cache.grains", args = ["*"], kwargs = jsonencode({ tgt_type = "glob" }), expect = "size(ret) > 0" },
  ]
  post_actions = [
    { name = "health", function = "http.query", args = ["http://localhost/healthz"], scope = "slice", when = "success", expect = "ret.status == 200", on_failure = "abort" },
    { name = "tell", function = "cmd.run", target_group = gaea_target_group.it.ref, kwargs = jsonencode({ cmd = "tell", python_shell = false }), when = "always", on_failure = "continue" },
  ]
}
`, r.name)
	f := r.newTerraform(t, "apply", config)
	wantsNot(t, f.apply(t), "hunter2")
	f.plan(t, planEmpty)
	f.plan(t, planEmpty, "-refresh-only")
	ref := f.text(t, template, "ref")

	imported := r.newTerraform(t, "apply", config)
	imported.must(t, 0, "import", group, r.name)
	imported.must(t, 0, "import", template, r.name)
	wants(t, imported.plan(t, planEmpty), "No changes.")
	if got := imported.text(t, template, "ref"); got != ref {
		t.Errorf("imported is %s and not %s", got, ref)
	}
}

func TestAccAWrongExpectationIsRefusedByThePlanWithItsPosition(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.newTerraform(t, "plan", fmt.Sprintf(`
resource "gaea_job_template" "it" {
  name         = %q
  post_actions = [{ name = "health", function = "test.ping", expect = "ret = 3" }]
}
`, r.name))
	wants(t, f.plan(t, planFails), "Invalid post_actions[0].expect", "line 1, column 5")
}
