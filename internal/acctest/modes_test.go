package acctest

import (
	"fmt"
	"strings"
	"testing"
)

// inBothModes runs a test with Terraform on a jobd, and without one on the lab's salt-api.
func inBothModes(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	for mode, direct := range map[string]bool{"jobd": false, "direct": true} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.direct = direct
			test(t, r)
		})
	}
}

// lookLive has each plan look at the minions, with a jobd too.
const lookLive = `drift_check = { mode = "live" }`

func TestAccBothModesShowDriftAndRepairIt(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, r *rig) {
		r.sls(t, motd)
		f := r.newTerraform(t, "apply", r.assignment(lookLive, "web1", "web2", "db1"))
		f.apply(t)
		f.plan(t, planEmpty)
		f.plan(t, planEmpty, "-refresh-only")
		r.write(t, "web2", "motd", "tampered\n")
		out := f.plan(t, planChanges)
		wants(t, out, `- "web2" =`, "file.managed motd", "-tampered", "+hello from gaea", "0 to add, 1 to change, 0 to destroy")
		wantsNot(t, out, `- "web1" =`, "gaea_target_group.it will")
		f.apply(t)
		if got := r.content(t, "web2", "motd"); got != "hello from gaea\n" {
			t.Errorf("web2 has %q", got)
		}
		summary, _ := f.attributes(t, it)["drift_summary"].(map[string]any)
		if fmt.Sprintf("%v %v %v", summary["minions"], summary["in_sync"], summary["unknown"]) != "3 3 0" {
			t.Errorf("the summary is %v", summary)
		}
		f.plan(t, planEmpty)
	})
}

func TestAccBothModesKeepStatesThatNeverSettleApart(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, r *rig) {
		r.sls(t, unsettled)
		f := r.newTerraform(t, "apply", r.assignment(lookLive, "web1", "web2"))
		wants(t, f.apply(t), "Warning: States of "+r.name+" never settle", "cmd.run bare")
		f.plan(t, planEmpty)
		r.write(t, "web1", "motd", "tampered\n")
		out := f.plan(t, planChanges)
		wants(t, out, `"file.managed motd"`)
		wantsNot(t, out, `"cmd.run bare" =`, `"web2" =`)
		f.apply(t)
		f.plan(t, planEmpty)
	})
}

func TestAccBothModesRunSlicesWithTheirActionsAndSayWhatFailed(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, r *rig) {
		sls := r.sls(t, fmt.Sprintf(`
app:
  cmd.run:
    - name: echo states {{ grains.id }} >> %s/journal; test {{ grains.id }} != web2
`, r.dir("web1")))
		say := func(word string) string {
			return fmt.Sprintf(`{ name = %q, scope = "slice", function = "cmd.run", args = ["mkdir -p %[2]s; echo %[1]s >> %[2]s/journal"], kwargs = jsonencode({ python_shell = true }) }`,
				word, r.dir("web1"))
		}
		template := fmt.Sprintf(`
resource "gaea_job_template" "it" {
  name         = %q
  batch        = { size = "1", max_failures = 0 }
  pre_actions  = [%s]
  post_actions = [%s]
}
`, r.name, say("drain"), strings.Replace(say("undrain"), `scope = "slice"`, `scope = "slice", when = "always"`, 1))
		f := r.newTerraform(t, "apply", template+r.assignment(lookLive+"\n  job_template = gaea_job_template.it.ref\n  states = [\""+sls+"\"]", "web1", "web2"))
		out := f.must(t, 1, "apply", "-auto-approve")
		wants(t, out, "The states of "+r.name+" were not applied everywhere", "web2")
		want := "drain\nstates web1\nundrain\ndrain\nstates web2\nundrain\n"
		if got := r.content(t, "web1", "journal"); got != want {
			t.Errorf("the journal is %q, not %q", got, want)
		}
		if r.direct {
			wantsNot(t, out, "jobd show", "jobd retry")
		}
	})
}

func TestAccBothModesCancelAtAnInterrupt(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, r *rig) {
		r.sls(t, sleeper)
		f := r.newTerraform(t, "apply", r.assignment(lookLive+"\n  on_interrupt = \"cancel\"", "web1"))
		apply := f.background(t, "apply", "-auto-approve")
		eventually(t, "the state runs", func() bool { return r.exists("web1", "child") && r.content(t, "web1", "child") != "" })
		apply.interrupt(t)
		code, out := apply.wait(t)
		if code != 1 {
			t.Errorf("the apply ended with %d", code)
		}
		wants(t, out, "Terraform was interrupted, so the run", "was cancelled")
		for _, pid := range r.pids(t) {
			if alive(pid) {
				t.Errorf("the minion's process %d lives on", pid)
			}
		}
		if got := f.attributes(t, it); got["status"] != "cancelled" {
			t.Errorf("the state is %v", got)
		}
	})
}

func TestAccBothModesReadJobs(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, r *rig) {
		r.sls(t, motd)
		jids, err := r.saltAPI(t).publish(t.Context(), 1, []string{"db1"}, "test.arg", r.name)
		if err != nil {
			t.Fatal(err)
		}
		f := r.newTerraform(t, "apply", r.assignment(lookLive, "web1")+fmt.Sprintf(`
data "gaea_job_result" "run" {
  run_id = gaea_state_assignment.it.last_run_id
}
data "gaea_job_result" "job" {
  jid  = %q
  wait = true
}
output "run" { value = "${data.gaea_job_result.run.status} ${data.gaea_job_result.run.function} ${join(",", keys(data.gaea_job_result.run.minions))}" }
output "job" { value = "${data.gaea_job_result.job.status} ${data.gaea_job_result.job.minions["db1"].return}" }
`, jids[0]))
		f.apply(t)
		wants(t, f.must(t, 0, "output"), "succeeded state.apply web1", r.name)
		f.plan(t, planEmpty)
	})
}

// With a jobd the same is tried with the other tests of minions that are down. The test stops a minion, so it does not run in
// parallel with others.
func TestAccWithoutAJobdMinionsThatDoNotAnswerAreNamed(t *testing.T) {
	r := newRig(t)
	r.direct = true
	r.sls(t, motd)
	template, use := r.impatient()
	f := r.newTerraform(t, "apply", template+r.assignment(use+lookLive, "web1", "db1"))
	f.apply(t)
	r.stopMinion(t, "db1")
	r.write(t, "web1", "motd", "tampered\n")
	wants(t, f.plan(t, planChanges), "do not answer", "db1", "-tampered")
	f.apply(t)
	if got := f.unreachable(t); len(got) != 1 || got[0] != "db1" {
		t.Errorf("unreachable is %v", got)
	}
	f.plan(t, planEmpty)
	r.startMinion(t, "db1")
	f.plan(t, planEmpty)
}
