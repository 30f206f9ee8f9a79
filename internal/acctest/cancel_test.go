package acctest

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// stubborn is a shell command of which nothing minds SIGTERM: a shell, a child of it, and a child in a session of its own.
// Each writes its pid into a file of its name.
const stubborn = `trap '' TERM
echo $$ > shell
sh -c 'trap "" TERM; echo $$ > child; while :; do sleep 1; done' &
setsid sh -c 'trap "" TERM; sh -c "trap \"\" TERM; echo \$\$ > grandchild; while :; do sleep 1; done"' &
while :; do sleep 1; done`

// written are the pids that a job has written into files, once it has.
func (r *rig) written(t *testing.T, minion string, files ...string) []int {
	t.Helper()
	var pids []int
	for _, file := range files {
		eventually(t, file+" runs on "+minion, func() bool {
			return r.exists(minion, file) && strings.HasSuffix(r.content(t, minion, file), "\n")
		})
		pid, err := strconv.Atoi(strings.TrimSpace(r.content(t, minion, file)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	t.Cleanup(func() { // so that a test that fails leaves nothing behind
		for _, pid := range pids {
			if alive(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	return pids
}

// cancelled cancels a run, waits for its end and says how long that took.
func (r *rig) cancelled(t *testing.T, id string, grace time.Duration) (*gaea.Run, time.Duration) {
	t.Helper()
	begin := time.Now()
	if _, err := r.client.CancelRun(t.Context(), id, gaea.CancelRequest{Grace: gaea.Duration(grace)}); err != nil {
		t.Fatal(err)
	}
	run, err := r.client.WaitRun(t.Context(), id, nil)
	if err != nil {
		t.Fatal(err)
	}
	return run, time.Since(begin)
}

// These tests tell how long a cancel takes and freeze a minion, so none of them runs in parallel with others. What a cancel
// may take is held by the benchmarks: here others may be at work on the machine.

func TestAccACancelEndsEveryProcessOfAStateOnEveryMinion(t *testing.T) {
	for name, grace := range map[string]time.Duration{"at once": 0, "after a grace": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			minions := r.lab.Minions()
			script := "long:\n  cmd.run:\n    - cwd: {{ dir }}\n    - name: |\n        " + strings.ReplaceAll(stubborn, "\n", "\n        ") + "\n"
			sls := r.slsNamed(t, strings.NewReplacer("-", "_", " ", "_").Replace(r.name), script)
			for _, minion := range minions {
				r.write(t, minion, "here", "")
			}
			run, err := r.client.CreateRun(t.Context(), gaea.RunRequest{
				Function: "state.apply", Args: []any{sls}, Target: gaea.ListTarget(minions),
			}, r.name)
			if err != nil {
				t.Fatal(err)
			}
			// Another's job on the same minion, which nobody cancels.
			r.write(t, minions[0], "here", "")
			other, err := r.client.CreateRun(t.Context(), gaea.RunRequest{
				Function: "cmd.run", Args: []any{"echo $$ > other; while [ ! -e go ]; do sleep 0.1; done"},
				Kwargs: map[string]any{"python_shell": true, "cwd": r.dir(minions[0])}, Target: gaea.ListTarget(minions[:1]),
			}, r.name+"-other")
			if err != nil {
				t.Fatal(err)
			}
			bystander := r.written(t, minions[0], "other")
			started := map[string][]int{}
			for _, minion := range minions {
				started[minion] = r.written(t, minion, "shell", "child", "grandchild")
			}

			ended, took := r.cancelled(t, run.ID, grace)
			t.Logf("from the cancel to the end of the run on %d minions with a grace of %s: %s", len(minions), grace, took)
			if ended.Status != gaea.RunCancelled || took < grace || took > grace+30*time.Second {
				t.Errorf("the run ended as %s after %s", ended.Status, took)
			}
			for _, minion := range minions {
				m := ended.Minions[minion]
				if m.Outcome != gaea.OutcomeKilled || !strings.Contains(m.Message, "the minion confirms that the job is gone with its processes") {
					t.Errorf("%s ended as %+v", minion, m)
				}
				for _, pid := range started[minion] {
					if alive(pid) {
						t.Errorf("%s is said to be killed, and %d lives", minion, pid)
					}
				}
			}
			if !alive(bystander[0]) {
				t.Error("another's job was killed, too")
			}
			r.write(t, minions[0], "go", "")
			if last, err := r.client.WaitRun(t.Context(), other.ID, nil); err != nil || last.Status != gaea.RunSucceeded {
				t.Errorf("another's job ended as %+v (%v)", last, err)
			}
		})
	}
}

func TestAccAJobThatIsKilledByHandInItsGraceIsNotWaitedFor(t *testing.T) {
	r := newRig(t)
	run := r.startCommand(t, "web1", stubborn, 0)
	pids := r.written(t, "web1", "shell", "child", "grandchild")
	if _, err := r.client.CancelRun(t.Context(), run.ID, gaea.CancelRequest{Grace: gaea.Duration(5 * time.Minute)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job was told to end", func() bool { return len(r.jobFiles(t, "web1", r.run(t, run.ID).Slices[0].JID)) == 0 })
	for _, pid := range pids {
		if !alive(pid) {
			t.Errorf("%d was killed in the grace", pid)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the run has ended", func() bool { return r.run(t, run.ID).Status.Final() })
	if m := r.run(t, run.ID).Minions["web1"]; m.Outcome != gaea.OutcomeKilled || !strings.HasPrefix(m.Message, "ended when it was told to") {
		t.Errorf("web1 ended as %+v", m)
	}
}

func TestAccAMinionThatIsFrozenInTheGraceIsUnreachableAndThatIsSaid(t *testing.T) {
	r := newRig(t)
	frozen := r.processGroups(t, "db1")
	run := r.startCommand(t, "db1", stubborn, gaea.Duration(2*time.Second))
	pids := r.written(t, "db1", "shell", "child", "grandchild")
	signal := func(what syscall.Signal) {
		for _, group := range frozen {
			_ = syscall.Kill(-group, what)
		}
	}
	t.Cleanup(func() { signal(syscall.SIGCONT) })
	if _, err := r.client.CancelRun(t.Context(), run.ID, gaea.CancelRequest{Grace: gaea.Duration(3 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job was told to end", func() bool { return len(r.jobFiles(t, "db1", r.run(t, run.ID).Slices[0].JID)) == 0 })
	signal(syscall.SIGSTOP)
	eventually(t, "the run has given the minion up", func() bool { return r.run(t, run.ID).Status.Final() })
	m := r.run(t, run.ID).Minions["db1"]
	if m.Outcome != gaea.OutcomeUnreachable || !strings.Contains(m.Message, "did not answer within 2s: the kill could not be verified, the job may still run there") {
		t.Errorf("db1 ended as %+v", m)
	}
	signal(syscall.SIGCONT)
	// What was asked for meanwhile is done by the minion when it goes on.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.gone(ctx, pids); err != nil {
		t.Error(err)
	}
}

// jobFiles are the files by which a minion knows that it runs a job.
func (r *rig) jobFiles(t *testing.T, minion, jid string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(r.lab.MinionRoot(minion)), "var", "cache", "salt", "minion", "proc", jid))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// gone waits until none of the processes lives.
func (r *rig) gone(ctx context.Context, pids []int) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		living := false
		for _, pid := range pids {
			living = living || alive(pid)
		}
		if !living {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
