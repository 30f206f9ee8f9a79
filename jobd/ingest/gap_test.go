package ingest_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

func TestAfterALostConnectionWhatWasMissedIsFetchedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := start(t, c, nil)
		r.connect()
		elapse(time.Minute)
		r.disconnect()
		synctest.Wait()
		if p := r.in.Problems(); len(p) != 1 {
			t.Errorf("a lost bus is not told: %q", p)
		}
		missed := ret(7)
		c.add(missed)
		elapse(time.Second)
		r.connect()
		elapse(time.Minute)
		got, ok := r.store.stored(missed)
		if !ok || got.Source != gaea.SourceCache || r.store.openGaps() != 0 {
			t.Errorf("stored: %v from %q, %d gaps open", ok, got.Source, r.store.openGaps())
		}
		r.stop(t)
	})
}

func TestAReturnThatTheMasterWritesIntoItsCacheLateIsFetchedToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missed := ret(7)
		c := newCache()
		r := start(t, c, nil)
		r.connect()
		elapse(time.Second)
		c.add(missed)
		elapse(time.Minute)
		if _, ok := r.store.stored(missed); !ok {
			t.Error("it is missing")
		}
		r.stop(t)
	})
}

func TestAGapThatWasNotClosedStaysOpenWhileTheMasterIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missed := ret(7)
		c := newCache(missed)
		s := newStore()
		s.gaps[1], s.opened = missed.Stamp.Add(-time.Minute), 1
		elapse(30 * time.Hour)
		s.last = time.Now() // newer events were stored before jobd died
		first := startOn(t, s, c, nil)
		elapse(time.Minute)
		first.stop(t)
		if s.openGaps() == 0 {
			t.Fatal("the gap was closed without a look into the job cache")
		}
		second := startOn(t, s, c, nil)
		second.connect()
		elapse(time.Minute)
		if _, ok := s.stored(missed); !ok || s.openGaps() != 0 {
			t.Errorf("fetched: %v, %d gaps open", ok, s.openGaps())
		}
		second.stop(t)
	})
}

func TestAClockThatIsSetFarBackWhileTheBusIsAwayHidesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		var set atomic.Int64 // by how much the clock of the machine is off
		now := func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
		r := start(t, c, func(o *ingest.Options) { o.Now = now })
		r.connect()
		elapse(time.Minute)
		r.disconnect()
		synctest.Wait()
		set.Store(-int64(72 * time.Hour)) // the machine starts again without its battery, and asks for the time later
		missed := ret(7)
		missed.Stamp = now().UTC()
		missed.JID = missed.Stamp.Format("20060102150405") + "000007"
		c.add(missed)
		elapse(time.Second)
		r.connect()
		elapse(time.Minute)
		if _, ok := r.store.stored(missed); !ok || r.store.openGaps() != 0 {
			t.Errorf("fetched: %v, %d gaps open", ok, r.store.openGaps())
		}
		r.stop(t)
	})
}

func TestAGapIsRecordedBeforeAnythingNewerIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), nil)
		r.connect()
		r.send(ret(1))
		synctest.Wait()
		elapse(time.Minute)
		r.disconnect()
		r.connect()
		second := ret(2)
		r.send(second)
		elapse(time.Minute)
		r.stop(t)
		opened := 0
		for _, what := range r.store.log {
			if what == "gap opened" {
				opened++
			}
			if what == "return "+second.JID && opened != 2 {
				t.Errorf("a return after the second gap was stored when %d gaps were recorded: %q", opened, r.store.log)
			}
		}
	})
}

func TestARecoveryThatIsCutOffIsTakenUpByTheNextStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missed := ret(7)
		c := newCache(missed)
		c.setFail("", gaea.Errorf(gaea.CodeUnavailable, "the master starts"))
		first := start(t, c, nil)
		first.connect()
		elapse(time.Minute)
		first.stop(t)
		if first.store.openGaps() != 1 {
			t.Errorf("%d gaps are open", first.store.openGaps())
		}
		c.setFail("", nil)
		second := startOn(t, first.store, c, nil)
		second.connect()
		elapse(time.Minute)
		if _, ok := first.store.stored(missed); !ok || first.store.openGaps() != 0 {
			t.Errorf("fetched: %v, %d gaps open", ok, first.store.openGaps())
		}
		second.stop(t)
	})
}

