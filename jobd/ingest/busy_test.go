package ingest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

func TestABusyBusFillsABatchUntilItsTimeIsUpAndAQuietOneIsStoredAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const linger = 50 * time.Millisecond
		r := start(t, newCache(), func(o *ingest.Options) { o.Linger = linger })
		r.connect()
		r.store.setSlow(time.Millisecond)
		r.send(ret(0))
		synctest.Wait() // it is being stored; what comes meanwhile is a batch
		for n := range 20 {
			r.send(ret(1 + n))
		}
		elapse(3 * time.Millisecond)
		synctest.Wait()
		stored, before := r.store.count()
		if stored != 21 || before != 2 {
			t.Fatalf("stored %d of 21, in %d transactions", stored, before)
		}
		for n := range 9 { // the bus is busy now: these are one batch, whose time began when the one before was stored
			elapse(5 * time.Millisecond)
			r.send(ret(21 + n))
		}
		elapse(linger)
		if stored, writes := r.store.count(); stored != 30 || writes != before+1 {
			t.Errorf("stored %d of 30, the last 9 in %d transactions", stored, writes-before)
		}
		elapse(time.Second)
		for n := range 3 {
			r.send(ret(30 + n))
			elapse(2 * time.Millisecond)
			synctest.Wait()
			if stored, _ := r.store.count(); stored != 31+n {
				t.Errorf("stored %d of %d on a quiet bus", stored, 31+n)
			}
		}
		r.stop(t)
	})
}

func TestABatchThatIsFullIsNotGivenTimeToFill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), func(o *ingest.Options) { o.Linger, o.BatchEvents = time.Hour, 10 })
		r.connect()
		for n := range 25 {
			r.send(ret(n))
		}
		synctest.Wait()
		if stored, _ := r.store.count(); stored <= 25-10 {
			t.Errorf("stored %d of 25, and the others would be a batch", stored)
		}
		r.stop(t)
		if stored, _ := r.store.count(); stored != 25 {
			t.Errorf("stored %d of 25 at the end", stored)
		}
	})
}
