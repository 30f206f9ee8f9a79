package killtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// work is one run that a round makes.
type work struct {
	letter   string // names it within the round
	template gaea.JobTemplate
	target   gaea.Target
	fails    string // the minion on which its function fails; empty: none
	halts    bool   // that failure halts it
	control  control
	grace    gaea.Duration // of a cancel
	later    bool          // made when the first run has its minions under its lock, so that it has to wait
}

// control is what is done to a run before jobd is killed.
type control string

const (
	leaveAlone control = ""
	pauseIt    control = "pause"
	cancelIt   control = "cancel"
)

// plan is what one round does.
type plan struct {
	shape  string
	works  []work // made one after the other, at once
	moment moment
	twice  bool          // jobd is killed again while it starts
	second time.Duration // so long after it was started
}

// shape is a kind of round.
type shape struct {
	name string
	plan func(p *planner) []work
}

// shapes are played in turn, in an order that the seed decides, so that each is played equally often.
var shapes = []shape{
	{"straight", func(p *planner) []work { return []work{p.work("a")} }},
	{"straight with actions", func(p *planner) []work {
		w := p.work("a")
		p.actions(&w, gaea.ScopeOnce)
		return []work{w}
	}},
	{"slices with actions", func(p *planner) []work {
		w := p.work("a")
		p.slices(&w)
		p.actions(&w, gaea.ScopeSlice)
		p.actions(&w, gaea.ScopeOnce)
		return []work{w}
	}},
	{"slices of which one fails", func(p *planner) []work {
		w := p.work("a")
		p.slices(&w)
		p.failOn(&w, p.anyMinion())
		w.template.Batch.MaxFailures = must(gaea.ParseAllowance("0"))
		w.halts = true
		p.post(&w, gaea.ScopeOnce, gaea.WhenAlways)
		return []work{w}
	}},
	{"canary", func(p *planner) []work {
		w := p.work("a")
		p.slices(&w)
		w.template.Batch.Canary = amount(1)
		w.template.Batch.CanaryHold = must(gaea.ParseHold(p.oneOf("manual", "500ms")))
		w.template.Batch.Order = gaea.OrderRandom
		return []work{w}
	}},
	{"rolling", func(p *planner) []work {
		w := p.work("a")
		w.template.Batch = gaea.Batch{Size: amount(2 + p.rand.IntN(2)), Mode: gaea.BatchRolling}
		p.actions(&w, gaea.ScopeOnce)
		return []work{w}
	}},
	{"two runs with one lock", func(p *planner) []work {
		first, second := p.work("a"), p.work("b")
		p.slices(&first)
		p.post(&first, gaea.ScopeOnce, gaea.WhenAlways)
		for _, w := range []*work{&first, &second} {
			w.template.Concurrency = gaea.Concurrency{Lock: "killtest"}
		}
		second.later = p.rand.IntN(3) > 0
		return []work{first, second}
	}},
	{"two state runs", func(p *planner) []work { return []work{p.states("a"), p.states("b")} }},
	{"runners around", func(p *planner) []work {
		w := p.work("a")
		w.template.PreActions = append(w.template.PreActions, p.runner(&w, "pre-runner"))
		w.template.PostActions = append(w.template.PostActions, p.runner(&w, "post-runner"))
		return []work{w}
	}},
	{"paused", func(p *planner) []work {
		w := p.work("a")
		p.slices(&w)
		p.actions(&w, gaea.ScopeOnce)
		w.control = pauseIt
		return []work{w}
	}},
	{"cancelled", func(p *planner) []work {
		w := p.function("a", 10*time.Minute)
		p.slices(&w)
		p.post(&w, gaea.ScopeOnce, gaea.WhenAlways)
		w.control = cancelIt
		if p.rand.IntN(2) == 0 {
			w.grace = gaea.Duration(2 * time.Second)
		}
		return []work{w}
	}},
}

// planner makes the plan of one round from the seed.
type planner struct {
	rand    *rand.Rand
	round   int
	traces  traces
	minions []string // sorted
}

// planOf is the plan of a round: always the same for the same seed, round and minions.
func planOf(seed uint64, round int, t traces) plan {
	const orders = 1 << 32 // from here on are the streams that order the shapes; the rounds' own are below
	turn, place := uint64((round-1)/len(shapes)), (round-1)%len(shapes)
	order := rand.New(rand.NewPCG(seed, orders+turn)).Perm(len(shapes)) //nolint:gosec // it has to be repeatable, not secret
	chosen := shapes[order[place]]
	p := &planner{
		rand:  rand.New(rand.NewPCG(seed, uint64(round))), //nolint:gosec // the same
		round: round, traces: t, minions: slices.Sorted(slices.Values(t.lab.Minions())),
	}
	out := plan{shape: chosen.name, works: chosen.plan(p)}
	out.moment = p.moment(out.works)
	if out.twice = p.rand.IntN(4) == 0; out.twice {
		out.second = p.upTo(1500 * time.Millisecond)
	}
	return out
}