func TestAClockThatWasAheadOnceHidesNoGap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missed := ret(7)
		c := newCache(missed)
		s := newStore()
		s.last = time.Now().Add(90 * 24 * time.Hour)
		elapse(36 * time.Hour)
		r := startOn(t, s, c, nil)
		r.connect()
		elapse(time.Minute)
		if _, ok := s.stored(missed); !ok {
			t.Error("it was not fetched")
		}
		r.stop(t)
	})
}

func TestALinkThatWasDeadBeforeItBrokeIsLookedAtFromItsLastSignOfLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := start(t, c, nil)
		r.connect()
		elapse(time.Minute)
		heard := time.Now()
		r.send(ret(1))
		elapse(48 * time.Hour) // the machine sleeps
		c.mu.Lock()
		c.since = time.Now()
		c.mu.Unlock()
		r.disconnect()
		r.connect()
		elapse(time.Minute)
		r.stop(t)
		if c.since.After(heard) {
			t.Errorf("jobs were asked for from %s on, the last sign of life was at %s", c.since, heard)
		}
	})
}

func TestAJobThatTheCacheCannotTellHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]error{
		"a broken file":    gaea.Errorf(gaea.CodeSalt, "no msgpack"),
		"a runner's limit": gaea.Errorf(gaea.CodeTimeout, "the runner has not ended"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bad, good := ret(1), ret(2)
				c := newCache(bad, good)
				c.setFail(bad.JID, fault)
				broken := c.jobs[bad.JID]
				delete(c.jobs, bad.JID)
				c.jobs[bad.JID] = &gaea.CachedJob{Job: gaea.Job{JID: bad.JID, Started: broken.Job.Started}}
				r := start(t, c, nil)
				r.connect()
				elapse(5 * time.Minute)
				if _, ok := r.store.stored(good); !ok || r.store.openGaps() != 0 {
					t.Errorf("the good job was fetched: %v, %d gaps open", ok, r.store.openGaps())
				}
				if n := c.count(bad.JID); n < 2 || n > 10 {
					t.Errorf("the bad job was asked for %d times", n)
				}
				r.stop(t)
			})
		})
	}
}

func TestOfAJobThatIsTooLargeWhatCameWholeIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		whole := ret(1)
		c := newCache(whole)
		c.setFail(whole.JID, gaea.Errorf(gaea.CodeTooLarge, "web2 did not come whole"))
		r := start(t, c, nil)
		r.connect()
		elapse(time.Minute)
		if _, ok := r.store.stored(whole); !ok || r.store.openGaps() != 0 {
			t.Errorf("stored: %v, %d gaps open", ok, r.store.openGaps())
		}
		r.stop(t)
	})
}

func TestAMasterThatIsAwayIsAskedUntilItIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missed := ret(7)
		c := newCache(missed)
		c.setFail(missed.JID, gaea.Errorf(gaea.CodeUnavailable, "the master does not answer"))
		c.jobs[missed.JID].Returns = nil
		r := start(t, c, nil)
		r.connect()
		elapse(time.Hour)
		c.setFail(missed.JID, nil)
		c.mu.Lock()
		c.jobs[missed.JID].Returns = []gaea.Return{missed}
		c.mu.Unlock()
		elapse(time.Minute)
		if _, ok := r.store.stored(missed); !ok {
			t.Error("it was not fetched")
		}
		r.stop(t)
	})
}

func TestWhatTheArchiveHasIsNotFetchedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		var old []gaea.Return
		for n := range 20 {
			old = append(old, ret(n))
		}
		c.add(old...)
		elapse(time.Hour)
		s := newStore()
		for _, x := range old {
			j := c.jobs[x.JID].Job
			s.jobs[x.JID] = j
			s.put(x)
		}
		s.last = time.Now()
		missed := ret(100)
		c.add(missed)
		r := startOn(t, s, c, nil)
		r.connect()
		elapse(time.Minute)
		for _, x := range old {
			if n := c.count(x.JID); n != 0 {
				t.Fatalf("job %s, which the archive has whole, was asked for %d times", x.JID, n)
			}
		}
		if n := c.count(missed.JID); n != 2 {
			t.Errorf("the missed job was asked for %d times, not at once and when the cache had settled", n)
		}
		r.stop(t)
	})
}

