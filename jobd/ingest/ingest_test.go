package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/feed"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryReturnIsStoredBeforeStopReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), nil)
		for n := range 1000 {
			r.send(ret(n))
		}
		r.stop(t)
		if n, writes := r.store.count(); n != 1000 || writes >= 1000 {
			t.Errorf("stored %d of 1000 returns in %d transactions", n, writes)
		}
	})
}

func TestAStoreThatFailsGetsEverythingOnceItWorksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), nil)
		r.connect()
		r.store.setFail(errors.New("disk full"))
		for n := range 50 {
			r.send(ret(n))
		}
		elapse(time.Minute)
		if p := r.in.Problems(); len(p) != 1 {
			t.Errorf("a failing store is not told: %q", p)
		}
		r.store.setFail(nil)
		elapse(time.Minute)
		if n, _ := r.store.count(); n != 50 {
			t.Errorf("stored %d of 50", n)
		}
		if p := r.in.Problems(); len(p) != 0 {
			t.Errorf("problems remain: %q", p)
		}
		r.stop(t)
	})
}

func TestARecordThatTheArchiveRefusesTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), nil)
		r.store.mu.Lock()
		r.store.refuse = "bad"
		r.store.mu.Unlock()
		for n := range 20 {
			x := ret(n)
			if n == 10 {
				x.Minion = "bad"
			}
			r.send(x)
		}
		r.stop(t)
		if n, _ := r.store.count(); n != 19 {
			t.Errorf("stored %d of 19", n)
		}
	})
}

func TestWhatTheArchiveRefusesIsFoundInFewWritesHoweverSlowTheyAre(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), func(o *ingest.Options) { o.WriteTimeout = 10 * time.Second })
		r.connect()
		elapse(time.Minute)
		r.store.mu.Lock()
		r.store.refuse, r.store.slow, r.store.tries = "bad", 5*time.Second, 0
		r.store.mu.Unlock()
		r.send(ret(0))
		const batch = 256 // of which all but the first come while that is being stored
		for n := range batch {
			x := ret(n + 1)
			if n == 100 {
				x.Minion = "bad"
			}
			r.send(x)
		}
		elapse(5 * time.Minute)
		if n, _ := r.store.count(); n != batch {
			t.Errorf("stored are %d of %d", n, batch)
		}
		r.store.mu.Lock()
		// The first, the whole, two for each of the eight halvings, and what stands for the one that is refused.
		if tries := r.store.tries; tries > 1+1+2*8+1 {
			t.Errorf("that took %d writes", tries)
		}
		r.store.slow = 0
		r.store.mu.Unlock()
		r.stop(t)
	})
}

func TestAReturnThatTheArchiveRefusesIsStoredAsAnEventThatSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), nil)
		r.store.refuse = "bad"
		x := ret(1)
		x.Minion, x.Body = "bad", json.RawMessage(`{"a":"b"}`)
		r.send(x)
		r.stop(t)
		if len(r.store.events) != 1 {
			t.Fatalf("%d events are stored", len(r.store.events))
		}
		e := r.store.events[0]
		if e.Tag != "salt/job/"+x.JID+"/ret/bad" || !e.Stamp.Equal(x.Stamp) || !strings.Contains(string(e.Data), `"return":{"a":"b"}`) || !strings.Contains(e.Suspect, "refused") {
			t.Errorf("the event is %+v with %s", e, e.Data)
		}
	})
}

func TestSecretsAreGoneBeforeTheStoreSeesThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), nil)
		x := ret(1)
		x.Args = json.RawMessage(`["nginx",{"__kwarg__":true,"pillar":{"k":"s3cret"}}]`)
		x.Body = json.RawMessage(`{"password":"s3cret"}`)
		r.send(x)
		r.bus <- gaea.BusMessage{Event: &gaea.Event{Tag: "my/event", Data: json.RawMessage(`{"token":"s3cret"}`)}}
		r.stop(t)
		all, _ := json.Marshal([]any{r.store.returns, r.store.events})
		if strings.Contains(string(all), "s3cret") {
			t.Errorf("stored: %s", all)
		}
	})
}

func TestAFollowerGetsItsJobsReturnsAfterTheyWereStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), nil)
		x := ret(3)
		sub := r.hub.Follow(x.JID)
		r.send(ret(2))
		r.send(x)
		if got := <-sub.Returns(); got.JID != x.JID || got.Master != "m" {
			t.Errorf("got %+v", got)
		}
		if n, _ := r.store.count(); n < 1 {
			t.Error("handed out before it was stored")
		}
		sub.Close()
		r.stop(t)
	})
}

func TestAFollowerThatIsTooSlowIsToldAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	hub := feed.NewHub()
	sub := hub.Follow("j")
	hub.Send(make([]gaea.Return, 1)) // another job
	many := make([]gaea.Return, 5000)
	for i := range many {
		many[i].JID = "j"
	}
	hub.Send(many)
	select {
	case <-sub.Lost():
	default:
		t.Error("not told")
	}
	hub.Close()
	sub.Close()
	n := 0
	for range sub.Returns() {
		n++
	}
	if n == 0 || n >= 5000 {
		t.Errorf("%d returns kept", n)
	}
}

// brokenBus ends although nobody stopped it.
type brokenBus struct{}

func (brokenBus) Read(_ context.Context, sink func(gaea.BusMessage)) error {
	sink(gaea.BusMessage{Connected: true})
	return errors.New("out of file descriptors")
}

func TestAReaderThatEndsByItselfIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), func(o *ingest.Options) { o.Bus = brokenBus{} })
		synctest.Wait()
		if p := r.in.Problems(); len(p) != 1 {
			t.Errorf("the problems are %q", p)
		}
		r.stop(t)
	})
}

func TestWhatWasDecodedAheadIsCountedWhereTheStoreDoesNotTakeIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), func(o *ingest.Options) { o.BatchEvents = 5 })
		r.store.setSlow(time.Second)
		for n := range 23 {
			r.send(ret(n))
		}
		synctest.Wait() // a batch is being stored, and others wait
		r.store.setFail(errors.New("away"))
		err := r.stopWithin(10 * time.Second)
		if n, _ := r.store.count(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("last %d events", 23-n)) {
			t.Errorf("%d of 23 are stored: %v", n, err)
		}
	})
}
