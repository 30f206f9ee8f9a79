package acctest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// startCommand starts a run of a shell command on a minion, in the test's directory there.
func (r *rig) startCommand(t *testing.T, minion, command string, gather gaea.Duration) *gaea.Run {
	t.Helper()
	if err := os.MkdirAll(r.dir(minion), 0o750); err != nil {
		t.Fatal(err)
	}
	run, err := r.client.CreateRun(t.Context(), gaea.RunRequest{
		Function: "cmd.run", Args: []any{command}, Kwargs: map[string]any{"python_shell": true, "cwd": r.dir(minion)},
		Target: gaea.ListTarget([]string{minion}), Timeouts: gaea.Timeouts{Gather: gather},
	}, r.name)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestAccACancelledRunIsKilledOnTheMinionWithItsChildren(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// Neither the shell nor its child minds being asked to end.
	run := r.startCommand(t, "web2", `trap '' TERM; echo $$ > shell; sh -c 'trap "" TERM; echo $$ > child; while :; do sleep 1; done'`, 0)
	eventually(t, "the command runs", func() bool { return r.exists("web2", "child") && r.content(t, "web2", "child") != "" })

	code, out := r.command(t, "apply", "cancel", run.ID)
	if code != 0 {
		t.Errorf("jobd cancel ended with %d:\n%s", code, out)
	}
	wants(t, out, "cancelled", "web2", "killed")
	ended := r.run(t, run.ID)
	if ended.Status != gaea.RunCancelled || ended.Minions["web2"].Outcome != gaea.OutcomeKilled {
		t.Errorf("the run ended as %s, %+v", ended.Status, ended.Minions)
	}
	for _, file := range []string{"shell", "child"} {
		pid, err := strconv.Atoi(strings.TrimSpace(r.content(t, "web2", file)))
		if err != nil {
			t.Fatal(err)
		}
		if alive(pid) {
			t.Errorf("jobd says killed, and the %s lives on as %d", file, pid)
		}
	}
}

func TestAccACancelledRunPublishesNothingMore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one, err := gaea.ParseAmount("1")
	if err != nil {
		t.Fatal(err)
	}
	run, err := r.client.CreateRun(t.Context(), gaea.RunRequest{
		Function: "test.sleep", Args: []any{309}, Target: gaea.ListTarget([]string{"web1", "web2"}), Batch: gaea.Batch{Size: one},
	}, r.name)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first slice is published", func() bool {
		now := r.run(t, run.ID)
		return len(now.Slices) > 0 && !now.Slices[0].Started.IsZero()
	})
	if code, out := r.command(t, "apply", "cancel", run.ID); code != 0 {
		t.Errorf("jobd cancel ended with %d:\n%s", code, out)
	}
	ended := r.run(t, run.ID)
	if ended.Status != gaea.RunCancelled || ended.Counts[gaea.OutcomeKilled] != 1 || ended.Counts[gaea.OutcomeSkipped] != 1 {
		t.Errorf("the run ended as %s, %v: %+v", ended.Status, ended.Counts, ended.Minions)
	}
	jobs, err := r.client.Jobs(t.Context(), gaea.JobFilter{Function: "test.sleep"}, gaea.PageRequest{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	// By its argument: where a job was killed, Salt 3006 tells nobody which run it was for.
	others := func(job gaea.Job) bool { return string(job.Args) != "[309]" }
	if of := slices.DeleteFunc(jobs.Items, others); len(of) != 1 || of[0].JID != ended.Slices[0].JID {
		t.Errorf("one slice was published, and the archive has %+v", of)
	}
}

// This test freezes a minion, so it does not run in parallel with others.
func TestAccAReturnThatComesLateReplacesUnreachable(t *testing.T) {
	r := newRig(t)
	frozen := r.processGroups(t, "db1")
	run := r.startCommand(t, "db1", "touch started; while [ ! -e go ]; do sleep 0.1; done; echo at last", gaea.Duration(time.Second))
	t.Cleanup(func() { r.write(t, "db1", "go", "") })
	eventually(t, "the command runs", func() bool { return r.exists("db1", "started") })
	// The job is a process of its own and goes on; the minion that could tell does not answer.
	signal := func(what syscall.Signal) {
		for _, group := range frozen {
			_ = syscall.Kill(-group, what)
		}
	}
	t.Cleanup(func() { signal(syscall.SIGCONT) })
	signal(syscall.SIGSTOP)
	eventually(t, "the run has given the minion up", func() bool { return r.run(t, run.ID).Status.Final() })
	if m := r.run(t, run.ID).Minions["db1"]; m.Outcome != gaea.OutcomeUnreachable || m.Late {
		t.Errorf("a minion that does not answer ended as %+v", m)
	}

	signal(syscall.SIGCONT)
	r.write(t, "db1", "go", "")
	eventually(t, "the late return is taken", func() bool { return r.run(t, run.ID).Minions["db1"].Outcome == gaea.OutcomeSucceeded })
	late := r.run(t, run.ID)
	if !late.Minions["db1"].Late {
		t.Errorf("the run has %+v", late.Minions)
	}
	ret, err := r.client.Return(t.Context(), late.Minions["db1"].JID, "db1")
	if err != nil || !strings.Contains(string(ret.Body), "at last") {
		t.Errorf("the return is %+v (%v)", ret, err)
	}
}

// processGroups are the process groups of a minion that runs no job.
func (r *rig) processGroups(t *testing.T, minion string) []int {
	t.Helper()
	config := filepath.Join(filepath.Dir(r.lab.MinionRoot(minion)), "etc", "salt")
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var groups []int
	for _, file := range files {
		words, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(words, []byte("salt-minion")) || !bytes.Contains(words, []byte(config)) {
			continue // it has ended, or is another's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		if group, err := syscall.Getpgid(pid); err == nil && !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	if len(groups) == 0 {
		t.Fatalf("no process of %s was found", minion)
	}
	return groups
}

// alive says whether a process runs; one that has ended and waits to be collected does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
