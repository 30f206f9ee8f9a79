package acctest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAccAStateThatFailsIsAnErrorAndTheStateTellsTheTruth(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd+`
{% if pillar.get('broken') == grains.id %}
disk:
  cmd.run:
    - name: echo no disk is there >&2; exit 3
# One of those of which test mode sees nothing.
unseen:
  test.configurable_test_state:
    - changes: False
    - result: False
    - comment: it did not work
{% endif %}
`)
	config := func(broken string) string {
		return r.assignment(fmt.Sprintf("pillar = jsonencode({ broken = %q })", broken), "web1", "web2")
	}
	f := r.newTerraform(t, "apply", config("none"))
	f.apply(t)
	good := f.text(t, it, "last_run_id")

	f.write(t, config("web2"))
	out := f.must(t, 1, "apply", "-auto-approve")
	wants(t, out, "Error: The states of "+r.name+" were not applied everywhere", "failed on 1 of 2 minions", "web2:", "no disk is there", "it did not work")
	if n := strings.Count(out, "Error:"); n != 1 {
		t.Errorf("one failure gave %d errors:\n%s", n, out)
	}
	state := f.attributes(t, it)
	if state["tainted"] == true {
		t.Error("an update that fails does not taint")
	}
	if state["last_run_id"] == good || state["status"] != "failed" {
		t.Errorf("the state has the run %v with the status %v", state["last_run_id"], state["status"])
	}
	drift := f.driftIn(t, it)
	if len(drift) != 1 || len(drift["web2"]) != 2 || !strings.Contains(drift["web2"]["cmd.run disk"], "no disk is there") ||
		!strings.Contains(drift["web2"]["test.configurable_test_state unseen"], "it did not work") {
		t.Errorf("the state has the drift %v", drift)
	}
	for range 2 {
		wants(t, f.plan(t, planChanges), "cmd.run disk", "test.configurable_test_state unseen")
	}

	f.write(t, config("none"))
	f.apply(t)
	f.plan(t, planEmpty)
}

func TestAccWhatSaltSaysOfStatesThatCannotRunIsQuoted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, sls, says string }{
		{"MissingSLS", "", "No matching sls found for"},
		{"BrokenJinja", "{% if %}\n", "Jinja syntax error"},
		{"BrokenYAML", "a: b: c\n", "mapping values are not allowed in this context"},
		{"UnknownState", "a:\n  nothing.managed: []\n", "State 'nothing.managed' was not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if c.sls != "" {
				r.sls(t, c.sls)
			}
			f := r.newTerraform(t, "apply", r.assignment("", "web1"))
			wants(t, f.must(t, 1, "apply", "-auto-approve"), "Error: The states of "+r.name+" were not applied", "web1:", c.says)
			drift := f.driftIn(t, it)
			if len(drift["web1"]) != 1 {
				t.Errorf("a state that could not run is not in sync, and the drift is %v", drift)
			}

			// The SLS is put right: the next check sees it, and nothing but an untaint is needed.
			r.sls(t, motd)
			f.must(t, 0, "untaint", it)
			r.check(t)
			wants(t, f.plan(t, planChanges), "will be updated in-place", "file.managed motd")
			f.apply(t)
			f.plan(t, planEmpty)
		})
	}
}

func TestAccAPlanQuotesWhatSaltSaysOfStatesThatBrokeSince(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment("", "web1"))
	f.apply(t)
	r.sls(t, "{% if %}\n")
	r.check(t)
	wants(t, f.plan(t, planChanges), "Warning: Salt cannot run the states of "+r.name, "Jinja syntax error", `- "web1" =`)
	r.sls(t, motd)
	r.check(t)
	f.plan(t, planEmpty)
}

func TestAccAFirstApplyThatFailsInPartIsRepairedAfterUntaint(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd+`
{% if grains.id == 'web2' %}
database:
  cmd.run:
    - name: test -e {{ dir }}/disk && touch {{ dir }}/database
    - creates: {{ dir }}/database
{% endif %}
`)
	f := r.newTerraform(t, "apply", r.assignment("", "web1", "web2"))
	wants(t, f.must(t, 1, "apply", "-auto-approve"), "were not applied everywhere", "web2:", "terraform untaint")
	state := f.attributes(t, it)
	if state["tainted"] != true || state["status"] != "failed" {
		t.Errorf("the state is %v", state)
	}
	if drift := f.driftIn(t, it); len(drift) != 1 || drift["web2"]["cmd.run database"] == "" {
		t.Errorf("the drift is %v", drift)
	}

	r.write(t, "web2", "disk", "")
	f.must(t, 0, "untaint", it)
	wants(t, f.plan(t, planChanges), "will be updated in-place", "cmd.run database", "0 to add, 1 to change, 0 to destroy")
	f.apply(t)
	if !r.exists("web2", "database") {
		t.Error("web2 was not repaired")
	}
	run := r.run(t, f.text(t, it, "last_run_id"))
	if _, ran := run.Minions["web2"]; !ran || len(run.Minions) != 1 {
		t.Errorf("only web2 was left, and the run had %v", run.Minions)
	}
	versions, err := r.client.AssignmentVersions(t.Context(), r.name)
	if err != nil || len(versions) != 1 {
		t.Errorf("untaint makes it an update of the one definition, and there are %+v (%v)", versions, err)
	}
	f.plan(t, planEmpty)
}

