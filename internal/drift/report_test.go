package drift_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func evidence(minion string, test bool, outcome gaea.Outcome, states ...gaea.StateResult) gaea.Evidence {
	return gaea.Evidence{Minion: minion, JID: "20260301120000000000", At: noon, Test: test, Outcome: outcome, States: states}
}

func report(a gaea.Assignment, in drift.Input) *gaea.DriftReport {
	a.Name, in.Assignment, in.Ref, in.Revision = "web", a, "web@0011223344556677", "r"
	return drift.Report(in)
}

func TestWouldChangeAndFailedStatesAreDrift(t *testing.T) {
	r := report(gaea.Assignment{}, drift.Input{
		Minions: []string{"m1"},
		Evidence: []gaea.Evidence{evidence("m1", true, gaea.OutcomeFailed,
			state("file.managed", "/etc/motd", gaea.OutcomeWouldChange, "", `{"diff":`+quoted(motdDiff)+`}`),
			state("service.running", "nginx", gaea.OutcomeFailed, "The named service nginx is not available", ``))},
	})
	want := map[string]string{"file.managed /etc/motd": motdDiff, "service.running nginx": "would fail: The named service nginx is not available"}
	if got := r.Minions["m1"]; got.Status != gaea.EvidenceDrifted || !reflect.DeepEqual(got.States, want) {
		t.Errorf("got %+v", got)
	}
	if r.Summary != (gaea.DriftSummary{Minions: 1, Drifted: 1, States: 2}) {
		t.Errorf("summary %+v", r.Summary)
	}
}

func TestWhatARealRunChangedIsInSyncAfterwards(t *testing.T) {
	r := report(gaea.Assignment{}, drift.Input{
		Minions: []string{"m1", "m2"},
		Evidence: []gaea.Evidence{
			evidence("m1", false, gaea.OutcomeChanged, state("file.managed", "/etc/motd", gaea.OutcomeChanged, "File updated", `{"diff":"New file"}`)),
			evidence("m2", false, gaea.OutcomeFailed,
				state("file.managed", "/etc/motd", gaea.OutcomeChanged, "File updated", `{"diff":"New file"}`),
				state("cmd.run", "false", gaea.OutcomeFailed, "Command \"false\" run", `{"retcode":1,"stderr":""}`)),
		},
	})
	if got := r.Minions["m1"]; got.Status != gaea.EvidenceInSync || len(got.States) != 0 {
		t.Errorf("m1: %+v", got)
	}
	want := map[string]string{"cmd.run false": `failed: Command "false" run: exit code 1`}
	if got := r.Minions["m2"]; got.Status != gaea.EvidenceDrifted || !reflect.DeepEqual(got.States, want) {
		t.Errorf("m2: %+v", got)
	}
}

func TestMinionsThatGaveNoStatesAreNeverInSync(t *testing.T) {
	for _, c := range []struct {
		outcome gaea.Outcome
		message string
		want    gaea.EvidenceStatus
	}{
		{gaea.OutcomeUnreachable, "did not answer", gaea.EvidenceUnreachable},
		{gaea.OutcomeNoReturn, "the return was lost", gaea.EvidenceUnknown},
		{gaea.OutcomeKilled, "", gaea.EvidenceUnknown},
		{gaea.OutcomeSkipped, "", gaea.EvidenceUnknown},
		{gaea.OutcomePending, "", gaea.EvidenceUnknown},
		{gaea.OutcomeCouldNotRun, "No matching sls found for 'nosuch' in env 'base'", gaea.EvidenceCouldNotRun},
		{gaea.OutcomeFailed, "state.apply is disabled", gaea.EvidenceCouldNotRun},
		{gaea.OutcomeCouldNotRun, `The function "state.apply" is running as PID 30667 and was started at 2026, Nov 22 23:13:25.358345 with jid 20261122231325358345`, gaea.EvidenceUnknown},
	} {
		e := evidence("m1", true, c.outcome)
		e.Message = c.message
		r := report(gaea.Assignment{}, drift.Input{Minions: []string{"m1"}, Evidence: []gaea.Evidence{e}})
		if got := r.Minions["m1"]; got.Status != c.want || got.Message != c.message {
			t.Errorf("%s %q: %+v", c.outcome, c.message, got)
		}
	}
}

