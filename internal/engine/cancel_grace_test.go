package engine_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// atWork is a minion that runs a job for ever, with children.
func atWork(children ...enginetest.Child) enginetest.Minion {
	return enginetest.Minion{Hangs: true, Answers: 100 * time.Millisecond, Children: children}
}

// hanging is a run that goes on on web1 for ever.
func (w *world) hanging(behaviour enginetest.Minion) (id string) {
	w.t.Helper()
	w.salt.Set("web1", behaviour)
	id = w.submit(hang()).ID
	w.eventually("the job runs", func() bool { return w.salt.Running("web1") })
	return id
}

func (w *world) cancelIn(id string, grace time.Duration) {
	w.t.Helper()
	if _, err := w.engine.Cancel(context.Background(), id, gaea.CancelRequest{Grace: gaea.Duration(grace)}); err != nil {
		w.t.Fatal(err)
	}
}

// asked counts what was published for a purpose.
func (w *world) asked(purpose string) int {
	n := 0
	for _, p := range w.salt.Published("") {
		if p.Metadata["gaea_purpose"] == purpose {
			n++
		}
	}
	return n
}

func TestAKillFindsTheChildrenThatSaltsOwnKillMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.hanging(atWork(enginetest.Child{}, enginetest.Child{Slips: true}))
		begin := time.Now()
		w.cancelIn(id, 0)
		run := w.finish(id)
		want := "killed; the minion confirms that the job is gone with its processes"
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeKilled || rm.Message != want || len(w.salt.Processes("web1")) != 0 {
			t.Errorf("%+v; processes %v", rm, w.salt.Processes("web1"))
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("took %s", took)
		}
		if w.asked("term") != 0 {
			t.Error("it was told to end, though there was no grace")
		}
	})
}

func TestWithAGraceAJobThatEndsWhenItIsToldIsNotKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.hanging(atWork(enginetest.Child{}, enginetest.Child{Lingers: 3 * time.Second}))
		begin := time.Now()
		w.cancelIn(id, time.Minute)
		run := w.finish(id)
		want := "ended when it was told to; the minion confirms that the job is gone with its processes"
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeKilled || rm.Message != want {
			t.Errorf("%+v", rm)
		}
		if took := time.Since(begin); took < 3*time.Second || took > 9*time.Second {
			t.Errorf("a job that ended after three seconds was waited for %s", took)
		}
		if w.asked("kill") != 0 {
			t.Error("it was killed")
		}
	})
}

func TestWhatIgnoresSIGTERMIsKilledWhenTheGraceHasPassedAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.hanging(atWork(enginetest.Child{Ignores: true}, enginetest.Child{}))
		begin := time.Now()
		w.cancelIn(id, 20*time.Second)
		w.eventually("the grace has nearly passed", func() bool { return time.Since(begin) > 19*time.Second })
		if len(w.salt.Processes("web1")) != 1 {
			t.Errorf("in the grace there live %v", w.salt.Processes("web1"))
		}
		run := w.finish(id)
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeKilled || len(w.salt.Processes("web1")) != 0 || !strings.HasPrefix(rm.Message, "killed") {
			t.Errorf("%+v; processes %v", rm, w.salt.Processes("web1"))
		}
		if took := time.Since(begin); took > 22*time.Second {
			t.Errorf("took %s", took)
		}
		if looks := w.asked("sweep"); looks > 12 {
			t.Errorf("looked %d times", looks)
		}
	})
}

func TestAJobThatReturnsInTheGraceKeepsItsOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Takes: 10 * time.Second, Answers: 100 * time.Millisecond, Unstoppable: true})
		id := w.submit(hang()).ID
		w.eventually("the job runs", func() bool { return w.salt.Running("web1") })
		w.cancelIn(id, time.Minute)
		run := w.finish(id)
		if rm := run.Minions["web1"]; run.Status != gaea.RunCancelled || rm.Outcome != gaea.OutcomeSucceeded || rm.Late {
			t.Errorf("%s: %+v", run.Status, rm)
		}
	})
}

func TestASecondCancelWithoutGraceEndsTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.hanging(atWork(enginetest.Child{Ignores: true}))
		begin := time.Now()
		w.cancelIn(id, 10*time.Minute)
		w.eventually("it was told to end", func() bool { return w.asked("sweep") > 1 })
		w.cancelIn(id, 0)
		if rm := w.finish(id).Minions["web1"]; rm.Outcome != gaea.OutcomeKilled || time.Since(begin) > 5*time.Second {
			t.Errorf("%+v after %s", rm, time.Since(begin))
		}
	})
}

