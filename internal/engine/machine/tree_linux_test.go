package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// runScript runs the body of a script as a minion would, with what its head would have set.
func runScript(t *testing.T, body string, head string) looked {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", head+" cache=/nowhere jid=1\n"+scanProcesses+body).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said, err := json.Marshal(string(out))
	if err != nil {
		t.Fatal(err)
	}
	l, err := parseLooked(said, body == treeBody)
	if err != nil {
		t.Fatalf("not understood: %s", out)
	}
	return l
}

// startJob starts a shell with a child whose name looks like the end of a stat file.
func startJob(t *testing.T) *exec.Cmd {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(t.TempDir(), "a) Z 1 (\nb")
	if err := os.WriteFile(odd, program, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `trap '' TERM; "$0" 600 & echo begun; wait`, odd)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	if _, err := fmt.Fscanln(pipe, new(string)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestTheScriptsFindAJobsProcessesByTheirStartAndKillNoOthers(t *testing.T) {
	cmd := startJob(t)
	pid := cmd.Process.Pid
	tree := runScript(t, treeBody, fmt.Sprintf("pid=%d", pid))
	if tree.job != jobRunning || tree.pid != pid || len(tree.processes) != 2 || tree.processes[0].pid != pid {
		t.Fatalf("the tree is %+v", tree)
	}
	sweep := func(noted processes, signal string) looked {
		return runScript(t, sweepBody, fmt.Sprintf("pid=%d noted='%s' signal=%s", pid, noted, signal))
	}
	others := processes{{pid: pid, start: tree.processes[0].start + 1}} // of this pid, but later
	if l := sweep(others, "KILL"); l.job != jobRunning || len(l.processes) != 0 {
		t.Errorf("a process that took over the pid is told as %+v", l)
	}
	if l := sweep(tree.processes[:1], ""); l.job != jobRunning || len(l.processes) != 2 {
		t.Errorf("without a signal there live %+v", l)
	}
	if l := sweep(tree.processes[:1], "KILL"); l.job != jobGone || len(l.processes) != 0 {
		t.Errorf("after the kill there live %+v", l)
	}
	if l := sweep(tree.processes, ""); l.job != jobGone || len(l.processes) != 0 {
		t.Errorf("looked at again there live %+v", l)
	}
}

func TestAJobThatTheScriptItselfDescendsFromIsTheDaemon(t *testing.T) {
	if l := runScript(t, treeBody, fmt.Sprintf("pid=%d", os.Getpid())); l.job != jobThread || len(l.processes) != 0 {
		t.Errorf("the daemon is told as %+v", l)
	}
}

func TestAJobWithoutAProcessIsGone(t *testing.T) {
	if l := runScript(t, treeBody, "pid=0"); l.job != jobGone {
		t.Errorf("it is told as %+v", l)
	}
}

func FuzzWhatAMinionSaysOfProcessesHangsAtTheJob(f *testing.F) {
	f.Add("job running 12\n12 1 100\n13 12 101\nmore\nend", true)
	f.Add("job gone 0\nend", false)
	f.Add("'cmd.run' is not available.", true)
	f.Fuzz(func(t *testing.T, said string, tree bool) {
		body, err := json.Marshal(said)
		if err != nil {
			t.Fatal(err)
		}
		l, err := parseLooked(body, tree)
		if err != nil {
			if err.Error() == "" {
				t.Error("nothing is said in its place")
			}
			return
		}
		if len(l.processes) > maxNoted {
			t.Errorf("%d processes", len(l.processes))
		}
		for _, p := range l.processes {
			if p.pid <= 1 {
				t.Errorf("process %d", p.pid)
			}
		}
		if tree && len(l.processes) > 0 && l.processes[0].pid != l.pid {
			t.Errorf("the job is %d, and the first is %d", l.pid, l.processes[0].pid)
		}
		if back := parseProcesses(l.processes.String()); len(back) != len(l.processes) || strings.ContainsAny(l.processes.String(), "'\"") {
			t.Errorf("%q is read as %v", l.processes, back)
		}
	})
}
