package machine_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
)

// procs are the processes of a simulated minion: its daemon, what others run there, and the trees of its jobs.
type procs struct {
	all    map[int]*proc
	next   int
	clock  uint64
	blind  bool   // the minion does not let anybody look at them
	strays string // what was killed and is none of any job's
	halted string // what was stopped, to be killed at once
}

type proc struct {
	parent   int
	start    uint64
	jid      string // of the job that it came from; empty: of none
	root     bool   // the job's own
	stubborn bool   // minds no SIGTERM
	slips    bool   // Salt's own kill misses it
	stopped  bool   // it does nothing more until it is killed
}

const (
	initPID   = 1
	daemonPID = 2
)

func newProcs(t *rapid.T) *procs {
	p := &procs{all: map[int]*proc{}, next: daemonPID, blind: rapid.IntRange(0, 5).Draw(t, "blind") == 0}
	p.add(initPID, &proc{})
	p.add(daemonPID, &proc{}) // somebody else's job on that minion
	return p
}

func (p *procs) add(parent int, one *proc) int {
	pid := p.next
	p.next++
	p.put(pid, parent, one)
	return pid
}

func (p *procs) put(pid, parent int, one *proc) {
	p.clock++
	one.parent, one.start = parent, p.clock
	p.all[pid] = one
}

// begin is a job that starts, with some children.
func (p *procs) begin(t *rapid.T, jid string) {
	tree := []int{p.add(daemonPID, &proc{jid: jid, root: true})}
	for range rapid.IntRange(0, 3).Draw(t, "children") {
		p.fork(t, rapid.SampledFrom(tree).Draw(t, "parent"), &tree)
	}
}

func (p *procs) fork(t *rapid.T, parent int, tree *[]int) {
	*tree = append(*tree, p.add(parent, &proc{
		jid: p.all[parent].jid, stubborn: rapid.Bool().Draw(t, "stubborn"), slips: rapid.IntRange(0, 3).Draw(t, "slips") == 0,
	}))
}

