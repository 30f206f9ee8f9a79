package acctest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// ran is the address of the job in what [rig.jobOf] writes.
const ran = "gaea_job.it"

// gated is a shell command that notes that it was run, and ends when the file go is there.
const gated = "echo run >> started; echo $$ > shell; while [ ! -e go ]; do sleep 0.1; done; echo done"

// jobOf is a job of the test's own: a shell command in the test's directory on each minion.
func (r *rig) jobOf(command, attributes string, minions ...string) string {
	work := strings.NewReplacer(", args =", "\n  args =", ", kwargs =", "\n  kwargs =").Replace(r.shell(command))
	return fmt.Sprintf("resource \"gaea_job\" \"it\" {\n  name = %q\n  target = { minions = [%s] }\n  %s\n  %s\n}\n",
		r.name, `"`+strings.Join(minions, `", "`)+`"`, work, attributes)
}

// times is how often a minion ran what notes that in a file.
func (r *rig) times(t *testing.T, minion, file string) int {
	t.Helper()
	if !r.exists(minion, file) {
		return 0
	}
	return strings.Count(r.content(t, minion, file), "\n")
}

func (r *rig) wantTimes(t *testing.T, want int, minion, file string) {
	t.Helper()
	if got := r.times(t, minion, file); got != want {
		t.Errorf("%s wrote %d lines to %s, not %d", minion, got, file, want)
	}
}

// going starts the apply of a gated job on web1, and returns when it runs there.
func (r *rig) going(t *testing.T, f *tf) *process {
	t.Helper()
	t.Cleanup(func() { r.write(t, "web1", "go", "") })
	before := r.times(t, "web1", "started")
	apply := f.background(t, "apply", "-auto-approve")
	eventually(t, "the job runs", func() bool { return r.times(t, "web1", "started") > before })
	return apply
}

// askedForRuns says whether runs were asked for so many times: of a jobd of the test's own.
func (r *rig) askedForRuns(times int) func() bool {
	return func() bool { return strings.Count(r.jobd.Log(1000), "method=POST path=/v1/runs ") >= times }
}

// newest is the newest run that notes itself in the test's directory.
func (r *rig) newest(t *testing.T) string {
	t.Helper()
	page, err := r.client.ListRuns(t.Context(), gaea.RunFilter{Kind: gaea.RunJob}, gaea.PageRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range page.Items {
		if strings.Contains(string(run.Args), r.name+";") {
			return run.ID
		}
	}
	return "none"
}

func TestAccAJobIsRunOnceUntilATriggerChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := func(version string) string {
		return r.jobOf("echo run >> started; wc -l < started", fmt.Sprintf("triggers = { version = %q }", version), "web1", "web2")
	}
	f := r.newTerraform(t, "apply", config("1"))
	f.apply(t)
	for range 2 {
		f.plan(t, planEmpty)
		f.plan(t, planEmpty, "-refresh-only")
	}
	first := f.attributes(t, ran)
	if first["status"] != "succeeded" || fmt.Sprint(first["results"]) != `map[web1:"1" web2:"1"]` || fmt.Sprint(first["outcomes"]) != "map[succeeded:2]" {
		t.Errorf("the state is %v", first)
	}

	f.write(t, config("2"))
	wants(t, f.plan(t, planChanges), "updated in-place")
	f.apply(t)
	f.plan(t, planEmpty)
	f.plan(t, planEmpty, "-refresh-only")
	if second := f.attributes(t, ran); second["run_id"] == first["run_id"] || fmt.Sprint(second["results"]) != `map[web1:"2" web2:"2"]` {
		t.Errorf("the state is %v", second)
	}
	r.wantTimes(t, 2, "web1", "started")
	f.must(t, 1, "import", ran, "run-1")
	f.must(t, 0, "destroy", "-auto-approve")
	r.wantTimes(t, 2, "web1", "started")
}

