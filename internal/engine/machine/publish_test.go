package machine_test

import (
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAnOldAnswerOfTheJobCacheDecidesNothing(t *testing.T) {
	d := newDrive(t, "test.ping")
	jid := until[machine.Publish](d).JID
	d.step(machine.PublishFailed{JID: jid, Code: gaea.CodeTimeout, Message: "no answer"})
	old := until[machine.LookUp](d)
	d.step(machine.Cached{LookUp: old.ID, JID: jid}) // the master does not have it: it is published again
	until[machine.Publish](d)
	d.step(machine.Cancel{})
	d.step(machine.PublishFailed{JID: jid, Code: gaea.CodeTimeout, Message: "no answer"})
	current := until[machine.LookUp](d)
	d.step(machine.Cached{LookUp: old.ID, JID: jid})
	if d.m.Ended() {
		t.Fatal("the run ended on an answer from before the second publish")
	}
	d.step(machine.Cached{LookUp: current.ID, JID: jid, Found: true, Minions: []string{"web1"}})
	if stop := until[machine.Ask](d); stop.Purpose != machine.PurposeFell {
		t.Errorf("asked for %s", stop.Purpose)
	}
}

func TestTheStoredRunComesFirstInEveryStep(t *testing.T) {
	d := newDrive(t, "test.ping")
	if _, ok := d.effects[0].(machine.Save); !ok || len(d.effects) != 2 {
		t.Fatalf("begins with %T of %d", d.effects[0], len(d.effects))
	}
	d.effects = d.effects[:0]
	d.step(machine.Cancel{By: "ann"})
	for i, effect := range d.effects {
		if _, ok := effect.(machine.Save); ok != (i == 0) {
			t.Errorf("effect %d is %T", i, effect)
		}
	}
}
