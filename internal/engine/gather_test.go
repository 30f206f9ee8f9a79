package engine_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestARunEndsWithTheLastReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2", "web3")
		begin := time.Now()
		run := w.run(ping(glob("*")))
		if took := time.Since(begin); took > 250*time.Millisecond {
			t.Errorf("took %s, longer than the minions", took)
		}
		if run.Status != gaea.RunSucceeded || run.Counts[gaea.OutcomeSucceeded] != 3 || run.Message != "3 succeeded" {
			t.Errorf("%s, %v, %q", run.Status, run.Counts, run.Message)
		}
		if asked := w.salt.Published("saltutil.find_job"); len(asked) != 0 {
			t.Errorf("%d questions were asked though every minion returned", len(asked))
		}
	})
}

func TestAMinionThatIsDownIsUnreachableWhenGatherHasPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2", "web3")
		w.salt.Set("web3", enginetest.Minion{Down: true})
		begin := time.Now()
		run := w.run(ping(glob("*")))
		if took := time.Since(begin); took < 5200*time.Millisecond || took > 5600*time.Millisecond {
			t.Errorf("took %s, want a moment of silence and gather", took)
		}
		if run.Status != gaea.RunFailed || run.Minions["web3"].Outcome != gaea.OutcomeUnreachable || run.Counts[gaea.OutcomeSucceeded] != 2 {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
		if want := "2 succeeded, 1 unreachable (web3)"; run.Message != want {
			t.Errorf("message %q, want %q", run.Message, want)
		}
		for _, p := range w.salt.Published("saltutil.find_job") {
			if !maps.Equal(map[string]bool{"web3": true}, set(p.Target.Minions)) {
				t.Errorf("asked %v, who had returned", p.Target.Minions)
			}
		}
	})
}

func set(names []string) map[string]bool {
	s := map[string]bool{}
	for _, name := range names {
		s[name] = true
	}
	return s
}

func TestALongJobIsAskedAboutWithGrowingGapsAndEndsWithItsReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Takes: 5 * time.Minute})
		begin := time.Now()
		run := w.run(engine.Request{Call: gaea.Call{Function: "cmd.run", Args: []any{"sleep 300"}}, Target: glob("*")})
		if took := time.Since(begin); run.Status != gaea.RunSucceeded || took > 5*time.Minute+time.Second {
			t.Errorf("%s after %s: %v", run.Status, took, outcomes(run))
		}
		if n := len(w.salt.Published("saltutil.find_job")); n < 5 || n > 15 {
			t.Errorf("asked %d times in five minutes", n)
		}
	})
}

func TestNobodyIsAskedWhileReturnsFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 40 {
			w.salt.Set(fmt.Sprintf("web%02d", i), enginetest.Minion{Takes: time.Duration(i) * 450 * time.Millisecond})
		}
		run := w.run(ping(glob("*")))
		if run.Status != gaea.RunSucceeded || len(w.salt.Published("saltutil.find_job")) != 0 {
			t.Errorf("%s, asked %d times", run.Status, len(w.salt.Published("saltutil.find_job")))
		}
	})
}

func TestAReturnThatTheBusLostIsReadFromTheJobCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Loses: true, Outcome: gaea.OutcomeFailed, Message: "exit code 3"})
		begin := time.Now()
		run := w.run(ping(glob("*")))
		if rm := run.Minions["web2"]; rm.Outcome != gaea.OutcomeFailed || rm.Message != "exit code 3" || rm.Late {
			t.Errorf("%+v", rm)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestAJobThatDiedWithoutAReturnIsNoReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Dies: true})
		begin := time.Now()
		run := w.run(ping(glob("*")))
		want := "the minion answers, but does not run the job and sent no return; the master's job cache has none either"
		if rm := run.Minions["web2"]; rm.Outcome != gaea.OutcomeNoReturn || rm.Message != want {
			t.Errorf("%+v", rm)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestAJobCacheThatCannotBeReadIsSaidToBeSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Set("web1", enginetest.Minion{Dies: true})
		w.salt.FailCache(gaea.Errorf(gaea.CodeUnavailable, "the master does not answer"))
		run := w.run(ping(glob("*")))
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeNoReturn || !strings.HasSuffix(rm.Message, "could not be read: the master does not answer") {
			t.Errorf("%+v", rm)
		}
	})
}

func TestAReturnThatTakesItsTimeOnTheWayIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Set("web1", enginetest.Minion{Late: 2 * time.Second})
		if run := w.run(ping(glob("*"))); run.Status != gaea.RunSucceeded || run.Minions["web1"].Late {
			t.Errorf("%s: %+v", run.Status, run.Minions["web1"])
		}
	})
}

