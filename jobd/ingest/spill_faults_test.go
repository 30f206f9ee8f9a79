package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest/spill"
)

func TestAPartOfTheSpillThatCannotBeReadHoldsUpNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		s := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 8<<20)
		r := start(t, c, func(o *ingest.Options) { o.Spill = s })
		r.connect()
		elapse(time.Minute)
		r.store.setFail(errAway)
		x := ret(1)
		c.add(x)
		damaged := func() {
			if _, err := s.Add(t.Context(), []spill.Row{{Records: 1, Cached: true, From: x.Stamp, Body: []byte("{")}}); err != nil {
				t.Error(err)
			}
		}
		damaged()
		r.other(0, 10)
		elapse(time.Second)
		damaged() // the last
		r.store.setFail(nil)
		elapse(time.Minute) // in which nothing else comes
		if d := s.Depth(); d.Records != 0 || len(r.store.events) != 1 {
			t.Errorf("%+v waits still, and %d events are stored", d, len(r.store.events))
		}
		if _, ok := r.store.stored(x); !ok || r.store.openGaps() > 0 {
			t.Errorf("what was damaged was fetched: %v; %d gaps are open", ok, r.store.openGaps())
		}
		if p := r.in.Problems(); len(p) > 0 {
			t.Errorf("the problems are %q", p)
		}
		r.stop(t)
	})
}

func TestAStopWithASpillThatTakesNothingMakesRoomInIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		s := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 100_000)
		r := start(t, c, func(o *ingest.Options) { o.Spill = s })
		r.connect()
		elapse(time.Minute)
		r.store.setFail(errAway)
		for n := range 60 { // more than it holds
			r.other(n, 2000)
			elapse(100 * time.Millisecond)
		}
		r.store.setFail(nil)
		if err := r.stopWithin(20 * time.Second); err != nil {
			t.Error(err)
		}
		next := startOn(t, r.store, c, func(o *ingest.Options) { o.Spill = s })
		elapse(time.Minute)
		if n := len(r.store.events); n != 60 {
			t.Errorf("of 60 events %d are stored", n)
		}
		next.stop(t)
	})
}

// sticky is a spill on a disk that may become read-only.
type sticky struct {
	broken
}

func (s *sticky) Remove(ctx context.Context, rows []spill.Row) error {
	if s.err.Load() == nil {
		return s.broken.Remove(ctx, rows)
	}
	failing, cancel := context.WithCancel(ctx)
	cancel()
	return s.broken.Remove(failing, rows)
}

func TestASpillWhoseDiskBecomesReadOnlyKeepsNothingFromTheArchive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		s := &sticky{broken{Spill: openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 8<<20)}}
		r := startSpilling(t, c, func(o *ingest.Options) { o.Spill, o.BatchEvents = s, 10 })
		r.store.setFail(errAway)
		var sent []gaea.Return
		for n := range 90 {
			if n == 60 {
				readOnly := errors.New("read-only file system")
				s.err.Store(&readOnly)
				r.store.setFail(nil)
			}
			sent = append(sent, r.both(c, n))
			elapse(100 * time.Millisecond)
		}
		elapse(time.Minute)
		r.wantOnce(t, sent)
		if p := r.in.Problems(); len(p) > 0 {
			t.Errorf("the problems are %q", p)
		}
		r.stop(t)
	})
}

func TestWhatMinionsThatAreNotTrustedSentIsTheSameBehindTheSpill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := startSpilling(t, c, nil)
		r.store.mu.Lock()
		r.store.fail, r.store.refuse = errAway, "refused"
		r.store.mu.Unlock()
		cut := &gaea.Truncation{Size: 1 << 30, SHA256: "ab", Dropped: 3}
		x, bad, last := ret(1), ret(2), ret(3)
		bad.Minion = "refused"
		r.bus <- gaea.BusMessage{Event: &gaea.Event{
			Tag: "salt/job/" + x.JID + "/ret/web1", Stamp: x.Stamp, Truncated: cut,
			Data: json.RawMessage(fmt.Sprintf(`{"cmd":"_return","id":"web1","jid":%q,"fun":"state.apply","return":{}}`, x.JID)),
		}}
		r.send(bad)
		r.bus <- gaea.BusMessage{Event: &gaea.Event{
			Tag: "salt/job/" + x.JID + "/ret/web2", Stamp: x.Stamp, Truncated: cut,
			Data: json.RawMessage(`{"cmd":"_return","id":"evil","fun":"test.ping","return":"\u2028<\u0000>"}`),
		}}
		r.send(last)
		elapse(time.Second)
		r.store.setFail(nil)
		elapse(time.Minute)
		got, ok := r.store.stored(x)
		if !ok || got.Truncated == nil || *got.Truncated != *cut {
			t.Errorf("the return is %+v", got)
		}
		if _, ok := r.store.stored(last); !ok || r.metric(t, "gaea_ingest_spill_records") != 0 {
			t.Error("the return that is refused holds up others")
		}
		if len(r.store.events) != 2 {
			t.Fatalf("%d events are stored", len(r.store.events))
		}
		ev := r.store.events[0]
		if strings.HasSuffix(ev.Tag, "/refused") { // it takes the place of the return
			ev = r.store.events[1]
		}
		if ev.Suspect == "" || ev.Truncated == nil || *ev.Truncated != *cut || !strings.Contains(string(ev.Data), `"\u2028<\u0000>"`) {
			t.Errorf("the event is %+v, %s", ev, ev.Data)
		}
		r.stop(t)
	})
}

func TestACutReturnThatAFullSpillLetsGoIsFetchedLaterThoughNothingElseComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		s := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 200)
		r := startSpilling(t, c, func(o *ingest.Options) { o.Spill = s })
		x := ret(1)
		c.add(x)
		cut := x
		cut.Body = []byte(`"VALUE_TRIMMED"`)
		r.store.setFail(errAway)
		r.send(cut)
		elapse(10 * time.Second)
		if r.metric(t, "gaea_ingest_let_go_total") != 1 {
			t.Error("it was not let go")
		}
		r.store.setFail(nil)
		elapse(time.Minute)
		if _, ok := r.store.stored(x); !ok || r.store.openGaps() > 0 || len(r.in.Problems()) > 0 {
			t.Errorf("stored %v, %d gaps are open, the problems are %q", ok, r.store.openGaps(), r.in.Problems())
		}
		r.stop(t)
	})
}
