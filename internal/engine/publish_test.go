package engine_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// failFirst makes the first n publishes of a function fail, before or after the master took them.
func (w *world) failFirst(n int, function string, before, after error) {
	w.salt.FailPublish(func(p gaea.Publication) (error, error) {
		if p.Function != function || n == 0 {
			return nil, nil
		}
		n--
		return before, after
	})
}

var errNoAnswer = gaea.Errorf(gaea.CodeTimeout, "the master did not answer in time")

func TestAPublishWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	for _, target := range []gaea.Target{glob("*"), gaea.ListTarget([]string{"web1", "web2"})} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "web1", "web2")
			w.salt.Set("web1", enginetest.Minion{Takes: 10 * time.Second})
			w.failFirst(1, "test.ping", nil, errNoAnswer)
			run := w.run(ping(target))
			if n := len(w.salt.Published("test.ping")); run.Status != gaea.RunSucceeded || len(run.Minions) != 2 || n != 1 {
				t.Errorf("%s: %v; published %d times", run.Status, outcomes(run), n)
			}
		})
	}
}

func TestAPublishThatTheMasterDoesNotHaveIsRepeatedUnderTheSameJobID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.failFirst(3, "test.ping", errNoAnswer, nil)
		run := w.run(ping(glob("*")))
		if run.Status != gaea.RunSucceeded || len(run.Slices) != 1 || w.salt.Ran("web1")[0] != run.Slices[0].JID {
			t.Errorf("%s: %v in %v", run.Status, outcomes(run), run.Slices)
		}
	})
}

func TestNothingIsRepeatedBeforeTheJobCacheHasSaidThatItDoesNotHaveTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		tries := 0
		w.salt.FailPublish(func(p gaea.Publication) (error, error) {
			if p.Function != "test.ping" {
				return nil, nil
			}
			tries++
			return nil, errNoAnswer
		})
		w.salt.FailCache(gaea.Errorf(gaea.CodeUnavailable, "the master does not answer"))
		id := w.submit(ping(glob("*"))).ID
		timer := time.AfterFunc(time.Minute, func() { w.salt.FailCache(nil) })
		defer timer.Stop()
		if run := w.finish(id); run.Status != gaea.RunSucceeded || tries != 1 {
			t.Errorf("%s after %d publishes", run.Status, tries)
		}
	})
}

func TestAMasterThatStaysDownEndsTheRunAtTheJobTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		w.failFirst(-1, "test.ping", gaea.Errorf(gaea.CodeUnavailable, "the master does not answer"), nil)
		for _, target := range []gaea.Target{glob("*"), gaea.ListTarget([]string{"web1", "web2"})} {
			begin := time.Now()
			run := w.run(ping(target))
			if took := time.Since(begin); took < 30*time.Minute || took > 31*time.Minute {
				t.Errorf("took %s", took)
			}
			if run.Status != gaea.RunTimedOut || !strings.Contains(run.Message, "the master does not answer") {
				t.Errorf("%s: %q", run.Status, run.Message)
			}
			for name, rm := range run.Minions {
				if rm.Outcome != gaea.OutcomeSkipped {
					t.Errorf("%s is %s: %s", name, rm.Outcome, rm.Message)
				}
			}
		}
	})
}

func TestARefusalOfTheMasterFailsTheRunAtOnce(t *testing.T) {
	refusals := []error{
		gaea.Errorf(gaea.CodeForbidden, "the master does not let jobd run cmd.run; allow it in publisher_acl"),
		gaea.Errorf(gaea.CodeSalt, "the master says: bad load"),
	}
	for _, refusal := range refusals {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "web1", "web2")
			w.failFirst(1, "cmd.run", refusal, nil)
			begin := time.Now()
			run := w.run(inSlices(hang(), "1"))
			if run.Status != gaea.RunFailed || !strings.HasPrefix(run.Message, gaea.MessageOf(refusal)) || time.Since(begin) > 3*time.Second {
				t.Errorf("%s after %s: %q", run.Status, time.Since(begin), run.Message)
			}
			if run.Counts[gaea.OutcomeSkipped] != 2 {
				t.Errorf("%v", outcomes(run))
			}
		})
	}
}

func TestARefusalWhileTheTargetIsResolvedFailsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.failFirst(1, "test.ping", gaea.Errorf(gaea.CodeForbidden, "the master does not let jobd run test.ping"), nil)
		if run := w.run(inSlices(hang(), "1")); run.Status != gaea.RunFailed || run.Message != "the master does not let jobd run test.ping" {
			t.Errorf("%s: %q", run.Status, run.Message)
		}
	})
}

func TestWhatWaitsForItsTurnIsNotPublishedWhenTheRunIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "db1")
		w.salt.Latency(10 * time.Second)
		for range 16 { // as many as are published at once
			w.submit(ping(glob("web*")))
		}
		synctest.Wait()
		waits := w.submit(ping(gaea.ListTarget([]string{"db1"})))
		w.eventually("it wants to be published", func() bool { return len(w.stored(waits.ID).Slices) == 1 })
		w.cancel(waits.ID)
		run := w.finish(waits.ID)
		if rm := run.Minions["db1"]; run.Status != gaea.RunCancelled || rm.Outcome != gaea.OutcomeSkipped || rm.Message != "not told: the run was cancelled before" {
			t.Errorf("%s: %+v", run.Status, rm)
		}
		w.pass(time.Minute)
		if n := len(w.salt.Ran("db1")); n != 0 {
			t.Errorf("db1 was told")
		}
	})
}

func TestTheJobIDIsStoredBeforeThePublishAndTheMetadataNamesTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.FailPublish(func(p gaea.Publication) (error, error) {
			id, ok := p.Metadata[gaea.MetadataRun].(string)
			if !ok {
				return nil, nil
			}
			if run := w.stored(id); len(run.Slices) != 1 || run.Slices[0].JID != p.JID || run.Status != gaea.RunRunning {
				t.Errorf("stored %s with %v, published %s", run.Status, run.Slices, p.JID)
			}
			return nil, nil
		})
		run := w.run(ping(glob("*")))
		if got := w.salt.Published("test.ping")[0].Metadata[gaea.MetadataRun]; got != run.ID {
			t.Errorf("metadata names %v", got)
		}
	})
}

func TestNothingIsPublishedWhileTheRunCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.runs.FailSave(gaea.Errorf(gaea.CodeUnavailable, "the database is locked"))
		id := w.submit(ping(glob("*"))).ID
		timer := time.AfterFunc(20*time.Second, func() {
			if n := len(w.salt.Published("")); n != 0 {
				t.Errorf("%d jobs were published", n)
			}
			w.runs.FailSave(nil)
		})
		defer timer.Stop()
		if run := w.finish(id); run.Status != gaea.RunSucceeded {
			t.Errorf("%s", run.Status)
		}
	})
}
