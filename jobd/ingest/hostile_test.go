package ingest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

func TestAReturnInTheNameOfAnotherMinionIsAnEventAndNotThatMinionsReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), nil)
		r.connect()
		right := ret(1)
		sub := r.hub.Follow(right.JID)
		defer sub.Close()
		forged := fmt.Sprintf(`{"cmd":"_return","id":"evil","jid":%q,"fun":"test.ping","return":"forged","retcode":0,"password":"s3cret"}`, right.JID)
		own := fmt.Sprintf(`{"cmd":"_minion_event","id":"evil","jid":%q,"fun":"test.ping","return":"forged","retcode":0}`, right.JID)
		for _, data := range []string{forged, own} {
			r.bus <- gaea.BusMessage{Event: &gaea.Event{Tag: "salt/job/" + right.JID + "/ret/web1", Stamp: time.Now(), Data: json.RawMessage(data)}}
		}
		elapse(time.Second)
		select {
		case got := <-sub.Returns():
			t.Errorf("who follows the job got %+v", got)
		default:
		}
		r.send(right)
		elapse(time.Second)
		if got, ok := r.store.stored(right); !ok || string(got.Body) != "true" {
			t.Errorf("the return is %+v", got)
		}
		if got := (<-sub.Returns()).Body; string(got) != "true" {
			t.Errorf("who follows the job got %s", got)
		}
		if n := len(r.store.events); n != 2 || r.metric(t, "gaea_ingest_suspect_events_total") != 2 {
			t.Fatalf("%d events are stored", n)
		}
		for _, ev := range r.store.events {
			if ev.Suspect == "" || !strings.Contains(string(ev.Data), "evil") || strings.Contains(string(ev.Data), "s3cret") {
				t.Errorf("the event is %s: %s", ev.Data, ev.Suspect)
			}
		}
		r.stop(t)
	})
}

func TestATruncatedReturnWithoutSomeOfItsStatesIsNoEvidence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), func(o *ingest.Options) {
			o.Fingerprint = func(string, json.RawMessage) (string, bool) { return "key", false }
		})
		r.connect()
		for n, cut := range []*gaea.Truncation{nil, {Size: 1 << 30, SHA256: "ab"}, {Size: 1 << 30, SHA256: "ab", Dropped: 3}} {
			x := ret(n)
			data := fmt.Sprintf(`{"cmd":"_return","id":"web1","jid":%q,"fun":"state.apply","return":{}}`, x.JID)
			r.bus <- gaea.BusMessage{Event: &gaea.Event{Tag: "salt/job/" + x.JID + "/ret/web1", Stamp: x.Stamp, Data: json.RawMessage(data), Truncated: cut}}
			elapse(time.Second)
			got, ok := r.store.stored(x)
			if evidence := got.StateKey != ""; !ok || evidence != (cut == nil || cut.Dropped == 0) {
				t.Errorf("with %+v the return is %+v", cut, got)
			}
			if cut != nil && (got.Truncated == nil || *got.Truncated != *cut) {
				t.Errorf("told of the truncation is %+v, want %+v", got.Truncated, cut)
			}
		}
		if n := r.metric(t, "gaea_ingest_truncated_total"); n != 2 {
			t.Errorf("%v are counted as truncated", n)
		}
		r.stop(t)
	})
}

func TestWhatAMessageThatWasPassedOverToldIsFetchedFromTheJobCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := start(t, c, nil)
		r.connect()
		elapse(time.Minute)
		x := ret(1)
		c.add(x)
		r.bus <- gaea.BusMessage{PassedOver: true}
		elapse(time.Minute)
		if _, ok := r.store.stored(x); !ok || r.store.openGaps() != 0 {
			t.Errorf("stored %v, %d gaps are open", ok, r.store.openGaps())
		}
		r.stop(t)
	})
}

func TestABatchIsBoundInBytesAndALargerEventIsOneAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), func(o *ingest.Options) { o.BatchBytes = 1000 })
		r.connect()
		elapse(time.Minute)
		r.store.setSlow(time.Second) // what comes meanwhile waits
		r.other(0, 10)
		for n := range 4 {
			r.other(n+1, 300)
		}
		r.other(5, 5000)
		r.other(6, 10)
		elapse(time.Minute)
		// The first at once, then two and two of the next, the large one, and the last.
		if _, writes := r.store.count(); len(r.store.events) != 7 || writes != 5 {
			t.Errorf("%d events are stored in %d transactions", len(r.store.events), writes)
		}
		r.stop(t)
	})
}

func TestVerifyComparesTruncatedReturnsByTheirDigests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, row := range map[string]struct {
			stored, cached *gaea.Truncation
			differ         bool
		}{
			"equal":          {&gaea.Truncation{Size: 9, SHA256: "a"}, &gaea.Truncation{Size: 9, SHA256: "a"}, false},
			"another digest": {&gaea.Truncation{Size: 9, SHA256: "a"}, &gaea.Truncation{Size: 9, SHA256: "b"}, true},
			"another bound":  {&gaea.Truncation{Size: 9, SHA256: "a"}, nil, false},
		} {
			x := ret(1)
			stored := x
			x.Truncated, stored.Truncated, stored.Body = row.cached, row.stored, json.RawMessage(`"cut"`)
			s := newStore()
			s.put(stored)
			r := startOn(t, s, newCache(x), nil)
			report, err := r.in.Verify(t.Context(), gaea.VerifyRequest{JID: x.JID})
			if err != nil {
				t.Fatal(err)
			}
			differ := false
			for _, d := range report.Differences {
				differ = differ || d.Kind == gaea.BodyDiffers
			}
			if differ != row.differ {
				t.Errorf("%s: the report is %+v", name, report)
			}
			r.stop(t)
		}
	})
}

func TestAReturnThatIsStillTooLargeWhenItIsStoredIsCutAndSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const most = 1000
		c := newCache()
		told, grown, small := ret(1), ret(2), ret(3) // by a runner; by what stands in the place of secrets; and one that fits
		told.Body = json.RawMessage(`{"a":"` + strings.Repeat(`\u0000`, 300) + `"}`)
		grown.Body = json.RawMessage(`[` + strings.Repeat(`{"password":1},`, 60) + `0]`)
		c.add(told)
		r := start(t, c, func(o *ingest.Options) { o.MaxReturn = most })
		r.connect()
		r.send(grown)
		r.send(small)
		elapse(time.Minute)
		for name, x := range map[string]gaea.Return{"told": told, "grown": grown} {
			got, ok := r.store.stored(x)
			if !ok || len(got.Body) > most || !json.Valid(got.Body) || got.Truncated == nil || got.Truncated.Size < most {
				t.Errorf("%s: stored is %v, %d bytes of %+v", name, ok, len(got.Body), got.Truncated)
			}
		}
		if got, ok := r.store.stored(small); !ok || got.Truncated != nil || string(got.Body) != "true" {
			t.Errorf("what fits is %+v", got)
		}
		if report, err := r.in.Verify(t.Context(), gaea.VerifyRequest{JID: told.JID}); err != nil || len(report.Differences) > 0 {
			t.Errorf("the report is %+v (%v)", report, err)
		}
		r.stop(t)
	})
}