func TestAMinionNobodyLookedAtIsUnknown(t *testing.T) {
	r := report(gaea.Assignment{}, drift.Input{Minions: []string{"m1"}, Evidence: []gaea.Evidence{evidence("gone", true, gaea.OutcomeInSync)}})
	if len(r.Minions) != 1 || r.Minions["m1"].Status != gaea.EvidenceUnknown || !r.Oldest.IsZero() {
		t.Errorf("got %+v", r)
	}
}

func TestTheNewestEvidenceOfAMinionCounts(t *testing.T) {
	old, young := evidence("m1", true, gaea.OutcomeWouldChange, state("x.y", "z", gaea.OutcomeWouldChange, "", ``)), evidence("m1", false, gaea.OutcomeInSync)
	young.At = young.At.Add(time.Second)
	for _, order := range [][]gaea.Evidence{{old, young}, {young, old}} {
		if r := report(gaea.Assignment{}, drift.Input{Minions: []string{"m1"}, Evidence: order}); r.Minions["m1"].Status != gaea.EvidenceInSync {
			t.Errorf("got %+v", r.Minions["m1"])
		}
	}
}

func TestIgnoredStatesAreNoDrift(t *testing.T) {
	a := gaea.Assignment{DriftCheck: gaea.DriftCheck{Ignore: []string{"cmd.run:*", "file.managed:/etc/*"}}}
	r := report(a, drift.Input{
		Minions: []string{"m1"},
		Evidence: []gaea.Evidence{evidence("m1", true, gaea.OutcomeWouldChange,
			state("cmd.run", "deploy", gaea.OutcomeWouldChange, "", ``), state("file.managed", "/etc/x/y", gaea.OutcomeWouldChange, "", ``))},
		Unsettled: []gaea.UnsettledState{{Minion: "m1", Label: "cmd.run other", Digest: "d"}},
	})
	if got := r.Minions["m1"]; got.Status != gaea.EvidenceInSync || got.States != nil || len(r.Unsettled) != 0 {
		t.Errorf("got %+v, unsettled %q", got, r.Unsettled)
	}
}

func TestStatesOfOneIDAreToldApartByName(t *testing.T) {
	one, two := state("pkg.installed", "tools", gaea.OutcomeWouldChange, "", ``), state("pkg.installed", "tools", gaea.OutcomeWouldChange, "", ``)
	one.Name, two.Name = "git", "vim"
	r := report(gaea.Assignment{}, drift.Input{Minions: []string{"m1"}, Evidence: []gaea.Evidence{evidence("m1", true, gaea.OutcomeWouldChange, one, two)}})
	if got := r.Minions["m1"].States; len(got) != 2 || got["pkg.installed tools (git)"] == "" || got["pkg.installed tools (vim)"] == "" {
		t.Errorf("got %q", got)
	}
}

func TestLabelsAreDistinctAndKeepWhatTheyAreMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.SampledFrom([]string{"a", "a (b)", "b", "_|-", `"`, "<b>", "${x}", "größer", ""})
		var states []gaea.StateResult
		for range rapid.IntRange(0, 8).Draw(t, "n") {
			states = append(states, gaea.StateResult{Module: "m", Function: "f", ID: few.Draw(t, "id"), Name: few.Draw(t, "name")})
		}
		seen := map[string]bool{}
		for i, label := range drift.Labels(states) {
			if seen[label] || !strings.HasPrefix(label, "m.f "+states[i].ID) {
				t.Errorf("label %q of %+v", label, states)
			}
			seen[label] = true
		}
	})
}

// deployed is a command that runs each time, as an enforcing run and as the test run after it see it.
func deployed(outcome gaea.Outcome, comment, changes string) gaea.StateResult {
	return state("cmd.run", "deploy", outcome, comment, changes)
}

