package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestSlicesRunInOrderOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web3", "web1", "web5", "web2", "web4")
		run := w.run(inSlices(ping(glob("*")), "2"))
		want := [][]string{{"web1", "web2"}, {"web3", "web4"}, {"web5"}}
		if run.Status != gaea.RunSucceeded || len(run.Slices) != len(want) {
			t.Fatalf("%s, %d slices", run.Status, len(run.Slices))
		}
		for i, s := range run.Slices {
			if !slices.Equal(s.Minions, want[i]) {
				t.Errorf("slice %d has %v", i, s.Minions)
			}
			if i > 0 && s.Started.Before(run.Slices[i-1].Ended) {
				t.Errorf("slice %d began before the one before had ended", i)
			}
		}
	})
}

func TestAShareIsOfTheMinionsThatAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 20 {
			w.salt.Set(fmt.Sprintf("web%02d", i), enginetest.Minion{Down: i >= 10})
		}
		run := w.run(inSlices(ping(glob("*")), "10%"))
		if len(run.Slices) != 10 || run.Counts[gaea.OutcomeUnreachable] != 10 {
			t.Errorf("%d slices, %v", len(run.Slices), run.Counts)
		}
	})
}

func TestAMinionThatIsDownBeforeTheFirstSliceHoldsUpNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2", "web3", "web4")
		w.salt.Set("web2", enginetest.Minion{Down: true})
		begin := time.Now()
		run := w.run(inSlices(ping(glob("*")), "1"))
		if took := time.Since(begin); took > 8*time.Second {
			t.Errorf("took %s", took)
		}
		if rm := run.Minions["web2"]; rm.Outcome != gaea.OutcomeUnreachable || rm.JID != "" || rm.Slice != -1 || len(run.Slices) != 3 {
			t.Errorf("%+v in %d slices", rm, len(run.Slices))
		}
	})
}

func TestAMinionThatGoesAwayInTheMiddleIsUnreachableAndTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2", "web3")
		id := w.submit(inSlices(ping(glob("*")), "1")).ID
		w.eventually("the first slice is told", func() bool { return len(w.salt.Ran("web1")) > 0 })
		w.salt.Set("web2", enginetest.Minion{Down: true})
		run := w.finish(id)
		if run.Minions["web2"].Outcome != gaea.OutcomeUnreachable || run.Minions["web3"].Outcome != gaea.OutcomeSucceeded {
			t.Errorf("%v", outcomes(run))
		}
	})
}

func TestNobodyIsToldWhomTheMasterOnlyGuessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Grain: "role:web"})
		w.salt.Set("web2", enginetest.Minion{Grain: "role:web"})
		w.salt.Set("db1", enginetest.Minion{Grain: "role:db", Guessed: "role:web"})
		run := w.run(inSlices(ping(grain("role:web")), "1"))
		if run.Status != gaea.RunSucceeded || len(run.Minions) != 2 || len(w.salt.Ran("db1")) != 0 {
			t.Errorf("%s: %v; db1 ran %v", run.Status, outcomes(run), w.salt.Ran("db1"))
		}
	})
}

func TestATargetThatMatchesNobodyFails(t *testing.T) {
	for _, size := range []string{"", "10%"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "web1")
			req := ping(glob("db*"))
			if size != "" {
				req = inSlices(req, size)
			}
			run := w.run(req)
			want := `the target "db*" (glob) matches no minion; correct it, or allow an empty target`
			if run.Status != gaea.RunFailed || run.Message != want {
				t.Errorf("size %q: %s: %q", size, run.Status, run.Message)
			}
		})
	}
}

func TestATargetThatMatchesNobodyIsAllRightWhereThatIsAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		req := ping(glob("db*"))
		req.AllowEmpty = true
		if run := w.run(req); run.Status != gaea.RunSucceeded || len(run.Minions) != 0 {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
	})
}

func TestAListOfWhichTheMasterKnowsNobodyFails(t *testing.T) {
	for _, size := range []string{"", "1"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "web1")
			req := ping(gaea.ListTarget([]string{"wbe1", "wbe2"}))
			if size != "" {
				req = inSlices(req, size)
			}
			if run := w.run(req); run.Status != gaea.RunFailed || run.Counts[gaea.OutcomeUnreachable] != 2 {
				t.Errorf("size %q: %s: %v", size, run.Status, outcomes(run))
			}
		})
	}
}

func TestWhatWasNotToldByTheJobTimeoutIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2", "web3")
		w.salt.Set("web1", enginetest.Minion{Hangs: true})
		req := inSlices(ping(glob("*")), "1")
		req.Timeouts.Job = gaea.Duration(time.Minute)
		run := w.run(req)
		if run.Status != gaea.RunTimedOut || run.Minions["web1"].Outcome != gaea.OutcomeNoReturn || run.Counts[gaea.OutcomeSkipped] != 2 {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
		if len(w.salt.Ran("web2")) != 0 {
			t.Error("web2 was told after the job timeout")
		}
	})
}

func TestTwoHundredRunsInSlicesAtOnceWaitForEachOtherWithoutRunningOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Down: true}) // each question to all takes three seconds
		var ids []string
		for range 200 {
			req := inSlices(ping(glob("*")), "1")
			req.Timeouts.Job = gaea.Duration(2 * time.Minute)
			ids = append(ids, w.submit(req).ID)
		}
		for _, id := range ids {
			if run := w.finish(id); run.Status != gaea.RunFailed || run.Minions["web1"].Outcome != gaea.OutcomeSucceeded {
				t.Fatalf("%s: %s: %v", run.Status, run.Message, outcomes(run))
			}
		}
	})
}
