package swarm

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// The exit codes of state runs (salt/defaults/exitcodes.py).
const (
	codeStatesNotRun = 1 // EX_STATE_COMPILER_ERROR
	codeStatesFailed = 2 // EX_STATE_FAILURE
)

// stateApply runs the named SLS; without any it is the highstate.
func stateApply(ctx context.Context, m *minion, j *job, c Call) Answer {
	mods, _ := c.argument(0, "mods")
	var files []string
	switch mods := mods.(type) {
	case string:
		for name := range strings.SplitSeq(mods, ",") {
			files = append(files, strings.TrimSpace(name))
		}
	case []any:
		for _, name := range mods {
			files = append(files, pythonText(name))
		}
	}
	if len(files) == 0 {
		return highstate(ctx, m, j, c)
	}
	return runStates(ctx, m, j, c, files)
}

// highstate runs what the top file names. A minion without one says so in the form of a state.
func highstate(ctx context.Context, m *minion, j *job, c Call) Answer {
	files := m.swarm.opts.Highstate
	if len(files) == 0 {
		return Answer{Code: codeStatesFailed, Out: "highstate", Return: map[string]any{
			"no_|-states_|-states_|-None": map[string]any{
				"result": false, "comment": "No Top file or master_tops data matches found. Please see master log for details.",
				"name": "No States", "changes": map[string]any{}, "__run_num__": 0,
			},
		}}
	}
	return runStates(ctx, m, j, c, files)
}

// stateTest is state.apply with test=True.
func stateTest(ctx context.Context, m *minion, j *job, c Call) Answer {
	c.Kwargs["test"] = true
	return stateApply(ctx, m, j, c)
}

// runStates takes the minion's lock on state runs, or says who has it, and runs.
func runStates(ctx context.Context, m *minion, j *job, c Call, files []string) Answer {
	if !c.flag("concurrent") {
		if answer, locked := m.lockStates(ctx, j, c.flag("queue")); !locked {
			return answer
		}
		defer m.unlockStates()
	}
	env := c.text(-1, "saltenv", "base")
	for _, name := range files {
		if _, ok := m.swarm.opts.States[name]; !ok {
			return Answer{Return: []string{fmt.Sprintf("No matching sls found for '%s' in env '%s'", name, env)}, Code: codeStatesNotRun, Out: "highstate"}
		}
	}
	run := &stateRun{drift: m.drift, test: c.flag("test"), now: m.clock, pid: j.child(), wait: j.spend}
	results, err := run.run(ctx, files, m.swarm.opts.States)
	if err != nil {
		return Answer{} // killed: nobody is answered
	}
	answer := Answer{Return: results, Out: "highstate"}
	if len(run.failed) > 0 {
		answer.Code = codeStatesFailed
	}
	return answer
}

// lockStates takes the lock on state runs. Without queueing it answers, as Salt does, with a list that names who has it.
func (m *minion) lockStates(ctx context.Context, j *job, queue bool) (Answer, bool) {
	select {
	case m.states <- j:
		return Answer{}, true
	default:
	}
	if !queue {
		return Answer{Return: m.lockHolders(j), Code: codeStatesNotRun, Out: "highstate"}, false
	}
	select {
	case m.states <- j:
		return Answer{}, true
	case <-ctx.Done():
		return Answer{}, false
	}
}

func (m *minion) unlockStates() { <-m.states }

// lockHolders says which other state runs there are, as salt/modules/state.py does.
func (m *minion) lockHolders(than *job) []string {
	holders := []string{}
	for _, j := range m.runningJobs() {
		if j != than && isStateRun(j.told.fun) {
			holders = append(holders, fmt.Sprintf("The function %q is running as PID %d and was started at %s with jid %s",
				j.told.fun, j.pid, j.began.Format("2006, Jan 02 15:04:05.000000"), j.told.jid))
		}
	}
	return holders
}

func isStateRun(fun string) bool {
	return slices.Contains([]string{"state.apply", "state.sls", "state.highstate", "state.test"}, fun)
}

func stateRunning(_ context.Context, m *minion, j *job, _ Call) Answer {
	return Answer{Return: m.lockHolders(j)}
}
