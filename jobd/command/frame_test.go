package command

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// sampleRun is a run in slices of two of six minions, of which the first has ended, with a minion that failed.
func sampleRun() *gaea.Run {
	size, err := gaea.ParseAmount("2")
	if err != nil {
		panic(err)
	}
	return &gaea.Run{
		ID: "run-1", Kind: gaea.RunJob, Function: "state.apply", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "web*"}, Status: gaea.RunRunning,
		Created: noon.Add(-80 * time.Second), Started: noon.Add(-80 * time.Second), Batch: gaea.Batch{Size: size}, Resolved: true,
		Slices: []gaea.Slice{
			{Index: 0, JID: "1", Canary: true, Minions: []string{"web1", "web2"}, Started: noon.Add(-80 * time.Second), Ended: noon.Add(-40 * time.Second)},
			{Index: 1, JID: "2", Minions: []string{"web3", "web4"}, Started: noon.Add(-40 * time.Second)},
			{Index: 2, Minions: []string{"web5", "web6"}},
		},
		Minions: map[string]gaea.RunMinion{
			"web1": {Outcome: gaea.OutcomeChanged, Slice: 0}, "web2": {Outcome: gaea.OutcomeFailed, Slice: 0, Message: "no such file"},
			"web3": {Outcome: gaea.OutcomePending, Slice: 1, Message: "runs the job"}, "web4": {Outcome: gaea.OutcomePending, Slice: 1},
			"web5": {Outcome: gaea.OutcomePending, Slice: 2}, "web6": {Outcome: gaea.OutcomePending, Slice: 2},
		},
	}
}

// shown is a run as a terminal of 100 columns shows it.
func shown(r *gaea.Run, paint palette, note string) string {
	p := &pace{}
	state := progressOf(r)
	p.observe(noon, state.done, frozen(r), workedBefore(r, noon))
	f := frame{run: r, now: noon, pace: p, width: 100, note: note, paint: paint}
	return strings.Join(f.lines(), "\n")
}

func wantFrame(t *testing.T, r *gaea.Run, want string) {
	t.Helper()
	if got := shown(r, false, "Ctrl-C cancels the run"); got != strings.Trim(want, "\n") {
		t.Errorf("the terminal shows:\n%s\nnot:\n%s", got, want)
	}
}

func TestAFrameTellsSliceBarCountsPaceAndWhoLags(t *testing.T) {
	t.Parallel()
	wantFrame(t, sampleRun(), `
run-1  state.apply on web*
running, slice 2 of 3  ██████▓▓▓▓▓▓▒▒▒▒▒▒▒▒▒▒▒░░░░░░░░░░░░  2 of 6 minions  1m20s, about 1m20s left
1 changed, 1 failed; 2 at work, 2 to come; 3.0 minions/min
at work longest: web3 40s (runs the job), web4 40s
Ctrl-C cancels the run
`)
}

func TestAFrameNamesAFewOfManyThatLag(t *testing.T) {
	t.Parallel()
	r := sampleRun()
	r.Batch, r.Slices = gaea.Batch{}, []gaea.Slice{{JID: "1", Started: noon.Add(-3 * time.Minute)}}
	r.Minions = map[string]gaea.RunMinion{}
	for i := range 20 {
		r.Minions[fmt.Sprintf("web%02d", i)] = gaea.RunMinion{Outcome: gaea.OutcomePending}
	}
	if got := shown(r, false, ""); !strings.Contains(got, "at work longest: web00 3m, web01 3m, web02 3m and 17 more") || strings.Contains(got, "slice") {
		t.Errorf("the terminal shows:\n%s", got)
	}
}

