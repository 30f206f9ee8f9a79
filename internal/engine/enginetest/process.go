package enginetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Child is a process that each job of a minion starts.
type Child struct {
	Ignores bool          // minds no SIGTERM
	Lingers time.Duration // from a SIGTERM to its end
	Slips   bool          // Salt's own kill misses it
}

// process is a process on a minion that belongs to a job.
type process struct {
	Child
	parent int
	start  int
	jid    string
}

// firstPID is that of the first process of a minion's jobs.
const firstPID = 4711

// daemonPID is that of the minion itself.
const daemonPID = 100

// Processes lists what lives on a minion of all that its jobs have started, the jobs' own processes included.
func (s *Salt) Processes(name string) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.minions[name]; m != nil {
		return slices.Sorted(maps.Keys(m.processes))
	}
	return nil
}

// spawn starts the processes of a job.
func (m *minion) spawn(jid string) {
	root := m.fork(daemonPID, jid, Child{})
	m.jobs[jid].pid = root
	for _, child := range m.Children {
		m.fork(root, jid, child)
	}
}

func (m *minion) fork(parent int, jid string, child Child) int {
	pid := firstPID + m.forks
	m.forks++
	m.processes[pid] = process{Child: child, parent: parent, start: 1000 + m.forks, jid: jid}
	return pid
}

// of lists the processes of a job.
func (m *minion) of(jid string) []int {
	var pids []int
	for _, pid := range slices.Sorted(maps.Keys(m.processes)) {
		if m.processes[pid].jid == jid {
			pids = append(pids, pid)
		}
	}
	return pids
}

// exited is a job that ended by itself, or whose own process was killed: what minds that has ended with it.
func (m *minion) exited(jid string, root int) {
	delete(m.processes, root)
	for _, pid := range m.of(jid) {
		one := m.processes[pid]
		one.parent = 1
		m.processes[pid] = one
	}
}

// term is Salt's term_job: it signals the tree and loses sight of the job when the job's own process is gone.
func (s *Salt) term(m *minion, jid any) any {
	id, j := m.job(jid)
	if j == nil {
		return ""
	}
	for _, pid := range m.of(id) {
		one := m.processes[pid]
		switch {
		case pid == j.pid || one.Ignores:
		case one.Lingers > 0:
			s.after(one.Lingers, func() { delete(m.processes, pid) })
		default:
			delete(m.processes, pid)
		}
	}
	if !m.Unstoppable {
		j.killed = true
		m.exited(id, j.pid)
		s.end(m, id)
	}
	return fmt.Sprintf("Signal 15 sent to job %s at pid %d", id, j.pid)
}

// kill is Salt's kill_job.
func (s *Salt) kill(m *minion, jid any) any {
	id, j := m.job(jid)
	if j == nil {
		return ""
	}
	if !m.Unstoppable {
		j.killed = true
		for _, pid := range m.of(id) {
			if !m.processes[pid].Slips {
				delete(m.processes, pid)
			}
		}
		m.exited(id, j.pid)
		s.end(m, id)
	}
	return fmt.Sprintf("Signal 9 sent to job %s at pid %d", id, j.pid)
}

func (m *minion) job(jid any) (string, *job) {
	id, ok := jid.(string)
	if !ok {
		return "", nil
	}
	return id, m.jobs[id]
}

var (
	jidOfScript   = regexp.MustCompile(`jid='(\d+)'`)
	notedOfScript = regexp.MustCompile(`set noted = (\{.*\}) -%\}`)
)

// look is what a minion answers to the engine's script that looks at the processes of a job, and may kill what was noted.
func (s *Salt) look(m *minion, p gaea.Publication) any {
	if m.Blind != "" {
		return m.Blind
	}
	script, ok := p.Args[0].(string)
	if !ok {
		return "no script"
	}
	found := jidOfScript.FindStringSubmatch(script)
	if found == nil {
		return "a script that names no job"
	}
	kill := strings.Contains(script, "signal='KILL'")
	if noted := notedOfScript.FindStringSubmatch(script); noted != nil {
		return m.sweep(s, found[1], noted[1], kill)
	}
	j := m.jobs[found[1]]
	switch {
	case j == nil:
		return "job gone 0\nend"
	case m.Threads:
		return fmt.Sprintf("job thread %d\nend", j.pid)
	case kill:
		return m.fell(s, found[1], j)
	default:
		return fmt.Sprintf("job running %d\n%send", j.pid, m.lines(m.of(found[1])))
	}
}

// fell kills all processes of a job, and tells what there was and what is left.
func (m *minion) fell(s *Salt, jid string, j *job) string {
	all := m.lines(m.of(jid)) // the job's own comes first, for it was started first
	if m.Unstoppable {
		var left strings.Builder
		for _, pid := range m.of(jid) {
			fmt.Fprintf(&left, "left %d\n", pid)
		}
		return fmt.Sprintf("job running %d\n%s%skilled\nend", j.pid, all, left.String())
	}
	j.killed = true
	for _, pid := range m.of(jid) {
		delete(m.processes, pid)
	}
	s.end(m, jid)
	return fmt.Sprintf("job gone %d\n%skilled\nend", j.pid, all)
}

// sweep tells what lives of the noted processes.
func (m *minion) sweep(s *Salt, jid, list string, kill bool) string {
	var noted map[string]string
	if err := json.Unmarshal([]byte(list), &noted); err != nil {
		return err.Error()
	}
	var living []int
	for word := range strings.FieldsSeq(noted[m.name]) {
		var pid, start int
		if _, err := fmt.Sscanf(word, "%d:%d", &pid, &start); err != nil {
			return err.Error()
		}
		if one, ok := m.processes[pid]; ok && one.start == start {
			living = append(living, pid)
		}
	}
	killed := ""
	if kill && len(living) > 0 {
		killed = "killed\n"
	}
	if kill && !m.Unstoppable {
		for _, pid := range living {
			delete(m.processes, pid)
		}
		living = nil
		if j := m.jobs[jid]; j != nil {
			j.killed = true
			s.end(m, jid)
		}
	}
	standing := "gone 0"
	if j := m.jobs[jid]; j != nil {
		standing = fmt.Sprintf("running %d", j.pid)
	}
	return fmt.Sprintf("job %s\n%s%send", standing, m.lines(living), killed)
}

func (m *minion) lines(pids []int) string {
	var b strings.Builder
	for _, pid := range pids {
		fmt.Fprintf(&b, "%d %d %d\n", pid, m.processes[pid].parent, m.processes[pid].start)
	}
	return b.String()
}
