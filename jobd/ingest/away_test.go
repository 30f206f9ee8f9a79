package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest/spill"
)

var errAway = gaea.Errorf(gaea.CodeUnavailable, "the database does not answer")

// openSpill opens a spill that is closed at the end of the bubble.
func openSpill(t *testing.T, path string, most int64) *spill.Spill {
	t.Helper()
	s, err := spill.Open(t.Context(), spill.Options{Path: path, MaxBytes: most})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// startSpilling starts an ingest with a spill of its own, that is connected and has looked at the job cache.
func startSpilling(t *testing.T, c *cache, change func(*ingest.Options)) *rig {
	t.Helper()
	s := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 8<<20)
	r := start(t, c, func(o *ingest.Options) {
		o.Spill = s
		if change != nil {
			change(o)
		}
	})
	r.connect()
	elapse(time.Minute)
	return r
}

// both sends the n-th return and the n-th event, and adds the return to the cache, as the master does.
func (r *rig) both(c *cache, n int) gaea.Return {
	x := ret(n)
	c.add(x)
	r.send(x)
	r.other(n, 10)
	return x
}

// wantOnce wants returns and events of these numbers to be stored in their order, each once.
func (r *rig) wantOnce(t *testing.T, returns []gaea.Return) {
	t.Helper()
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	var order []string
	for _, line := range r.store.log {
		if jid, ok := strings.CutPrefix(line, "return "); ok {
			order = append(order, jid)
		}
	}
	var want, tags, wantTags []string
	for n, x := range returns {
		want = append(want, x.JID)
		wantTags = append(wantTags, fmt.Sprintf("my/event/%d", n))
	}
	for _, e := range r.store.events {
		tags = append(tags, e.Tag)
	}
	if !slices.Equal(order, want) {
		t.Errorf("of %d returns are stored, in this order: %v", len(want), order)
	}
	if !slices.Equal(tags, wantTags) {
		t.Errorf("of %d events are stored, in this order: %v", len(wantTags), tags)
	}
	for what, n := range r.store.written {
		if n != 1 {
			t.Errorf("%s was written %d times", what, n)
		}
	}
}

func TestWhatComesWhileTheDatabaseIsAwayIsForwardedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := startSpilling(t, c, nil)
		var sent []gaea.Return
		for n := range 300 {
			switch n {
			case 50:
				r.store.setFail(errAway)
			case 250:
				if d := r.metric(t, "gaea_ingest_spill_records"); d < 390 {
					t.Errorf("%v wait in the spill", d)
				}
				if p := strings.Join(r.in.Problems(), "\n"); !strings.Contains(p, "does not answer") || !strings.Contains(p, "spill.db") {
					t.Errorf("the problems are %s", p)
				}
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
		spilled, forwarded := r.metric(t, "gaea_ingest_spilled_records_total"), r.metric(t, "gaea_ingest_forwarded_records_total")
		if spilled < 400 || forwarded != spilled || r.metric(t, "gaea_ingest_spill_records") != 0 {
			t.Errorf("%v were spilled, and %v forwarded", spilled, forwarded)
		}
		r.stop(t)
	})
}

func TestADatabaseThatHangsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := startSpilling(t, c, nil)
		r.store.setHangs(true)
		var sent []gaea.Return
		for n := range 100 {
			sent = append(sent, r.both(c, n))
			elapse(100 * time.Millisecond)
		}
		elapse(2 * time.Second)
		if d := r.metric(t, "gaea_ingest_spill_records"); d != 200 { // the one that is on its way among them
			t.Errorf("%v wait in the spill", d)
		}
		r.store.setHangs(false)
		elapse(2 * time.Minute)
		r.wantOnce(t, sent)
		r.stop(t)
	})
}

func TestADatabaseThatIsSlowerThanTheBusHoldsUpNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := startSpilling(t, c, func(o *ingest.Options) { o.QueueBytes, o.BatchEvents = 8<<10, 10 })
		r.store.setSlow(3 * time.Second)
		var sent []gaea.Return
		for n := range 500 { // 20 a second, of which the store takes 3
			sent = append(sent, r.both(c, n))
			elapse(100 * time.Millisecond)
		}
		if r.metric(t, "gaea_ingest_let_go_total")+r.metric(t, "gaea_ingest_lost_events_total") > 0 {
			t.Error("the queue was full")
		}
		r.store.setSlow(0)
		elapse(time.Minute)
		r.wantOnce(t, sent)
		r.stop(t)
	})
}

