package command

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// later is the sample run after something happened.
func later(change func(*gaea.Run)) (before, after *gaea.Run) {
	before, after = sampleRun(), sampleRun()
	after.Minions = maps.Clone(after.Minions)
	after.Slices = slices.Clone(after.Slices)
	change(after)
	return before, after
}

func settle(r *gaea.Run, o gaea.Outcome, message string, minions ...string) {
	for _, id := range minions {
		m := r.Minions[id]
		m.Outcome, m.Message = o, message
		r.Minions[id] = m
	}
}

func TestALineIsWrittenForWhatMattersAndNotForEachSnapshot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*gaea.Run)
		want   []string
	}{
		"nothing":               {func(*gaea.Run) {}, nil},
		"a message of progress": {func(r *gaea.Run) { settle(r, gaea.OutcomePending, "runs the job still", "web4") }, nil},
		"a slice that ends, and the next": {func(r *gaea.Run) {
			settle(r, gaea.OutcomeChanged, "", "web3", "web4")
			r.Slices[1].Ended, r.Slices[2].JID = noon, "3"
		}, []string{"slice 2 of 3 ended: 2 changed", "slice 3 of 3: 2 minions, job 3", "running, slice 3 of 3: 4 of 6 minions, 3 changed, 1 failed"}},
		"a slice that ends before a pause": {func(r *gaea.Run) {
			settle(r, gaea.OutcomeChanged, "", "web3", "web4")
			r.Slices[1].Ended = noon
			r.Status, r.Pause = gaea.RunPaused, &gaea.Pause{By: "ann", Since: noon}
		}, []string{"slice 2 of 3 ended: 2 changed", "paused by ann since 0s; go on with: jobd resume run-1", "paused, slice 2 of 3: 4 of 6 minions, 3 changed, 1 failed"}},
		"minions that go wrong": {func(r *gaea.Run) {
			settle(r, gaea.OutcomeUnreachable, "", "web3")
			settle(r, gaea.OutcomeFailed, "no\nway", "web4")
		}, []string{"failed: web4 (no …)", "unreachable: web3", "running, slice 2 of 3: 4 of 6 minions, 1 changed, 2 failed, 1 unreachable"}},
		"a verdict": {func(r *gaea.Run) { r.Verdict, r.Reason = gaea.RunHalted, "2 failed" }, []string{"running, slice 2 of 3, will end as halted: 2 failed"}},
		"a lock": {func(r *gaea.Run) {
			r.Blocked = &gaea.Blocked{Lock: "deploy", Runs: []string{"run-0"}}
		}, []string{"waits for the lock deploy, which run-0 has"}},
		"a pause": {func(r *gaea.Run) {
			r.Status, r.Pause = gaea.RunPaused, &gaea.Pause{By: "ann", Since: noon}
		}, []string{"paused by ann since 0s; go on with: jobd resume run-1", "paused, slice 2 of 3"}},
		"a try of an action": {func(r *gaea.Run) {
			r.Actions = []gaea.RunAction{{Name: "health", What: "http.query", Phase: gaea.PhasePost, Status: gaea.ActionWaiting, Attempts: 2, Message: "status 503"}}
		}, []string{"post-action health: waiting, try 2: status 503"}},
		"another try of an action": {func(r *gaea.Run) {
			r.Actions = []gaea.RunAction{{Name: "health", What: "http.query", Phase: gaea.PhasePost, Status: gaea.ActionRunning, Attempts: 3, Message: "status 503"}}
		}, []string{"post-action health: running, try 3"}},
		"an action that begins": {func(r *gaea.Run) {
			r.Slices[1].Actions = []gaea.RunAction{{Name: "drain", What: "cmd.run", Phase: gaea.PhasePre, Status: gaea.ActionRunning, Attempts: 1}}
		}, []string{"pre-action drain of slice 2: running cmd.run"}},
		"the end": {func(r *gaea.Run) {
			r.Status = gaea.RunCancelled
			settle(r, gaea.OutcomeSkipped, "the run was cancelled", "web5", "web6")
		}, nil},
	} {
		before, after := later(c.change)
		if got := plainLines(before, after, noon); !slices.Equal(got, c.want) {
			t.Errorf("%s: printed %q, not %q", name, got, c.want)
		}
	}
}

func TestWhoBeginsToLookReadsHowTheRunStands(t *testing.T) {
	t.Parallel()
	if got := plainLines(nil, sampleRun(), noon); !slices.Equal(got, []string{"running, slice 2 of 3: 2 of 6 minions, 1 changed, 1 failed"}) {
		t.Errorf("printed %q", got)
	}
}