func TestACrashInTheGraceLosesNoProcessThatWasNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.hanging(atWork(enginetest.Child{Ignores: true}))
		w.cancelIn(id, 5*time.Second)
		w.eventually("it was told to end", func() bool { return w.asked("term") > 0 && !w.salt.Running("web1") })
		if noted := w.stored(id).Minions["web1"].Processes; noted != "4711:1001 4712:1002" {
			t.Errorf("noted are %q", noted)
		}
		w.crash()
		run := w.finish(id)
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeKilled || len(w.salt.Processes("web1")) != 0 {
			t.Errorf("%+v; processes %v", rm, w.salt.Processes("web1"))
		}
		if w.asked("tree") != 1 {
			t.Errorf("the processes were listed %d times", w.asked("tree"))
		}
	})
}

func TestWhereProcessesCannotBeLookedAtTheJobIsKilledAndThatIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		behaviour := atWork()
		behaviour.Blind = "'cmd.run' is not available."
		id := w.hanging(behaviour)
		w.cancelIn(id, 0)
		want := "killed; the minion confirms that the job is gone; its child processes were not looked at: 'cmd.run' is not available."
		if rm := w.finish(id).Minions["web1"]; rm.Outcome != gaea.OutcomeKilled || rm.Message != want {
			t.Errorf("%+v", rm)
		}
	})
}

func TestWhereTheMasterRefusesToLookAtProcessesTheJobIsKilledAndThatIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.FailPublish(func(p gaea.Publication) (before, after error) {
			if purpose := p.Metadata["gaea_purpose"]; purpose == "fell" || purpose == "tree" {
				return gaea.Errorf(gaea.CodeForbidden, "the master does not allow cmd.run"), nil
			}
			return nil, nil
		})
		id := w.hanging(atWork())
		w.cancelIn(id, 0)
		if rm := w.finish(id).Minions["web1"]; rm.Outcome != gaea.OutcomeKilled || !strings.HasSuffix(rm.Message, "were not looked at: the master does not allow cmd.run") {
			t.Errorf("%+v", rm)
		}
	})
}

func TestADaemonThatRunsJobsInsideItselfIsNotKilledWithOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		behaviour := atWork()
		behaviour.Threads = true
		id := w.hanging(behaviour)
		w.cancelIn(id, time.Second)
		run := w.finish(id)
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeNoReturn || !strings.Contains(rm.Message, "inside its daemon") {
			t.Errorf("%+v", rm)
		}
		if w.asked("kill")+w.asked("term") != 0 || !w.salt.Running("web1") {
			t.Error("the job was signalled")
		}
	})
}

func TestAProcessThatNoKillEndsIsNamedAndTheMinionIsNotKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.hanging(atWork(enginetest.Child{Ignores: true}))
		w.cancelIn(id, 5*time.Second)
		w.eventually("it has ended", func() bool { return !w.salt.Running("web1") })
		w.salt.Set("web1", enginetest.Minion{Unstoppable: true, Answers: 100 * time.Millisecond})
		run := w.finish(id)
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeNoReturn || !strings.HasSuffix(rm.Message, "there were left: 4712") {
			t.Errorf("%+v", rm)
		}
	})
}

func TestAMinionThatGoesAwayInTheGraceIsUnreachableAndOthersAreKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web2", atWork(enginetest.Child{Ignores: true}))
		id := w.hanging(atWork(enginetest.Child{Ignores: true}))
		w.cancelIn(id, 5*time.Second)
		w.eventually("it was looked at", func() bool { return w.asked("sweep") > 1 })
		w.salt.Set("web1", enginetest.Minion{Down: true})
		run := w.finish(id)
		want := "did not answer within 5s: the kill could not be verified, the job may still run there; of the job's processes there were left: 4712"
		if rm := run.Minions["web1"]; rm.Outcome != gaea.OutcomeUnreachable || rm.Message != want {
			t.Errorf("%+v", rm)
		}
		if rm := run.Minions["web2"]; rm.Outcome != gaea.OutcomeKilled || len(w.salt.Processes("web2")) != 0 {
			t.Errorf("%+v", rm)
		}
	})
}
