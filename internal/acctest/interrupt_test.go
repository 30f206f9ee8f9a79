package acctest

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// sleeper is an SLS of one state that takes five minutes, unless what it makes is there.
const sleeper = `
slow:
  cmd.run:
    - name: mkdir -p {{ dir }}; echo run >> {{ dir }}/started; echo $$ > {{ dir }}/shell; sh -c 'echo $$ > {{ dir }}/child; exec sleep 300'; touch {{ dir }}/done
    - creates: {{ dir }}/done
`

// interrupt is Ctrl-C at a terminal: it reaches Terraform and the provider alike.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// slept is an assignment of [sleeper] that was in sync once and has drifted, and its apply, which sleeps on web1 by now.
func (r *rig) slept(t *testing.T, attributes string) (*tf, *process) {
	t.Helper()
	r.sls(t, sleeper)
	r.write(t, "web1", "done", "")
	f := r.newTerraform(t, "apply", r.assignment(attributes, "web1"))
	f.apply(t)
	r.remove(t, "web1", "done")
	r.check(t)
	apply := f.background(t, "apply", "-auto-approve")
	eventually(t, "the state runs", func() bool { return r.exists("web1", "child") && r.content(t, "web1", "child") != "" })
	return f, apply
}

// pids are the processes of [sleeper] on web1.
func (r *rig) pids(t *testing.T) []int {
	t.Helper()
	var pids []int
	for _, file := range []string{"shell", "child"} {
		pid, err := strconv.Atoi(strings.TrimSpace(r.content(t, "web1", file)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func TestAccAnInterruptCancelsTheRunWhereOnInterruptSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f, apply := r.slept(t, `on_interrupt = "cancel"`)
	pids := r.pids(t)
	apply.interrupt(t)
	code, out := apply.wait(t)
	if code != 1 {
		t.Errorf("the apply ended with %d", code)
	}
	run := r.run(t, r.runs(t, gaea.RunEnforce)[0].ID)
	wants(t, out, "Error: The states of "+r.name+" were not applied everywhere", "Terraform was interrupted, so the run "+run.ID+" was cancelled",
		"It was stopped on 1 of 1 minion:", "web1:")
	if run.Status != gaea.RunCancelled || run.Minions["web1"].Outcome != gaea.OutcomeKilled {
		t.Errorf("the run ended as %s, %+v", run.Status, run.Minions)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("the minion's process %d lives on", pid)
		}
	}
	if got := f.attributes(t, it); got["last_run_id"] != run.ID || got["status"] != "cancelled" || got["tainted"] == true {
		t.Errorf("the state is %v", got)
	}
	wants(t, f.plan(t, planChanges), `- "web1" =`, "cmd.run slow", "0 to add, 1 to change, 0 to destroy")

	r.write(t, "web1", "done", "")
	f.apply(t)
	f.plan(t, planEmpty)
}

func TestAccAnInterruptOfTheFirstApplyCancelsItsRunAndTheNextStartsOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, sleeper)
	f := r.newTerraform(t, "apply", r.assignment(`on_interrupt = "cancel"`, "web1"))
	apply := f.background(t, "apply", "-auto-approve")
	eventually(t, "the state runs", func() bool { return r.exists("web1", "child") && r.content(t, "web1", "child") != "" })
	apply.interrupt(t)
	if code, out := apply.wait(t); code != 1 {
		t.Errorf("the apply ended with %d:\n%s", code, out)
	}
	for _, pid := range r.pids(t) {
		if alive(pid) {
			t.Errorf("the minion's process %d lives on", pid)
		}
	}
	if got := f.attributes(t, it); got["status"] != "cancelled" || got["tainted"] != true || len(f.driftIn(t, it)["web1"]) != 1 {
		t.Errorf("the state is %v", got)
	}
	r.write(t, "web1", "done", "")
	f.apply(t)
	f.plan(t, planEmpty)
}

func TestAccAnInterruptLetsTheRunGoOnAndTheNextApplyJoinsIt(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	r.sls(t, `
slow:
  cmd.run:
    - name: mkdir -p {{ dir }}; echo run >> {{ dir }}/started; while [ ! -e {{ dir }}/go ]; do sleep 0.1; done
    - creates: {{ dir }}/go
`)
	t.Cleanup(func() { r.write(t, "db1", "go", "") })
	r.write(t, "db1", "go", "")
	f := r.newTerraform(t, "apply", r.assignment("", "db1"))
	f.apply(t)
	r.remove(t, "db1", "go")
	r.check(t)
	enforcing := "/v1/assignments/" + r.name + "/enforce"
	asked := func(times int) func() bool {
		return func() bool { return strings.Count(r.jobd.Log(1000), enforcing) >= times }
	}
	first := f.background(t, "apply", "-auto-approve")
	eventually(t, "the state runs", func() bool { return r.exists("db1", "started") })
	eventually(t, "jobd has logged the request", asked(2))
	first.interrupt(t)
	code, out := first.wait(t)
	run := r.runs(t, gaea.RunEnforce)[0].ID
	if code != 1 {
		t.Errorf("the apply ended with %d", code)
	}
	wants(t, out, "Error: Stopped waiting for the run "+run, "The run goes on without Terraform", "jobd cancel "+run)
	if got := r.run(t, run); got.Status != gaea.RunRunning {
		t.Errorf("the run is %s", got.Status)
	}
	if got := f.attributes(t, it); got["last_run_id"] != run || got["status"] != "running" || got["tainted"] == true {
		t.Errorf("the state is %v", got)
	}

	second := f.background(t, "apply", "-auto-approve")
	eventually(t, "the second apply has asked for the run", asked(3))
	r.write(t, "db1", "go", "")
	if code, out := second.wait(t); code != 0 {
		t.Errorf("the second apply ended with %d:\n%s", code, out)
	}
	if got := r.runs(t, gaea.RunEnforce); len(got) != 2 || f.text(t, it, "last_run_id") != run {
		t.Errorf("beside the first one, two applies of the same made the runs %+v", got)
	}
	if got := r.content(t, "db1", "started"); got != "run\n" {
		t.Errorf("the states were run more than once: %q", got)
	}
	f.plan(t, planEmpty)
}
