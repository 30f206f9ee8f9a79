package ingest_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaea-salt/terraform-provider-gaea/internal/feed"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

func TestAJobdThatStartsWhileItsDatabaseIsAwayLosesNeitherWhatComesThenNorWhatItMissedBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.last = time.Now()
		elapse(10 * time.Minute)
		missed := ret(999)
		c := newCache(missed)
		elapse(10 * time.Minute)
		s.setFail(errAway)
		waiting := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 8<<20)
		r := startOn(t, s, c, func(o *ingest.Options) { o.Spill = waiting })
		if p := strings.Join(r.in.Problems(), "\n"); !strings.Contains(p, "does not answer") {
			t.Errorf("before anything has come the problems are %s", p)
		}
		r.connect()
		var sent []gaea.Return
		for n := range 50 {
			sent = append(sent, r.both(c, n))
			elapse(100 * time.Millisecond)
		}
		if d := r.metric(t, "gaea_ingest_spill_records"); d != 100 {
			t.Errorf("%v wait in the spill", d)
		}
		s.setFail(nil)
		elapse(time.Minute)
		if _, ok := s.stored(missed); !ok || r.metric(t, "gaea_ingest_recovered_returns_total") != 1 || s.openGaps() != 0 {
			t.Errorf("what was missed before the start: stored %v, %v fetched, %d gaps open", ok, r.metric(t, "gaea_ingest_recovered_returns_total"), s.openGaps())
		}
		if want := s.last.Add(-time.Minute); !c.since.Before(want) { // a day before it are jobs that may have gone on
			t.Errorf("the job cache was asked since %s, not since before %s", c.since, want)
		}
		first := slices.IndexFunc(s.log, func(line string) bool { return strings.HasPrefix(line, "return ") })
		if gap := slices.Index(s.log, "gap opened"); gap < 0 || gap > first {
			t.Errorf("the gap was not recorded before what came after it: %v", s.log)
		}
		s.log = slices.DeleteFunc(s.log, func(line string) bool { return line == "return "+missed.JID })
		r.wantOnce(t, sent)
		if p := r.in.Problems(); len(p) > 0 {
			t.Errorf("the problems are %q", p)
		}
		r.stop(t)
	})
}

func TestAJobdThatIsStoppedBeforeItsDatabaseCameLeavesAllToTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c := newStore(), newCache()
		s.setFail(errAway)
		var sent []gaea.Return
		waiting := openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 8<<20)
		for n := range 3 {
			r := startOn(t, s, c, func(o *ingest.Options) { o.Spill = waiting })
			r.connect()
			sent = append(sent, r.both(c, n))
			began := time.Now()
			r.stop(t)
			if took := time.Since(began); took > time.Second {
				t.Errorf("the stop took %s", took)
			}
		}
		s.setFail(nil)
		r := startOn(t, s, c, func(o *ingest.Options) { o.Spill = waiting })
		elapse(time.Minute)
		r.wantOnce(t, sent)
		r.stop(t)
	})
}

func TestADatabaseThatFailsOtherwiseAtTheStartIsAnError(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.setFail(gaea.Errorf(gaea.CodeInternal, "its tables are damaged"))
	in := ingest.New(ingest.Options{
		Master: "m", Bus: bus(make(chan gaea.BusMessage)), Cache: newCache(), Store: s, Hub: feed.NewHub(), Logger: slog.New(slog.DiscardHandler),
		Fingerprint: func(string, json.RawMessage) (string, bool) { return "", false }, Registry: prometheus.NewRegistry(),
	})
	if err := in.Start(t.Context()); gaea.CodeOf(err) != gaea.CodeInternal {
		t.Errorf("it starts: %v", err)
	}
	if err := in.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
