package machine_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// world is everything around the machine, with chance in it: a master, minions, a store that survives crashes, and events
// on their way, which may be lost, doubled and overtake each other.
type world struct {
	t   *rapid.T
	now time.Time
	jid int

	m      *machine.Machine
	stored *gaea.Run
	queue  []event

	minions map[string]*sim
	loads   map[string][]string                    // what the master's job cache knows: jid to minions
	cached  map[string]map[string]machine.Returned // its returns
	archive map[string]map[string]machine.Returned // ours

	crashes   int
	cancelled bool
	lossy     bool
	guessed   bool // the master guesses whom the target means
	steady    bool // minions do not come and go
	finished  bool
	lock      int  // the lock that was asked for and not given back; 0: none
	held      bool // and granted, if only in part

	acts    map[machine.ActionKey]int // tries given out
	ended   map[machine.ActionKey]bool
	flaky   bool // actions and minions may fail
	hurried bool // cancelled twice
}

// event is an input on its way.
type event struct {
	at   time.Time
	in   machine.Input
	do   func() // something that the machine does not see, in the place of an input
	dies bool   // with the process: an answer to something that it asked
}

// sim is a minion.
type sim struct {
	name    string
	down    bool
	takes   time.Duration // negative: for ever
	dies    bool
	loses   bool
	fails   bool
	busy    int
	target  bool // the target means it; the master believes so in any case
	running map[string]bool
	seen    map[string]bool
	told    []string        // jids, each once
	refused map[string]bool // jids to which it answered that another state run holds it
	procs   *procs
}

var epoch = time.Date(2026, 11, 23, 1, 45, 0, 0, time.UTC)

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, now: epoch, minions: map[string]*sim{}, loads: map[string][]string{},
		cached: map[string]map[string]machine.Returned{}, archive: map[string]map[string]machine.Returned{},
		acts: map[machine.ActionKey]int{}, ended: map[machine.ActionKey]bool{}, flaky: rapid.Bool().Draw(t, "flaky"),
		lossy: rapid.Bool().Draw(t, "lossy"),
	}
	target := gaea.Target{Type: gaea.TargetGlob, Expr: "*"}
	targets := rapid.SampledFrom([]gaea.TargetType{gaea.TargetGlob, gaea.TargetList, gaea.TargetGrain}).Draw(t, "target")
	for i := range rapid.IntRange(1, 6).Draw(t, "minions") {
		name := fmt.Sprintf("web%d", i)
		w.minions[name] = &sim{
			name:    name,
			down:    rapid.IntRange(0, 4).Draw(t, "down") == 0,
			takes:   time.Duration(rapid.SampledFrom([]int{0, 100, 900, 4000, 40_000, -1}).Draw(t, "takes")) * time.Millisecond,
			dies:    rapid.IntRange(0, 5).Draw(t, "dies") == 0,
			fails:   w.flaky && rapid.IntRange(0, 3).Draw(t, "fails") == 0,
			loses:   rapid.IntRange(0, 5).Draw(t, "loses") == 0,
			busy:    max(rapid.IntRange(-3, 3).Draw(t, "busy"), 0),
			target:  targets != gaea.TargetGrain || rapid.IntRange(0, 3).Draw(t, "matches") > 0,
			running: map[string]bool{}, seen: map[string]bool{}, refused: map[string]bool{},
			procs: newProcs(t),
		}
	}
	w.guessed = targets == gaea.TargetGrain
	switch targets {
	case gaea.TargetList:
		target = gaea.ListTarget(append(slices.Collect(maps.Keys(w.minions)), "unknown"))
	case gaea.TargetGrain:
		target = gaea.Target{Type: gaea.TargetGrain, Expr: "role:web"}
	default:
	}
	function := rapid.SampledFrom([]string{"test.ping", "state.apply"}).Draw(t, "function")
	run := &gaea.Run{
		ID: "run-1", Function: function, Target: target, Status: gaea.RunQueued, Created: epoch, Call: &gaea.Call{Function: function},
		Timeouts: gaea.Timeouts{Job: gaea.Duration(5 * time.Minute), Gather: gaea.Duration(5 * time.Second)},
	}
	w.drawCourse(run)
	w.stored = copyOf(run)
	w.restart()
	return w
}

func copyOf(run *gaea.Run) *gaea.Run {
	b, err := json.Marshal(run)
	if err != nil {
		panic(err)
	}
	c := &gaea.Run{}
	if err := json.Unmarshal(b, c); err != nil {
		panic(err)
	}
	c.Call, c.AllowEmpty = run.Call, run.AllowEmpty
	for name, rm := range run.Minions {
		kept := c.Minions[name]
		kept.Processes = rm.Processes
		c.Minions[name] = kept
	}
	return c
}

