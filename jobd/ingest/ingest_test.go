package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bus is a bus whose messages the test sends.
type bus chan gaea.BusMessage

func (b bus) Read(ctx context.Context, sink func(gaea.BusMessage)) error {
	for {
		select {
		case m := <-b:
			sink(m)
		case <-ctx.Done():
			return nil
		}
	}
}

// cache is a job cache of one return a job.
type cache map[string]*gaea.CachedJob

func (c cache) CachedJob(_ context.Context, jid string) (*gaea.CachedJob, error) {
	if j, ok := c[jid]; ok {
		return j, nil
	}
	return nil, gaea.Errorf(gaea.CodeNotFound, "no job %s", jid)
}

func (c cache) CachedJIDs(context.Context, time.Time) ([]string, error) {
	var jids []string
	for jid := range c {
		jids = append(jids, jid)
	}
	return jids, nil
}

// store keeps what is written and fails as long as it is told to.
type store struct {
	mu      sync.Mutex
	fail    error
	refuse  string // a minion whose returns are invalid
	jobs    map[string]gaea.Job
	returns map[string]gaea.Return
	events  []gaea.Event
	writes  int
	gaps    map[int64]time.Time
}

func newStore() *store {
	return &store{jobs: map[string]gaea.Job{}, returns: map[string]gaea.Return{}, gaps: map[int64]time.Time{}}
}

func (s *store) Write(_ context.Context, jobs []gaea.Job, returns []gaea.Return, events []gaea.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	for _, r := range returns {
		if s.refuse != "" && r.Minion == s.refuse {
			return gaea.Invalid("minion", "refused")
		}
	}
	s.writes++
	for _, j := range jobs {
		s.jobs[j.JID] = j
	}
	for _, r := range returns {
		s.returns[r.JID+"/"+r.Minion] = r
	}
	s.events = append(s.events, events...)
	return nil
}

func (s *store) Job(_ context.Context, jid string) (*gaea.JobDetail, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &gaea.JobDetail{Returns: map[string]gaea.ReturnHead{}}
	j, known := s.jobs[jid]
	d.Job, d.Known = j, known
	for _, r := range s.returns {
		if r.JID == jid {
			d.Returns[r.Minion] = gaea.ReturnHead{Outcome: r.Outcome}
		}
	}
	if !known && len(d.Returns) == 0 {
		return nil, gaea.Errorf(gaea.CodeNotFound, "no job %s", jid)
	}
	return d, nil
}

func (s *store) LastStamp(context.Context) (time.Time, error) { return time.Time{}, nil }

func (s *store) OpenGap(_ context.Context, from time.Time) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := int64(len(s.gaps) + 1)
	s.gaps[id] = from
	return id, nil
}

func (s *store) CloseGap(_ context.Context, id int64, _ time.Time, _ int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.gaps, id)
	return nil
}

func (s *store) OpenGaps(context.Context) (map[int64]time.Time, error) { return nil, nil }

func (s *store) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *store) count() (returns, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.returns), s.writes
}

type rig struct {
	bus   bus
	store *store
	hub   *ingest.Hub
	in    *ingest.Ingester
}

func start(t *testing.T, c cache, change func(*ingest.Options)) *rig {
	t.Helper()
	r := &rig{bus: bus(make(chan gaea.BusMessage)), store: newStore(), hub: ingest.NewHub()}
	o := ingest.Options{
		Master: "m", Bus: r.bus, Cache: c, Store: r.store, Hub: r.hub,
		Fingerprint: func(string, json.RawMessage) (string, bool) { return "", false },
		Registry:    prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	r.in = ingest.New(o)
	if err := r.in.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.in.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func ret(n int) gaea.Return {
	return gaea.Return{
		JID: fmt.Sprintf("2026112300000000%04d", n), Minion: "web1", Function: "test.ping", Outcome: gaea.OutcomeSucceeded,
		Body: json.RawMessage("true"), Stamp: time.Now(),
	}
}

// send puts a return on the bus as Salt does.
func (r *rig) send(x gaea.Return) {
	args := x.Args
	if args == nil {
		args = json.RawMessage("[]")
	}
	data, _ := json.Marshal(map[string]any{
		"cmd": "_return", "jid": x.JID, "id": x.Minion, "fun": x.Function, "fun_args": args, "return": x.Body, "retcode": 0, "success": true,
	})
	r.bus <- gaea.BusMessage{Event: &gaea.Event{Tag: "salt/job/" + x.JID + "/ret/" + x.Minion, Stamp: x.Stamp, Data: data}}
}

func TestEveryReturnIsStoredBeforeStopReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, cache{}, nil)
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
		r := start(t, cache{}, nil)
		r.bus <- gaea.BusMessage{Connected: true}
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

func TestWhatAFullQueueLetsGoIsFetchedFromTheJobCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache{}
		for n := range 100 {
			x := ret(n)
			c[x.JID] = &gaea.CachedJob{Job: gaea.Job{JID: x.JID, Function: x.Function, Minions: []string{"web1"}}, Returns: []gaea.Return{x}}
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

func TestAfterALostConnectionWhatWasMissedIsFetchedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missed := ret(7)
		c := cache{missed.JID: {Job: gaea.Job{JID: missed.JID, Function: "test.ping", Minions: []string{"web1"}}, Returns: []gaea.Return{missed}}}
		r := start(t, c, nil)
		r.bus <- gaea.BusMessage{Err: errors.New("gone")}
		if p := r.in.Problems(); len(p) != 1 {
			t.Errorf("a lost bus is not told: %q", p)
		}
		r.bus <- gaea.BusMessage{Connected: true}
		elapse(time.Minute)
		r.store.mu.Lock()
		got, ok := r.store.returns[missed.JID+"/web1"]
		open := len(r.store.gaps)
		r.store.mu.Unlock()
		if !ok || got.Source != gaea.SourceCache || open != 0 {
			t.Errorf("stored: %v from %q, %d gaps open", ok, got.Source, open)
		}
		r.stop(t)
	})
}

func TestARecordThatTheArchiveRefusesTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, cache{}, nil)
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

func TestSecretsAreGoneBeforeTheStoreSeesThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, cache{}, nil)
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

func TestAReturnThatTheMasterCutShortIsStoredWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		whole := ret(5)
		whole.Body = json.RawMessage(`"all of it"`)
		c := cache{whole.JID: {Job: gaea.Job{JID: whole.JID, Function: "test.ping", Minions: []string{"web1"}}, Returns: []gaea.Return{whole}}}
		r := start(t, c, nil)
		cut := whole
		cut.Body = json.RawMessage(`"VALUE_TRIMMED"`)
		r.send(cut)
		gone := ret(6) // in no cache: kept as it came
		gone.Body = json.RawMessage(`"VALUE_TRIMMED"`)
		r.send(gone)
		elapse(time.Minute)
		r.stop(t)
		if got := string(r.store.returns[whole.JID+"/web1"].Body); got != `"all of it"` {
			t.Errorf("stored %s", got)
		}
		if got := string(r.store.returns[gone.JID+"/web1"].Body); got != `"VALUE_TRIMMED"` {
			t.Errorf("stored %s", got)
		}
	})
}

func TestAFollowerGetsItsJobsReturnsAfterTheyWereStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, cache{}, nil)
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
	hub := ingest.NewHub()
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

// elapse lets the bubble's own time pass; nothing waits for real.
func elapse(d time.Duration) { <-time.NewTimer(d).C }
