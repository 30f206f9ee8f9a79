package machine_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// statesInSlices is a state run on so many minions, all of which are there; its first slice has been told.
func statesInSlices(t *testing.T, n int, run *gaea.Run) (*drive, machine.Publish) {
	run.Function, run.Target = "state.apply", list(n)
	d := driveRun(t, run)
	ask := until[machine.Ask](d)
	d.step(machine.Asked{Ask: ask.ID, Minions: minions(n)})
	for _, name := range minions(n) {
		d.step(machine.Answered{Ask: ask.ID, Minion: name, Body: json.RawMessage(`true`)})
	}
	d.step(machine.Locked{Lock: until[machine.Lock](d).ID})
	p := until[machine.Publish](d)
	d.step(machine.Published{JID: p.JID, Minions: p.Target.Minions})
	return d, p
}

func TestAnActionDoesNotWaitForMinionsThatItsOwnRunHasPutAside(t *testing.T) {
	d, p := statesInSlices(t, 2, &gaea.Run{
		Batch: gaea.Batch{Size: amount(t, "2"), MaxFailures: allowance(t, "0")},
		Call: &gaea.Call{Function: "state.apply", Post: []gaea.JobAction{
			{Name: "repair", Function: "state.apply", When: gaea.WhenAlways},
		}},
	})
	d.step(machine.Returned{JID: p.JID, Minion: "web01", Outcome: gaea.OutcomeCouldNotRun, Busy: true})
	d.step(machine.Returned{JID: p.JID, Minion: "web00", Outcome: gaea.OutcomeFailed})
	var given []machine.Effect
	for range 10 {
		given = append(given, d.effects...)
		d.effects = nil
		d.now = d.now.Add(time.Second)
		d.step(machine.Tick{})
	}
	act := slices.IndexFunc(given, func(e machine.Effect) bool { _, ok := e.(machine.Act); return ok })
	unlock := slices.IndexFunc(given, func(e machine.Effect) bool { _, ok := e.(machine.Unlock); return ok })
	if act < 0 || unlock < 0 || unlock > act {
		t.Errorf("the lock is not given back before the action: %+v", given)
	}
}

func TestARunThatIsHaltedDoesNotWaitForMinionsThatItWillNotTell(t *testing.T) {
	d, p := statesInSlices(t, 3, &gaea.Run{Batch: gaea.Batch{Size: amount(t, "2"), Mode: gaea.BatchRolling, MaxFailures: allowance(t, "0")}})
	d.now = d.now.Add(time.Second)
	d.step(machine.Returned{JID: p.JID, Minion: "web01", Outcome: gaea.OutcomeSucceeded})
	until[machine.Lock](d) // of web02, which others hold for long
	d.step(machine.Returned{JID: p.JID, Minion: "web00", Outcome: gaea.OutcomeFailed})
	if run := d.m.Run(); run.Status != gaea.RunHalted || run.Minions["web02"].Outcome != gaea.OutcomeSkipped {
		t.Errorf("%s (%s): %+v", run.Status, run.Verdict, run.Counts)
	}
	until[machine.Unlock](d)
}

func TestMinionsThatAreFreeOnlyAfterTheJobTimeoutAreNotTold(t *testing.T) {
	d, p := statesInSlices(t, 2, &gaea.Run{Batch: gaea.Batch{Size: amount(t, "1")}, Timeouts: gaea.Timeouts{Job: gaea.Duration(time.Minute)}})
	d.now = d.now.Add(50 * time.Second)
	d.step(machine.Returned{JID: p.JID, Minion: "web00", Outcome: gaea.OutcomeSucceeded})
	d.restart() // with a grace beyond the timeout
	lock := until[machine.Lock](d)
	d.now = d.now.Add(20 * time.Second)
	d.step(machine.Locked{Lock: lock.ID})
	if run := d.m.Run(); run.Status != gaea.RunTimedOut || run.Minions["web01"].Outcome != gaea.OutcomeSkipped || run.Slices[1].JID != "" {
		t.Errorf("%s: %+v", run.Status, run.Slices)
	}
}

func TestARunThatIsPausedWhileItWaitsForMinionsLetsThemGoAndAsksAgainWhenItIsResumed(t *testing.T) {
	d, p := statesInSlices(t, 2, &gaea.Run{Batch: gaea.Batch{Size: amount(t, "1")}, Timeouts: gaea.Timeouts{Job: gaea.Duration(time.Minute)}})
	d.step(machine.Pause{By: "bob"})
	d.step(machine.Resume{})
	d.step(machine.Returned{JID: p.JID, Minion: "web00", Outcome: gaea.OutcomeSucceeded})
	withdrawn := until[machine.Lock](d)
	d.step(machine.Pause{By: "bob"})
	until[machine.Unlock](d)
	if run := d.m.Run(); run.Status != gaea.RunPaused || run.Pause.Since.IsZero() {
		t.Errorf("%s: %+v", run.Status, run.Pause)
	}
	d.now = d.now.Add(time.Hour)
	d.step(machine.Locked{Lock: withdrawn.ID})
	d.step(machine.Resume{})
	lock := until[machine.Lock](d)
	d.step(machine.Locked{Lock: withdrawn.ID})
	if d.m.Run().Slices[1].JID != "" {
		t.Fatal("web01 is told though others may hold it")
	}
	d.step(machine.Locked{Lock: lock.ID})
	if p := until[machine.Publish](d); p.Target.String() != "web01" {
		t.Errorf("told %s", p.Target)
	}
}

func TestARollingRunThatIsPausedWaitsForNothingWhenItsLastMinionHasEnded(t *testing.T) {
	d, p := statesInSlices(t, 3, &gaea.Run{Batch: gaea.Batch{Size: amount(t, "2"), Mode: gaea.BatchRolling}})
	d.now = d.now.Add(time.Second)
	d.step(machine.Returned{JID: p.JID, Minion: "web01", Outcome: gaea.OutcomeSucceeded})
	until[machine.Lock](d) // of web02, which others hold for long
	d.step(machine.Pause{By: "bob"})
	if d.m.Run().Status == gaea.RunPaused {
		t.Error("it stands still, and web00 is at work")
	}
	d.step(machine.Returned{JID: p.JID, Minion: "web00", Outcome: gaea.OutcomeSucceeded})
	until[machine.Unlock](d)
	if d.m.Run().Status != gaea.RunPaused {
		t.Errorf("%s", d.m.Run().Status)
	}
}
