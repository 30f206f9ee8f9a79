package swarm_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// cancelRun has Gaea's own state machine run test.sleep on m1 through the small master, and cancel it when the minion runs it. It
// returns the run's end, and the purposes of the questions that the minion was asked.
func cancelRun(t *testing.T, b swarm.Behaviour, grace gaea.Duration) (gaea.RunMinion, []machine.Purpose) {
	t.Helper()
	m := newMaster(t)
	s := one(t, m, b)
	n := 0
	jids := func(time.Time) string {
		n++
		return fmt.Sprintf("2026112301450%07d", n)
	}
	run := &gaea.Run{
		ID: "run-1", Status: gaea.RunQueued, Function: "test.sleep", Target: gaea.ListTarget([]string{"m1"}),
		Call: &gaea.Call{Function: "test.sleep", Args: []any{60}}, Created: time.Now(),
	}
	now := run.Created
	play := machine.New(run, jids, func(string) time.Time { return time.Time{} })
	effects := play.Step(machine.Begin{}, now)
	step := func(in machine.Input) { effects = append(effects, play.Step(in, now)...) }
	var asked []machine.Purpose
	for rounds := 0; !play.Ended(); rounds++ {
		if rounds > 2000 {
			t.Fatalf("the run does not end; it asked %q", asked)
		}
		if len(effects) == 0 {
			if wake := play.Wake(); wake.After(now) {
				now = wake
			}
			step(machine.Tick{})
			continue
		}
		effect := effects[0]
		effects = effects[1:]
		switch e := effect.(type) {
		case machine.Publish:
			m.tell(e.JID, "m1", "test.sleep", 60)
			step(machine.Published{JID: e.JID, Minions: []string{"m1"}})
			eventually(t, "the minion runs the job", func() bool { return s.Trace(e.JID)["m1"].Told == 1 })
			step(machine.Cancel{By: "ann", Grace: grace})
		case machine.LookUp:
			step(machine.Cached{LookUp: e.ID, JID: e.JID, Found: true, Minions: []string{"m1"}})
		case machine.Ask:
			asked = append(asked, e.Purpose)
			jid := jids(now)
			args := append([]any{}, e.Args...)
			if len(e.Kwargs) > 0 {
				kwargs := map[string]any{"__kwarg__": true}
				maps.Copy(kwargs, e.Kwargs)
				args = append(args, kwargs)
			}
			m.tell(jid, "m1", e.Function, args...)
			step(machine.Asked{Ask: e.ID, Minions: []string{"m1"}})
			body, err := json.Marshal(m.only(jid, "m1"))
			if err != nil {
				t.Fatal(err)
			}
			step(machine.Answered{Ask: e.ID, Minion: "m1", Body: body})
		}
	}
	return play.Run().Minions["m1"], asked
}

func TestGaeasCancelFindsAndKillsTheProcessesOfAJob(t *testing.T) {
	end, asked := cancelRun(t, swarm.Behaviour{}, 0)
	if end.Outcome != gaea.OutcomeKilled || end.Processes == "" {
		t.Errorf("the minion ended as %+v", end)
	}
	if !slices.Equal(asked, []machine.Purpose{machine.PurposeFell}) {
		t.Errorf("it was asked %q", asked)
	}
}

func TestGaeasCancelWithGraceKillsWhatASignalLeft(t *testing.T) {
	end, asked := cancelRun(t, swarm.Behaviour{Functions: []string{"test.sleep"}, IgnoresTerm: true}, gaea.Duration(time.Second))
	if end.Outcome != gaea.OutcomeKilled {
		t.Errorf("the minion ended as %+v, asked %q", end, asked)
	}
}

func TestGaeasCancelIsToldWhereProcessesCannotBeLookedAt(t *testing.T) {
	end, asked := cancelRun(t, swarm.Behaviour{NoProc: true}, 0)
	if end.Processes != "" || end.Outcome != gaea.OutcomeKilled {
		t.Errorf("the minion ended as %+v, asked %q", end, asked)
	}
}
