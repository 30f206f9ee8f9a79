package machine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// stage plays a run with minions that all answer: nothing is lost, and time passes when nothing else can happen.
type stage struct {
	t     *testing.T
	m     *machine.Machine
	now   time.Time
	queue []event
	takes func(minion string) time.Duration // to the return; negative: it runs on
	fails func(minion string) bool
	busy  func(minion string) bool          // another state run holds it, for ever
	pings func(minion string) time.Duration // to the answer to a question; negative: it is down. nil: a millisecond

	matches []string      // the minions of a target that is no list
	doubles time.Duration // each answer to a question comes once more after that

	refuses bool // the master takes no job
	told    []telling
	acts    []machine.Act
	at      map[time.Duration]machine.Input // what somebody does, by the time since the beginning
	ended   bool
}

// telling is one publish.
type telling struct {
	at      time.Duration
	minions []string
}

func minions(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("web%02d", i)
	}
	return names
}

func play(t *testing.T, run *gaea.Run, s *stage) *gaea.Run {
	t.Helper()
	run.ID, run.Status, run.Created = "run-1", gaea.RunQueued, epoch
	run.Function = "test.ping"
	if run.Call == nil {
		run.Call = &gaea.Call{Function: run.Function}
	}
	n := 0
	s.t, s.now = t, epoch
	s.m = machine.New(run, func(time.Time) string { n++; return fmt.Sprint(n) }, func(string) time.Time { return time.Time{} })
	for at, in := range s.at {
		s.queue = append(s.queue, event{at: epoch.Add(at), in: in})
	}
	s.do(s.m.Step(machine.Begin{}, s.now))
	for range 10_000 {
		if s.ended {
			return s.m.Run()
		}
		s.step()
	}
	t.Fatalf("the run does not end: %+v", s.m.Run())
	return nil
}

func (s *stage) step() {
	s.t.Helper()
	next := s.m.Wake()
	for _, e := range s.queue {
		if next.IsZero() || e.at.Before(next) {
			next = e.at
		}
	}
	if next.IsZero() {
		s.t.Fatalf("nothing will ever happen again: %+v", s.m.Run())
	}
	if next.After(s.now) {
		s.now = next
	}
	if i := slices.IndexFunc(s.queue, func(e event) bool { return !e.at.After(s.now) }); i >= 0 {
		e := s.queue[i]
		s.queue = slices.Delete(s.queue, i, i+1)
		s.do(s.m.Step(e.in, s.now))
		return
	}
	s.do(s.m.Step(machine.Tick{}, s.now))
}

func (s *stage) after(d time.Duration, in machine.Input) {
	s.queue = append(s.queue, event{at: s.now.Add(d), in: in})
}

func (s *stage) do(effects []machine.Effect) {
	for _, effect := range effects {
		switch e := effect.(type) {
		case machine.Publish:
			if s.refuses {
				s.after(0, machine.PublishFailed{JID: e.JID, Code: gaea.CodeForbidden, Message: "the master refuses"})
				continue
			}
			s.told = append(s.told, telling{s.now.Sub(epoch), e.Target.Minions})
			s.after(0, machine.Published{JID: e.JID, Minions: e.Target.Minions})
			for _, name := range e.Target.Minions {
				outcome := gaea.OutcomeSucceeded
				if s.busy != nil && s.busy(name) {
					s.after(0, machine.Returned{JID: e.JID, Minion: name, Outcome: gaea.OutcomeCouldNotRun, Busy: true, Message: "it is running as PID 1"})
					continue
				}
				if s.fails != nil && s.fails(name) {
					outcome = gaea.OutcomeFailed
				}
				if takes := s.takes(name); takes >= 0 {
					s.after(takes, machine.Returned{JID: e.JID, Minion: name, Outcome: outcome, Message: "as it should"})
				}
			}
		case machine.Ask:
			names := e.Target.Minions
			if e.Purpose == machine.PurposeResolve {
				names = slices.Concat(s.m.Run().Target.Minions, s.matches)
			}
			s.after(0, machine.Asked{Ask: e.ID, Minions: names})
			for _, name := range names {
				after := time.Millisecond
				if s.pings != nil {
					after = s.pings(name)
				}
				if after >= 0 {
					s.after(after, machine.Answered{Ask: e.ID, Minion: name, Body: []byte(`{"pid": 1}`)})
					if s.doubles > 0 {
						s.after(after+s.doubles, machine.Answered{Ask: e.ID, Minion: name, Body: []byte(`{"pid": 1}`)})
					}
				}
			}
		case machine.Act:
			s.acts = append(s.acts, e)
			s.after(time.Second, machine.Acted{Key: e.Key, Attempt: e.Attempt, OK: !strings.Contains(e.Action.Name, "bad"), Message: "as told"})
		case machine.Claim:
			s.after(0, machine.Claimed{})
		case machine.Finish:
			s.ended = true
		default:
		}
	}
}