// die ends a process: what it started is init's, and its pid may be somebody else's at once.
func (p *procs) die(t *rapid.T, pid int) {
	delete(p.all, pid)
	for _, one := range p.all {
		if one.parent == pid {
			one.parent = initPID
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "reuse") == 0 {
		p.put(pid, daemonPID, &proc{})
	}
}

// of lists the processes that came from a job, the job's own first.
func (p *procs) of(jid string) []int {
	var pids []int
	for _, pid := range slices.Sorted(maps.Keys(p.all)) {
		if p.all[pid].jid == jid {
			pids = append(pids, pid)
		}
	}
	return pids
}

// tree lists what descends from some processes, and those.
func (p *procs) tree(roots []int) []int {
	tree := slices.Clone(roots)
	for i := 0; i < len(tree); i++ {
		for _, pid := range slices.Sorted(maps.Keys(p.all)) {
			if p.all[pid].parent == tree[i] && !slices.Contains(tree, pid) {
				tree = append(tree, pid)
			}
		}
	}
	return tree
}

func (p *procs) root(jid string) (int, bool) {
	for _, pid := range p.of(jid) {
		if p.all[pid].root {
			return pid, true
		}
	}
	return 0, false
}

// end is a job that ends by itself: what it has started may live on.
func (p *procs) end(t *rapid.T, jid string) {
	for _, pid := range p.of(jid) {
		if p.all[pid].root || !p.all[pid].stubborn {
			p.die(t, pid)
		}
	}
}

// term is Salt's term_job: the job's own process is gone in any case.
func (p *procs) term(t *rapid.T, jid string) {
	p.end(t, jid)
}

// kill is Salt's kill_job: it kills what it sees. What it misses cannot be found again.
func (p *procs) kill(t *rapid.T, jid string) {
	root, ok := p.root(jid)
	if !ok {
		return
	}
	p.halted = ""
	for _, pid := range p.tree([]int{root}) {
		if !p.all[pid].slips {
			p.die(t, pid)
		}
	}
}

var notedInScript = regexp.MustCompile(`set noted = (\{.*\}) -%\}`)

// notedIn reads out of a script what it asks each minion about.
func notedIn(script string) (noted map[string]string, kill bool, err error) {
	found := notedInScript.FindStringSubmatch(script)
	if found == nil {
		return nil, false, fmt.Errorf("a sweep names no processes: %.200s", script)
	}
	err = json.Unmarshal([]byte(found[1]), &noted)
	return noted, strings.Contains(script, "signal='KILL'"), err
}

// living are those of a list of noted processes that live.
func (p *procs) living(noted string) string {
	var alive []string
	for word := range strings.FieldsSeq(noted) {
		if pid, ok := p.alive(word); ok {
			alive = append(alive, fmt.Sprint(pid))
		}
	}
	return strings.Join(alive, " ")
}

func (p *procs) alive(word string) (int, bool) {
	var pid int
	var start uint64
	if _, err := fmt.Sscanf(word, "%d:%d", &pid, &start); err != nil {
		panic(err)
	}
	one := p.all[pid]
	return pid, one != nil && one.start == start
}

// processBody is what a minion says of the processes of a job; a sweep may kill them.
func (w *world) processBody(s *sim, a machine.Ask) json.RawMessage {
	p := s.procs
	if p.blind {
		return json.RawMessage(`"'cmd.run' is not available."`)
	}
	script, ok := a.Args[0].(string)
	if !ok {
		w.t.Fatalf("a script is %T", a.Args[0])
	}
	jid := s.told[max(len(s.told)-1, 0):]
	if len(jid) == 0 || !strings.Contains(script, jid[0]) {
		if a.Purpose != machine.PurposeSweep {
			return lines("job gone 0")
		}
		w.t.Fatalf("%s is asked about processes of a job that it does not have", s.name)
	}
	job := "job gone 0"
	switch a.Purpose {
	case machine.PurposeFell:
		return w.fell(s, jid[0])
	case machine.PurposeTree:
		root, ok := p.root(jid[0])
		if !ok || !s.running[jid[0]] {
			return lines(job)
		}
		if rapid.IntRange(0, 2).Draw(w.t, "forks") == 0 {
			tree := p.tree([]int{root})
			parent := rapid.SampledFrom(tree).Draw(w.t, "parent")
			defer p.fork(w.t, parent, &tree) // what starts after the look is not noted
		}
		return lines(fmt.Sprintf("job running %d", root), p.lines(p.tree([]int{root}))...)
	default:
	}
	noted, kill, err := notedIn(script)
	if err != nil {
		w.t.Fatal(err)
	}
	stored := strings.Fields(w.stored.Minions[s.name].Processes)
	var roots []int
	for word := range strings.FieldsSeq(noted[s.name]) {
		if !slices.Contains(stored, word) {
			w.t.Fatalf("%s is asked to look at %s, which is not stored", s.name, word)
		}
		if pid, ok := p.alive(word); ok {
			roots = append(roots, pid)
		}
	}
	left := p.tree(roots)
	var killed []string
	if kill && len(left) > 0 {
		killed = []string{"killed"}
	}
	if kill && rapid.IntRange(0, 4).Draw(w.t, "in vain") > 0 {
		for _, pid := range left {
			if p.all[pid].jid == "" {
				p.strays += fmt.Sprintf(" %d", pid)
			}
			p.die(w.t, pid)
		}
		left = nil
		s.noticeKills()
	}
	if root, ok := p.root(jid[0]); ok && s.running[jid[0]] {
		job = fmt.Sprintf("job running %d", root)
	}
	return lines(job, append(p.lines(left), killed...)...)
}

// fell kills all processes of a job, each only when what descends from it is gone: so does the script. It may be cut short
// in the middle, and then says something that ends anywhere, or nothing.
func (w *world) fell(s *sim, jid string) json.RawMessage {
	p := s.procs
	root, ok := p.root(jid)
	if !ok || !s.running[jid] {
		return lines("job gone 0")
	}
	tree := p.tree([]int{root})
	list := p.lines(tree)
	cut := rapid.IntRange(-len(tree), len(tree)).Draw(w.t, "cut") // after so many kills; negative: it is not
	for _, pid := range tree {
		p.all[pid].stopped = true
		p.halted += fmt.Sprintf(" %d:%d", pid, p.all[pid].start)
	}
	var left []int
	for i, pid := range slices.Backward(tree) {
		switch {
		case cut == len(tree)-1-i:
			whole := string(lines(fmt.Sprintf("job running %d", root), list...))
			return json.RawMessage(whole[:rapid.IntRange(0, len(whole)/2).Draw(w.t, "said")] + `"`)
		case len(p.tree([]int{pid})) > 1, pid != root && rapid.IntRange(0, 7).Draw(w.t, "stuck") == 0:
			left = append(left, pid)
			continue
		case p.all[pid].jid == "":
			p.strays += fmt.Sprintf(" %d", pid)
		}
		p.die(w.t, pid)
	}
	s.noticeKills()
	for _, pid := range left {
		list = append(list, fmt.Sprintf("left %d", pid))
	}
	if len(left) < len(tree) {
		list = append(list, "killed")
	}
	job := "gone"
	if len(left) > 0 {
		job = "running"
	}
	body := lines(fmt.Sprintf("job %s %d", job, root), list...)
	if cut == len(tree) {
		return nil
	}
	return body
}

// noticeKills has a minion's jobs end of which the own process was killed.
func (s *sim) noticeKills() {
	for name := range s.running {
		if _, ok := s.procs.root(name); !ok {
			delete(s.running, name)
		}
	}
}

func (p *procs) lines(pids []int) []string {
	var list []string
	for _, pid := range pids {
		list = append(list, fmt.Sprintf("%d %d %d", pid, p.all[pid].parent, p.all[pid].start))
	}
	return list
}

func lines(first string, more ...string) json.RawMessage {
	b, err := json.Marshal(strings.Join(append(append([]string{first}, more...), "end"), "\n"))
	if err != nil {
		panic(err)
	}
	return b
}