// restart is a new process on what is stored.
func (w *world) restart() {
	w.queue = slices.DeleteFunc(w.queue, func(e event) bool { return e.dies })
	w.m = machine.New(copyOf(w.stored), func(time.Time) string {
		w.jid++
		return fmt.Sprintf("2026112301450%07d", w.jid)
	}, func(string) time.Time { return time.Time{} })
	w.finished = w.m.Ended()
	minions, all := w.m.Held()
	w.lock, w.held = 0, all || len(minions) > 0
	w.do(w.m.Step(machine.Begin{}, w.now))
}

// do carries out effects; the process may crash between any two of them.
func (w *world) do(effects []machine.Effect) {
	for _, effect := range effects {
		if w.crashes < 4 && rapid.IntRange(0, 60).Draw(w.t, "crash") == 0 {
			w.crashes++
			w.restart()
			return
		}
		w.effect(effect)
	}
}

func (w *world) effect(effect machine.Effect) {
	switch effect := effect.(type) {
	case machine.Save:
		w.save(effect)
	case machine.Lock:
		w.lock = effect.ID
		if effect.Minions == nil && rapid.Bool().Draw(w.t, "others at work") {
			w.send(machine.LockUnknown{Lock: effect.ID}, 0, true)
			return
		}
		w.send(machine.Locked{Lock: effect.ID}, rapid.IntRange(0, 3000).Draw(w.t, "lock"), true)
	case machine.Publish:
		w.publish(effect)
	case machine.Ask:
		w.ask(effect)
	case machine.LookUp:
		w.lookUp(effect)
	case machine.Follow:
		for _, r := range w.archive[effect.JID] {
			w.later(r, true)
		}
	case machine.Finish:
		w.finished = true
	case machine.Claim:
		w.claim(effect)
	case machine.Act:
		w.act(effect)
	case machine.EndAct:
		w.endAct(effect)
	case machine.Unlock:
		w.lock, w.held = 0, false
	case machine.Narrow, machine.Free, machine.Disclaim, machine.Forget:
	}
}

// save keeps to the contract of a run store: of the minions, those that are named.
func (w *world) save(effect machine.Save) {
	minions := w.stored.Minions
	if minions == nil {
		minions = map[string]gaea.RunMinion{}
	}
	run := copyOf(w.m.Run())
	for _, name := range effect.Minions {
		if rm, ok := run.Minions[name]; ok {
			minions[name] = rm
		} else {
			delete(minions, name)
		}
	}
	run.Minions = minions
	w.stored = run
}

// send puts an event on its way for some milliseconds.
func (w *world) send(in machine.Input, ms int, dies bool) {
	w.queue = append(w.queue, event{at: w.now.Add(time.Duration(ms) * time.Millisecond), in: in, dies: dies})
}

// later puts an event on its way, which may lose or double it.
func (w *world) later(in machine.Input, dies bool) {
	if w.lossy {
		switch rapid.IntRange(0, 9).Draw(w.t, "fate") {
		case 0:
			return
		case 1:
			w.send(in, rapid.IntRange(0, 20_000).Draw(w.t, "delay"), dies)
		}
	}
	w.send(in, rapid.IntRange(0, 800).Draw(w.t, "delay"), dies)
}

// publish is a publish request; its answer may be lost, before or after the master has taken it.
func (w *world) publish(p machine.Publish) {
	if !slices.ContainsFunc(w.stored.Slices, func(s gaea.Slice) bool { return s.JID == p.JID }) {
		w.t.Fatalf("job %s is published and not stored", p.JID)
	}
	w.mayPublish(p)
	fate := rapid.IntRange(0, 11).Draw(w.t, "publish")
	if fate == 0 {
		w.send(machine.PublishFailed{JID: p.JID, Code: gaea.CodeUnavailable, Message: "the master does not answer"}, 50, true)
		return
	}
	believed, missing := w.resolve(p.Target)
	if len(believed) == 0 {
		w.send(machine.PublishFailed{JID: p.JID, Code: gaea.CodeEmptyTarget, Message: "nothing matched"}, 50, true)
		return
	}
	if w.loads[p.JID] == nil {
		w.loads[p.JID] = believed
	}
	for _, name := range believed {
		if s := w.minions[name]; !s.down && (s.target || p.Target.Type == gaea.TargetList) {
			w.begin(s, p.JID)
		}
	}
	if fate == 1 {
		w.send(machine.PublishFailed{JID: p.JID, Code: gaea.CodeTimeout, Message: "the master does not answer"}, 50, true)
		return
	}
	w.later(machine.Published{JID: p.JID, Minions: believed, Missing: missing}, true)
}

