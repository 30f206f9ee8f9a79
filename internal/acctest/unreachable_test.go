package acctest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The tests of this file stop minions, so none of them runs in parallel with others.

// impatient is a job template that gives a silent minion little time, and its use in an assignment.
func (r *rig) impatient() (template, use string) {
	return fmt.Sprintf("resource \"gaea_job_template\" \"it\" {\n  name = %q\n  timeouts = { gather = \"1s\" }\n}\n", r.name),
		"job_template = gaea_job_template.it.ref\n"
}

func (f *tf) unreachable(t *testing.T) []string {
	t.Helper()
	var ids []string
	list, _ := f.attributes(t, it)["unreachable"].([]any)
	for _, id := range list {
		ids = append(ids, fmt.Sprint(id))
	}
	return ids
}

func TestAccAMinionThatIsDownIsUnreachableAndNeitherDriftedNorLost(t *testing.T) {
	r := newRig(t)
	r.sls(t, motd)
	template, use := r.impatient()
	f := r.newTerraform(t, "apply", template+r.assignment(use+`drift_check = { mode = "live" }`, "web1", "db1"))
	f.apply(t)
	last := f.text(t, it, "last_run_id")

	r.stopMinion(t, "db1")
	r.write(t, "db1", "motd", "tampered\n")
	wants(t, f.plan(t, planEmpty), "do not answer", "db1")
	f.must(t, 0, "apply", "-refresh-only", "-auto-approve")
	if got := f.unreachable(t); !slices.Equal(got, []string{"db1"}) {
		t.Errorf("unreachable is %v", got)
	}
	if got := f.driftIn(t, it); len(got) > 0 {
		t.Errorf("what is not known is no drift, and there is %v", got)
	}
	summary, _ := f.attributes(t, it)["drift_summary"].(map[string]any)
	if fmt.Sprintf("%v %v %v", summary["unreachable"], summary["in_sync"], summary["minions"]) != "1 1 2" {
		t.Errorf("the summary is %v", summary)
	}
	// Nothing changes any more: a plan and a refresh are empty, with the minion still down.
	f.plan(t, planEmpty)
	f.plan(t, planEmpty, "-refresh-only")

	r.startMinion(t, "db1")
	wants(t, f.plan(t, planChanges), `- "db1" =`, "-tampered", "+hello from gaea")
	f.apply(t)
	if got := f.unreachable(t); len(got) > 0 {
		t.Errorf("db1 answers, and unreachable is %v", got)
	}
	if got := r.content(t, "db1", "motd"); got != "hello from gaea\n" {
		t.Errorf("db1 has %q", got)
	}
	if f.text(t, it, "last_run_id") == last {
		t.Error("the repair is no run of its own")
	}
	f.plan(t, planEmpty)
}

func TestAccAnApplyThatDoesNotReachAMinionFailsOrWarnsAsOnUnreachableSays(t *testing.T) {
	r := newRig(t)
	r.sls(t, "motd:\n  file.managed:\n    - name: {{ dir }}/motd\n    - makedirs: True\n    - contents: {{ pillar['motd'] }}\n")
	template, use := r.impatient()
	config := func(policy, motd string) string {
		return template + r.assignment(use+fmt.Sprintf("on_unreachable = %q\npillar = jsonencode({ motd = %q })\n", policy, motd), "web1", "db1")
	}
	f := r.newTerraform(t, "apply", config("error", "one"))
	f.apply(t)
	r.stopMinion(t, "db1")

	f.write(t, config("error", "two"))
	wants(t, f.must(t, 1, "apply", "-auto-approve"), "Error: Minions of "+r.name+" could not be reached", "db1", "on_unreachable")
	for _, minion := range []string{"web1", "db1"} {
		want := map[string]string{"web1": "two\n", "db1": "one\n"}[minion]
		if got := r.content(t, minion, "motd"); got != want {
			t.Errorf("%s has %q", minion, got)
		}
	}
	if got := f.unreachable(t); !slices.Equal(got, []string{"db1"}) {
		t.Errorf("after the error unreachable is %v", got)
	}

	f.write(t, config("warn", "three"))
	out := f.apply(t)
	wants(t, out, "Warning: Minions of "+r.name+" could not be reached", "db1")
	wantsNot(t, out, "Error:")
	if got := f.unreachable(t); !slices.Equal(got, []string{"db1"}) {
		t.Errorf("after the warning unreachable is %v", got)
	}

	// Evidence that it did not answer is evidence for max_age; an operator does not wait that long.
	r.startMinion(t, "db1")
	r.check(t)
	wants(t, f.plan(t, planChanges), `- "db1" =`, "-one", "+three")
	f.apply(t)
	if got := r.content(t, "db1", "motd"); got != "three\n" {
		t.Errorf("db1 has %q", got)
	}
	f.plan(t, planEmpty)
}

func TestAccAMinionThatIsLostInTheMiddleOfAnApplyComesBackWithItsDrift(t *testing.T) {
	r := newRig(t)
	r.sls(t, `
{% if grains.id == 'db1' %}
slow:
  cmd.run:
    - name: touch {{ dir }}/started; while [ ! -e {{ dir }}/go ]; do sleep 0.1; done
    - creates: {{ dir }}/go
    - require_in:
      - file: motd
{% endif %}
motd:
  file.managed:
    - name: {{ dir }}/motd
    - makedirs: True
    - contents: {{ pillar['motd'] }}
`)
	template, use := r.impatient()
	config := func(motd string) string {
		return template + r.assignment(use+fmt.Sprintf("pillar = jsonencode({ motd = %q })\n", motd), "web1", "db1")
	}
	r.write(t, "db1", "go", "")
	f := r.newTerraform(t, "apply", config("one"))
	f.apply(t)
	r.remove(t, "db1", "go")
	r.remove(t, "db1", "started")

	f.write(t, config("two"))
	apply := f.background(t, "apply", "-auto-approve")
	eventually(t, "the states run on db1", func() bool { return r.exists("db1", "started") })
	r.startMinionAtEnd(t, "db1")
	if err := r.lab.KillMinion(t.Context(), "db1"); err != nil {
		t.Fatal(err)
	}
	code, out := apply.wait(t)
	if code != 1 {
		t.Errorf("the apply ended with %d", code)
	}
	wants(t, out, "Error: Minions of "+r.name+" could not be reached", "db1")
	if got := f.unreachable(t); !slices.Equal(got, []string{"db1"}) {
		t.Errorf("unreachable is %v", got)
	}
	run := r.run(t, f.text(t, it, "last_run_id"))
	if !run.Minions["web1"].Outcome.OK() || run.Minions["db1"].Outcome != gaea.OutcomeUnreachable {
		t.Errorf("the run ended as %+v", run.Minions)
	}

	r.write(t, "db1", "go", "")
	if err := r.lab.StartMinion(context.WithoutCancel(t.Context()), "db1"); err != nil {
		t.Fatal(err)
	}
	r.check(t)
	wants(t, f.plan(t, planChanges), `- "db1" =`, "-one", "+two")
	f.apply(t)
	f.plan(t, planEmpty)
}
