package machine_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// felling is a machine that has asked web1 to kill its job at once.
func felling(t *testing.T) (*drive, machine.Ask) {
	t.Helper()
	d := newDrive(t, "test.ping")
	d.step(machine.Published{JID: until[machine.Publish](d).JID, Minions: []string{"web1"}})
	d.step(machine.Cancel{})
	a := until[machine.Ask](d)
	d.step(machine.Asked{Ask: a.ID, Minions: []string{"web1"}})
	return d, a
}

func (d *drive) answer(a machine.Ask, said string) {
	d.t.Helper()
	body, err := json.Marshal(said)
	if err != nil {
		d.t.Fatal(err)
	}
	d.step(machine.Answered{Ask: a.ID, Minion: "web1", Body: body})
}

func TestOnlyWhereAJobWasKilledAndNothingIsLeftOneAnswerSuffices(t *testing.T) {
	for said, next := range map[string]machine.Purpose{
		"job gone 12\n12 1 100\n13 12 101\nkilled\nend":  "",
		"job gone 12\n12 1 100\nleft 12\nkilled\nend":    machine.PurposeSweep,
		"job running 12\n12 1 100\nleft 12\nkilled\nend": machine.PurposeSweep,
		"job running 12\n12 1 100\nleft 12\nend":         machine.PurposeSweep, // it grew faster than it could be stopped
		"job running 12\n12 1 100\nkilled\nend":          machine.PurposeSweep, // Salt has put it into its queue
		"job running 0\nend":                             machine.PurposeKill,  // the same, before
		"job gone 0\nend":                                machine.PurposeKill,  // it has ended, or is to come
		"job thread 12\nend":                             machine.PurposeProbe,
		"job gone 12\n12 1 100\nkilled":                  machine.PurposeTree, // cut short
		"there is no /proc on this minion":               machine.PurposeTree,
		"":                                               machine.PurposeTree,
	} {
		d, a := felling(t)
		d.answer(a, said)
		rm := d.m.Run().Minions["web1"]
		if next == "" {
			if rm.Outcome != gaea.OutcomeKilled || !d.m.Ended() {
				t.Errorf("%q ends the minion as %+v", said, rm)
			}
			continue
		}
		if rm.Outcome.Final() {
			t.Errorf("%q ends the minion as %+v", said, rm)
			continue
		}
		if asked := until[machine.Ask](d).Purpose; asked != next {
			t.Errorf("after %q it is asked for %s, not for %s", said, asked, next)
		}
	}
}

func TestALateAnswerToAKillSettlesNothingWhileSomethingElseIsNoted(t *testing.T) {
	d, a := felling(t)
	tree := until[machine.Ask](d) // it was silent
	d.step(machine.Asked{Ask: tree.ID, Minions: []string{"web1"}})
	d.answer(tree, "job running 12\n12 1 100\n13 12 101\nend")
	d.answer(a, "job gone 12\n12 1 100\nkilled\nend")
	rm := d.m.Run().Minions["web1"]
	if rm.Outcome.Final() || rm.Processes != "12:100 13:101" {
		t.Errorf("%+v", rm)
	}
	sweep := until[machine.Ask](d)
	d.step(machine.Asked{Ask: sweep.ID, Minions: []string{"web1"}})
	d.answer(sweep, "job gone 0\nend")
	if rm := d.m.Run().Minions["web1"]; sweep.Purpose != machine.PurposeSweep || rm.Outcome != gaea.OutcomeKilled {
		t.Errorf("asked for %s, it ended as %+v", sweep.Purpose, rm)
	}
}

func TestAKillThatTakesMinionsTheirTimeIsWaitedForAsLongAsSomeAnswer(t *testing.T) {
	names := []string{"web1", "web2", "web3"}
	d := driveRun(t, &gaea.Run{Function: "test.ping", Target: gaea.ListTarget(names)})
	d.step(machine.Published{JID: until[machine.Publish](d).JID, Minions: names})
	d.step(machine.Cancel{})
	a := until[machine.Ask](d)
	d.step(machine.Asked{Ask: a.ID, Minions: names})
	d.now = d.now.Add(1900 * time.Millisecond)
	d.answer(a, "job gone 12\n12 1 100\nkilled\nend")
	d.now = d.now.Add(300 * time.Millisecond)
	d.step(machine.Tick{})
	if i := slices.IndexFunc(d.effects, func(e machine.Effect) bool { _, ok := e.(machine.Ask); return ok }); i >= 0 {
		t.Errorf("asked %T while answers come in", d.effects[i])
	}
	if asked := until[machine.Ask](d); asked.Purpose != machine.PurposeTree || !slices.Equal(asked.Target.Minions, names[1:]) {
		t.Errorf("then asked for %s of %v", asked.Purpose, asked.Target.Minions)
	}
}

func TestAMinionThatSaysLateThatTheJobIsInItsDaemonIsNotSignalled(t *testing.T) {
	d, a := felling(t)
	tree := until[machine.Ask](d) // it was silent
	d.step(machine.Asked{Ask: tree.ID, Minions: []string{"web1"}})
	d.answer(a, "job thread 12\nend")
	if asked := until[machine.Ask](d); asked.Purpose == machine.PurposeKill {
		t.Errorf("asked for %s: the minion's daemon would be killed", asked.Purpose)
	}
}