func TestAJobdThatIsKilledWhileTheDatabaseIsAwayForwardsWhatItHadAtItsNextStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir, c := t.TempDir(), newCache()
		s := openSpill(t, filepath.Join(dir, "killed", "spill.db"), 8<<20)
		r := start(t, c, func(o *ingest.Options) { o.Spill = s })
		r.connect()
		elapse(time.Minute)
		r.store.setFail(errAway)
		var sent []gaea.Return
		for n := range 20 {
			sent = append(sent, r.both(c, n))
			elapse(100 * time.Millisecond)
		}
		// The disk as it is at the moment of the kill.
		if err := os.CopyFS(filepath.Join(dir, "next"), os.DirFS(filepath.Join(dir, "killed"))); err != nil {
			t.Fatal(err)
		}
		r.stop(t)
		again := openSpill(t, filepath.Join(dir, "next", "spill.db"), 8<<20)
		next := start(t, c, func(o *ingest.Options) { o.Spill = again })
		elapse(time.Minute)
		next.wantOnce(t, sent)
		next.stop(t)
	})
}

func TestAStopWhileTheDatabaseIsAwayEndsAtOnceAndLosesNothing(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*store){
		"failing": func(s *store) { s.setFail(errAway) },
		"hanging": func(s *store) { s.setHangs(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCache()
				s := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 8<<20)
				with := func(o *ingest.Options) { o.Spill = s }
				r := start(t, c, with)
				r.connect()
				elapse(time.Minute)
				away(r.store)
				var sent []gaea.Return
				for n := range 20 {
					sent = append(sent, r.both(c, n))
				}
				began := time.Now()
				r.stop(t)
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("it took %s", took)
				}
				r.store.setFail(nil)
				r.store.setHangs(false)
				next := startOn(t, r.store, c, with)
				elapse(time.Minute)
				next.wantOnce(t, sent)
				next.stop(t)
			})
		})
	}
}

func TestAReturnThatTheBusCutShortHoldsUpNoStopWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cut := ret(9)
		cut.Body = []byte(`"VALUE_TRIMMED"`)
		s := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 8<<20)
		with := func(o *ingest.Options) { o.Spill = s }
		c := newCache(ret(9))
		r := start(t, c, with)
		r.connect()
		elapse(time.Minute)
		cut.JID = ret(9).JID
		c.add(ret(9))
		r.store.setFail(errAway)
		r.send(cut)
		elapse(5 * time.Second)
		began := time.Now()
		r.stop(t)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
		r.store.setFail(nil)
		next := startOn(t, r.store, newCache(), with)
		elapse(time.Minute)
		if x, ok := r.store.stored(cut); !ok || string(x.Body) != "true" {
			t.Errorf("what is stored is %+v", x)
		}
		next.stop(t)
	})
}

func TestAFullSpillLetsGoWhatTheJobCacheHasAndFetchesItLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		s := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 200_000)
		r := start(t, c, func(o *ingest.Options) { o.Spill = s })
		r.connect()
		elapse(time.Minute)
		r.store.setFail(errAway)
		var sent []gaea.Return
		for n := range 500 {
			sent = append(sent, r.both(c, n))
			elapse(100 * time.Millisecond)
		}
		if r.metric(t, "gaea_ingest_let_go_total") == 0 || r.metric(t, "gaea_ingest_spill_bytes") > 200_000 {
			t.Fatal("the spill was not full")
		}
		if p := strings.Join(r.in.Problems(), "\n"); !strings.Contains(p, "a gap is on record") {
			t.Errorf("the problems are %s", p)
		}
		if r.metric(t, "gaea_ingest_open_gaps") == 0 {
			t.Error("no gap is open")
		}
		r.store.setFail(nil)
		elapse(2 * time.Minute)
		for _, x := range sent {
			if _, ok := r.store.stored(x); !ok {
				t.Errorf("the return of %s is missing", x.JID)
			}
		}
		if n := len(r.store.events); n != 500 {
			t.Errorf("of 500 events that are in no cache %d are stored", n)
		}
		if p := r.in.Problems(); len(p) > 0 || r.store.openGaps() > 0 || r.metric(t, "gaea_ingest_lost_events_total") > 0 {
			t.Errorf("the problems are %q, %d gaps are open", p, r.store.openGaps())
		}
		r.stop(t)
	})
}

func TestAGapOfAFullSpillIsRememberedWhenJobdDiesWhileItForwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		s := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 100_000)
		with := func(o *ingest.Options) { o.Spill, o.BatchEvents = s, 5 }
		r := start(t, c, with)
		r.connect()
		elapse(time.Minute)
		r.store.setFail(errAway)
		for n := range 300 {
			x := ret(n)
			c.add(x)
			r.send(x)
			elapse(50 * time.Millisecond)
		}
		r.store.setFail(nil)
		r.store.setSlow(time.Second)
		elapse(10 * time.Second)
		if n, _ := r.store.count(); n == 0 || r.store.openGaps() == 0 {
			t.Errorf("%d are forwarded, and %d gaps are on record", n, r.store.openGaps())
		}
		r.store.setSlow(0)
		r.stop(t)
	})
}

