package machine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxNoted bounds the processes that are noted of one minion's job.
const maxNoted = 200

// process is one process of a minion, told from another that has its pid later by when it started.
type process struct {
	pid   int
	start uint64 // clock ticks since boot
}

// processes are some of one job, the job's own first.
type processes []process

// String is what is stored: "PID:START PID:START".
func (ps processes) String() string {
	words := make([]string, len(ps))
	for i, p := range ps {
		words[i] = fmt.Sprintf("%d:%d", p.pid, p.start)
	}
	return strings.Join(words, " ")
}

// parseProcesses reads what is stored. Words that are none of it are left out: what is sent to a shell is digits.
func parseProcesses(s string) processes {
	var ps processes
	for word := range strings.FieldsSeq(s) {
		pid, start, ok := strings.Cut(word, ":")
		if p, valid := parseProcess(pid, start); ok && valid && len(ps) < maxNoted {
			ps = append(ps, p)
		}
	}
	return ps
}

func parseProcess(pid, start string) (process, bool) {
	n, err := strconv.Atoi(pid)
	ticks, err2 := strconv.ParseUint(start, 10, 64)
	return process{pid: n, start: ticks}, err == nil && err2 == nil && n > 1
}

// has says whether a process of this pid is among them.
func (ps processes) has(pid int) bool {
	return slices.ContainsFunc(ps, func(p process) bool { return p.pid == pid })
}

// merge adds those that are not among them yet.
func (ps processes) merge(others processes) processes {
	for _, p := range others {
		if len(ps) < maxNoted && !slices.Contains(ps, p) {
			ps = append(ps, p)
		}
	}
	return ps
}

// looked is what a minion says of a job's processes.
type looked struct {
	job       jobStanding
	pid       int       // the job's own process; 0: it has none
	processes processes // of the tree; or what lives of those that were asked about, and what they have started
	left      []int     // of the tree, what lives though all of it was killed
	more      bool      // there are more than were listed
	killed    bool      // some lived, and were killed
}

// jobStanding is how a minion stands to a job.
type jobStanding string

const (
	jobRunning jobStanding = "running" // it runs, or waits in Salt's queue for its turn
	jobGone    jobStanding = "gone"
	jobThread  jobStanding = "thread" // it runs inside the minion's daemon, which a kill would end
)

// parseLooked reads the answer to the script for a purpose: lines "job STANDING PID", "PID PARENT START", "left PID", "more",
// "killed" and "end". The error is what the minion said in their place, for users.
func parseLooked(body json.RawMessage, p Purpose) (looked, error) {
	tree := p != PurposeSweep
	said := text(body)
	lines := strings.Split(strings.TrimSpace(said), "\n")
	first := strings.Fields(lines[0])
	if len(lines) < 2 || len(first) != 3 || first[0] != "job" || strings.TrimSpace(lines[len(lines)-1]) != "end" {
		return looked{}, notLooked(said)
	}
	pid, err := strconv.Atoi(first[2])
	l := looked{job: jobStanding(first[1]), pid: pid}
	if err != nil || !slices.Contains([]jobStanding{jobRunning, jobGone, jobThread}, l.job) {
		return looked{}, notLooked(said)
	}
	for _, line := range lines[1 : len(lines)-1] {
		words := strings.Fields(line)
		if l.note(words, p) {
			continue
		}
		if len(words) != 3 {
			return looked{}, notLooked(said)
		}
		p, ok := parseProcess(words[0], words[2])
		parent, err := strconv.Atoi(words[1])
		switch {
		case !ok || err != nil:
			return looked{}, notLooked(said)
		case tree && p.pid != l.pid && !l.processes.has(parent):
			continue // hangs at none of the job's: it is none of the job's
		case len(l.processes) == maxNoted:
			l.more = true
			continue
		}
		l.processes = append(l.processes, p)
	}
	return l, nil
}

// note takes in a line that is no process, and says whether it is one of those that the script for a purpose has.
func (l *looked) note(words []string, p Purpose) bool {
	switch {
	case len(words) == 1 && words[0] == "more":
		l.more = true
	case len(words) == 1 && words[0] == "killed" && p != PurposeTree:
		l.killed = true
	case len(words) == 2 && words[0] == "left" && p == PurposeFell:
		left, err := strconv.Atoi(words[1])
		l.left = append(l.left, left)
		return err == nil
	default:
		return false
	}
	return true
}

// notLooked is what a minion says that cannot look at processes.
func notLooked(said string) error {
	const most = 200 // bytes
	said = strings.Join(strings.Fields(said), " ")
	if len(said) > most {
		said = strings.ToValidUTF8(said[:most], "") + "…"
	}
	if said == "" {
		said = "the minion gave an empty answer"
	}
	return fmt.Errorf("%s", said)
}
