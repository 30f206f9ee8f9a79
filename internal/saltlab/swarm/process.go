package swarm

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// daemonPID is the process of a minion itself, which those of its jobs descend from.
const daemonPID = 1000

// process is one of the processes that a minion says it has.
type process struct {
	pid, parent int
	start       uint64 // clock ticks since boot
	jid         string // the job that it was started for
	immortal    bool   // it outlives each signal
}

// processes are those of one minion. They exist on paper alone.
type processes struct {
	mu   sync.Mutex
	last int // the latest pid
	all  map[int]process
}

// start adds the processes of a job: its own, and a child of that, and returns their ids.
func (ps *processes) start(jid string, immortal bool) (pid, child int) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.all == nil {
		ps.all, ps.last = map[int]process{}, daemonPID
	}
	const wrap = 1 << 22 // the kernel's pid_max on 64 bits
	if ps.last+2 >= wrap {
		ps.last = daemonPID
	}
	pid, child = ps.last+1, ps.last+2
	ps.last = child
	for n, p := range []process{{pid: pid, parent: daemonPID}, {pid: child, parent: pid}} {
		p.start, p.jid, p.immortal = uint64(100_000+10*p.pid+n), jid, immortal
		ps.all[p.pid] = p
	}
	return pid, child
}

// end takes the processes of a job away; with the job's own alone the others live on, as children of the first process.
func (ps *processes) end(jid string, own int, children bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for pid, p := range ps.all {
		switch {
		case p.jid != jid:
		case children || pid == own:
			delete(ps.all, pid)
		default:
			p.parent = 1
			ps.all[pid] = p
		}
	}
}

// clear takes all away.
func (ps *processes) clear() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	clear(ps.all)
}

// tree is a process and what descends from it, the process first.
func (ps *processes) tree(root int) []process {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	first, ok := ps.all[root]
	if !ok {
		return nil
	}
	return ps.grow([]process{first})
}

// living are those of the noted processes that live, and what has descended from them; with kill they are killed first.
func (ps *processes) living(noted []process, kill bool) []process {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	alive := func() (found []process) {
		for _, n := range noted {
			if p, ok := ps.all[n.pid]; ok && p.start == n.start {
				found = append(found, p)
			}
		}
		return ps.grow(found)
	}
	found := alive()
	if !kill {
		return found
	}
	for _, p := range found {
		if !p.immortal {
			delete(ps.all, p.pid)
		}
	}
	return alive()
}

// grow adds the descendants of some processes, by their pids.
func (ps *processes) grow(known []process) []process {
	var more []process
	for _, p := range ps.all {
		if slices.ContainsFunc(known, func(k process) bool { return k.pid == p.parent }) && !slices.Contains(known, p) {
			more = append(more, p)
		}
	}
	if len(more) == 0 {
		return known
	}
	slices.SortFunc(more, func(a, b process) int { return a.pid - b.pid })
	return ps.grow(append(known, more...))
}

// inspection is a question for processes that Gaea puts through cmd.run when it stops a job: a template that asks Salt for the
// job, and a shell script that reads /proc (internal/engine/machine/script.go).
type inspection struct {
	jid   string
	sweep bool                // it asks for the noted processes, and not for all of the job
	noted map[string][]string // by minion: PID:START
	kill  bool                // those, or all of the job
}

var (
	inspectionJID    = regexp.MustCompile(`jid='(\d+)'`)
	inspectionNoted  = regexp.MustCompile(`(?m)^\{%- set noted = (\{.*\}) -%\}$`)
	inspectionSignal = regexp.MustCompile(`(?m)^noted='.*' signal='(KILL)?'$`)
)

// parseInspection reads such a question; ok says whether it is one.
func parseInspection(script string) (asked inspection, ok bool) {
	if !strings.Contains(script, "saltutil.find_job") || !strings.Contains(script, "/proc/self/stat") {
		return inspection{}, false
	}
	jid := inspectionJID.FindStringSubmatch(script)
	if jid == nil {
		return inspection{}, false
	}
	asked.jid = jid[1]
	list, signal := inspectionNoted.FindStringSubmatch(script), inspectionSignal.FindStringSubmatch(script)
	if list == nil {
		asked.kill = signal != nil && signal[1] == "KILL"
		return asked, true
	}
	noted := map[string]string{}
	if signal == nil || json.Unmarshal([]byte(list[1]), &noted) != nil {
		return inspection{}, false
	}
	asked.sweep, asked.kill, asked.noted = true, signal[1] == "KILL", map[string][]string{}
	for minion, words := range noted {
		asked.noted[minion] = strings.Fields(words)
	}
	return asked, true
}

// inspect answers such a question as the script would. by is the job that asks.
func (m *minion) inspect(asked inspection, by *job) string {
	if m.cannotLook() {
		return "there is no /proc on this minion"
	}
	if asked.kill && !asked.sweep {
		return m.fell(asked.jid, by)
	}
	var found []process
	if asked.sweep {
		found = m.processes.living(parseNoted(asked.noted[m.id]), asked.kill)
	}
	pid := 0
	if j := m.running(asked.jid); j != nil && j != by {
		if asked.sweep && asked.kill && len(m.processes.tree(j.pid)) == 0 {
			m.gone(j) // its process was among those that were killed
		} else {
			pid = j.pid
		}
	}
	if !asked.sweep && pid > 0 {
		found = m.processes.tree(pid)
	}
	var b strings.Builder
	if pid > 0 {
		fmt.Fprintf(&b, "job running %d\n", pid)
	} else {
		b.WriteString("job gone 0\n")
	}
	for _, p := range found {
		fmt.Fprintf(&b, "%d %d %d\n", p.pid, p.parent, p.start)
	}
	b.WriteString("end")
	return b.String()
}

// fell kills all processes of a job, and tells what there was and what is left. by is the job that asks.
func (m *minion) fell(jid string, by *job) string {
	j := m.running(jid)
	if j == nil || j == by {
		return "job gone 0\nend"
	}
	all := m.processes.tree(j.pid)
	left := m.processes.living(all, true)
	standing := "running"
	if len(m.processes.tree(j.pid)) == 0 {
		standing = "gone"
		m.gone(j)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "job %s %d\n", standing, j.pid)
	for _, p := range all {
		fmt.Fprintf(&b, "%d %d %d\n", p.pid, p.parent, p.start)
	}
	for _, p := range left {
		fmt.Fprintf(&b, "left %d\n", p.pid)
	}
	b.WriteString("killed\nend")
	return b.String()
}

func parseNoted(words []string) []process {
	var noted []process
	for _, word := range words {
		pid, start, _ := strings.Cut(word, ":")
		n, err := strconv.Atoi(pid)
		ticks, err2 := strconv.ParseUint(start, 10, 64)
		if err == nil && err2 == nil {
			noted = append(noted, process{pid: n, start: ticks})
		}
	}
	return noted
}