func TestAReturnAfterTheEndReplacesUnreachableAndIsMarkedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Deaf: true, Takes: time.Minute})
		run := w.run(ping(glob("*")))
		if run.Status != gaea.RunFailed || run.Minions["web2"].Outcome != gaea.OutcomeUnreachable {
			t.Fatalf("%s: %v", run.Status, outcomes(run))
		}
		w.eventually("the late return is taken", func() bool { return w.stored(run.ID).Minions["web2"].Late })
		run = w.stored(run.ID)
		if rm := run.Minions["web2"]; rm.Outcome != gaea.OutcomeSucceeded || run.Counts[gaea.OutcomeSucceeded] != 2 || run.Status != gaea.RunFailed {
			t.Errorf("%s %v: %+v", run.Status, run.Counts, rm)
		}
		if want := "1 succeeded, 1 unreachable (web2); web2 returned late (succeeded, not unreachable)"; run.Message != want {
			t.Errorf("message %q, want %q", run.Message, want)
		}
	})
}

func TestAMinionTakenForUnreachableIsWaitedForAgainWhenItReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web1", enginetest.Minion{Takes: 40 * time.Second})
		w.salt.Set("web2", enginetest.Minion{Deaf: true, Takes: 20 * time.Second})
		run := w.run(ping(glob("*")))
		if rm := run.Minions["web2"]; run.Status != gaea.RunSucceeded || !rm.Late {
			t.Errorf("%s: %+v", run.Status, rm)
		}
	})
}

func TestAMinionThatAnswersTooLateIsNotUnreachableWhileOthersAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web1", enginetest.Minion{Takes: 20 * time.Second})
		w.salt.Set("web2", enginetest.Minion{Answers: 7 * time.Second, Takes: time.Minute})
		if run := w.run(ping(glob("*"))); run.Minions["web1"].Outcome != gaea.OutcomeSucceeded || run.Minions["web2"].At.Sub(run.Started) < 20*time.Second {
			t.Errorf("%s: %+v", run.Status, run.Minions)
		}
	})
}

func TestRepeatedAndForeignReturnsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web1", enginetest.Minion{Twice: true})
		id := w.submit(ping(gaea.ListTarget([]string{"web1", "web2"}))).ID
		w.eventually("it is published", func() bool { return len(w.salt.Published("")) > 0 })
		w.salt.Inject(gaea.Return{JID: w.salt.Published("")[0].JID, Minion: "other", RunID: id, Outcome: gaea.OutcomeFailed})
		if run := w.finish(id); run.Status != gaea.RunSucceeded || len(run.Minions) != 2 {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
	})
}

func TestAMinionThatTheMasterDidNotNameIsTakenInWhenItReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Set("web1", enginetest.Minion{Grain: "role:web", Takes: time.Second})
		id := w.submit(ping(grain("role:web"))).ID
		w.eventually("it is published", func() bool { return len(w.salt.Published("")) > 0 })
		w.salt.Inject(gaea.Return{JID: w.salt.Published("")[0].JID, Minion: "web0", RunID: id, Outcome: gaea.OutcomeSucceeded})
		if run := w.finish(id); run.Counts[gaea.OutcomeSucceeded] != 2 || len(run.Slices[0].Minions) != 2 {
			t.Errorf("%v in %v", outcomes(run), run.Slices)
		}
	})
}

func TestAMinionThatTheMasterHadOnlyGuessedLeavesTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Grain: "role:web"})
		w.salt.Set("db1", enginetest.Minion{Grain: "role:db", Guessed: "role:web"})
		run := w.run(ping(grain("role:web")))
		if run.Status != gaea.RunSucceeded || !maps.Equal(outcomes(run), map[string]gaea.Outcome{"web1": gaea.OutcomeSucceeded}) {
			t.Errorf("%s: %v", run.Status, outcomes(run))
		}
		if len(run.Slices) != 1 || len(run.Slices[0].Minions) != 1 {
			t.Errorf("slices %v", run.Slices)
		}
	})
}

func TestAGuessedMinionThatIsDownIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Grain: "role:web"})
		w.salt.Set("web2", enginetest.Minion{Grain: "role:web", Down: true})
		if run := w.run(ping(grain("role:web"))); run.Minions["web2"].Outcome != gaea.OutcomeUnreachable {
			t.Errorf("%v", outcomes(run))
		}
	})
}

