package acctest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// script is a shell command for cmd.run that all minions run in one directory of the test's own, below web1's root. There
// `say WORDS` adds a line with the minion's id to the journal, and `await FILE` waits until the test opens that gate, or is
// over.
func (r *rig) script(t *testing.T, command string) string {
	t.Helper()
	dir := r.dir("web1")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`cd %[1]s; say() { echo "$* {{ grains.id }}" >> journal; }; `+
		`await() { while [ -d %[1]s ] && [ ! -e "$1" ]; do sleep 0.1; done; }; %[2]s`, dir, command)
}

// open opens a gate for which scripts wait.
func (r *rig) open(t *testing.T, gate string) { t.Helper(); r.write(t, "web1", gate, "") }

// journal is what scripts said, in the order in which they did.
func (r *rig) journal(t *testing.T) []string {
	t.Helper()
	if !r.exists("web1", "journal") {
		return nil
	}
	return strings.Split(strings.TrimSpace(r.content(t, "web1", "journal")), "\n")
}

// said fails the test where the journal is another one.
func (r *rig) said(t *testing.T, lines ...string) {
	t.Helper()
	if got := r.journal(t); !slices.Equal(got, lines) {
		t.Errorf("the journal is %q, not %q", got, lines)
	}
}

// saidThat waits for a line in the journal.
func (r *rig) saidThat(t *testing.T, line string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q is in the journal", line), func() bool { return slices.Contains(r.journal(t), line) })
}

// asked are the arguments of jobd run for a script on all minions.
func (r *rig) asked(t *testing.T, command string, flags ...string) []string {
	t.Helper()
	return append([]string{"run", "cmd.run", r.script(t, command), "python_shell=True", "template=jinja", "--target", "*"}, flags...)
}

// cli runs jobd's command line, wants its exit code, and returns what it printed.
func (r *rig) cli(t *testing.T, code int, args ...string) string {
	t.Helper()
	got, out := r.command(t, "apply", args...)
	if got != code {
		t.Errorf("jobd %s ended with %d, not %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

// live is a command of jobd's command line that runs meanwhile, and what it has printed so far.
type live struct {
	*process
	mu   sync.Mutex
	said bytes.Buffer
}

// Write takes what the command prints.
func (l *live) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.Write(text)
}

func (l *live) printed() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}

// background runs jobd's command line meanwhile, in a process group of its own as a terminal does.
func (r *rig) background(t *testing.T, args ...string) *live {
	t.Helper()
	l := &live{process: &process{ended: make(chan struct{})}}
	l.cmd = r.jobd.Command(context.WithoutCancel(t.Context()), r.tokens["apply"], args...)
	l.cmd.Stdout, l.cmd.Stderr = l, l
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.ended)
		_ = l.cmd.Wait() // the exit code is read from the process's state
	}()
	t.Cleanup(l.kill)
	return l
}

// prints waits until the command has printed a text.
func (l *live) prints(t *testing.T, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q is printed", text), func() bool { return has(l.printed(), text) })
}

// ends waits for the command's end, wants its exit code, and returns all that it printed.
func (l *live) ends(t *testing.T, code int) string {
	t.Helper()
	got, _ := l.wait(t)
	out := l.printed()
	if got != code {
		t.Errorf("%s ended with %d, not %d:\n%s", strings.Join(l.cmd.Args, " "), got, code, out)
	}
	return out
}

var runID = regexp.MustCompile(`run-[0-9A-Z]+T?[0-9A-Z]*-[0-9a-z]+`)

// runIn is the run that a command line's output begins with.
func (r *rig) runIn(t *testing.T, out string) *gaea.Run {
	t.Helper()
	id := runID.FindString(out)
	if id == "" {
		t.Fatalf("no run is named in:\n%s", out)
	}
	return r.run(t, id)
}

