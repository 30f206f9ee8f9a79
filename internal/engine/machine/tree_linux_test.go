package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// runScript runs the script for a purpose as a minion would, with what its head would have set.
func runScript(t *testing.T, p Purpose, head string) looked {
	t.Helper()
	return runBody(t, p, head, map[Purpose]string{PurposeTree: treeBody, PurposeFell: killProcesses + fellBody, PurposeSweep: killProcesses + sweepBody}[p])
}

func runBody(t *testing.T, p Purpose, head, body string) looked {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", head+" cache=/nowhere jid=1\n"+scanProcesses+body).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said, err := json.Marshal(string(out))
	if err != nil {
		t.Fatal(err)
	}
	l, err := parseLooked(said, p)
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
	tree := runScript(t, PurposeTree, fmt.Sprintf("pid=%d", pid))
	if tree.job != jobRunning || tree.pid != pid || len(tree.processes) != 2 || tree.processes[0].pid != pid {
		t.Fatalf("the tree is %+v", tree)
	}
	sweep := func(noted processes, signal string) looked {
		return runScript(t, PurposeSweep, fmt.Sprintf("pid=%d noted='%s' signal=%s", pid, noted, signal))
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
	if l := runScript(t, PurposeTree, fmt.Sprintf("pid=%d", os.Getpid())); l.job != jobThread || len(l.processes) != 0 {
		t.Errorf("the daemon is told as %+v", l)
	}
}

func TestAJobWithoutAProcessIsGone(t *testing.T) {
	if l := runScript(t, PurposeTree, "pid=0"); l.job != jobGone {
		t.Errorf("it is told as %+v", l)
	}
}

// noLists is a kernel that does not list the children of a process.
var noLists = strings.NewReplacer("lists=1;", "lists=;")

// startTree starts a job with a child that minds no SIGTERM, and of that one in a session of its own; beside them a process of
// somebody else's. It returns the job's own process and the other.
func startTree(t *testing.T) (pid, foreign int) {
	t.Helper()
	start := func(script string) int {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { _ = cmd.Wait() }() // as a minion does
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		if _, err := fmt.Fscanln(pipe, new(string)); err != nil {
			t.Fatal(err)
		}
		return cmd.Process.Pid
	}
	foreign = start("echo begun; exec sleep 600")
	return start(`trap '' TERM; (trap '' TERM; setsid sleep 600 & echo begun; wait) & wait`), foreign
}

func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestOneScriptKillsAJobWithAllThatDescendsFromIt(t *testing.T) {
	for name, kernel := range map[string]*strings.Replacer{"with lists of children": strings.NewReplacer(), "without": noLists} {
		pid, foreign := startTree(t)
		l := runBody(t, PurposeFell, fmt.Sprintf("pid=%d noted='' signal=KILL", pid), kernel.Replace(killProcesses+fellBody))
		if l.job != jobGone || !l.killed || len(l.left) > 0 || len(l.processes) != 3 || l.processes[0].pid != pid {
			t.Errorf("%s: it tells %+v", name, l)
		}
		for _, p := range l.processes {
			if lives(p.pid) {
				t.Errorf("%s: process %d lives", name, p.pid)
			}
		}
		if !lives(foreign) {
			t.Errorf("%s: a process of somebody else's was killed", name)
		}
	}
}

func TestAScriptThatIsCutShortLeavesTheJobsOwnProcess(t *testing.T) {
	pid, _ := startTree(t)
	noted := runScript(t, PurposeTree, fmt.Sprintf("pid=%d", pid)).processes
	cut := strings.Replace(fellBody, "\tkill -KILL", "if [ -n \"$killed\" ] && [ \"$before\" = 1 ]; then exit; fi\n\tkill -KILL", 1)
	if cut == fellBody {
		t.Fatal("the script is another one")
	}
	head := fmt.Sprintf("pid=%d noted='' signal=KILL cache=/nowhere jid=1\n", pid)
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", head+scanProcesses+killProcesses+cut).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	if l := runScript(t, PurposeTree, fmt.Sprintf("pid=%d", pid)); l.job != jobRunning || len(l.processes) != 1 || l.processes[0] != noted[0] {
		t.Errorf("what is left cannot be found again: %+v", l)
	}
	if l := runScript(t, PurposeSweep, fmt.Sprintf("pid=%d noted='%s' signal=KILL", pid, noted[:1])); l.job != jobGone || len(l.processes) > 0 || !l.killed {
		t.Errorf("swept up it tells %+v", l)
	}
}

func TestAProcessThatNoKillEndsKeepsWhatItHangsAt(t *testing.T) {
	pid, _ := startTree(t)
	noted := runScript(t, PurposeTree, fmt.Sprintf("pid=%d", pid)).processes
	// The shell's own kill, but for the last one of the tree.
	head := fmt.Sprintf("kill() { case \"$*\" in \"-KILL %d\") ;; *) command kill \"$@\" ;; esac }\npid=%d noted='' signal=KILL", noted[2].pid, pid)
	if l := runScript(t, PurposeFell, head); l.job != jobRunning || len(l.left) != 3 || !slices.Equal(l.processes, noted) {
		t.Errorf("it tells %+v of %v", l, noted)
	}
	if l := runScript(t, PurposeFell, fmt.Sprintf("pid=%d noted='' signal=KILL", pid)); l.job != jobGone || len(l.left) != 0 || !slices.Equal(l.processes, noted) {
		t.Errorf("asked again it tells %+v of %v", l, noted)
	}
}

func TestTheDaemonIsNotKilledByTheScriptThatDescendsFromIt(t *testing.T) {
	if l := runScript(t, PurposeFell, fmt.Sprintf("pid=%d noted='' signal=KILL", os.Getpid())); l.job != jobThread || l.killed || len(l.processes) != 0 {
		t.Errorf("the daemon is told as %+v", l)
	}
}

func FuzzWhatAMinionSaysOfProcessesHangsAtTheJob(f *testing.F) {
	f.Add("job running 12\n12 1 100\n13 12 101\nmore\nend", uint8(0))
	f.Add("job gone 0\nend", uint8(2))
	f.Add("'cmd.run' is not available.", uint8(1))
	f.Add("job gone 12\n12 1 100\n13 12 101\nleft 13\nkilled\nend", uint8(1))
	f.Fuzz(func(t *testing.T, said string, which uint8) {
		body, err := json.Marshal(said)
		if err != nil {
			t.Fatal(err)
		}
		p := []Purpose{PurposeTree, PurposeFell, PurposeSweep}[which%3]
		l, err := parseLooked(body, p)
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
		if p != PurposeSweep && len(l.processes) > 0 && l.processes[0].pid != l.pid {
			t.Errorf("the job is %d, and the first is %d", l.pid, l.processes[0].pid)
		}
		if back := parseProcesses(l.processes.String()); len(back) != len(l.processes) || strings.ContainsAny(l.processes.String(), "'\"") {
			t.Errorf("%q is read as %v", l.processes, back)
		}
	})
}