func (w *world) resolve(t gaea.Target) (believed, missing []string) {
	names := slices.Sorted(maps.Keys(w.minions))
	if t.Type != gaea.TargetList {
		return names, nil
	}
	for _, name := range t.Minions {
		if w.minions[name] != nil {
			believed = append(believed, name)
		} else {
			missing = append(missing, name)
		}
	}
	return believed, missing
}

// begin is a job that reaches a minion.
func (w *world) begin(s *sim, jid string) {
	if s.seen[jid] {
		return
	}
	s.seen[jid] = true
	if n := len(s.told); n > 0 && !s.refused[s.told[n-1]] {
		w.t.Fatalf("%s is told to run %s after %s, which it did not refuse", s.name, jid, s.told[n-1])
	}
	s.told = append(s.told, jid)
	ret := machine.Returned{JID: jid, Minion: s.name, Outcome: gaea.OutcomeSucceeded}
	if s.fails {
		ret.Outcome, ret.Message = gaea.OutcomeFailed, "it failed"
	}
	if s.busy > 0 {
		s.busy--
		s.refused[jid] = true
		ret.Outcome, ret.Busy, ret.Message = gaea.OutcomeCouldNotRun, true, "busy"
		w.deliver(s, ret)
		return
	}
	s.running[jid] = true
	s.procs.begin(w.t, jid)
	if s.takes >= 0 {
		w.queue = append(w.queue, event{at: w.now.Add(s.takes), do: func() { w.done(s, ret) }})
	}
}

// done is a job that ends on a minion.
func (w *world) done(s *sim, ret machine.Returned) {
	if root, ok := s.procs.root(ret.JID); !s.running[ret.JID] || !ok || s.procs.all[root].stopped {
		return // killed, or stopped to be
	}
	delete(s.running, ret.JID)
	s.procs.end(w.t, ret.JID)
	if !s.dies {
		w.deliver(s, ret)
	}
}

// deliver sends a return to the master.
func (w *world) deliver(s *sim, ret machine.Returned) {
	put(w.cached, ret)
	if s.loses {
		return
	}
	put(w.archive, ret)
	w.later(ret, false)
}

func put(m map[string]map[string]machine.Returned, ret machine.Returned) {
	if m[ret.JID] == nil {
		m[ret.JID] = map[string]machine.Returned{}
	}
	m[ret.JID][ret.Minion] = ret
}

// ask is a question, answered by the minions that are up.
func (w *world) ask(a machine.Ask) {
	if a.Purpose == machine.PurposeResolve && rapid.IntRange(0, 3).Draw(w.t, "queue") == 0 {
		wait := time.Duration(rapid.IntRange(1, 120).Draw(w.t, "queued")) * time.Second
		w.queue = append(w.queue, event{at: w.now.Add(wait), dies: true, do: func() {
			w.later(machine.Asking{Ask: a.ID}, true)
			w.put(a)
		}})
		return
	}
	w.put(a)
}

// put puts a question whose turn has come.
func (w *world) put(a machine.Ask) {
	if rapid.IntRange(0, 11).Draw(w.t, "ask") == 0 {
		w.send(machine.AskFailed{Ask: a.ID, Code: gaea.CodeUnavailable, Message: "the master does not answer"}, 50, true)
		return
	}
	t := a.Target
	if a.Purpose == machine.PurposeMatch {
		t = w.m.Run().Target
	}
	believed, missing := w.resolve(t)
	if len(believed) == 0 {
		w.send(machine.AskFailed{Ask: a.ID, Code: gaea.CodeEmptyTarget, Message: "nothing matched"}, 50, true)
		return
	}
	w.later(machine.Asked{Ask: a.ID, Minions: believed, Missing: missing}, true)
	for _, name := range believed {
		s := w.minions[name]
		if s.down || (!s.target && t.Type != gaea.TargetList) {
			continue
		}
		if a.Purpose == machine.PurposeFell && w.lossy {
			w.fellLater(s, a)
			continue
		}
		w.later(machine.Answered{Ask: a.ID, Minion: name, Body: w.body(s, a)}, true)
	}
}

// fellLater has the question reach a minion late, or twice. What it does is done also where nobody is there to hear of it.
func (w *world) fellLater(s *sim, a machine.Ask) {
	asks := w.m
	for range rapid.IntRange(1, 2).Draw(w.t, "times") {
		late := time.Duration(rapid.SampledFrom([]int{0, 0, 1000, 4000, 9000}).Draw(w.t, "reached")) * time.Millisecond
		w.queue = append(w.queue, event{at: w.now.Add(late), do: func() {
			if s.down {
				return
			}
			if body := w.body(s, a); w.m == asks && !w.finished && body != nil {
				w.later(machine.Answered{Ask: a.ID, Minion: s.name, Body: body}, true)
			}
		}})
	}
}

