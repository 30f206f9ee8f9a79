package engine_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestWithoutAGraceOneQuestionKillsAJobWithItsProcessesAndVerifiesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.hanging(atWork(enginetest.Child{Ignores: true}, enginetest.Child{Slips: true}))
		begin := time.Now()
		w.cancelIn(id, 0)
		run := w.finish(id)
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeKilled || rm.Processes != "4711:1001 4712:1002 4713:1003" || len(w.salt.Processes("web1")) != 0 {
			t.Errorf("%+v; processes %v", rm, w.salt.Processes("web1"))
		}
		if w.asked("fell") != 1 || w.asked("tree")+w.asked("sweep")+w.asked("kill")+w.asked("probe") != 0 {
			t.Error("more than one question was put")
		}
		if took := run.Ended.Sub(begin); took > 150*time.Millisecond { // the minion takes 100 ms to answer
			t.Errorf("took %s", took)
		}
	})
}

func TestWhereTheAnswerToAKillIsLostTheMinionIsAskedStepByStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web2", atWork())
		id := w.hanging(enginetest.Minion{Hangs: true, Deaf: true, Children: []enginetest.Child{{Slips: true}}})
		w.cancelIn(id, 0)
		w.eventually("it is killed", func() bool { return !w.salt.Running("web1") })
		w.salt.Set("web1", enginetest.Minion{Answers: 100 * time.Millisecond})
		run := w.finish(id)
		want := "the minion confirms that the job is not running; there was nothing left to kill"
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeKilled || rm.Message != want || len(w.salt.Processes("web1")) != 0 {
			t.Errorf("%+v; processes %v", rm, w.salt.Processes("web1"))
		}
	})
}

func TestAnAnswerToAKillThatIsLateCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		behaviour := atWork(enginetest.Child{})
		behaviour.Answers = 3 * time.Second
		id := w.hanging(behaviour)
		begin := time.Now()
		w.cancelIn(id, 0)
		run := w.finish(id)
		want := "killed; the minion confirms that the job is gone with its processes"
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeKilled || rm.Message != want || rm.At.Sub(begin) > 3100*time.Millisecond {
			t.Errorf("%+v", rm)
		}
	})
}

func TestWhatAKillLeftIsNotedSweptUpAgainAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		behaviour := atWork(enginetest.Child{})
		behaviour.Unstoppable = true
		id := w.hanging(behaviour)
		w.cancelIn(id, 0)
		w.eventually("it is swept up", func() bool { return w.asked("sweep") > 0 })
		if noted := w.stored(id).Minions["web1"].Processes; noted != "4711:1001 4712:1002" {
			t.Errorf("noted are %q", noted)
		}
		w.crash()
		if rm := w.finish(id).Minions["web1"]; rm.Outcome != gaea.OutcomeNoReturn || !strings.HasSuffix(rm.Message, "there were left: 4711, 4712") {
			t.Errorf("%+v", rm)
		}
		if w.asked("fell") != 1 {
			t.Errorf("it was to be killed at once %d times", w.asked("fell"))
		}
	})
}

func TestADaemonThatRunsJobsInsideItselfIsNotKilledAtOnceEither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		behaviour := atWork()
		behaviour.Threads = true
		id := w.hanging(behaviour)
		w.cancelIn(id, 0)
		if rm := w.finish(id).Minions["web1"]; rm.Outcome != gaea.OutcomeNoReturn || !strings.Contains(rm.Message, "inside its daemon") {
			t.Errorf("%+v", rm)
		}
		if w.asked("kill") != 0 || !w.salt.Running("web1") {
			t.Error("the job was signalled")
		}
	})
}

func TestAMinionThatIsAwayHoldsUpACancelForAFewSecondsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web2", atWork())
		id := w.hanging(atWork())
		w.salt.Set("web1", enginetest.Minion{Down: true})
		begin := time.Now()
		w.cancelIn(id, 0)
		run := w.finish(id)
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeUnreachable || !strings.HasPrefix(rm.Message, "did not answer within 5s") {
			t.Errorf("%+v", rm)
		}
		if took := run.Ended.Sub(begin); took > 8*time.Second {
			t.Errorf("took %s", took)
		}
	})
}
