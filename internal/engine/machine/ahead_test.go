package machine_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// downLast is a stage on which the last of n minions is down.
func downLast(n int) *stage {
	last := minions(n)[n-1]
	return &stage{
		takes: always(100 * time.Millisecond),
		pings: func(name string) time.Duration {
			if name == last {
				return -1
			}
			return 50 * time.Millisecond
		},
	}
}

func TestTheFirstSlicesDoNotWaitForAMinionThatIsDown(t *testing.T) {
	batches := map[string]gaea.Batch{
		"stepped":         {Size: amount(t, "2")},
		"with a canary":   {Size: amount(t, "2"), Canary: amount(t, "1")},
		"rolling":         {Size: amount(t, "2"), Mode: gaea.BatchRolling},
		"a share":         {Size: amount(t, "20%")}, // two of nine as of ten
		"a failure or so": {Size: amount(t, "2"), MaxFailures: allowance(t, "3")},
	}
	for name, batch := range batches {
		t.Run(name, func(t *testing.T) {
			s := downLast(10)
			run := play(t, &gaea.Run{Target: list(10), Batch: batch}, s)
			if run.Counts[gaea.OutcomeSucceeded] != 9 || run.Counts[gaea.OutcomeUnreachable] != 1 || run.Minions[minions(10)[9]].Slice != -1 {
				t.Fatalf("%s: %s", run.Status, run.Message)
			}
			if first := s.told[0].at; first > 100*time.Millisecond {
				t.Errorf("the first was told after %s", first)
			}
			if n := slices.IndexFunc(s.told, func(told telling) bool { return told.at > time.Second }); n >= 0 && n < len(s.told)-1 {
				t.Errorf("%v", s.told)
			}
		})
	}
}

func TestWhatAsksHowManyMinionsThereAreWaitsForAll(t *testing.T) {
	once := &gaea.Call{Function: "test.ping", Pre: []gaea.JobAction{{Name: "drain", Runner: "cache.grains"}}}
	runs := map[string]*gaea.Run{
		"a share of a number that is not certain": {Batch: gaea.Batch{Size: amount(t, "10%")}}, // two of eleven, one of ten
		"an allowed share":                        {Batch: gaea.Batch{Size: amount(t, "2"), MaxFailures: allowance(t, "10%")}},
		"a lock":                                  {Batch: gaea.Batch{Size: amount(t, "2")}, Concurrency: gaea.Concurrency{Lock: "deploy"}},
		"a pre-action of the run":                 {Batch: gaea.Batch{Size: amount(t, "2")}, Call: once},
		"the canary's share":                      {Batch: gaea.Batch{Size: amount(t, "2"), Canary: amount(t, "10%")}},
	}
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			s := downLast(11)
			run.Target = list(11)
			if run = play(t, run, s); run.Counts[gaea.OutcomeSucceeded] != 10 {
				t.Fatalf("%s: %s", run.Status, run.Message)
			}
			if first := s.told[0].at; first < 5*time.Second {
				t.Errorf("the first was told after %s", first)
			}
		})
	}
}

