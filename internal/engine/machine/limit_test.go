package machine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestTheSliceLimitBoundsAMinionThatIsRefusedAgainAndAgain(t *testing.T) {
	s := &stage{takes: always(time.Second), busy: func(name string) bool { return name == "web00" }}
	run := play(t, &gaea.Run{
		Target: list(2), Batch: gaea.Batch{Size: amount(t, "1")},
		Timeouts: gaea.Timeouts{Slice: gaea.Duration(time.Minute), Job: gaea.Duration(20 * time.Minute)},
	}, s)
	rm := run.Minions["web00"]
	if rm.Outcome != gaea.OutcomeCouldNotRun || !strings.HasSuffix(rm.Message, "the slice limit of 1m passed") || run.Counts[gaea.OutcomeSucceeded] != 1 {
		t.Errorf("%v: %+v", run.Counts, rm)
	}
	if took := run.Ended.Sub(run.Started); took > 2*time.Minute {
		t.Errorf("took %s", took)
	}
}

func TestAPostActionIsNotDoneOnMinionsOfAJobThatTheMasterRefused(t *testing.T) {
	s := &stage{takes: always(time.Second), refuses: true}
	run := play(t, &gaea.Run{Target: list(2), Call: &gaea.Call{Post: []gaea.JobAction{{Name: "undrain", Function: "cmd.run", When: gaea.WhenAlways}}}}, s)
	if run.Status != gaea.RunFailed || len(s.acts) != 0 {
		t.Errorf("%s: %+v", run.Status, s.acts)
	}
}

func TestASecondCancelIsRememberedOverARestart(t *testing.T) {
	run := &gaea.Run{
		ID: "run-1", Function: "test.ping", Target: list(1), Status: gaea.RunPostActions, Verdict: gaea.RunCancelled, Created: epoch,
		Slices:  []gaea.Slice{{JID: "1", Minions: minions(1), Started: epoch, Ended: epoch}},
		Minions: map[string]gaea.RunMinion{"web00": {Outcome: gaea.OutcomeKilled, JID: "1"}},
		Call:    &gaea.Call{Function: "test.ping", Post: []gaea.JobAction{{Name: "undrain", Runner: "lb.undrain", When: gaea.WhenAlways}}},
		Actions: []gaea.RunAction{{Name: "undrain", Phase: gaea.PhasePost, Status: gaea.ActionCancelled, Ended: epoch}},
	}
	run.Call.Post = append(run.Call.Post, gaea.JobAction{Name: "report", Runner: "event.send", When: gaea.WhenAlways})
	run.Hurried = true
	m := machine.New(run, func(time.Time) string { return "2" }, func(string) time.Time { return time.Time{} })
	for _, effect := range m.Step(machine.Begin{}, epoch) {
		if act, ok := effect.(machine.Act); ok {
			t.Errorf("%s is done", act.Action.Name)
		}
	}
	if !m.Ended() {
		t.Errorf("%+v", m.Run())
	}
}