func TestAccAJobOfATemplateRunsItsBatchesAndActions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := fmt.Sprintf(`
resource "gaea_job_template" "it" {
  name         = %q
  batch        = { size = 1 }
  pre_actions  = [{ name = "before", %s }]
  post_actions = [{ name = "after", %s }]
}
`, r.name, r.shell("echo before >> said"), r.shell("echo after >> said")) + r.jobOf("echo it >> said", "job_template = gaea_job_template.it.ref", "web1", "web2")
	f := r.newTerraform(t, "apply", config)
	f.apply(t)
	f.plan(t, planEmpty)
	if got := r.content(t, "web1", "said"); got != "before\nit\nafter\n" {
		t.Errorf("web1 said %q", got)
	}
	if run := r.run(t, f.text(t, ran, "run_id")); len(run.Slices) != 2 {
		t.Errorf("the run had the slices %+v", run.Slices)
	}
}

func TestAccAJobThatFailsOnAMinionQuotesItAndIsRunAgainWhenItIsRepaired(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := func(version string) string {
		return r.jobOf("echo run >> started; test ! -e full || { echo no disk is there >&2; exit 3; }",
			fmt.Sprintf("triggers = { version = %q }\n  on_destroy = { %s }", version, r.shell("echo run >> undone")), "web1", "web2")
	}
	r.write(t, "web2", "full", "")
	f := r.newTerraform(t, "apply", config("1"))
	out := f.must(t, 1, "apply", "-auto-approve")
	wants(t, out, "Error: The job "+r.name+" did not succeed everywhere", "failed on 1 of 2 minions", "web2:", "no disk is there")
	if n := strings.Count(out, "Error:"); n != 1 {
		t.Errorf("one failure gave %d errors:\n%s", n, out)
	}
	if got := f.attributes(t, ran); got["status"] != "failed" || got["tainted"] != true || fmt.Sprint(got["outcomes"]) != "map[failed:1 succeeded:1]" {
		t.Errorf("the state is %v", got)
	}
	r.remove(t, "web2", "full")
	f.apply(t)
	f.plan(t, planEmpty)
	r.wantTimes(t, 2, "web1", "started")

	// The same with a job that has been done once.
	r.write(t, "web2", "full", "")
	f.write(t, config("2"))
	wants(t, f.must(t, 1, "apply", "-auto-approve"), "web2:", "no disk is there")
	if got := f.attributes(t, ran); got["status"] != "failed" || got["tainted"] == true {
		t.Errorf("the state is %v", got)
	}
	wants(t, f.plan(t, planChanges), "updated in-place")
	r.remove(t, "web2", "full")
	f.apply(t)
	f.plan(t, planEmpty)
	r.wantTimes(t, 4, "web1", "started")
	r.wantTimes(t, 0, "web1", "undone")
	f.must(t, 0, "destroy", "-auto-approve")
	r.wantTimes(t, 1, "web1", "undone")
}

func TestAccAProviderThatIsKilledLeavesARunThatTheNextApplyFinds(t *testing.T) {
	t.Parallel()
	for name, ended := range map[string]bool{"WhileItGoesOn": false, "WhenItHasEnded": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRigAlone(t)
			f := r.newTerraform(t, "apply", r.jobOf(gated, `triggers = { version = "1" }`, "web1"))
			apply := r.going(t, f)
			run := r.newest(t)
			killProvider(t, apply)
			code, out := apply.wait(t)
			if code != 1 {
				t.Errorf("the apply ended with %d:\n%s", code, out)
			}
			if state, err := os.ReadFile(f.dir + "/terraform.tfstate"); err == nil && strings.Contains(string(state), "gaea_job") {
				t.Errorf("there is a state: %s", state)
			}
			if ended {
				r.write(t, "web1", "go", "")
				if _, err := r.client.WaitRun(t.Context(), run, nil); err != nil {
					t.Fatal(err)
				}
			}
			second := f.background(t, "apply", "-auto-approve")
			eventually(t, "the second apply has asked for the run", r.askedForRuns(2))
			r.write(t, "web1", "go", "")
			if code, out := second.wait(t); code != 0 {
				t.Errorf("the second apply ended with %d:\n%s", code, out)
			}
			if got := f.text(t, ran, "run_id"); got != run {
				t.Errorf("the second apply made the run %s beside %s", got, run)
			}
			r.wantTimes(t, 1, "web1", "started")
			f.plan(t, planEmpty)
		})
	}
}