func TestARunThatEndsWhileMinionsAreAwaitedAccountsForAllOfThem(t *testing.T) {
	for name, c := range map[string]struct {
		batch  gaea.Batch
		fails  bool
		at     map[time.Duration]machine.Input
		status gaea.RunStatus
		told   int
	}{
		"cancelled":              {gaea.Batch{Size: amount(t, "2"), Wait: gaea.Duration(3 * time.Second)}, false, map[time.Duration]machine.Input{time.Second: machine.Cancel{}}, gaea.RunCancelled, 2},
		"cancelled before":       {gaea.Batch{Size: amount(t, "2")}, false, map[time.Duration]machine.Input{20 * time.Millisecond: machine.Cancel{}}, gaea.RunCancelled, 0},
		"halted by its canary":   {gaea.Batch{Canary: amount(t, "1")}, true, nil, gaea.RunHalted, 1},
		"halted by its failures": {gaea.Batch{Size: amount(t, "2"), MaxFailures: allowance(t, "0")}, true, nil, gaea.RunHalted, 2},
		"timed out":              {gaea.Batch{Size: amount(t, "2"), Wait: gaea.Duration(time.Hour)}, false, nil, gaea.RunTimedOut, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := downLast(10)
			s.fails, s.at = func(string) bool { return c.fails }, c.at
			run := play(t, &gaea.Run{Target: list(10), Batch: c.batch, Timeouts: gaea.Timeouts{Job: gaea.Duration(3 * time.Second)}}, s)
			if run.Status != c.status || len(run.Minions) != 10 || run.Counts[gaea.OutcomeSkipped] != 10-c.told {
				t.Fatalf("%s: %s; %v", run.Status, run.Message, run.Counts)
			}
			for name, rm := range run.Minions {
				if rm.Outcome == gaea.OutcomeSkipped && !strings.HasPrefix(rm.Message, "not told: ") {
					t.Errorf("%s is %s: %q", name, rm.Outcome, rm.Message)
				}
			}
			if run.Ended.Sub(run.Created) > 4*time.Second {
				t.Errorf("it took %s", run.Ended.Sub(run.Created))
			}
		})
	}
}

func TestAMinionThatAnswersOnceMoreIsNotToldOnceMore(t *testing.T) {
	s := downLast(4)
	s.matches, s.doubles = minions(4), 2*time.Second
	run := play(t, &gaea.Run{Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Batch: gaea.Batch{Size: amount(t, "1")}}, s)
	if len(s.told) != 3 || run.Counts[gaea.OutcomeSucceeded] != 3 {
		t.Errorf("%s: told %v", run.Message, s.told)
	}
}

func TestARunIsNotHeldAfterItsCanaryWhereNobodyComesAfterIt(t *testing.T) {
	manual, err := gaea.ParseHold("manual")
	if err != nil {
		t.Fatal(err)
	}
	run := play(t, &gaea.Run{Target: list(2), Batch: gaea.Batch{Canary: amount(t, "1"), CanaryHold: manual}}, downLast(2))
	if run.Status != gaea.RunFailed || run.Counts[gaea.OutcomeSucceeded] != 1 || run.PausedFor != 0 {
		t.Errorf("%s: %s", run.Status, run.Message)
	}
}