// On a full disk nothing of a job may go into the spill, from the first on.
func TestASpillThatLetsEverythingGoStillHasItFetchedLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		s := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 1000)
		r := start(t, c, func(o *ingest.Options) { o.Spill = s })
		r.connect()
		elapse(time.Minute)
		r.store.setFail(errAway)
		var sent []gaea.Return
		for n := range 20 {
			x := ret(n)
			x.Body = json.RawMessage(`"` + strings.Repeat("x", 2000) + `"`)
			c.add(x)
			r.send(x)
			sent = append(sent, x)
			elapse(10 * time.Second)
		}
		r.store.setFail(nil)
		elapse(2 * time.Minute)
		for _, x := range sent {
			if _, ok := r.store.stored(x); !ok {
				t.Errorf("the return of %s is missing", x.JID)
			}
		}
		if p := r.in.Problems(); len(p) > 0 || r.metric(t, "gaea_ingest_let_go_total") != 20 {
			t.Errorf("%v were let go, the problems are %q", r.metric(t, "gaea_ingest_let_go_total"), p)
		}
		r.stop(t)
	})
}

// broken is a spill whose disk may break.
type broken struct {
	*spill.Spill
	err atomic.Pointer[error]
}

func (b *broken) Add(ctx context.Context, rows []spill.Row) (spill.LetGo, error) {
	if err := b.err.Load(); err != nil {
		return spill.LetGo{}, *err
	}
	return b.Spill.Add(ctx, rows)
}

func TestWhereTheSpillTakesNothingEventsWaitInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		b := &broken{Spill: openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 8<<20)}
		r := startSpilling(t, c, func(o *ingest.Options) { o.Spill = b })
		r.store.setFail(errAway)
		var sent []gaea.Return
		for n := range 90 {
			switch n {
			case 30:
				full := errors.New("no space left on device")
				b.err.Store(&full)
			case 60:
				b.err.Store(nil)
			}
			sent = append(sent, r.both(c, n))
			elapse(100 * time.Millisecond)
		}
		if r.metric(t, "gaea_ingest_errors_total") == 0 {
			t.Error("no error is counted")
		}
		r.store.setFail(nil)
		elapse(time.Minute)
		r.wantOnce(t, sent)
		r.stop(t)
	})
}

func TestASpilledReturnIsStoredAsIfItHadNotBeenSpilled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		key := func(o *ingest.Options) {
			o.Fingerprint = func(string, json.RawMessage) (string, bool) { return "key", true }
		}
		direct, spilled := start(t, c, key), startSpilling(t, c, key)
		direct.connect()
		elapse(time.Minute)
		spilled.store.setFail(errAway)
		x := ret(1)
		x.Function = "state.apply"
		x.Args = json.RawMessage(`["nginx",{"__kwarg__":true,"test":true}]`)
		x.Body = json.RawMessage(`{"file_|-<a>_|-/etc/a & b_|-managed":{"result":false,"changes":{"n":1.50},"comment":"a <b>","__id__":"<a>","name":"/etc/a & b","__run_num__":0,"duration":1.25},` +
			`"file_|-b_|-b_|-managed":{"result":null,"changes":{},"comment":"","__id__":"b","name":"b","__run_num__":1}}`)
		for _, r := range []*rig{direct, spilled} {
			r.send(x)
			r.publish(x.JID, "web1", "web2")
			r.other(1, 10)
		}
		elapse(time.Second)
		spilled.store.setFail(nil)
		elapse(time.Minute)
		direct.stop(t)
		spilled.stop(t)
		for what, pair := range map[string][2]any{
			"returns": {direct.store.returns, spilled.store.returns}, "jobs": {fmt.Sprintf("%+v", direct.store.jobs), fmt.Sprintf("%+v", spilled.store.jobs)}, "events": {direct.store.events[0].Data, spilled.store.events[0].Data},
		} {
			if !reflect.DeepEqual(pair[0], pair[1]) {
				t.Errorf("the %s are\n%+v, not\n%+v", what, pair[1], pair[0])
			}
		}
	})
}