func TestAStateThatWouldChangeRightAfterItWasAppliedIsUnsettledAndNoDrift(t *testing.T) {
	enforced := []gaea.Return{{Minion: "m1", States: []gaea.StateResult{
		deployed(gaea.OutcomeChanged, `Command "deploy" run`, `{"pid":1,"retcode":0,"stdout":"ok","stderr":""}`),
		state("file.managed", "/etc/motd", gaea.OutcomeChanged, "File updated", `{"diff":"New file"}`),
		state("test.nop", "n", gaea.OutcomeInSync, "Success!", ``),
	}}}
	checked := []gaea.Return{{Minion: "m1", States: []gaea.StateResult{
		deployed(gaea.OutcomeWouldChange, `Command "deploy" would have been executed`, `{"cmd":"deploy"}`),
		state("file.managed", "/etc/motd", gaea.OutcomeInSync, "in the correct state", ``),
	}}}
	unsettled := drift.Unsettled(enforced, checked)
	if len(unsettled) != 1 || unsettled[0].Minion != "m1" || unsettled[0].Label != "cmd.run deploy" {
		t.Fatalf("unsettled: %+v", unsettled)
	}

	in := drift.Input{Minions: []string{"m1"}, Unsettled: unsettled, Evidence: []gaea.Evidence{evidence("m1", true, gaea.OutcomeWouldChange, checked[0].States[0])}}
	r := report(gaea.Assignment{}, in)
	if r.Minions["m1"].Status != gaea.EvidenceInSync || !slices.Equal(r.Unsettled, []string{"cmd.run deploy"}) {
		t.Errorf("got %+v, unsettled %q", r.Minions["m1"], r.Unsettled)
	}

	in.Evidence = []gaea.Evidence{evidence("m1", true, gaea.OutcomeWouldChange, deployed(gaea.OutcomeWouldChange, `Command "deploy --force" would have been executed`, `{"cmd":"deploy --force"}`))}
	r = report(gaea.Assignment{}, in)
	if r.Minions["m1"].Status != gaea.EvidenceDrifted || len(r.Unsettled) != 0 {
		t.Errorf("another change is not drift: %+v, unsettled %q", r.Minions["m1"], r.Unsettled)
	}

	in.Evidence = []gaea.Evidence{evidence("m1", false, gaea.OutcomeChanged, enforced[0].States[0])}
	if r = report(gaea.Assignment{}, in); !slices.Equal(r.Unsettled, []string{"cmd.run deploy"}) {
		t.Errorf("after a real run the list is %q", r.Unsettled)
	}
}

func TestAStateThatFailedOrIsNewIsNotUnsettled(t *testing.T) {
	enforced := []gaea.Return{
		{Minion: "m1", States: []gaea.StateResult{deployed(gaea.OutcomeFailed, "", ``)}},
		{Minion: "m2", States: []gaea.StateResult{state("test.nop", "n", gaea.OutcomeInSync, "", ``)}},
		{Minion: "m3", Outcome: gaea.OutcomeCouldNotRun},
	}
	var checked []gaea.Return
	for _, m := range []string{"m1", "m2", "m3", "m4"} {
		checked = append(checked, gaea.Return{Minion: m, States: []gaea.StateResult{deployed(gaea.OutcomeWouldChange, "", ``)}})
	}
	if got := drift.Unsettled(enforced, checked); len(got) != 0 {
		t.Errorf("unsettled: %+v", got)
	}
}

func TestWhatTheEnforcingRunFailedStaysDriftWhenTheTestRunDoesNotSeeIt(t *testing.T) {
	nop := state("test.nop", "after", gaea.OutcomeFailed, "One or more requisite failed: mixed.bad", ``)
	bad := deployed(gaea.OutcomeFailed, "", ``)
	would := deployed(gaea.OutcomeWouldChange, "", `{"cmd":"deploy"}`)
	r := report(gaea.Assignment{}, drift.Input{
		Minions:   []string{"m1", "m2"},
		Evidence:  []gaea.Evidence{evidence("m1", true, gaea.OutcomeWouldChange, would), evidence("m2", true, gaea.OutcomeInSync)},
		Failed:    map[string][]gaea.StateResult{"m1": {bad, nop}},
		Unsettled: []gaea.UnsettledState{{Minion: "m1", Label: "cmd.run deploy", Digest: drift.Digest(&would)}},
	})
	want := map[string]string{"cmd.run deploy": "would run: deploy", "test.nop after": "failed: One or more requisite failed: mixed.bad"}
	if got := r.Minions["m1"]; !reflect.DeepEqual(got.States, want) {
		t.Errorf("got %+v", got)
	}
	if r.Minions["m2"].Status != gaea.EvidenceInSync || len(r.Unsettled) != 0 {
		t.Errorf("got %+v, unsettled %q", r.Minions["m2"], r.Unsettled)
	}
}

