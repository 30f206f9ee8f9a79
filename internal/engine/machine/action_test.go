package machine_test

import (
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAPreActionThatWasStoppedIsNotTriedAgainAfterARestart(t *testing.T) {
	d := driveRun(t, &gaea.Run{Function: "test.ping", Target: list(1), Timeouts: gaea.Timeouts{Job: gaea.Duration(5 * time.Second)}, Call: &gaea.Call{
		Function: "test.ping", Pre: []gaea.JobAction{{Name: "drain", Function: "cmd.run", Retries: 3}},
	}})
	until[machine.Act](d)
	until[machine.EndAct](d) // the job timeout has passed
	d.restart()
	act := until[machine.Act](d) // whatever it has begun is found
	until[machine.EndAct](d)
	d.step(machine.Acted{Key: act.Key, Attempt: act.Attempt, Message: "stopped"})
	if run := d.m.Run(); run.Status != gaea.RunTimedOut || run.Actions[0].Status != gaea.ActionCancelled || run.Actions[0].Attempts != 1 {
		t.Errorf("%s: %+v", run.Status, run.Actions)
	}
}

func TestTheJobTimeoutDoesNotBoundThePostActionsOfTheLastSlice(t *testing.T) {
	s := &stage{takes: always(time.Second)} // and an action one second more
	run := play(t, &gaea.Run{
		Target: list(2), Batch: gaea.Batch{Size: amount(t, "2")}, Timeouts: gaea.Timeouts{Job: gaea.Duration(1500 * time.Millisecond)},
		Call: &gaea.Call{Post: []gaea.JobAction{{Name: "undrain", Function: "cmd.run", Scope: gaea.ScopeSlice}}},
	}, s)
	if run.Status != gaea.RunSucceeded || len(s.acts) != 1 {
		t.Errorf("%s: %s", run.Status, run.Message)
	}
}
