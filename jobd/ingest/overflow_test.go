package ingest_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

func TestWhatAFullQueueLetsGoIsFetchedFromTheJobCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		for n := range 100 {
			c.add(ret(n))
		}
		r := start(t, c, func(o *ingest.Options) { o.QueueBytes = 4096 })
		r.store.setFail(errors.New("disk full"))
		for n := range 100 {
			r.send(ret(n))
		}
		r.store.setFail(nil)
		elapse(time.Minute)
		if n, _ := r.store.count(); n != 100 {
			t.Errorf("stored %d of 100", n)
		}
		r.stop(t)
	})
}

func TestWhatAFullQueueLetsGoForALongTimeIsFetchedToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := start(t, c, func(o *ingest.Options) { o.QueueBytes, o.BatchEvents = 4096, 5 })
		r.connect()
		elapse(time.Minute)
		// The archive takes 5 returns a second and the bus sends 50, for two minutes: the queue is full all the time.
		r.store.setSlow(time.Second)
		var sent []gaea.Return
		for n := range 6_000 {
			x := ret(n)
			sent = append(sent, x)
			c.add(x)
			r.send(x)
			elapse(20 * time.Millisecond)
		}
		if r.metric(t, "gaea_ingest_let_go_total") < 3_000 {
			t.Fatal("the queue was not full")
		}
		r.store.setSlow(0)
		elapse(time.Minute)
		missing := 0
		for _, x := range sent {
			if _, ok := r.store.stored(x); !ok {
				missing++
			}
		}
		if missing > 0 || r.store.openGaps() != 0 {
			t.Errorf("%d of %d are missing, %d gaps are open", missing, len(sent), r.store.openGaps())
		}
		r.stop(t)
	})
}

func TestReturnsThatAreLetGoAfterOtherEventsWereLostAreFetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := start(t, c, func(o *ingest.Options) { o.QueueBytes, o.ReserveBytes = 4096, 4096 })
		r.connect()
		elapse(time.Minute)
		r.store.setFail(errors.New("disk full"))
		for n := range 40 { // in no cache: they fill the queue and the reserve
			r.other(n, 200)
		}
		if r.metric(t, "gaea_ingest_lost_events_total") == 0 {
			t.Fatal("the reserve was not full")
		}
		x := ret(1)
		c.add(x)
		synctest.Wait()
		r.send(x)
		elapse(time.Minute)
		r.store.setFail(nil)
		elapse(time.Minute)
		if _, ok := r.store.stored(x); !ok {
			t.Error("the return is missing")
		}
		r.stop(t)
	})
}

func TestAnOverflowIsRememberedWhenJobdDiesInIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := start(t, c, func(o *ingest.Options) { o.QueueBytes, o.BatchEvents = 4096, 1 })
		r.connect()
		elapse(time.Minute)
		r.store.setSlow(time.Second)
		for n := range 200 {
			x := ret(n)
			c.add(x)
			r.send(x)
		}
		elapse(5 * time.Second)
		if r.store.openGaps() == 0 {
			t.Error("newer returns are stored, and no gap is recorded")
		}
		r.store.setSlow(0)
		r.stop(t)
	})
}

func TestAnEventThatIsLargerThanTheQueueIsStillTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), func(o *ingest.Options) { o.QueueBytes, o.ReserveBytes = 1024, 1024 })
		r.other(1, 10_000)
		r.stop(t)
		if len(r.store.events) != 1 {
			t.Errorf("%d events are stored", len(r.store.events))
		}
	})
}

func TestAStopThatTheArchiveHoldsUpEndsInTimeAndSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cut := ret(9)
		cut.Body = []byte(`"VALUE_TRIMMED"`)
		c := newCache(ret(9))
		r := start(t, c, nil)
		r.connect()
		elapse(time.Minute)
		r.store.setFail(errors.New("disk full"))
		r.send(cut)
		elapse(time.Second)
		r.send(ret(1))
		r.other(1, 10)
		began := time.Now()
		err := r.stopWithin(10 * time.Second)
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("it took %s", took)
		}
		if err == nil || !strings.Contains(err.Error(), "1 other events are lost") {
			t.Errorf("it says: %v", err)
		}
	})
}

func TestHowFullTheSpillIsIsToldAsAShareOfItsBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for spills, bound := range map[bool]float64{true: 200_000, false: 0} {
			r := start(t, newCache(), func(o *ingest.Options) {
				if spills {
					o.Spill = openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 200_000)
				}
			})
			if told := r.metric(t, "gaea_ingest_spill_max_bytes"); told != bound {
				t.Errorf("the bound is told as %v, and is %v", told, bound)
			}
			r.stop(t)
		}
	})
}