func TestAMinionOfTheTargetThatWasDownWhenItWasToldDoesNotLeaveTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Grain: "role:web"})
		w.salt.Set("web2", enginetest.Minion{Grain: "role:web", Down: true})
		id := w.submit(ping(grain("role:web"))).ID
		w.eventually("it is published", func() bool { return len(w.salt.Published("")) > 0 })
		w.salt.Set("web2", enginetest.Minion{Grain: "role:web"})
		if rm := w.finish(id).Minions["web2"]; rm.Outcome != gaea.OutcomeNoReturn || !strings.Contains(rm.Message, "is in the target") {
			t.Errorf("%+v", rm)
		}
	})
}

func TestReturnsThatDidNotFitIntoTheFeedAreReadFromTheArchive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.ChannelSize(1)
		for i := range 500 {
			w.salt.Set(fmt.Sprintf("web%03d", i), enginetest.Minion{Takes: time.Millisecond})
		}
		if run := w.run(ping(glob("*"))); run.Counts[gaea.OutcomeSucceeded] != 500 || len(w.salt.Published("saltutil.find_job")) != 0 {
			t.Errorf("%v, asked %d times", run.Counts, len(w.salt.Published("saltutil.find_job")))
		}
	})
}

func TestAMinionThatTheMasterDoesNotKnowIsUnreachableAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		begin := time.Now()
		run := w.run(ping(gaea.ListTarget([]string{"web1", "wbe2"})))
		if rm := run.Minions["wbe2"]; rm.Outcome != gaea.OutcomeUnreachable || !strings.HasPrefix(rm.Message, "the master knows no minion of this name") {
			t.Errorf("%+v", rm)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestAMasterThatIsDownMakesNoMinionUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Takes: 40 * time.Second})
		id := w.submit(ping(glob("*"))).ID
		w.eventually("it is published", func() bool { return len(w.salt.Published("")) > 0 })
		back := time.Now().Add(30 * time.Second)
		w.salt.FailPublish(func(gaea.Publication) (error, error) {
			if time.Now().Before(back) {
				return gaea.Errorf(gaea.CodeUnavailable, "the master does not answer"), nil
			}
			return nil, nil
		})
		if run := w.finish(id); run.Status != gaea.RunSucceeded {
			t.Errorf("%s: %v", run.Status, run.Minions)
		}
	})
}

func TestTheJobTimeoutEndsTheWaitAndKillsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Hangs: true})
		req := ping(glob("*"))
		req.Timeouts.Job = gaea.Duration(90 * time.Second)
		begin := time.Now()
		run := w.run(req)
		if took := time.Since(begin); run.Status != gaea.RunTimedOut || took > 91*time.Second {
			t.Errorf("%s after %s", run.Status, took)
		}
		if rm := run.Minions["web2"]; rm.Outcome != gaea.OutcomeNoReturn || rm.Message != "still running when the job timeout of 1m30s passed" {
			t.Errorf("%+v", rm)
		}
		if want := "the job timeout of 1m30s passed; 1 succeeded, 1 no return (web2)"; run.Message != want {
			t.Errorf("message %q, want %q", run.Message, want)
		}
		if !w.salt.Running("web2") || len(w.salt.Published("saltutil.kill_job")) != 0 {
			t.Error("the job was killed")
		}
	})
}

func TestWhereNobodyAnswersAllAreAskedOnceMoreBeforeThatIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web2", enginetest.Minion{Down: true})
		begin := time.Now()
		run := w.run(ping(gaea.ListTarget([]string{"web2"})))
		if took := time.Since(begin); run.Minions["web2"].Outcome != gaea.OutcomeUnreachable || took < 10500*time.Millisecond || took > 11500*time.Millisecond {
			t.Errorf("%v after %s", outcomes(run), took)
		}
	})
}

func TestAMinionThatAnswersAnotherRunIsNotUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.salt.Set("web2", enginetest.Minion{Takes: 30 * time.Second, Deaf: true})
		id := w.submit(ping(glob("*"))).ID
		w.eventually("it is published", func() bool { return len(w.salt.Published("")) > 0 })
		w.salt.Set("web2", enginetest.Minion{Takes: 4 * time.Second, Deaf: true})
		for range 7 { // slow, but never silent for as long as gather
			other := w.run(ping(gaea.ListTarget([]string{"web2"})))
			if other.Status != gaea.RunSucceeded {
				t.Fatalf("%v", outcomes(other))
			}
		}
		if run := w.finish(id); run.Status != gaea.RunSucceeded || run.Minions["web2"].Late {
			t.Errorf("%s: %+v", run.Status, run.Minions["web2"])
		}
	})
}