// work is a run of a plain function, or of states, on all minions.
func (p *planner) work(letter string) work {
	if p.rand.IntN(3) == 0 {
		return p.states(letter)
	}
	return p.function(letter, 300*time.Millisecond+p.upTo(500*time.Millisecond))
}

func (p *planner) function(letter string, takes time.Duration) work {
	w := p.blank(letter)
	w.template.Function = "cmd.run"
	w.template.Args = []any{p.traces.rendered(p.round, workScript(letter, takes))}
	w.template.Kwargs = map[string]any{"python_shell": true, "template": "jinja"}
	return w
}

func (p *planner) states(letter string) work {
	w := p.blank(letter)
	w.template.Function = "state.apply"
	w.template.Args = []any{stateName}
	w.template.Kwargs = map[string]any{"pillar": map[string]any{stateName: map[string]any{
		"script": workScript(letter, 100*time.Millisecond), "trace": traceName(p.round),
	}}}
	return w
}

func (p *planner) blank(letter string) work {
	w := work{letter: letter, target: gaea.ListTarget(p.minions)}
	if p.rand.IntN(2) == 0 {
		w.target = gaea.Target{Type: gaea.TargetGlob, Expr: "*"}
	}
	w.template.Name = fmt.Sprintf("%s-%d-%s", stateName, p.round, letter)
	w.template.Timeouts.Gather = gather
	return w
}

// gather is generous: all minions are up, and a machine that is busy must not make one of them look down.
const gather = gaea.Duration(20 * time.Second)

func (p *planner) slices(w *work) {
	w.template.Batch.Size = amount(1 + p.rand.IntN(len(p.minions)-1))
	w.template.Batch.Wait = gaea.Duration(p.upTo(300 * time.Millisecond))
}

// actions gives a run an action before and one after, of which the first may fail once.
func (p *planner) actions(w *work, scope gaea.ActionScope) {
	a := p.action(w, "pre-"+string(scope), p.rand.IntN(2) == 0)
	a.Scope = scope
	w.template.PreActions = append(w.template.PreActions, a)
	p.post(w, scope, "")
}

func (p *planner) post(w *work, scope gaea.ActionScope, when gaea.ActionWhen) {
	a := p.action(w, "post-"+string(scope), false)
	a.Scope, a.When = scope, when
	w.template.PostActions = append(w.template.PostActions, a)
}

// action is one on the run's minions. One that fails once succeeds when it is tried again.
func (p *planner) action(w *work, name string, failsOnce bool) gaea.JobAction {
	a := gaea.JobAction{
		Name: name, Function: "cmd.run", Args: []any{p.traces.rendered(p.round, actionScript(w.letter, name, failsOnce))},
		Kwargs: map[string]any{"python_shell": true, "template": "jinja"},
	}
	if failsOnce {
		a.Retries, a.Interval = 2, gaea.Duration(300*time.Millisecond)
	}
	return a
}

// runner is an action that the master does.
func (p *planner) runner(w *work, name string) gaea.JobAction {
	return gaea.JobAction{
		Name: name, Runner: "salt.cmd", Args: []any{"cmd.run", fmt.Sprintf("echo %s >> %s", mark(w.letter, name), p.traces.master(p.round))},
		Kwargs: map[string]any{"python_shell": true},
	}
}

// failOn has a run's function fail on a minion.
func (p *planner) failOn(w *work, minion string) {
	w.fails = minion
	fail := "; [ MINION != " + minion + " ]"
	if w.template.Function == "cmd.run" {
		w.template.Args = []any{w.template.Args[0].(string) + p.traces.rendered(p.round, fail)} //nolint:errcheck // see function
		return
	}
	pillar := w.template.Kwargs["pillar"].(map[string]any)[stateName].(map[string]any) //nolint:errcheck // see states
	pillar["script"] = pillar["script"].(string) + fail                                //nolint:errcheck // see states
}

func (p *planner) anyMinion() string { return p.minions[p.rand.IntN(len(p.minions))] }

func (p *planner) oneOf(words ...string) string { return words[p.rand.IntN(len(words))] }

// upTo is a random length of time below d.
func (p *planner) upTo(d time.Duration) time.Duration {
	return time.Duration(p.rand.Int64N(int64(d))).Truncate(time.Millisecond)
}

func amount(n int) gaea.Amount { return must(gaea.ParseAmount(fmt.Sprint(n))) }

// must is for values that are written in this package.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