func amount(t *testing.T, s string) gaea.Amount {
	t.Helper()
	a, err := gaea.ParseAmount(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func allowance(t *testing.T, s string) gaea.Allowance {
	t.Helper()
	a, err := gaea.ParseAllowance(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func list(n int) gaea.Target { return gaea.ListTarget(minions(n)) }

func always(d time.Duration) func(string) time.Duration {
	return func(string) time.Duration { return d }
}

func TestRollingFillsFreePlacesWithFewPublishes(t *testing.T) {
	s := &stage{takes: func(name string) time.Duration { // each its own time, so that places become free one by one
		return 10*time.Second + time.Duration(name[4]-'0')*20*time.Millisecond
	}}
	run := play(t, &gaea.Run{Target: list(80), Batch: gaea.Batch{Size: amount(t, "20"), Mode: gaea.BatchRolling}}, s)
	if run.Status != gaea.RunSucceeded || run.Counts[gaea.OutcomeSucceeded] != 80 {
		t.Fatalf("%s: %s", run.Status, run.Message)
	}
	if len(s.told) > 16 || len(s.told) < 4 {
		t.Errorf("%d publishes for 80 minions, 20 at a time: %v", len(s.told), s.told)
	}
	if took := run.Ended.Sub(run.Started); took > 45*time.Second {
		t.Errorf("four rounds of 10 s took %s", took)
	}
}

func TestRollingLeavesAPlaceFreeForTheWait(t *testing.T) {
	s := &stage{takes: always(time.Second)}
	play(t, &gaea.Run{Target: list(4), Batch: gaea.Batch{Size: amount(t, "2"), Mode: gaea.BatchRolling, Wait: gaea.Duration(30 * time.Second)}}, s)
	if len(s.told) != 2 || s.told[1].at-s.told[0].at < 31*time.Second {
		t.Errorf("%v", s.told)
	}
}

func TestASliceWaitsForTheEndOfTheOneBeforeAndForTheWait(t *testing.T) {
	s := &stage{takes: func(name string) time.Duration { return time.Duration(name[4]-'0') * time.Second }}
	play(t, &gaea.Run{Target: list(5), Batch: gaea.Batch{Size: amount(t, "2"), Wait: gaea.Duration(10 * time.Second)}}, s)
	var gaps []time.Duration
	for i, telling := range s.told[1:] {
		gaps = append(gaps, (telling.at - s.told[i].at).Round(time.Second))
	}
	if !slices.Equal(gaps, []time.Duration{11 * time.Second, 13 * time.Second}) {
		t.Errorf("%v", s.told)
	}
}

func TestARandomOrderIsTheSameForTheSameSeed(t *testing.T) {
	order := func(seed uint32) []string {
		s := &stage{takes: always(time.Second)}
		play(t, &gaea.Run{Target: list(20), Batch: gaea.Batch{Size: amount(t, "1"), Order: gaea.OrderRandom}, Seed: seed}, s)
		var names []string
		for _, telling := range s.told {
			names = append(names, telling.minions...)
		}
		return names
	}
	if one := order(1); !slices.Equal(one, order(1)) || slices.Equal(one, order(2)) || slices.IsSorted(one) {
		t.Errorf("seed 1: %v; seed 2: %v", one, order(2))
	}
}

func TestACanaryThatFailsHaltsTheRun(t *testing.T) {
	s := &stage{takes: always(time.Second), fails: func(name string) bool { return name == "web01" }}
	run := play(t, &gaea.Run{Target: list(20), Batch: gaea.Batch{Canary: amount(t, "10%")}}, s)
	if run.Status != gaea.RunHalted || run.Counts[gaea.OutcomeSkipped] != 18 || len(s.told) != 1 {
		t.Errorf("%s, %v: %s", run.Status, run.Counts, run.Message)
	}
	if want := "halted: the canary did not end well on web01; 1 succeeded, 1 failed (web01), 18 skipped (web02, web03, web04, web05, web06, …)"; run.Message != want {
		t.Errorf("%q", run.Message)
	}
}

func TestTheRunHoldsAfterTheCanary(t *testing.T) {
	hold, err := gaea.ParseHold("10m")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{takes: always(time.Second)}
	play(t, &gaea.Run{Target: list(6), Batch: gaea.Batch{Size: amount(t, "2"), Canary: amount(t, "1"), CanaryHold: hold, Wait: gaea.Duration(time.Minute)}}, s)
	var sizes []int
	for _, telling := range s.told {
		sizes = append(sizes, len(telling.minions))
	}
	if !slices.Equal(sizes, []int{1, 2, 2, 1}) || s.told[1].at-s.told[0].at < 10*time.Minute || s.told[2].at-s.told[1].at > 2*time.Minute {
		t.Errorf("%v", s.told)
	}
}

func TestAManualHoldPausesUntilSomebodyResumesAndCostsNoJobTime(t *testing.T) {
	hold, err := gaea.ParseHold("manual")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{takes: always(time.Second), at: map[time.Duration]machine.Input{3 * time.Hour: machine.Resume{}}}
	run := play(t, &gaea.Run{
		Target: list(6), Timeouts: gaea.Timeouts{Job: gaea.Duration(time.Minute)},
		Batch: gaea.Batch{Canary: amount(t, "1"), CanaryHold: hold},
	}, s)
	if run.Status != gaea.RunSucceeded || len(s.told) != 2 || s.told[1].at < 3*time.Hour || run.PausedFor.Std() < 2*time.Hour {
		t.Errorf("%s after a pause of %s: %s, %v", run.Status, run.PausedFor, run.Message, s.told)
	}
}

func TestAPauseLetsTheRunningSliceEnd(t *testing.T) {
	s := &stage{takes: always(10 * time.Second), at: map[time.Duration]machine.Input{
		15 * time.Second: machine.Pause{By: "bob"}, time.Hour: machine.Resume{},
	}}
	run := play(t, &gaea.Run{Target: list(6), Batch: gaea.Batch{Size: amount(t, "2")}}, s)
	if run.Status != gaea.RunSucceeded || len(s.told) != 3 || s.told[2].at != time.Hour || run.Slices[1].Ended.Sub(epoch) > 30*time.Second {
		t.Errorf("%s: %v", run.Status, s.told)
	}
}

func TestMoreFailuresThanAllowedHaltTheRun(t *testing.T) {
	for _, tt := range []struct {
		allowed string
		sample  int
		slices  int // that were told, of 10 minions each
	}{
		{"0", 0, 1},   // the first failure is one too many
		{"4", 0, 3},   // two of each slice fail
		{"15%", 0, 1}, // 2 of 10 are more than 15%
		{"15%", 25, 3},
		{"20%", 0, 10},
	} {
		s := &stage{takes: always(time.Second), fails: func(name string) bool { return name[4] < '2' }}
		run := play(t, &gaea.Run{
			Target: list(100), Batch: gaea.Batch{Size: amount(t, "10"), MaxFailures: allowance(t, tt.allowed), MinSample: tt.sample},
		}, s)
		if len(s.told) != tt.slices || (run.Status == gaea.RunHalted) != (tt.slices < 10) || run.Counts[gaea.OutcomeSkipped] != 100-10*tt.slices {
			t.Errorf("max_failures %s: %s after %d slices: %s", tt.allowed, run.Status, len(s.told), run.Message)
		}
	}
}

func TestASliceThatTakesTooLongIsLeftAndTheRunGoesOn(t *testing.T) {
	s := &stage{takes: func(name string) time.Duration {
		if name == "web00" {
			return -1
		}
		return time.Second
	}}
	run := play(t, &gaea.Run{Target: list(3), Batch: gaea.Batch{Size: amount(t, "1")}, Timeouts: gaea.Timeouts{Slice: gaea.Duration(time.Minute)}}, s)
	rm := run.Minions["web00"]
	if rm.Outcome != gaea.OutcomeNoReturn || rm.Message != "still running when the slice limit of 1m passed" || run.Counts[gaea.OutcomeSucceeded] != 2 {
		t.Errorf("%v: %+v", run.Counts, rm)
	}
	if run.Status != gaea.RunFailed || run.Ended.Sub(run.Started) > 70*time.Second {
		t.Errorf("%s after %s", run.Status, run.Ended.Sub(run.Started))
	}
}

func TestActionsAreDoneInTheirOrderAroundTheSlices(t *testing.T) {
	s := &stage{takes: always(time.Second)}
	run := play(t, &gaea.Run{Target: list(4), Batch: gaea.Batch{Size: amount(t, "2")}, Call: &gaea.Call{
		Pre: []gaea.JobAction{
			{Name: "announce", Runner: "event.send"},
			{Name: "drain", Function: "cmd.run", Scope: gaea.ScopeSlice},
		},
		Post: []gaea.JobAction{
			{Name: "undrain", Function: "cmd.run", Scope: gaea.ScopeSlice, When: gaea.WhenAlways},
			{Name: "health", Function: "http.query"},
			{Name: "repair", Function: "cmd.run", When: gaea.WhenFailure},
		},
	}}, s)
	var did []string
	for _, a := range s.acts {
		did = append(did, fmt.Sprintf("%s %d %v %s", a.Action.Name, a.Key.Slice, a.Minions, a.RunID))
	}
	want := []string{
		"announce -1 [] ",
		"drain 0 [web00 web01] run-1-pre2-s1-t1", "undrain 0 [web00 web01] run-1-post1-s1-t1",
		"drain 1 [web02 web03] run-1-pre2-s2-t1", "undrain 1 [web02 web03] run-1-post1-s2-t1",
		"health -1 [web00 web01 web02 web03] run-1-post2-t1",
	}
	if !slices.Equal(did, want) || run.Status != gaea.RunSucceeded {
		t.Errorf("%s: %s", run.Status, strings.Join(did, "\n"))
	}
	if last := run.Actions[len(run.Actions)-1]; last.Name != "repair" || last.Status != gaea.ActionSkipped {
		t.Errorf("%+v", last)
	}
}

func TestAPreActionThatFailsTellsNobodyAndWhatIsAlwaysDoneIsDone(t *testing.T) {
	s := &stage{takes: always(time.Second)}
	run := play(t, &gaea.Run{Target: list(4), Batch: gaea.Batch{Size: amount(t, "2")}, Call: &gaea.Call{
		Pre:  []gaea.JobAction{{Name: "bad-drain", Function: "cmd.run", Scope: gaea.ScopeSlice, Retries: 2}},
		Post: []gaea.JobAction{{Name: "undrain", Function: "cmd.run", Scope: gaea.ScopeSlice, When: gaea.WhenAlways}, {Name: "health", Function: "http.query"}},
	}}, s)
	if len(s.told) != 0 || run.Status != gaea.RunFailed || run.Counts[gaea.OutcomeSkipped] != 4 {
		t.Errorf("%s: %v %s", run.Status, s.told, run.Message)
	}
	if want := `pre-action "bad-drain" of slice 1 failed: as told; 4 skipped (web00, web01, web02, web03)`; run.Message != want {
		t.Errorf("%q", run.Message)
	}
	if n := len(s.acts); n != 4 || s.acts[n-1].Action.Name != "undrain" {
		t.Errorf("%+v", s.acts)
	}
}

// resolvingInTime is a run in slices of which the target is being resolved.
func resolvingInTime(t *testing.T) *drive {
	return driveRun(t, &gaea.Run{
		Function: "test.ping", Target: list(1), Batch: gaea.Batch{Size: amount(t, "1")},
		Timeouts: gaea.Timeouts{Job: gaea.Duration(2 * time.Minute)},
	})
}

func TestTheTimeInWhichAQuestionWaitsForOthersDoesNotCount(t *testing.T) {
	d := resolvingInTime(t)
	ask := until[machine.Ask](d)
	for range 10 {
		d.now = d.now.Add(time.Minute)
		d.step(machine.Asking{Ask: ask.ID})
	}
	d.now = d.now.Add(119 * time.Second)
	if d.step(machine.Tick{}); d.m.Ended() {
		t.Fatal(d.m.Run().Message)
	}
	d.now = d.now.Add(time.Second)
	if d.step(machine.Tick{}); d.m.Run().Status != gaea.RunTimedOut {
		t.Errorf("%s after the whole limit", d.m.Run().Status)
	}
}

func TestAMasterThatTakesNoQuestionEndsTheRunAtItsLimit(t *testing.T) {
	d := resolvingInTime(t)
	for d.now.Before(epoch.Add(110 * time.Second)) {
		ask := until[machine.Ask](d)
		d.step(machine.Asking{Ask: ask.ID})
		d.now = d.now.Add(5 * time.Second)
		d.step(machine.AskFailed{Ask: ask.ID, Code: gaea.CodeUnavailable, Message: "the master does not answer"})
		d.step(machine.Asking{Ask: ask.ID}) // late
	}
	for range 5 {
		d.now = d.now.Add(10 * time.Second)
		d.step(machine.Tick{})
	}
	if run := d.m.Run(); run.Status != gaea.RunTimedOut || run.Ended.Sub(epoch) > 140*time.Second {
		t.Errorf("%s after %s", run.Status, run.Ended.Sub(epoch))
	}
}

func TestARunThatIsCancelledDoesWhatIsAlwaysDone(t *testing.T) {
	post := []gaea.JobAction{{Name: "undrain", Runner: "lb.undrain", When: gaea.WhenAlways}, {Name: "health", Function: "http.query"}}
	s := &stage{takes: always(time.Second), at: map[time.Duration]machine.Input{5 * time.Second: machine.Cancel{By: "bob"}}}
	run := play(t, &gaea.Run{Target: list(4), Batch: gaea.Batch{Size: amount(t, "2"), Wait: gaea.Duration(time.Minute)}, Call: &gaea.Call{Post: post}}, s)
	if run.Status != gaea.RunCancelled || len(s.acts) != 1 || s.acts[0].Action.Name != "undrain" || len(s.told) != 1 {
		t.Errorf("%s: %+v", run.Status, s.acts)
	}
}
