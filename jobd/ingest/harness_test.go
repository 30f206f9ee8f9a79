package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaea-salt/terraform-provider-gaea/internal/feed"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

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

// cache is a job cache. Jobs are added by the test.
type cache struct {
	mu     sync.Mutex
	jobs   map[string]*gaea.CachedJob
	active map[string]time.Time // when a job's last return came; its Started where absent
	fail   map[string]error     // by jid, beside the job where there is one; "" for the list
	asked  map[string]int       // how often, by jid; "" for the list
	since  time.Time            // the earliest time from which jobs were asked for
}

func newCache(returns ...gaea.Return) *cache {
	c := &cache{jobs: map[string]*gaea.CachedJob{}, active: map[string]time.Time{}, fail: map[string]error{}, asked: map[string]int{}}
	c.since = time.Now().Add(time.Hour)
	c.add(returns...)
	return c
}

// add adds returns with their jobs, which expect those that returned.
func (c *cache) add(returns ...gaea.Return) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range returns {
		j := c.jobs[r.JID]
		if j == nil {
			j = &gaea.CachedJob{Job: gaea.Job{JID: r.JID, Function: r.Function, Known: true, Started: r.Stamp}}
			c.jobs[r.JID] = j
		}
		j.Job.Minions = append(j.Job.Minions, r.Minion)
		slices.Sort(j.Job.Minions)
		j.Returns = append(j.Returns, r)
		c.active[r.JID] = r.Stamp
	}
}

func (c *cache) CachedJob(_ context.Context, jid string) (*gaea.CachedJob, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[jid]++
	j, ok := c.jobs[jid]
	switch err := c.fail[jid]; {
	case err != nil && !ok:
		return nil, err
	case !ok:
		return nil, gaea.Errorf(gaea.CodeNotFound, "no job %s", jid)
	default:
		copied := *j
		copied.Returns = slices.Clone(j.Returns)
		return &copied, err
	}
}

// CachedJobParts tells one return at a time.
func (c *cache) CachedJobParts(ctx context.Context, jid string, part func(*gaea.CachedJob) error) error {
	whole, err := c.CachedJob(ctx, jid)
	if whole == nil {
		return err
	}
	one := *whole
	for n := range max(len(whole.Returns), 1) {
		one.Returns = whole.Returns[min(n, len(whole.Returns)):min(n+1, len(whole.Returns))]
		if err := part(&one); err != nil {
			return err
		}
	}
	return err
}

func (c *cache) CachedJIDs(_ context.Context, since time.Time) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[""]++
	if err := c.fail[""]; err != nil {
		return nil, err
	}
	c.since = earliest(c.since, since)
	var jids []string
	for jid, j := range c.jobs {
		if !j.Job.Started.Before(since) || !c.active[jid].Before(since) {
			jids = append(jids, jid)
		}
	}
	slices.Sort(jids)
	return jids, nil
}

func (c *cache) setFail(jid string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail[jid] = err
}

func (c *cache) count(jid string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[jid]
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// store keeps what is written and fails as long as it is told to. It outlives the jobd that writes to it.
type store struct {
	mu      sync.Mutex
	fail    error
	refuse  string         // a minion whose returns are invalid
	broken  bool           // a transaction with returns fails for no known reason
	breaks  string         // a minion with whose returns, or a tag with whose events, a transaction fails for no known reason
	slow    time.Duration  // how long one transaction takes
	hangs   bool           // no transaction ends before its context
	written map[string]int // how often each return and event was taken
	jobs    map[string]gaea.Job
	parents map[string]string      // by job id
	returns map[string]gaea.Return // by job id and minion
	minions map[string][]string    // who returned, by job id
	events  []gaea.Event
	writes  int
	tries   int
	gaps    map[int64]time.Time // open ones
	opened  int64
	last    time.Time
	log     []string // what was done, in order
}

func newStore() *store {
	return &store{jobs: map[string]gaea.Job{}, parents: map[string]string{}, returns: map[string]gaea.Return{}, minions: map[string][]string{}, gaps: map[int64]time.Time{}, written: map[string]int{}}
}

func (s *store) Write(ctx context.Context, jobs []gaea.Job, returns []gaea.Return, events []gaea.Event) error {
	s.mu.Lock()
	slow, hangs := s.slow, s.hangs
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	elapse(slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.fail != nil {
		return s.fail
	}
	for _, r := range returns {
		if s.refuse != "" && r.Minion == s.refuse {
			return gaea.Invalid("minion", "refused")
		}
	}
	if s.broken && len(returns) > 0 || s.breaks != "" && s.breaksWith(returns, events) {
		return errors.New("it does not work")
	}
	s.writes++
	for _, j := range jobs {
		if j.Parent != "" {
			s.parents[j.JID] = j.Parent
		}
		old, ok := s.jobs[j.JID]
		if j.Function == "" && j.Batch == nil {
			continue // it only says whose child it is
		}
		if ok {
			j.Batch = old.Batch.Merge(j.Batch)
			j.Minions = slices.Compact(slices.Sorted(slices.Values(slices.Concat(old.Minions, j.Minions))))
		}
		s.jobs[j.JID] = j
	}
	for _, r := range returns {
		s.put(r)
		s.log = append(s.log, "return "+r.JID)
		s.written[r.JID]++
	}
	for _, e := range events {
		s.written[e.Tag]++
	}
	s.events = append(s.events, events...)
	return nil
}

// breaksWith says whether something is in a transaction that makes it fail.
func (s *store) breaksWith(returns []gaea.Return, events []gaea.Event) bool {
	return slices.ContainsFunc(returns, func(r gaea.Return) bool { return r.Minion == s.breaks }) ||
		slices.ContainsFunc(events, func(e gaea.Event) bool { return e.Tag == s.breaks })
}

func (s *store) put(r gaea.Return) {
	if _, ok := s.returns[r.JID+"/"+r.Minion]; !ok {
		s.returns[r.JID+"/"+r.Minion] = r
		s.minions[r.JID] = append(s.minions[r.JID], r.Minion)
	}
}

func (s *store) Job(_ context.Context, jid string) (*gaea.JobDetail, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &gaea.JobDetail{Returns: map[string]gaea.ReturnHead{}}
	j, known := s.jobs[jid]
	d.Job, d.Known = j, known
	for _, m := range j.Minions {
		d.Returns[m] = gaea.ReturnHead{Outcome: gaea.OutcomePending}
	}
	for _, m := range s.minions[jid] {
		d.Returns[m] = gaea.ReturnHead{Outcome: s.returns[jid+"/"+m].Outcome}
	}
	if !known && len(d.Returns) == 0 {
		return nil, gaea.Errorf(gaea.CodeNotFound, "no job %s", jid)
	}
	return d, nil
}

func (s *store) Return(_ context.Context, jid, minion string) (*gaea.Return, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.returns[jid+"/"+minion]
	if !ok {
		return nil, gaea.Errorf(gaea.CodeNotFound, "no return of %s for job %s", minion, jid)
	}
	return &r, nil
}

func (s *store) LastStamp(context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.fail
}

func (s *store) OpenGap(_ context.Context, from time.Time) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return 0, s.fail
	}
	s.opened++
	s.gaps[s.opened] = from
	s.log = append(s.log, "gap opened")
	return s.opened, nil
}