func TestADigestLeavesOutWhatDiffersEachTime(t *testing.T) {
	const diff = "--- \n+++ \n@@ -1 +1 @@\n-made at %s\n+made at %s\n"
	for name, pair := range map[string][2]gaea.StateResult{
		"process ids":      {state("cmd.run", "x", gaea.OutcomeWouldChange, "ran as PID 12", `{"pid":12,"cmd":"x"}`), state("cmd.run", "x", gaea.OutcomeWouldChange, "ran as PID 99", `{"pid":99,"cmd":"x"}`)},
		"durations":        {state("x.y", "z", gaea.OutcomeWouldChange, "took 0.31 s", `{"duration":12.5}`), state("x.y", "z", gaea.OutcomeWouldChange, "took 12 s", `{"duration":7}`)},
		"times in a diff":  {state("file.managed", "/x", gaea.OutcomeWouldChange, "", `{"diff":`+quoted(fmt.Sprintf(diff, "2026-11-22 23:13:25.358345", "Sun Nov 22 23:14:00 UTC 2026"))+`}`), state("file.managed", "/x", gaea.OutcomeWouldChange, "", `{"diff":`+quoted(fmt.Sprintf(diff, "2027-01-01T00:00:00Z", "Fri Jan  1 01:02:03 CET 2027"))+`}`)},
		"job ids":          {state("x.y", "z", gaea.OutcomeWouldChange, "jid 20261122231325358345", ``), state("x.y", "z", gaea.OutcomeWouldChange, "jid 20261122231325359999", ``)},
		"temporary files":  {state("x.y", "z", gaea.OutcomeWouldChange, "/tmp/__salt.tmp.ab12 and /tmp/tmpq1w2e3", ``), state("x.y", "z", gaea.OutcomeWouldChange, "/tmp/__salt.tmp.zz and /tmp/tmpxxxx", ``)},
		"times in a name":  {state("cmd.run", "echo 23:13:25", gaea.OutcomeWouldChange, "", ``), state("cmd.run", "echo 23:59:59", gaea.OutcomeWouldChange, "", ``)},
		"order and spaces": {state("x.y", "z", gaea.OutcomeWouldChange, "", `{"a":1,"b":[2]}`), state("x.y", "z", gaea.OutcomeWouldChange, "", ` {"b": [2.0], "a": 1}`)},
		"nothing":          {state("x.y", "z", gaea.OutcomeWouldChange, "", `{}`), state("x.y", "z", gaea.OutcomeWouldChange, "", ``)},
	} {
		if drift.Digest(&pair[0]) != drift.Digest(&pair[1]) {
			t.Errorf("%s make another digest", name)
		}
	}
	a, b := state("cmd.run", "x", gaea.OutcomeWouldChange, "", `{"cmd":"sleep 30s"}`), state("cmd.run", "x", gaea.OutcomeWouldChange, "", `{"cmd":"sleep 60s"}`)
	if drift.Digest(&a) == drift.Digest(&b) {
		t.Error("another command has the same digest")
	}
}

func TestAReportHasEveryMinionOnceAndDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, a := randomInput(t)
		got := report(a, in)
		again := in
		again.Minions, again.Evidence, again.Unsettled = shuffled(in.Minions), shuffled(in.Evidence), shuffled(in.Unsettled)
		if other := report(a, again); !reflect.DeepEqual(got, other) {
			t.Errorf("in another order:\n%+v\n%+v", got, other)
		}
		want := slices.Compact(slices.Sorted(slices.Values(in.Minions)))
		var have []string
		for m := range got.Minions {
			have = append(have, m)
		}
		slices.Sort(have)
		if !slices.Equal(want, have) {
			t.Errorf("minions %q, want %q", have, want)
		}
		s := got.Summary
		if s.Minions != len(want) || s.InSync+s.Drifted+s.CouldNotRun+s.Unreachable+s.Unknown != s.Minions || s.Unreachable != len(got.Unreachable) {
			t.Errorf("summary %+v", s)
		}
		if !slices.IsSorted(got.Unsettled) || !slices.IsSorted(got.Unreachable) {
			t.Error("not sorted")
		}
		if _, err := json.Marshal(got); err != nil {
			t.Error(err)
		}
	})
}

func TestIgnoreRulesOnlyRemove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, a := randomInput(t)
		all := report(a, in)
		a.DriftCheck.Ignore = append(slices.Clone(a.DriftCheck.Ignore), rapid.SliceOfN(rapid.SampledFrom([]string{"cmd.run:*", "file.*:/etc/*", "x.y:[ab]"}), 1, 3).Draw(t, "rules")...)
		fewer := report(a, in)
		for m, d := range fewer.Minions {
			before := all.Minions[m]
			for label, text := range d.States {
				if before.States[label] != text {
					t.Errorf("%s: %q is new", m, label)
				}
			}
			if d.Status != before.Status && (before.Status != gaea.EvidenceDrifted || d.Status != gaea.EvidenceInSync) {
				t.Errorf("%s went from %s to %s", m, before.Status, d.Status)
			}
		}
		for _, label := range fewer.Unsettled {
			if !slices.Contains(all.Unsettled, label) && !strings.HasPrefix(label, "x.y") {
				t.Errorf("%q is unsettled now", label)
			}
		}
	})
}

func randomInput(t *rapid.T) (drift.Input, gaea.Assignment) {
	minion := rapid.SampledFrom([]string{"m1", "m2", "m3", "m4"})
	randomState := rapid.Custom(func(t *rapid.T) gaea.StateResult {
		s := state(rapid.SampledFrom([]string{"cmd.run", "file.managed", "x.y"}).Draw(t, "fun"), rapid.SampledFrom([]string{"a", "b", "/etc/a"}).Draw(t, "id"),
			rapid.SampledFrom([]gaea.Outcome{gaea.OutcomeWouldChange, gaea.OutcomeFailed, gaea.OutcomeChanged}).Draw(t, "outcome"), rapid.SampledFrom([]string{"", "c", "d"}).Draw(t, "comment"), ``)
		s.RunNum = rapid.IntRange(0, 9).Draw(t, "run")
		return s
	})
	var in drift.Input
	in.Minions = rapid.SliceOfN(minion, 0, 6).Draw(t, "minions")
	for i := range rapid.IntRange(0, 6).Draw(t, "n") {
		e := evidence(minion.Draw(t, "minion"), rapid.Bool().Draw(t, "test"), rapid.SampledFrom(gaea.Outcomes()).Draw(t, "outcome"),
			rapid.SliceOfNDistinct(randomState, 0, 4, func(s gaea.StateResult) string { return s.Key }).Draw(t, "states")...)
		e.At, e.JID = noon.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "at"))*time.Second), fmt.Sprintf("2026030112000000000%d", i)
		in.Evidence = append(in.Evidence, e)
		for k := range e.States {
			if rapid.Bool().Draw(t, "unsettled") {
				in.Unsettled = append(in.Unsettled, gaea.UnsettledState{Minion: e.Minion, Label: drift.Label(&e.States[k]), Digest: drift.Digest(&e.States[k])})
			}
		}
	}
	return in, gaea.Assignment{DriftCheck: gaea.DriftCheck{Ignore: rapid.SliceOfN(rapid.Just("file.managed:b"), 0, 1).Draw(t, "ignore")}}
}

func shuffled[T any](s []T) []T {
	out := slices.Clone(s)
	rand.Shuffle(len(out), func(i, k int) { out[i], out[k] = out[k], out[i] })
	return out
}