func TestAnArchiveThatIsFilledInSeveralAttemptsGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		var all []gaea.Return
		for n := range 20 {
			all = append(all, ret(n))
		}
		c.add(all...)
		elapse(time.Hour)
		s := newStore()
		s.gaps[1], s.opened = time.Time{}, 1 // the attempt before was cut off, and had begun with the newest
		for _, x := range all[10:] {
			s.jobs[x.JID] = c.jobs[x.JID].Job
			s.put(x)
		}
		r := startOn(t, s, c, nil)
		r.connect()
		elapse(time.Minute)
		r.stop(t)
		if n, _ := s.count(); n != 20 || c.count(all[19].JID) != 0 {
			t.Errorf("%d of 20 returns are stored, and the newest was asked for %d times", n, c.count(all[19].JID))
		}
		if first, last := s.log[0], s.log[len(s.log)-2]; first != "return "+all[9].JID || last != "return "+all[0].JID {
			t.Errorf("fetched in the order %q", s.log)
		}
	})
}

func TestASecondPublicationUnderOneJobIdInTheGapIsFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := start(t, c, nil)
		r.connect()
		elapse(time.Minute)
		first := ret(1)
		c.add(first)
		r.publish(first.JID, "web1")
		r.send(first)
		elapse(time.Hour)
		r.disconnect()
		elapse(time.Minute)
		second := first // Salt's own batches publish each slice under one id
		second.Minion, second.Stamp = "web2", time.Now()
		c.add(second)
		r.connect()
		elapse(time.Minute)
		if _, ok := r.store.stored(second); !ok {
			t.Error("the second slice's return is missing")
		}
		r.stop(t)
		if got := r.store.jobs[first.JID].Minions; !slices.Equal(got, []string{"web1", "web2"}) {
			t.Errorf("the job expects %q", got)
		}
	})
}

func TestWhatRetentionHasTakenDoesNotComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old := ret(1)
		c := newCache(old)
		elapse(2 * time.Hour)
		young := ret(2)
		c.add(young)
		s := newStore()
		s.last = time.Now().Add(-5 * time.Minute)
		r := startOn(t, s, c, func(o *ingest.Options) { o.Keep = time.Hour })
		r.connect()
		elapse(time.Minute)
		_, hasOld := s.stored(old)
		_, hasYoung := s.stored(young)
		if hasOld || !hasYoung {
			t.Errorf("older than the retention: stored %v; younger: stored %v", hasOld, hasYoung)
		}
		r.stop(t)
	})
}

func TestWhatWasDeletedForItsSizeDoesNotComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old := ret(1)
		c := newCache(old)
		elapse(2 * time.Hour)
		horizon := time.Now().Add(-time.Hour)
		young := ret(2)
		c.add(young)
		s := newStore()
		s.last = time.Now().Add(-5 * time.Minute)
		r := startOn(t, s, c, func(o *ingest.Options) {
			o.Horizon = func(context.Context) (time.Time, error) { return horizon, nil }
		})
		r.connect()
		elapse(time.Minute)
		_, hasOld := s.stored(old)
		_, hasYoung := s.stored(young)
		if hasOld || !hasYoung {
			t.Errorf("older than the horizon: stored %v; younger: stored %v", hasOld, hasYoung)
		}
		r.stop(t)
	})
}

func TestALinkThatFlapsIsOneLookAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := start(t, c, nil)
		var missed []gaea.Return
		for n := range 100 {
			r.connect()
			elapse(50 * time.Millisecond)
			r.disconnect()
			x := ret(n)
			x.Minion = fmt.Sprintf("web%d", n)
			missed = append(missed, x)
			c.add(x)
		}
		r.connect()
		elapse(time.Minute)
		for _, x := range missed {
			if _, ok := r.store.stored(x); !ok {
				t.Fatalf("the return of %s is missing", x.Minion)
			}
		}
		if n := c.count(""); n > 20 {
			t.Errorf("the list of jobs was asked for %d times", n)
		}
		if r.store.openGaps() != 0 || r.metric(t, "gaea_ingest_open_gaps") != 0 {
			t.Errorf("%d gaps are open", r.store.openGaps())
		}
		r.stop(t)
	})
}

func TestWhatIsFetchedLaterDoesNotCountAsLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(ret(1))
		elapse(time.Hour)
		r := start(t, c, nil)
		r.connect()
		elapse(time.Minute)
		if n := r.metric(t, "gaea_ingest_lag_seconds"); n != 0 {
			t.Errorf("%v returns from the job cache count", n)
		}
		r.send(ret(2))
		synctest.Wait()
		if n := r.metric(t, "gaea_ingest_lag_seconds"); n != 1 {
			t.Errorf("%v returns of the bus count, not 1", n)
		}
		r.stop(t)
	})
}
