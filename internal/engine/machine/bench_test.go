package machine_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// BenchmarkSlicesOfOne measures what the machine alone takes for ten thousand slices of one minion, with an action after each.
func BenchmarkSlicesOfOne(b *testing.B) {
	const n = 10_000
	one, err := gaea.ParseAmount("1")
	if err != nil {
		b.Fatal(err)
	}
	for _, each := range [][]gaea.JobAction{nil, {{Name: "check", Function: "test.ping", Scope: gaea.ScopeSlice}}} {
		name := "alone"
		if each != nil {
			name = "with a post-action"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				d := driveRun(b, &gaea.Run{
					Function: "test.ping", Target: list(n), Batch: gaea.Batch{Size: one},
					Timeouts: gaea.Timeouts{Job: gaea.Duration(24 * time.Hour)}, Call: &gaea.Call{Function: "test.ping", Post: each},
				})
				ask := until[machine.Ask](d)
				d.step(machine.Asked{Ask: ask.ID, Minions: minions(n)})
				for _, name := range minions(n) {
					d.step(machine.Answered{Ask: ask.ID, Minion: name, Body: json.RawMessage(`true`)})
				}
				for !d.m.Ended() {
					effects := d.effects
					d.effects = nil
					for _, effect := range effects {
						switch e := effect.(type) {
						case machine.Publish:
							d.now = d.now.Add(time.Second)
							d.step(machine.Published{JID: e.JID, Minions: e.Target.Minions})
							d.step(machine.Returned{JID: e.JID, Minion: e.Target.Minions[0], Outcome: gaea.OutcomeSucceeded})
						case machine.Act:
							d.step(machine.Acted{Key: e.Key, Attempt: e.Attempt, OK: true})
						}
					}
				}
				if run := d.m.Run(); run.Status != gaea.RunSucceeded || len(run.Slices) != n {
					b.Fatalf("%s: %s", run.Status, run.Message)
				}
			}
		})
	}
}