// killProvider kills the provider of a Terraform that runs, and nothing else.
func killProvider(t *testing.T, p *process) {
	t.Helper()
	pid := p.cmd.Process.Pid
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, task := range tasks {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue // the thread has ended
		}
		for child := range strings.FieldsSeq(string(children)) {
			name, err := os.ReadFile("/proc/" + child + "/cmdline")
			if err != nil || !strings.Contains(string(name), "terraform-provider-gaea") {
				continue
			}
			n, err := strconv.Atoi(child)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			killed++
		}
	}
	if killed == 0 {
		t.Fatal("Terraform has no provider")
	}
}

func TestAccAnInterruptLetsAJobGoOnAndTheNextApplyJoinsIt(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	f := r.newTerraform(t, "apply", r.jobOf(gated, "on_destroy = { "+r.shell("echo run >> undone")+" }", "web1"))
	apply := r.going(t, f)
	run := r.newest(t)
	apply.interrupt(t)
	code, out := apply.wait(t)
	if code != 1 {
		t.Errorf("the apply ended with %d", code)
	}
	wants(t, out, "Error: Stopped waiting for the run "+run, "The run goes on without Terraform")
	if got := f.attributes(t, ran); got["run_id"] != run || got["status"] != "running" || got["tainted"] != true {
		t.Errorf("the state is %v", got)
	}
	second := f.background(t, "apply", "-auto-approve")
	eventually(t, "the second apply has asked for the run", r.askedForRuns(2))
	r.write(t, "web1", "go", "")
	if code, out := second.wait(t); code != 0 {
		t.Errorf("the second apply ended with %d:\n%s", code, out)
	}
	if got := f.attributes(t, ran); got["run_id"] != run || got["status"] != "succeeded" || got["tainted"] == true {
		t.Errorf("the state is %v", got)
	}
	r.wantTimes(t, 1, "web1", "started")
	r.wantTimes(t, 0, "web1", "undone")
	f.plan(t, planEmpty)
}

func TestAccAnInterruptCancelsAJobWhereOnInterruptSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.newTerraform(t, "apply", r.jobOf(gated, `on_interrupt = "cancel"`, "web1"))
	apply := r.going(t, f)
	pids := r.written(t, "web1", "shell")
	apply.interrupt(t)
	code, out := apply.wait(t)
	if code != 1 {
		t.Errorf("the apply ended with %d", code)
	}
	run := f.text(t, ran, "run_id")
	wants(t, out, "Terraform was interrupted, so the run "+run+" was cancelled", "It was stopped on 1 of 1 minion:", "web1:")
	if alive(pids[0]) {
		t.Errorf("the minion's process %d lives on", pids[0])
	}
	if got := f.attributes(t, ran); got["status"] != "cancelled" || fmt.Sprint(got["outcomes"]) != "map[killed:1]" {
		t.Errorf("the state is %v", got)
	}
	r.write(t, "web1", "go", "")
	f.apply(t)
	r.wantTimes(t, 2, "web1", "started")
	f.plan(t, planEmpty)
}

func TestAccTwoInterruptsLeaveARunThatTheNextApplyFinds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.newTerraform(t, "apply", r.jobOf(gated, "", "web1"))
	apply := r.going(t, f)
	run := r.newest(t)
	apply.interrupt(t)
	apply.interrupt(t)
	if code, out := apply.wait(t); code != 1 {
		t.Errorf("the apply ended with %d:\n%s", code, out)
	}
	if got := r.run(t, run); got.Status != gaea.RunRunning {
		t.Errorf("the run is %s", got.Status)
	}
	r.write(t, "web1", "go", "")
	f.apply(t)
	if got := f.text(t, ran, "run_id"); got != run {
		t.Errorf("the next apply made the run %s beside %s", got, run)
	}
	r.wantTimes(t, 1, "web1", "started")
	f.plan(t, planEmpty)
}

func TestAccAJobThatIsNotWaitedForEndsByItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.newTerraform(t, "apply", r.jobOf(gated, "wait = false", "web1"))
	t.Cleanup(func() { r.write(t, "web1", "go", "") })
	f.apply(t)
	run := f.text(t, ran, "run_id")
	f.plan(t, planEmpty)
	f.plan(t, planEmpty, "-refresh-only")
	eventually(t, "the job runs", func() bool { return r.exists("web1", "started") })
	r.write(t, "web1", "go", "")
	if _, err := r.client.WaitRun(t.Context(), run, nil); err != nil {
		t.Fatal(err)
	}
	f.plan(t, planEmpty)
	f.apply(t)
	if got := f.attributes(t, ran); got["run_id"] != run || got["status"] != "succeeded" || fmt.Sprint(got["results"]) != `map[web1:"done"]` {
		t.Errorf("the state is %v", got)
	}
	f.plan(t, planEmpty, "-refresh-only")
	r.wantTimes(t, 1, "web1", "started")
}