func TestAFrameShowsTheActionAtWorkAndItsTry(t *testing.T) {
	t.Parallel()
	r := sampleRun()
	r.Status = gaea.RunPreActions
	r.Actions = []gaea.RunAction{{Name: "drain", What: "cmd.run", Phase: gaea.PhasePre, Status: gaea.ActionSucceeded}}
	r.Slices[1].Actions = []gaea.RunAction{{
		Name: "health", What: "GET http://lb/ok", Phase: gaea.PhasePre, Status: gaea.ActionWaiting, Attempts: 3, Next: noon.Add(4 * time.Second), Message: "status 503\nbody",
	}}
	got := shown(r, false, "")
	if !strings.Contains(got, "\npre-action health: GET http://lb/ok, slice 2, try 3, the next in 4s: status 503 …") || strings.Contains(got, "drain") || strings.Contains(got, " left") {
		t.Errorf("the terminal shows:\n%s", got)
	}
}

func TestAFrameSaysWhatIsWaitedFor(t *testing.T) {
	t.Parallel()
	hold, err := gaea.ParseHold("10m")
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*gaea.Run){
		"waits for the lock deploy, which run-0 has on web1, web2, since 12s": func(r *gaea.Run) {
			r.Status = gaea.RunQueued
			r.Blocked = &gaea.Blocked{Lock: "deploy", Runs: []string{"run-0"}, Minions: []string{"web1", "web2"}, Since: noon.Add(-12 * time.Second)}
		},
		"waits for the lock deploy, which run-0 has; pauses before it begins, as ann asked; take it back with: jobd resume run-1": func(r *gaea.Run) {
			r.Status, r.Blocked = gaea.RunQueued, &gaea.Blocked{Lock: "deploy", Runs: []string{"run-0"}}
			r.Pause = &gaea.Pause{Reason: gaea.PauseAsked, By: "ann", Asked: noon}
		},
		"pauses when what runs has ended, as ann asked; take it back with: jobd resume run-1": func(r *gaea.Run) {
			r.Pause = &gaea.Pause{Reason: gaea.PauseAsked, By: "ann", Asked: noon}
		},
		"paused by ann since 1m; go on with: jobd resume run-1": func(r *gaea.Run) {
			r.Status, r.Pause = gaea.RunPaused, &gaea.Pause{Reason: gaea.PauseAsked, By: "ann", Since: noon.Add(-time.Minute)}
		},
		"paused since 1m: the canary has ended well; go on with: jobd resume run-1": func(r *gaea.Run) {
			r.Status, r.Pause = gaea.RunPaused, &gaea.Pause{Reason: gaea.PauseCanary, Since: noon.Add(-time.Minute)}
		},
		"nothing more is published; each minion is asked whether the job is gone, after 30s to end by itself": func(r *gaea.Run) {
			r.Status, r.Grace = gaea.RunCancelling, gaea.Duration(30*time.Second)
		},
		"the next slice begins in 20s": func(r *gaea.Run) {
			r.Batch.Wait = gaea.Duration(30 * time.Second)
			r.Slices[1].Ended = noon.Add(-10 * time.Second)
		},
		"the next slice begins in 9m20s": func(r *gaea.Run) {
			r.Slices[1].JID, r.Slices[1].Started, r.CanaryDone, r.Batch.CanaryHold = "", time.Time{}, true, hold
		},
		"asks which minions the target matches": func(r *gaea.Run) { r.Minions, r.Slices = nil, nil },
		"waits for the check run-2": func(r *gaea.Run) {
			r.Status, r.CheckState, r.CheckRun = gaea.RunSucceeded, gaea.CheckPending, "run-2"
		},
		"will end as halted: more than 0 went wrong": func(r *gaea.Run) { r.Verdict, r.Reason = gaea.RunHalted, "more than 0 went wrong" },
	} {
		r := sampleRun()
		change(r)
		if got := shown(r, false, ""); !strings.HasSuffix(got, "\n"+want) {
			t.Errorf("%q is not the end of:\n%s", want, got)
		}
	}
}

