package machine_test

import (
	"encoding/json"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestARunWhoseMinionsTheMasterHadAllGuessedIsForNobody(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		d := driveRun(t, &gaea.Run{Function: "test.ping", Target: gaea.Target{Type: gaea.TargetGrain, Expr: "role:web"}, AllowEmpty: allowed})
		d.step(machine.Published{JID: until[machine.Publish](d).JID, Minions: []string{"db1"}})
		for !d.m.Ended() {
			given := d.effects
			d.effects = nil
			for _, effect := range given {
				switch e := effect.(type) {
				case machine.Ask:
					d.step(machine.Asked{Ask: e.ID, Minions: []string{"db1"}})
					if e.Purpose == machine.PurposeProbe { // it answers to its name, and not as part of the target
						d.step(machine.Answered{Ask: e.ID, Minion: "db1", Body: json.RawMessage(`{}`)})
					}
				case machine.LookUp:
					d.step(machine.Cached{LookUp: e.ID, JID: e.JID, Found: true, Minions: []string{"db1"}})
				default:
				}
			}
			if wake := d.m.Wake(); wake.After(d.now) && len(d.effects) == 0 {
				d.now = wake
			}
			d.step(machine.Tick{})
		}
		run := d.m.Run()
		if len(run.Minions) != 0 || (run.Status == gaea.RunSucceeded) != allowed || run.Message == "" {
			t.Errorf("empty allowed: %v; %s: %q", allowed, run.Status, run.Message)
		}
	}
}