// latest is the newest run whose arguments name this test, nil where there is none yet.
func (r *rig) latest(t *testing.T) *gaea.Run {
	t.Helper()
	page, err := r.client.ListRuns(t.Context(), gaea.RunFilter{Kind: gaea.RunJob, Since: time.Now().Add(-10 * time.Minute)}, gaea.PageRequest{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range page.Items {
		if strings.Contains(string(page.Items[i].Args), "/"+r.name+";") {
			return r.run(t, page.Items[i].ID)
		}
	}
	return nil
}

// stands waits until the newest run of this test stands so, and returns it.
func (r *rig) stands(t *testing.T, status gaea.RunStatus) *gaea.Run {
	t.Helper()
	var run *gaea.Run
	eventually(t, "the run is "+string(status), func() bool {
		run = r.latest(t)
		return run != nil && run.Status == status
	})
	return run
}

// waited is a run when it has ended.
func (r *rig) waited(t *testing.T, id string) *gaea.Run {
	t.Helper()
	run, err := r.client.WaitRun(t.Context(), id, nil)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// childRuns are the runs that carried out a run's actions.
func (r *rig) childRuns(t *testing.T, id string) []gaea.Run {
	t.Helper()
	var runs []gaea.Run
	for run, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
		return r.client.ListRuns(t.Context(), gaea.RunFilter{Parent: id}, p)
	}) {
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	return runs
}

func TestAccSlicesOfOneTellTheMinionsOneAfterAnotherByName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	out := r.cli(t, 0, r.asked(t, "say begin; sleep 0.3; say end", "--batch", "1", "--watch")...)
	r.said(t, "begin db1", "end db1", "begin web1", "end web1", "begin web2", "end web2")
	wants(t, out, "slice 3 of 3: 1 minion", "succeeded, slice 3 of 3", "in slices of 1", "3 succeeded db1, web1, web2")
	var jids []string
	run := r.runIn(t, out)
	for i := range run.Slices {
		jids = append(jids, run.Slices[i].JID)
	}
	jobs, err := r.client.Jobs(t.Context(), gaea.JobFilter{RunID: run.ID}, gaea.PageRequest{})
	if err != nil || len(jobs.Items) != 3 {
		t.Fatalf("the jobs of the run are %+v (%v)", jobs.Items, err)
	}
	for i := range jobs.Items {
		if !slices.Contains(jids, jobs.Items[i].JID) {
			t.Errorf("the job %s is in no slice: %q", jobs.Items[i].JID, jids)
		}
	}
}

func TestAccARandomOrderIsNotThatOfTheNamesAndItsSeedIsStored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	byName, seeds := 0, map[uint32]bool{}
	const tries = 8 // three minions come by name once in six times
	for range tries {
		before := len(r.journal(t))
		run := r.runIn(t, r.cli(t, 0, r.asked(t, "say told", "--batch", "1", "--order", "random", "--watch")...))
		var told []string
		for i := range run.Slices {
			told = append(told, "told "+run.Slices[i].Minions[0])
		}
		if got := r.journal(t)[before:]; !slices.Equal(got, told) {
			t.Errorf("the slices are %q, and the minions were told as %q", told, got)
		}
		if run.Seed == 0 || seeds[run.Seed] {
			t.Errorf("the seed %d is none, or that of a run before", run.Seed)
		}
		seeds[run.Seed] = true
		if !slices.IsSorted(told) {
			return
		}
		byName++
	}
	t.Errorf("%d runs in random order went by name", byName)
}

func TestAccACanaryThatEndsBadlyHaltsTheRunAndTheExitCodeSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	out := r.cli(t, 1, r.asked(t, `say told; [ {{ grains.id }} != db1 ] || { echo out of paper; exit 4; }`, "--canary", "1", "--batch", "2", "--watch")...)
	r.said(t, "told db1")
	run := r.runIn(t, out)
	wants(t, out, "halted", "slice 1 of 2 (canary)", "halted: the canary did not end well on db1", "1 failed: return code 4: out of paper db1",
		"2 skipped: not told: the run was halted before web1, web2", "jobd retry "+run.ID)
	if run.Status != gaea.RunHalted || run.Counts[gaea.OutcomeFailed] != 1 || run.Counts[gaea.OutcomeSkipped] != 2 {
		t.Errorf("the run ended as %s, %v", run.Status, run.Counts)
	}
	wants(t, r.cli(t, 1, "show", run.ID), "halted: the canary did not end well on db1")
	wants(t, r.cli(t, 0, "runs", "--status", "halted", "--limit", "1000"), run.ID)
}

