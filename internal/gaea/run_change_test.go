package gaea_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// life draws snapshots of one run, in order: minions join, leave and change, slices begin and end.
func life(t *rapid.T) []*gaea.Run {
	run := &gaea.Run{ID: "run-1", Status: gaea.RunRunning, Minions: map[string]gaea.RunMinion{}}
	var out []*gaea.Run
	for range rapid.IntRange(1, 8).Draw(t, "snapshots") {
		run = copyOf(run)
		run.Seq++
		run.Message = rapid.StringMatching(`[a-c]{0,2}`).Draw(t, "message")
		for range rapid.IntRange(0, 6).Draw(t, "changes") {
			name := fmt.Sprintf("web%d", rapid.IntRange(0, 9).Draw(t, "minion"))
			if rapid.IntRange(0, 9).Draw(t, "leaves") == 0 {
				delete(run.Minions, name)
				continue
			}
			code := rapid.IntRange(0, 2).Draw(t, "retcode")
			run.Minions[name] = gaea.RunMinion{Outcome: rapid.SampledFrom(gaea.Outcomes()).Draw(t, "outcome"), Retcode: &code, Seq: run.Seq}
		}
		switch rapid.IntRange(0, 3).Draw(t, "slice") {
		case 0:
			run.Slices = append(run.Slices, gaea.Slice{Index: len(run.Slices), JID: fmt.Sprint(len(run.Slices)), Minions: []string{"web1"}})
		case 1:
			if n := len(run.Slices); n > 0 {
				run.Slices[n-1].Ended = time.Unix(run.Seq, 0).UTC()
			}
		}
		out = append(out, run)
	}
	return out
}

func copyOf(r *gaea.Run) *gaea.Run {
	raw, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	out := &gaea.Run{}
	if err := json.Unmarshal(raw, out); err != nil {
		panic(err)
	}
	if out.Minions == nil {
		out.Minions = map[string]gaea.RunMinion{}
	}
	return out
}

// sent is a change as its receiver has it.
func sent(t *rapid.T, c gaea.RunChange) gaea.RunChange {
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var out gaea.RunChange
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhoTakesEveryChangeHasTheWholeRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		snapshots := life(t)
		got := copyOf(snapshots[0])
		for i, run := range snapshots[1:] {
			before := copyOf(got)
			change := sent(t, run.ChangesFrom(snapshots[i]))
			next, err := change.Apply(got)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(copyOf(next), copyOf(run)) {
				t.Fatalf("got %+v, want %+v", next, run)
			}
			if !reflect.DeepEqual(copyOf(got), before) {
				t.Fatal("the snapshot before has changed")
			}
			got = next
		}
	})
}

func TestWhoComesBackHasTheWholeRunOrIsToldThatItHasNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		snapshots := life(t)
		left := rapid.IntRange(0, len(snapshots)-1).Draw(t, "left")
		run := snapshots[len(snapshots)-1]
		change := sent(t, run.ChangesSince(snapshots[left].Seq))
		got, err := change.Apply(copyOf(snapshots[left]))
		gone := false
		for name := range snapshots[left].Minions {
			if _, ok := run.Minions[name]; !ok {
				gone = true
			}
		}
		switch {
		case gone && gaea.CodeOf(err) != gaea.CodeConflict:
			t.Fatalf("minions are gone, and the error is %v", err)
		case gone:
		case err != nil:
			t.Fatal(err)
		case !reflect.DeepEqual(copyOf(got), copyOf(run)):
			t.Fatalf("got %+v, want %+v", got, run)
		}
	})
}

func TestWhatHasNotChangedIsNotSent(t *testing.T) {
	code, same := 0, 0
	before := &gaea.Run{ID: "run-1", Minions: map[string]gaea.RunMinion{"web1": {Outcome: gaea.OutcomePending}, "web2": {Retcode: &code}},
		Slices: []gaea.Slice{{Index: 0, Minions: []string{"web1"}}, {Index: 1, Minions: []string{"web2"}}}}
	after := &gaea.Run{ID: "run-1", Minions: map[string]gaea.RunMinion{"web1": {Outcome: gaea.OutcomeFailed}, "web2": {Retcode: &same}},
		Slices: []gaea.Slice{{Index: 0, Minions: []string{"web1"}}, {Index: 1, JID: "2", Minions: []string{"web2"}}}}
	c := after.ChangesFrom(before)
	if len(c.Minions) != 1 || c.Minions["web1"].Outcome != gaea.OutcomeFailed || len(c.Slices) != 1 || c.Slices[0].Index != 1 || c.MinionCount != 2 || c.SliceCount != 2 {
		t.Errorf("got %+v", c)
	}
}

func TestAChangeOfAnotherRunIsRefused(t *testing.T) {
	c := (&gaea.Run{ID: "run-2"}).ChangesSince(0)
	if _, err := c.Apply(&gaea.Run{ID: "run-1"}); gaea.CodeOf(err) != gaea.CodeConflict {
		t.Errorf("got %v", err)
	}
}