func TestNoSecretIsInTheSpill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := openSpill(t, filepath.Join(dir, "spill.db"), 8<<20)
		r := start(t, newCache(), func(o *ingest.Options) { o.Spill = s })
		r.store.setFail(errAway)
		x := ret(1)
		x.Args = json.RawMessage(`["nginx",{"__kwarg__":true,"pillar":{"k":"s3cret"}}]`)
		x.Body = json.RawMessage(`{"password":"s3cret","word":"inclear"}`)
		r.send(x)
		r.bus <- gaea.BusMessage{Event: &gaea.Event{Tag: "my/event", Data: json.RawMessage(`{"token":"s3cret"}`)}}
		elapse(time.Second)
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		var all []byte
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text...)
		}
		if !strings.Contains(string(all), "inclear") || strings.Contains(string(all), "s3cret") {
			t.Error("the return is not there, or its secrets are")
		}
		r.stop(t)
	})
}

func TestWhatIsInTheSpillIsNotFetchedFromTheJobCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := startSpilling(t, c, nil)
		r.store.setFail(errAway)
		var sent []gaea.Return
		for n := range 20 {
			sent = append(sent, r.both(c, n))
			elapse(100 * time.Millisecond)
		}
		r.disconnect()
		r.connect()
		elapse(10 * time.Second)
		r.store.setFail(nil)
		elapse(time.Minute)
		r.wantOnce(t, sent)
		if r.metric(t, "gaea_ingest_recovered_returns_total") > 0 || r.store.openGaps() > 0 {
			t.Errorf("%v were fetched, %d gaps are open", r.metric(t, "gaea_ingest_recovered_returns_total"), r.store.openGaps())
		}
		r.stop(t)
	})
}

// Whatever the database does, and whenever: all is stored, in order, once.
func TestNothingIsLostOrChangesPlacesWhateverTheDatabaseDoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dice := rand.New(rand.NewPCG(seed, 7))
				c := newCache()
				r := startSpilling(t, c, func(o *ingest.Options) { o.BatchEvents = 1 + dice.IntN(20) })
				var sent []gaea.Return
				for n := range 200 {
					switch dice.IntN(20) {
					case 0:
						r.store.setFail(errAway)
					case 1:
						r.store.setHangs(true)
					case 2:
						r.store.setSlow(time.Duration(dice.IntN(3000)) * time.Millisecond)
					case 3, 4, 5:
						r.store.setFail(nil)
						r.store.setHangs(false)
						r.store.setSlow(0)
					}
					sent = append(sent, r.both(c, n))
					elapse(time.Duration(dice.IntN(400)) * time.Millisecond)
				}
				r.store.setFail(nil)
				r.store.setHangs(false)
				r.store.setSlow(0)
				elapse(5 * time.Minute)
				r.wantOnce(t, sent)
				r.stop(t)
			})
		})
	}
}

func TestEventsThatComeTwiceOrInAnotherOrderAreStoredOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := startSpilling(t, c, nil)
		x := ret(1)
		c.add(x)
		for _, away := range []error{nil, errAway, nil} { // before its publication, and again
			r.store.setFail(away)
			r.send(x)
			r.publish(x.JID, "web1")
			r.send(x)
			elapse(time.Second)
		}
		elapse(time.Minute)
		job, err := r.store.Job(t.Context(), x.JID)
		if n, _ := r.store.count(); n != 1 || err != nil || !job.Known || len(job.Returns) != 1 {
			t.Errorf("%d returns are stored, of the job %+v (%v)", n, job, err)
		}
		r.stop(t)
	})
}

func TestAClockThatIsSetBackWhileTheDatabaseIsAwayLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		var set atomic.Int64 // by how much the clock of the machine is off
		now := func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
		s := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 30_000)
		r := start(t, c, func(o *ingest.Options) { o.Spill, o.Now = s, now })
		r.connect()
		elapse(time.Minute)
		began := now().Add(-2 * time.Hour)
		for n := range 120 {
			switch n {
			case 30:
				r.store.setFail(errAway)
			case 60:
				set.Store(-int64(time.Hour))
			}
			x := ret(n)
			x.Stamp = now().UTC() // the master is on the same machine
			c.add(x)
			r.publish(x.JID, x.Minion)
			r.send(x)
			elapse(time.Second)
		}
		if r.metric(t, "gaea_ingest_let_go_total") == 0 {
			t.Error("the spill was not full")
		}
		r.store.setFail(nil)
		elapse(2 * time.Minute)
		report, err := r.in.Verify(t.Context(), gaea.VerifyRequest{Since: began})
		if err != nil || report.Jobs != 120 || len(report.Differences) > 0 || report.Beyond > 0 || report.Recovering {
			t.Errorf("the report is %+v (%v)", report, err)
		}
		r.stop(t)
	})
}