func TestAccAJobThatIsDestroyedRunsOnDestroyAndIsRunAnewWhenItIsCreatedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.newTerraform(t, "apply", r.jobOf("echo run >> started", "on_destroy = { "+r.shell("echo run >> undone; test -e may || { echo it may not >&2; exit 1; }")+" }", "web1"))
	f.apply(t)
	wants(t, f.must(t, 1, "destroy", "-auto-approve"), "Error: on_destroy of the job "+r.name+" did not succeed", "web1:", "it may not")
	r.write(t, "web1", "may", "")
	f.must(t, 0, "destroy", "-auto-approve")
	r.wantTimes(t, 2, "web1", "undone")
	f.apply(t)
	r.wantTimes(t, 2, "web1", "started")
	f.must(t, 0, "apply", "-auto-approve", "-replace="+ran)
	r.wantTimes(t, 3, "web1", "started")
	r.wantTimes(t, 3, "web1", "undone")
	f.plan(t, planEmpty)
}

func TestAccAJobWhoseTimeIsUpIsJoinedByTheNextApply(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := func(version string) string {
		return r.jobOf(gated, fmt.Sprintf("triggers = { version = %q }\n  timeouts = { create = \"1m\", update = \"3s\" }", version), "web1")
	}
	r.write(t, "web1", "go", "")
	f := r.newTerraform(t, "apply", config("1"))
	f.apply(t)
	r.remove(t, "web1", "go")
	t.Cleanup(func() { r.write(t, "web1", "go", "") })
	f.write(t, config("2"))
	wants(t, f.must(t, 1, "apply", "-auto-approve"), "Error: Stopped waiting for the run", "3s have passed")
	run := f.text(t, ran, "run_id")
	if got := f.attributes(t, ran); got["status"] != "running" || got["tainted"] == true {
		t.Errorf("the state is %v", got)
	}
	wants(t, f.plan(t, planChanges), "updated in-place")
	wants(t, f.must(t, 1, "apply", "-auto-approve"), "Error: Stopped waiting for the run "+run)
	r.write(t, "web1", "go", "")
	if _, err := r.client.WaitRun(t.Context(), run, nil); err != nil {
		t.Fatal(err)
	}
	f.plan(t, planEmpty)
	f.apply(t)
	if got := f.attributes(t, ran); got["run_id"] != run || got["status"] != "succeeded" {
		t.Errorf("the state is %v", got)
	}
	r.wantTimes(t, 2, "web1", "started")
}

func TestAccAJobdThatStopsInTheMiddleOfAJobLosesNothing(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	f := r.newTerraform(t, "apply", r.jobOf(gated, `timeouts = { create = "8s" }`, "web1"))
	apply := r.going(t, f)
	run := r.newest(t)
	if err := r.jobd.Stop(); err != nil {
		t.Fatal(err)
	}
	code, out := apply.wait(t)
	if code != 1 {
		t.Errorf("the apply ended with %d", code)
	}
	wants(t, out, "Error: Stopped waiting for the run "+run)
	if got := f.attributes(t, ran); got["run_id"] != run {
		t.Errorf("the state is %v", got)
	}
	wants(t, f.must(t, 1, "apply", "-auto-approve"), "Error: jobd does not answer")
	r.write(t, "web1", "go", "")
	r.restart(t)
	f.apply(t)
	if got := f.attributes(t, ran); got["run_id"] != run || got["status"] != "succeeded" || got["tainted"] == true {
		t.Errorf("the state is %v", got)
	}
	r.wantTimes(t, 1, "web1", "started")
	f.plan(t, planEmpty)
}

func TestAccASecretInAReturnIsNotInTheStateOfAJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.newTerraform(t, "apply", r.jobOf("echo not-for-the-state", "keep_results = false", "web1"))
	f.apply(t)
	f.plan(t, planEmpty)
	if strings.Contains(f.stateFile(t), `"not-for-the-state"`) {
		t.Error("the state has what the minion returned")
	}
}