func (w *world) body(s *sim, a machine.Ask) json.RawMessage {
	running := slices.Sorted(maps.Keys(s.running))
	switch a.Function {
	case "saltutil.find_job":
		if jid, ok := a.Args[0].(string); ok && s.running[jid] {
			return json.RawMessage(`{"pid": 1}`)
		}
		return json.RawMessage(`{}`)
	case "saltutil.is_running":
		jobs := []map[string]string{}
		for _, jid := range running {
			jobs = append(jobs, map[string]string{"jid": jid})
		}
		b, err := json.Marshal(jobs)
		if err != nil {
			panic(err)
		}
		return b
	case "cmd.run":
		return w.processBody(s, a)
	case "saltutil.term_job":
		if jid, ok := a.Args[0].(string); ok && s.running[jid] {
			delete(s.running, jid)
			s.procs.term(w.t, jid)
			return json.RawMessage(`"Signal 15 sent to job"`)
		}
		return json.RawMessage(`""`)
	case "saltutil.kill_job":
		if jid, ok := a.Args[0].(string); ok && s.running[jid] {
			delete(s.running, jid)
			s.procs.kill(w.t, jid)
			return json.RawMessage(`"Signal 9 sent to job"`)
		}
		return json.RawMessage(`""`)
	default:
		return json.RawMessage(`true`)
	}
}

func (w *world) lookUp(l machine.LookUp) {
	if rapid.IntRange(0, 7).Draw(w.t, "look up") == 0 {
		w.send(machine.CacheFailed{LookUp: l.ID, JID: l.JID, Message: "the cache does not answer"}, 50, true)
		return
	}
	load, found := w.loads[l.JID]
	in := machine.Cached{LookUp: l.ID, JID: l.JID, Found: found, Minions: load}
	for _, name := range slices.Sorted(maps.Keys(w.cached[l.JID])) {
		in.Returns = append(in.Returns, w.cached[l.JID][name])
	}
	w.later(in, true)
}

// live lets things happen until the run has ended.
func (w *world) live() {
	for range 20_000 {
		if w.finished {
			return
		}
		if !w.cancelled && rapid.IntRange(0, 150).Draw(w.t, "cancel") == 0 {
			grace := gaea.Duration(rapid.SampledFrom([]int{0, 0, 2, 30}).Draw(w.t, "grace")) * gaea.Duration(time.Second)
			w.do(w.m.Step(machine.Cancel{By: "ann", Grace: grace}, w.now))
			w.cancelled = w.stored.Verdict == gaea.RunCancelled
			continue
		}
		if w.interfere() {
			continue
		}
		if !w.steady && rapid.IntRange(0, 100).Draw(w.t, "flip") == 0 {
			names := slices.Sorted(maps.Keys(w.minions))
			s := w.minions[rapid.SampledFrom(names).Draw(w.t, "who")]
			s.down = !s.down
		}
		w.next()
	}
	w.t.Fatalf("the run does not end: %s, %v", w.m.Run().Status, w.m.Run().Minions)
}

// next delivers one of the events that are due, or lets time pass.
func (w *world) next() {
	var due []int
	wake := w.m.Wake()
	soonest := wake
	for i, e := range w.queue {
		if !e.at.After(w.now) {
			due = append(due, i)
		} else if soonest.IsZero() || e.at.Before(soonest) {
			soonest = e.at
		}
	}
	if len(due) == 0 || (!wake.IsZero() && !wake.After(w.now)) {
		if soonest.IsZero() && w.m.Run().Status == gaea.RunPaused {
			w.do(w.m.Step(machine.Resume{}, w.now))
			return
		}
		if soonest.IsZero() {
			w.t.Fatalf("nothing will ever happen again: %s, %v", w.m.Run().Status, w.m.Run().Minions)
		}
		if soonest.After(w.now) {
			w.now = soonest
		}
		m := w.m
		w.do(m.Step(machine.Tick{}, w.now))
		if wake := m.Wake(); m == w.m && !wake.IsZero() && !wake.After(w.now) {
			w.t.Fatalf("the machine wants to be woken at %s, which has passed: it would never rest", wake)
		}
		return
	}
	i := due[0]
	if len(due) > 1 {
		i = rapid.SampledFrom(due).Draw(w.t, "event")
	}
	e := w.queue[i]
	w.queue = slices.Delete(w.queue, i, i+1)
	if e.do != nil {
		e.do()
		return
	}
	if in, ok := e.in.(machine.Locked); ok && in.Lock == w.lock {
		w.held = true
	}
	w.do(w.m.Step(e.in, w.now))
}