func TestWithoutColourAFrameHasNoSequences(t *testing.T) {
	t.Parallel()
	r := sampleRun()
	r.Minions["web3"] = gaea.RunMinion{Outcome: gaea.OutcomePending, Slice: 1, Message: "\x1b[31mred"}
	if got := shown(r, false, "note"); strings.Contains(got, "\x1b") {
		t.Errorf("the terminal gets %q", got)
	}
	if got := shown(r, true, "note"); !strings.Contains(got, "\x1b[31m") {
		t.Errorf("with colour the terminal gets %q", got)
	}
}

func TestABarShowsTheOneMinionOfThousandsThatFailed(t *testing.T) {
	t.Parallel()
	f := frame{}
	for _, c := range []struct {
		p    progress
		want string
	}{
		{progress{total: 10000, done: 5000, bad: 1, atWork: 100}, "████▓░░░░░"},
		{progress{total: 10, done: 10}, "██████████"},
		{progress{total: 10, atWork: 10}, "▒▒▒▒▒▒▒▒▒▒"},
		{progress{total: 3, done: 1, bad: 1, atWork: 1, toCome: 1}, "▓▓▓▒▒▒▒░░░"},
		{progress{total: 1000, done: 1, bad: 1}, "▓░░░░░░░░░"},
	} {
		if got := f.bar(&c.p, 10); got != c.want {
			t.Errorf("%+v is drawn as %s, not %s", c.p, got, c.want)
		}
	}
}

func TestEstimatesAreNoMorePreciseThanTheyCanBe(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		300 * time.Millisecond: "1s", 4600 * time.Millisecond: "5s", 43 * time.Second: "45s", 83 * time.Second: "1m20s", 7*time.Minute + 40*time.Second: "8m",
		3*time.Hour + 14*time.Minute: "3h10m",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%s is told as %s, not %s", d, got, want)
		}
	}
	for rate, want := range map[float64]string{25.4: "25 minions/s", 0.25: "0.2 minions/s", 0.05: "3.0 minions/min"} {
		if got := speed(rate); got != want {
			t.Errorf("%g is told as %s, not %s", rate, got, want)
		}
	}
}

func TestARollingRunHasNoNumberOfSlices(t *testing.T) {
	t.Parallel()
	r := sampleRun()
	r.Batch.Mode = gaea.BatchRolling
	if got := shown(r, false, ""); strings.Contains(got, "slice") || !strings.Contains(got, "2 of 6 minions") {
		t.Errorf("the terminal shows:\n%s", got)
	}
}

func TestSlicesThatTellMinionsAgainAreNotCounted(t *testing.T) {
	t.Parallel()
	r := sampleRun()
	r.Slices = append(r.Slices[:2:2], gaea.Slice{Index: 2, JID: "3", Again: true, Minions: []string{"web3"}}, gaea.Slice{Index: 3, Minions: []string{"web5", "web6"}})
	if p := progressOf(r); p.slice != 2 || p.slices != 3 {
		t.Errorf("slice %d of %d", p.slice, p.slices)
	}
	if n := sliceNumber(r, 3); n != 3 {
		t.Errorf("the last is number %d", n)
	}
}

func TestARunThatBeganWhileMinionsAreAwaitedDoesNotSayHowManySlicesThereAre(t *testing.T) {
	r := sampleRun()
	r.Resolved, r.Slices = false, r.Slices[:2]
	for _, name := range []string{"web5", "web6"} {
		r.Minions[name] = gaea.RunMinion{Outcome: gaea.OutcomePending, Slice: -1}
	}
	p := progressOf(r)
	if got := standing(r, &p); got != "running, slice 2" || p.toCome != 2 {
		t.Errorf("%s, %d to come", got, p.toCome)
	}
	if line := waitsFor(r, noon); line != "" {
		t.Errorf("a slice is at work: %s", line)
	}
	r.Slices[1].Ended = noon
	if line := waitsFor(r, noon); line != "waits for minions that have not answered yet" {
		t.Errorf("%q", line)
	}
	before := sampleRun()
	before.Resolved, before.Slices = false, before.Slices[:1]
	if lines := plainLines(before, r, noon); !slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "slice 2 ended: ") }) {
		t.Errorf("%q", lines)
	}
}
