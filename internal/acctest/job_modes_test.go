package acctest

import (
	"fmt"
	"testing"
)

func TestAccBothModesRunAJobOnceAndAgainAfterAChangeOrAFailure(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, r *rig) {
		config := func(version string) string {
			return r.jobOf("echo run >> started; test ! -e full || { echo no disk is there >&2; exit 3; }; echo done",
				fmt.Sprintf("triggers = { version = %q }\n  on_destroy = { %s }", version, r.shell("echo run >> undone")), "web1", "web2")
		}
		r.write(t, "web2", "full", "")
		f := r.newTerraform(t, "apply", config("1"))
		wants(t, f.must(t, 1, "apply", "-auto-approve"), "Error: The job "+r.name+" did not succeed everywhere", "web2:", "no disk is there")
		r.remove(t, "web2", "full")
		f.apply(t)
		for range 2 {
			f.plan(t, planEmpty)
			f.plan(t, planEmpty, "-refresh-only")
		}
		if got := f.attributes(t, ran); got["status"] != "succeeded" || fmt.Sprint(got["results"]) != `map[web1:"done" web2:"done"]` {
			t.Errorf("the state is %v", got)
		}
		f.write(t, config("2"))
		f.apply(t)
		f.plan(t, planEmpty)
		r.wantTimes(t, 3, "web1", "started")
		r.wantTimes(t, 0, "web1", "undone")
		f.must(t, 0, "destroy", "-auto-approve")
		r.wantTimes(t, 1, "web1", "undone")
	})
}

func TestAccAJobWithoutAJobdIsFoundAgainAfterAKillAndAnInterrupt(t *testing.T) {
	for name, cutOff := range map[string]func(*testing.T, *process){
		"Kill": killProvider, "Interrupt": func(t *testing.T, p *process) { t.Helper(); p.interrupt(t) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newDirect(t)
			t.Cleanup(func() { r.write(t, "web1", "go", "") })
			f := r.newTerraform(t, "apply", r.jobOf(gated, "", "web1"))
			apply := f.background(t, "apply", "-auto-approve")
			eventually(t, "the job runs", func() bool { return r.exists("web1", "started") })
			cutOff(t, apply)
			if code, out := apply.wait(t); code != 1 {
				t.Errorf("the apply ended with %d:\n%s", code, out)
			}
			r.write(t, "web1", "go", "")
			f.apply(t)
			r.wantTimes(t, 1, "web1", "started")
			if got := f.attributes(t, ran); got["status"] != "succeeded" || got["tainted"] == true {
				t.Errorf("the state is %v", got)
			}
			f.plan(t, planEmpty)
		})
	}
}

func TestAccAMoveOfAJobToAJobdAndBackRunsNothing(t *testing.T) {
	r := newDirect(t)
	group := fmt.Sprintf("resource \"gaea_target_group\" \"it\" {\n  name = %q\n  minions = [\"web1\"]\n}\n", r.name)
	job := fmt.Sprintf("resource \"gaea_job\" \"it\" {\n  name = %q\n  target_group = gaea_target_group.it.ref\n  function = \"test.arg\"\n  args = [%[1]q]\n}\n", r.name)
	f := r.newTerraform(t, "apply", group+job)
	f.apply(t)
	run := f.text(t, ran, "run_id")
	for _, direct := range []bool{false, true} {
		f.connect(r, "apply", direct)
		f.apply(t)
		f.plan(t, planEmpty)
		if got := f.text(t, ran, "run_id"); got != run {
			t.Errorf("the move ran %s after %s", got, run)
		}
	}
	f.write(t, group+job[:len(job)-2]+"  wait = false\n}\n")
	wants(t, f.plan(t, planFails), "Without a jobd nobody carries a run out that Terraform does not wait for")
}

func TestAccOnDestroyOfAJobThatMovedToAJobdAndBackIsRunOnce(t *testing.T) {
	for name, last := range map[string]bool{"Jobd": false, "Direct": true} {
		t.Run(name, func(t *testing.T) {
			r := newDirect(t)
			f := r.newTerraform(t, "apply", r.jobOf("echo run >> started", "on_destroy = { "+r.shell("echo run >> undone")+" }", "web1"))
			f.apply(t)
			for _, direct := range []bool{false, last} {
				f.connect(r, "apply", direct)
				f.apply(t)
				f.plan(t, planEmpty)
			}
			f.must(t, 0, "destroy", "-auto-approve")
			r.wantTimes(t, 1, "web1", "started")
			r.wantTimes(t, 1, "web1", "undone")
		})
	}
}
