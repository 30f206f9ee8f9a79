package ingest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

func TestARecordWithWhichTheArchiveFailsAgainAndAgainIsSetAsideAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		breaks, tag string
		spilling    bool
	}{
		"a return":                  {breaks: "evil", tag: "/ret/evil"},
		"a return in the spill":     {breaks: "evil", tag: "/ret/evil", spilling: true},
		"an event":                  {breaks: "my/event/70", tag: "gaea/refused"},
		"an event that was spilled": {breaks: "my/event/70", tag: "gaea/refused", spilling: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCache()
				r := start(t, c, nil)
				if row.spilling {
					r.stop(t)
					r = startSpilling(t, c, func(o *ingest.Options) { o.BatchEvents = 50 })
				}
				r.connect()
				elapse(time.Minute)
				r.store.setBreaks(row.breaks)
				for n := range 100 {
					x := ret(n)
					if n == 50 {
						x.Minion = "evil"
					}
					r.send(x)
					r.other(n, 10)
				}
				elapse(time.Minute)
				if p := r.in.Problems(); len(p) > 0 || r.metric(t, "gaea_ingest_spill_records") > 0 {
					t.Errorf("the problems are %q", p)
				}
				r.stop(t)
				want := map[bool]int{true: 99, false: 100}
				n, _ := r.store.count()
				events, stood := 0, 0
				for what, times := range r.store.written {
					switch {
					case strings.HasPrefix(what, "my/event/"):
						events++
					case strings.HasSuffix(what, row.tag):
						stood += times
					}
				}
				if n != want[row.breaks == "evil"] || events != want[row.breaks != "evil"] || stood != 1 {
					t.Errorf("%d returns, %d events, and %d that stand for what is set aside", n, events, stood)
				}
				for _, e := range r.store.events {
					if strings.HasSuffix(e.Tag, row.tag) && e.Suspect == "" {
						t.Errorf("%s is not marked", e.Tag)
					}
				}
			})
		})
	}
}

func TestAnArchiveThatFailsWithEverythingForNoKnownReasonIsTriedUntilItTakesAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startSpilling(t, newCache(), nil)
		r.store.setFail(errors.New("it does not work"))
		for n := range 50 {
			r.send(ret(n))
			r.other(n, 10)
		}
		elapse(10 * time.Minute)
		r.store.mu.Lock()
		tries := r.store.tries
		r.store.mu.Unlock()
		r.store.setFail(nil)
		elapse(time.Minute)
		r.stop(t)
		if n, _ := r.store.count(); n != 50 || len(r.store.events) != 50 {
			t.Errorf("%d returns and %d events are stored", n, len(r.store.events))
		}
		if tries > 2000 {
			t.Errorf("in ten minutes it was tried %d times", tries)
		}
		for n := range 50 {
			if tag := fmt.Sprintf("my/event/%d", n); r.store.written[tag] != 1 {
				t.Errorf("%s was written %d times", tag, r.store.written[tag])
			}
		}
	})
}

func TestAnArchiveThatFailsWithEveryReturnGetsMostOfThemWhenItIsMended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const sent, asideMost = 400, 16
		r := startSpilling(t, newCache(), func(o *ingest.Options) { o.BatchEvents = 50 })
		r.store.setBroken(true)
		for n := range sent {
			r.send(ret(n))
		}
		elapse(50 * time.Minute)
		if p := r.in.Problems(); len(p) == 0 {
			t.Error("nobody is told that the archive fails")
		}
		r.store.setBroken(false)
		elapse(time.Minute)
		r.stop(t)
		if n, _ := r.store.count(); n < sent-asideMost || len(r.store.events) > asideMost {
			t.Errorf("%d returns are stored, and %d events stand for some", n, len(r.store.events))
		}
	})
}