func (s *store) CloseGap(_ context.Context, id int64, _ time.Time, _ int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.gaps, id)
	s.log = append(s.log, "gap closed")
	return nil
}

func (s *store) OpenGaps(context.Context) (map[int64]time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.gaps), nil
}

func (s *store) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *store) setBreaks(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaks = what
}

func (s *store) setBroken(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

func (s *store) setHangs(hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs = hangs
}

func (s *store) setSlow(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow = d
}

func (s *store) count() (returns, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.returns), s.writes
}

func (s *store) openGaps() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.gaps)
}

func (s *store) stored(r gaea.Return) (gaea.Return, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	got, ok := s.returns[r.JID+"/"+r.Minion]
	return got, ok
}

type rig struct {
	bus      bus
	store    *store
	hub      *feed.Hub
	in       *ingest.Ingester
	registry *prometheus.Registry
}

func start(t *testing.T, c *cache, change func(*ingest.Options)) *rig {
	t.Helper()
	return startOn(t, newStore(), c, change)
}

// startOn starts an ingest on a store that others have used before.
func startOn(t *testing.T, s *store, c *cache, change func(*ingest.Options)) *rig {
	t.Helper()
	r := &rig{bus: bus(make(chan gaea.BusMessage)), store: s, hub: feed.NewHub(), registry: prometheus.NewRegistry()}
	o := ingest.Options{
		Master: "m", Bus: r.bus, Cache: c, Store: r.store, Hub: r.hub,
		Fingerprint: func(string, json.RawMessage) (string, bool) { return "", false },
		Registry:    r.registry, Logger: slog.New(slog.DiscardHandler),
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
	if err := r.stopWithin(time.Minute); err != nil {
		t.Error(err)
	}
}

func (r *rig) stopWithin(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return r.in.Stop(ctx)
}

func (r *rig) connect() { r.bus <- gaea.BusMessage{Connected: true} }

func (r *rig) disconnect() { r.bus <- gaea.BusMessage{Err: errors.New("gone")} }

// ret is a return of now, of the n-th job.
func ret(n int) gaea.Return {
	now := time.Now().UTC()
	return gaea.Return{
		JID: now.Format("20060102150405") + fmt.Sprintf("%06d", n), Minion: "web1", Function: "test.ping", Outcome: gaea.OutcomeSucceeded,
		Body: json.RawMessage("true"), Stamp: now,
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

// publish puts a publication on the bus as Salt does.
func (r *rig) publish(jid string, minions ...string) {
	data, _ := json.Marshal(map[string]any{
		"jid": jid, "fun": "test.ping", "arg": []any{}, "tgt": "*", "tgt_type": "glob", "user": "root", "minions": minions, "missing": []string{},
	})
	r.bus <- gaea.BusMessage{Event: &gaea.Event{Tag: "salt/job/" + jid + "/new", Stamp: time.Now(), Data: data}}
}

// other puts an event on the bus that is in no cache.
func (r *rig) other(n, size int) {
	data, _ := json.Marshal(map[string]any{"fill": string(slices.Repeat([]byte("x"), size)), "n": n})
	r.bus <- gaea.BusMessage{Event: &gaea.Event{Tag: fmt.Sprintf("my/event/%d", n), Stamp: time.Now(), Data: data}}
}

// metric is the value of a counter or gauge, or the count of a histogram, summed over its labels.
func (r *rig) metric(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// elapse lets the bubble's own time pass; nothing waits for real.
func elapse(d time.Duration) {
	if d > 0 {
		<-time.NewTimer(d).C
	}
}