func TestARunThatBeginsEarlyGoesToTheSameMinionsInTheSameSlices(t *testing.T) {
	early := 0
	rapid.Check(t, func(d *rapid.T) {
		all := minions(rapid.IntRange(1, 12).Draw(d, "minions"))
		pings, returns, fails := map[string]time.Duration{}, map[string]time.Duration{}, map[string]bool{}
		var there []string
		for _, name := range all {
			pings[name] = time.Duration(rapid.SampledFrom([]int{1, 1, 1, 40, 300, 2500, 8000, -1}).Draw(d, "ping")) * time.Millisecond
			returns[name] = time.Duration(rapid.SampledFrom([]int{5, 100, 700}).Draw(d, "takes")) * time.Millisecond
			fails[name] = rapid.IntRange(0, 9).Draw(d, "fails") == 0
			if pings[name] >= 0 && pings[name] < 8*time.Second {
				there = append(there, name)
			}
		}
		if len(there) == 0 {
			return
		}
		b := gaea.Batch{Order: rapid.SampledFrom([]gaea.Order{"", gaea.OrderRandom}).Draw(d, "order")}
		b.Size = amount(t, rapid.SampledFrom([]string{"1", "2", "3", "10%", "20%", "50%"}).Draw(d, "size"))
		b.Mode = rapid.SampledFrom([]gaea.BatchMode{"", gaea.BatchRolling}).Draw(d, "mode")
		if rapid.Bool().Draw(d, "with a canary") {
			b.Canary = amount(t, rapid.SampledFrom([]string{"1", "2", "30%", "100%"}).Draw(d, "canary"))
		}
		if b.Mode != gaea.BatchRolling && rapid.Bool().Draw(d, "threshold") { // which minion of several at work ends first is chance
			b.MaxFailures = allowance(t, rapid.SampledFrom([]string{"0", "1", "0%", "30%"}).Draw(d, "allowed"))
		}
		one := func(target []string, late bool) (*gaea.Run, *stage) {
			s := &stage{
				takes: func(name string) time.Duration { return returns[name] }, fails: func(name string) bool { return fails[name] },
				pings: func(name string) time.Duration {
					if late {
						return 0
					}
					return pings[name]
				},
			}
			return play(t, &gaea.Run{Target: gaea.ListTarget(target), Batch: b, Seed: 11}, s), s
		}
		run, s := one(all, false)
		want, _ := one(there, true)
		if len(run.Minions) != len(all) {
			d.Fatalf("%d of %d minions are accounted for", len(run.Minions), len(all))
		}
		if run.Status != gaea.RunHalted && s.told[0].at < 2*time.Second && len(there) < len(all) {
			early++
		}
		got, wanted := courseOf(run, b.Mode), courseOf(want, b.Mode)
		if !slices.Equal(got, wanted) {
			d.Fatalf("told in %v, and would be in %v", got, wanted)
		}
		outcomes := outcomesOf(run)
		if run.Status == gaea.RunHalted && want.Status == gaea.RunHalted {
			return // who had not answered by then is skipped, or unreachable
		}
		maps.DeleteFunc(outcomes, func(name string, _ gaea.Outcome) bool { return !slices.Contains(there, name) })
		if wanted := outcomesOf(want); !maps.Equal(outcomes, wanted) {
			d.Fatalf("ended as %v, and would as %v", outcomes, wanted)
		}
	})
	if early == 0 {
		t.Error("no run began before all minions were known")
	}
}

// courseOf says in which slices a run was told; of a rolling run, whose slices depend on who ends when, the canary and the
// first slice, and who comes after them.
func courseOf(run *gaea.Run, mode gaea.BatchMode) []string {
	var course []string
	whole := true
	var others []string
	for i := range run.Slices {
		s := &run.Slices[i]
		switch {
		case s.JID == "":
		case mode != gaea.BatchRolling || whole:
			course = append(course, fmt.Sprint(s.Canary, s.Minions))
		default:
			others = append(others, s.Minions...)
		}
		whole = whole && s.Canary
	}
	slices.Sort(others)
	return append(course, others...)
}

func TestARunThatBeganKeepsItsOutcomesWhereTheMasterKnowsNobodyAfterACrash(t *testing.T) {
	for name, target := range map[string]gaea.Target{"a list": list(3), "a glob": {Type: gaea.TargetGlob, Expr: "web*"}} {
		names := minions(3)
		d := driveRun(t, &gaea.Run{Function: "test.ping", Target: target, Batch: gaea.Batch{Size: amount(t, "1")}, AllowEmpty: true})
		a := until[machine.Ask](d)
		d.step(machine.Asked{Ask: a.ID, Minions: names})
		d.step(machine.Answered{Ask: a.ID, Minion: names[0], Body: []byte("true")})
		p := until[machine.Publish](d)
		d.step(machine.Published{JID: p.JID, Minions: names[:1]})
		d.step(machine.Returned{JID: p.JID, Minion: names[0], Outcome: gaea.OutcomeFailed, Message: "it failed"})
		d.restart()
		a = until[machine.Ask](d)
		d.step(machine.AskFailed{Ask: a.ID, Code: gaea.CodeEmptyTarget, Message: "nothing matched"})
		run := d.m.Run()
		if rm := run.Minions[names[0]]; rm.Outcome != gaea.OutcomeFailed || rm.JID != p.JID || rm.Slice != 0 {
			t.Errorf("%s: %s has become %+v", name, names[0], rm)
		}
		if run.Status != gaea.RunFailed || strings.Contains(run.Message, "matches no minion") || strings.Contains(run.Message, "none of these") {
			t.Errorf("%s: %s: %s", name, run.Status, run.Message)
		}
	}
}