func TestAccAFirstApplyThatFailedCanBeAppliedAgainWithoutUntaint(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, "disk:\n  cmd.run:\n    - name: test -e {{ dir }}/disk && touch {{ dir }}/done\n    - creates: {{ dir }}/done\n")
	f := r.newTerraform(t, "apply", r.assignment("", "web1"))
	f.must(t, 1, "apply", "-auto-approve")
	r.write(t, "web1", "disk", "")
	wants(t, f.apply(t), "1 added, 0 changed, 1 destroyed")
	f.plan(t, planEmpty)
}

// An apply that is killed leaves a run that goes on; the next apply of the same joins it.
func TestAccAnApplyThatWasKilledIsJoinedByTheNext(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	r.sls(t, `
slow:
  cmd.run:
    - name: mkdir -p {{ dir }}; echo run >> {{ dir }}/started; while [ ! -e {{ dir }}/go ]; do sleep 0.1; done
    - creates: {{ dir }}/go
`)
	t.Cleanup(func() { r.write(t, "web2", "go", "") })
	f := r.newTerraform(t, "apply", r.assignment("", "web2"))
	enforcing := "/v1/assignments/" + r.name + "/enforce"
	asked := func(times int) func() bool {
		return func() bool { return strings.Count(r.jobd.Log(1000), enforcing) >= times }
	}
	first := f.background(t, "apply", "-auto-approve")
	eventually(t, "the states run", func() bool { return r.exists("web2", "started") })
	eventually(t, "jobd has logged the request", asked(1))
	first.kill()

	second := f.background(t, "apply", "-auto-approve")
	eventually(t, "the second apply has asked for the run", asked(2))
	r.write(t, "web2", "go", "")
	if code, out := second.wait(t); code != 0 {
		t.Errorf("the second apply ended with %d:\n%s", code, out)
	}
	runs := r.runs(t, gaea.RunEnforce)
	if len(runs) != 1 || runs[0].ID != f.text(t, it, "last_run_id") {
		t.Errorf("two applies of the same made %d runs: %+v", len(runs), runs)
	}
	if got := r.content(t, "web2", "started"); got != "run\n" {
		t.Errorf("the states were run more than once: %q", got)
	}
	f.plan(t, planEmpty)
}

func TestAccAnApplyThatWaitsNoLongerLeavesTheRunForTheNextToSee(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	r.sls(t, motd+`
slow:
  cmd.run:
    - name: echo run >> {{ dir }}/started; while [ ! -e {{ dir }}/go ]; do sleep 0.1; done
    - creates: {{ dir }}/go
    - require:
      - file: motd
`)
	t.Cleanup(func() { r.write(t, "web1", "go", "") })
	config := func(wait string) string {
		return r.assignment(fmt.Sprintf("pillar = jsonencode({ wait = %q })\n  timeouts = { update = %q }", wait, wait), "web1")
	}
	r.write(t, "web1", "go", "")
	f := r.newTerraform(t, "apply", config("10m"))
	f.apply(t)
	r.remove(t, "web1", "go")

	f.write(t, config("5s"))
	out := f.must(t, 1, "apply", "-auto-approve")
	run := r.runs(t, gaea.RunEnforce)[0].ID
	wants(t, out, "Error: Stopped waiting for the run "+run, "jobd show "+run, "jobd cancel "+run)
	if got := f.attributes(t, it); got["last_run_id"] != run || got["status"] != "running" || got["tainted"] == true {
		t.Errorf("the state is %v", got)
	}

	// The next apply looks, behind the run that still goes on, and finds nothing left to do.
	looks := len(r.runs(t, gaea.RunCheck))
	next := f.background(t, "apply", "-auto-approve")
	eventually(t, "the next apply has asked for a look", func() bool { return len(r.runs(t, gaea.RunCheck)) > looks })
	r.write(t, "web1", "go", "")
	if code, out := next.wait(t); code != 0 {
		t.Errorf("the next apply ended with %d:\n%s", code, out)
	}
	f.plan(t, planEmpty)
	if got := r.content(t, "web1", "started"); got != "run\n" {
		t.Errorf("the states were run more than once: %q", got)
	}
}

func TestAccAStateRunOfSomebodyElseIsWaitedForAndIsNoDrift(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, motd)
	other := r.slsNamed(t, sls+"_other", `
slow:
  cmd.run:
    - name: mkdir -p {{ dir }}; touch {{ dir }}/started; while [ ! -e {{ dir }}/go ]; do sleep 0.1; done
`)
	t.Cleanup(func() { r.write(t, "web2", "go", "") })
	if _, err := r.saltAPI(t).publish(t.Context(), 1, []string{"web2"}, "state.apply", other, "queue=True"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other states run", func() bool { return r.exists("web2", "started") })
	f := r.newTerraform(t, "apply", r.assignment("", "web2"))
	apply := f.background(t, "apply", "-auto-approve")
	eventually(t, "the apply's run waits", func() bool {
		runs := r.runs(t, gaea.RunEnforce)
		return len(runs) == 1 && !runs[0].Started.IsZero()
	})
	r.write(t, "web2", "go", "")
	if code, out := apply.wait(t); code != 0 {
		t.Errorf("the apply ended with %d:\n%s", code, out)
	}
	f.plan(t, planEmpty)
}
