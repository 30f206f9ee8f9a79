package engine_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// newRosterWorld starts an engine that believes the master for a minute.
func newRosterWorld(t *testing.T, minions ...string) *world {
	return newWorldWith(t, func(d *engine.Deps) { d.RosterFor = time.Minute }, minions...)
}

// pings are the targets of the pings that were published since the first n.
func (w *world) pings(n int) (targets []string) {
	for _, p := range w.salt.Published("test.ping")[n:] {
		if p.Metadata[engine.MetadataFor] != nil {
			targets = append(targets, p.Target.String())
		}
	}
	return targets
}

func TestARunInSlicesAsksNobodyWhoWasHeardAMomentAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRosterWorld(t, "web1", "web2", "web3")
		w.run(inSlices(ping(glob("*")), "1"))
		w.engine.Authenticated("web2") // it was restarted, say
		before := len(w.salt.Published("test.ping"))
		run := w.run(inSlices(ping(glob("*")), "2"))
		if got := w.pings(before); len(got) > 0 {
			t.Errorf("asked %v", got)
		}
		if run.Status != gaea.RunSucceeded || run.Counts[gaea.OutcomeSucceeded] != 3 || len(run.Slices) != 2 {
			t.Errorf("%s, %v in %d slices", run.Status, run.Counts, len(run.Slices))
		}
	})
}

func TestOnlyThoseAreAskedWhoWereNotHeardLately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRosterWorld(t, "web1", "web2", "web3")
		w.run(inSlices(ping(glob("*")), "1"))
		w.pass(40 * time.Second)
		w.run(ping(glob("web2")))
		before := len(w.salt.Published("test.ping"))
		run := w.run(inSlices(ping(glob("*")), "1"))
		if got := w.pings(before); !slices.Equal(got, []string{"web1,web3"}) {
			t.Errorf("asked %v", got)
		}
		if run.Counts[gaea.OutcomeSucceeded] != 3 {
			t.Errorf("%v", run.Counts)
		}
	})
}

func TestAMinionHeardInAnyJobOfTheBusIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRosterWorld(t, "web1", "web2")
		w.run(inSlices(ping(glob("*")), "1"))
		w.pass(40 * time.Second)
		w.engine.Heard([]gaea.Return{
			{Minion: "web1", Source: gaea.SourceBus, Outcome: gaea.OutcomeFailed},
			{Minion: "web2", Source: gaea.SourceCache, Outcome: gaea.OutcomeSucceeded},
		})
		before := len(w.salt.Published("test.ping"))
		w.run(inSlices(ping(glob("*")), "1"))
		if got := w.pings(before); !slices.Equal(got, []string{"web2"}) {
			t.Errorf("asked %v; what is read from the job cache says nothing of now", got)
		}
	})
}

// Returns may be stored long after they came: they wait on disk while the archive is away.
func TestAReturnThatWaitedForTheArchiveDoesNotSayThatItsMinionIsThereNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRosterWorld(t, "web1", "web2")
		w.run(inSlices(ping(glob("*")), "1"))
		came := time.Now()
		w.pass(40 * time.Second)
		w.engine.Heard([]gaea.Return{
			{Minion: "web1", Source: gaea.SourceBus, Outcome: gaea.OutcomeSucceeded, Stamp: time.Now()},
			{Minion: "web2", Source: gaea.SourceBus, Outcome: gaea.OutcomeSucceeded, Stamp: came},
			{Minion: "web1", Source: gaea.SourceBus, Outcome: gaea.OutcomeSucceeded, Stamp: came},
		})
		before := len(w.salt.Published("test.ping"))
		w.run(inSlices(ping(glob("*")), "1"))
		if got := w.pings(before); !slices.Equal(got, []string{"web2"}) {
			t.Errorf("asked %v", got)
		}
	})
}

func TestTheWholeTargetIsAskedAgain(t *testing.T) {
	for name, then := range map[string]func(*world){
		"once the keys may have changed":              func(w *world) { w.engine.KeysChanged() },
		"once a minion came in that nobody had heard": func(w *world) { w.engine.Authenticated("web3") },
		"once a minion came in that was heard only before its key was deleted": func(w *world) {
			w.engine.Heard([]gaea.Return{{Minion: "web3", Source: gaea.SourceBus, Outcome: gaea.OutcomeSucceeded}})
			w.pass(time.Second)
			w.engine.KeysChanged()
			w.run(inSlices(ping(glob("*")), "1"))
			w.engine.Authenticated("web3")
		},
		"after a minute": func(w *world) {
			w.pass(time.Minute)
			w.run(ping(glob("*")))
		},
		"where a minion's key is gone": func(w *world) {
			w.pass(40 * time.Second)
			w.run(ping(glob("web2")))
			w.salt.Remove("web1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newRosterWorld(t, "web1", "web2")
				w.run(inSlices(ping(glob("*")), "1"))
				then(w)
				w.salt.Set("web3", enginetest.Minion{})
				before := len(w.salt.Published("test.ping"))
				run := w.run(inSlices(ping(glob("*")), "1"))
				if got := w.pings(before); !slices.Contains(got, "*") {
					t.Errorf("asked %v", got)
				}
				if run.Minions["web3"].Outcome != gaea.OutcomeSucceeded {
					t.Errorf("%v", outcomes(run))
				}
			})
		})
	}
}

func TestATargetOfGrainsIsAskedEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRosterWorld(t)
		w.salt.Set("web1", enginetest.Minion{Grain: "role:web"})
		w.run(inSlices(ping(grain("role:web")), "1"))
		before := len(w.salt.Published("test.ping"))
		w.run(inSlices(ping(grain("role:web")), "1"))
		if got := w.pings(before); !slices.Equal(got, []string{"role:web"}) {
			t.Errorf("asked %v", got)
		}
	})
}

func TestAMinionThatGoesAwayRightAfterItWasHeardIsUnreachableInItsSlice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRosterWorld(t, "web1", "web2", "web3")
		w.run(inSlices(ping(glob("*")), "1"))
		w.salt.Set("web2", enginetest.Minion{Down: true})
		run := w.run(inSlices(ping(glob("*")), "1"))
		if rm := run.Minions["web2"]; rm.Outcome != gaea.OutcomeUnreachable || rm.Slice != 1 || run.Minions["web3"].Outcome != gaea.OutcomeSucceeded {
			t.Errorf("%+v, %v", rm, outcomes(run))
		}
		before := len(w.salt.Published("test.ping"))
		w.run(inSlices(ping(glob("*")), "1"))
		if got := w.pings(before); len(got) == 0 || got[0] != "web2" {
			t.Errorf("asked %v; it was found away, and is asked before it gets a slice", got)
		}
	})
}