func TestAccARunIsHeldAfterItsCanaryUntilSomebodyResumesIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	watch := r.background(t, r.asked(t, "say told", "--canary", "1", "--canary-hold", "manual", "--batch", "5", "--watch")...)
	run := r.stands(t, gaea.RunPaused)
	r.said(t, "told db1")
	if run.Pause == nil || run.Pause.Reason != gaea.PauseCanary || !run.CanaryDone {
		t.Errorf("the pause is %+v", run.Pause)
	}
	wants(t, r.cli(t, 0, "show", run.ID), "paused", "the canary has ended well; go on with: jobd resume "+run.ID, "canary 1, then a hold until resumed")
	watch.prints(t, "the canary has ended well")
	wants(t, r.cli(t, 0, "resume", run.ID), run.ID+" goes on")
	wants(t, watch.ends(t, 0), "goes on after the pause", "3 succeeded")
	if got := r.journal(t); len(got) != 3 || got[0] != "told db1" {
		t.Errorf("the journal is %q", got)
	}
}

func TestAccOneFailureMoreThanIsAllowedHaltsTheRunAndSkipsTheRest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	out := r.cli(t, 1, r.asked(t, "say told; exit 3", "--batch", "1", "--max-failures", "1", "--watch")...)
	r.said(t, "told db1", "told web1")
	wants(t, out, "halted: 2 of the 2 minions that have ended went wrong, of 3 in all, and max_failures is 1", "1 skipped: not told: the run was halted before web2")
}

func TestAccARollingRunFillsThePlaceOfAMinionThatEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	watch := r.background(t, r.asked(t, "say begin; [ {{ grains.id }} != db1 ] || await go; say end", "--batch", "2", "--mode", "rolling", "--watch")...)
	r.saidThat(t, "end web2")
	got := r.journal(t)
	if slices.Contains(got, "end db1") || slices.Index(got, "begin web2") < slices.Index(got, "end web1") {
		t.Errorf("with two at work the journal is %q", got)
	}
	r.open(t, "go")
	wants(t, watch.ends(t, 0), "succeeded", "rolling, 2 at work")
	if got := r.journal(t); len(got) != 6 || got[5] != "end db1" {
		t.Errorf("the journal is %q", got)
	}
}

func TestAccTheWaitBetweenSlicesIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const wait = 1500 * time.Millisecond
	out := r.cli(t, 0, r.asked(t, "say told", "--batch", "2", "--wait-between", "1.5s", "--watch")...)
	run := r.runIn(t, out)
	if len(run.Slices) != 2 {
		t.Fatalf("the slices are %+v", run.Slices)
	}
	if gap := run.Slices[1].Started.Sub(run.Slices[0].Ended); gap < wait {
		t.Errorf("the second slice began %s after the first had ended", gap)
	}
	wants(t, out, "in slices of 2, 1.5s between")
}

func TestAccASliceThatIsOutOfTimeIsLeftAndTheRunGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	out := r.cli(t, 1, r.asked(t, "say begin; [ {{ grains.id }} != db1 ] || await go; say end", "--batch", "1", "--slice-timeout", "5s", "--watch")...)
	r.said(t, "begin db1", "begin web1", "end web1", "begin web2", "end web2")
	run := r.runIn(t, out)
	wants(t, out, "failed", "1 no return:", "when the slice limit of 5s passed", "2 succeeded web1, web2", "jobd retry "+run.ID)
	if m := run.Minions["db1"]; m.Outcome != gaea.OutcomeNoReturn || m.Late {
		t.Errorf("db1 ended as %+v", m)
	}

	// Nothing was killed there: it ends when it can, and that is taken.
	r.open(t, "go")
	eventually(t, "the late return is taken", func() bool { return r.run(t, run.ID).Minions["db1"].Outcome == gaea.OutcomeSucceeded })
	wants(t, r.cli(t, 1, "show", run.ID), "1 succeeded, late db1", "db1 returned late (succeeded, not no return)")
}
