package swarm

import (
	"context"
	"fmt"
)

// The signals that saltutil sends to a job.
const (
	sigTerm = 15
	sigKill = 9
)

// findJob says what is known of a job that runs; an empty map where none of this id does.
func findJob(_ context.Context, m *minion, j *job, c Call) Answer {
	jid := c.text(0, "jid", "")
	if jid == "" {
		return missing(c, "jid")
	}
	if found := m.running(jid); found != nil && found != j {
		return Answer{Return: found.describe()}
	}
	return Answer{Return: map[string]any{}}
}

func running(_ context.Context, m *minion, j *job, _ Call) Answer {
	return Answer{Return: m.describeJobs(j, "*")}
}

func isRunning(_ context.Context, m *minion, j *job, c Call) Answer {
	return Answer{Return: m.describeJobs(j, c.text(0, "fun", ""))}
}

// describeJobs describes the jobs whose functions a glob matches, but for the one that asks.
func (m *minion) describeJobs(asks *job, pattern string) []any {
	list := []any{}
	for _, j := range m.runningJobs() {
		if j != asks && glob(pattern, j.told.fun) {
			list = append(list, j.describe())
		}
	}
	return list
}

func killJob(_ context.Context, m *minion, _ *job, c Call) Answer { return signalJob(m, c, sigKill) }
func termJob(_ context.Context, m *minion, _ *job, c Call) Answer { return signalJob(m, c, sigTerm) }

// signalJob signals a job and its processes, and answers as salt/modules/saltutil.py does: with nothing where no such job runs.
func signalJob(m *minion, c Call, signal int) Answer {
	jid := c.text(0, "jid", "")
	if jid == "" {
		return missing(c, "jid")
	}
	j := m.running(jid)
	if j == nil {
		return Answer{Return: ""}
	}
	m.signal(j, signal)
	return Answer{Return: fmt.Sprintf("Signal %d sent to job %s at pid %d", signal, jid, j.pid)}
}