func TestManyMinionsThatGoWrongAtOnceAreOneLine(t *testing.T) {
	t.Parallel()
	before := &gaea.Run{ID: "run-1", Status: gaea.RunRunning, Minions: map[string]gaea.RunMinion{}}
	after := &gaea.Run{ID: "run-1", Status: gaea.RunRunning, Minions: map[string]gaea.RunMinion{}}
	for i := range 1000 {
		id := fmt.Sprintf("web%04d", i)
		before.Minions[id] = gaea.RunMinion{Outcome: gaea.OutcomePending}
		after.Minions[id] = gaea.RunMinion{Outcome: gaea.OutcomePending}
		if i < 50 {
			after.Minions[id] = gaea.RunMinion{Outcome: gaea.OutcomeUnreachable}
		}
	}
	want := []string{"unreachable: web0000, web0001, web0002, web0003, web0004 and 45 more"}
	if got := plainLines(before, after, noon); !slices.Equal(got, want) {
		t.Errorf("printed %q", got)
	}
}

func TestALogOfALargeRunGrowsByTenths(t *testing.T) {
	t.Parallel()
	run := &gaea.Run{ID: "run-1", Status: gaea.RunRunning, Minions: map[string]gaea.RunMinion{}}
	for i := range 200 {
		run.Minions[fmt.Sprintf("web%04d", i)] = gaea.RunMinion{Outcome: gaea.OutcomePending}
	}
	lines := 0
	for i := range 199 {
		next := *run
		next.Minions = maps.Clone(run.Minions)
		next.Minions[fmt.Sprintf("web%04d", i)] = gaea.RunMinion{Outcome: gaea.OutcomeSucceeded}
		lines += len(plainLines(run, &next, noon))
		run = &next
	}
	if lines != 9 {
		t.Errorf("two hundred minions are %d lines", lines)
	}
}

func TestEachChangeIsAnObjectForPrograms(t *testing.T) {
	t.Parallel()
	before, after := later(func(r *gaea.Run) {
		settle(r, gaea.OutcomeFailed, "no way", "web3")
		settle(r, gaea.OutcomeChanged, "", "web4")
		r.Slices[1].Ended = noon
		r.Slices[1].Actions = []gaea.RunAction{{Name: "health", Phase: gaea.PhasePost, Status: gaea.ActionRunning, Attempts: 1}}
		r.Verdict, r.Reason = gaea.RunHalted, "too many"
		r.Pause = &gaea.Pause{By: "ann"}
	})
	var got []string
	for _, c := range changes(before, after, noon) {
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimPrefix(string(text), `{"time":"2026-11-23T12:00:00Z","run":"run-1",`))
	}
	want := []string{
		`"event":"pause","pause":{"reason":"","by":"ann","asked":"0001-01-01T00:00:00Z"}}`,
		`"event":"minion","minion":"web3","outcome":"failed","message":"no way"}`,
		`"event":"minion","minion":"web4","outcome":"changed"}`,
		`"event":"slice","status":"ended","counts":{"changed":1,"failed":1},"slice":2,"slices":3,"jid":"2"}`,
		`"event":"action","status":"running","slice":2,"action":{"name":"health","what":"","phase":"post","status":"running","attempts":1}}`,
		`"event":"status","status":"running","verdict":"halted","reason":"too many","counts":{"changed":2,"failed":2,"pending":2}}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheFirstLookTellsProgramsAllThatThereIs(t *testing.T) {
	t.Parallel()
	kinds := map[string]int{}
	for _, c := range changes(nil, sampleRun(), noon) {
		kinds[c.Event+" "+c.Status]++
	}
	want := map[string]int{"slice running": 2, "slice ended": 1, "minion ": 2, "status running": 1}
	if !maps.Equal(kinds, want) {
		t.Errorf("told %v, not %v", kinds, want)
	}
}

func TestChangesAddUpToTheSameHoweverOftenOneLooks(t *testing.T) {
	t.Parallel()
	middle, end := later(func(r *gaea.Run) {
		settle(r, gaea.OutcomeChanged, "", "web3", "web4")
		r.Slices[1].Ended, r.Slices[2].JID = noon, "3"
	})
	count := func(list []change) map[string]int {
		n := map[string]int{}
		for _, c := range list {
			if c.Event == eventMinion || c.Event == eventSlice {
				n[c.Event+c.Minion+c.Status+fmt.Sprint(c.Slice)]++
			}
		}
		return n
	}
	once := count(changes(nil, end, noon))
	twice := count(append(changes(nil, middle, noon), changes(middle, end, noon.Add(time.Second))...))
	if !maps.Equal(once, twice) {
		t.Errorf("told %v at once, and %v in two looks", once, twice)
	}
}
