// Package ingest brings a master's event bus into the archive: it reads, decodes, redacts and stores in batches, drops
// nothing, and hands stored returns to whoever waits for them. When the bus was away it fetches what was missed from the
// master's job cache.
package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaea-salt/terraform-provider-gaea/internal/feed"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/noise"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// Store is what ingest needs of the archive, for one master.
type Store interface {
	// Write stores all or nothing. Writing the same again changes nothing.
	Write(ctx context.Context, jobs []gaea.Job, returns []gaea.Return, events []gaea.Event) error
	// Job returns a stored job with its returns. CodeNotFound.
	Job(ctx context.Context, jid string) (*gaea.JobDetail, error)
	// Return returns one stored return whole. CodeNotFound.
	Return(ctx context.Context, jid, minion string) (*gaea.Return, error)
	// LastStamp is the newest stamp stored; zero in an empty archive.
	LastStamp(ctx context.Context) (time.Time, error)
	// OpenGap records that events from a time on may be missing, CloseGap that they no longer are.
	OpenGap(ctx context.Context, from time.Time) (int64, error)
	CloseGap(ctx context.Context, id int64, until time.Time, recovered int) error
	// OpenGaps returns the gaps that were not closed: id to its start.
	OpenGaps(ctx context.Context) (map[int64]time.Time, error)
}

// JobCache is what ingest needs of the master's job cache.
type JobCache interface {
	// CachedJIDs returns the ids of the jobs from a time on, oldest first.
	CachedJIDs(ctx context.Context, since time.Time) ([]string, error)
	// CachedJobParts calls part with one job and some of its returns, so often that all are told and never too many held; an error of
	// part ends it. CodeNotFound where the cache has no such job; an error after a part says that not all of it could be told.
	CachedJobParts(ctx context.Context, jid string, part func(*gaea.CachedJob) error) error
}

// Fingerprint gives a state run's key and whether it is a test run; an empty key for what is no evidence.
type Fingerprint func(function string, args json.RawMessage) (key string, test bool)

// Options say what to ingest from and to.
type Options struct {
	Master      string // the master's name in the archive
	MasterID    string // the master's own id, which Salt gives as the minion of runners; empty means Master
	Bus         gaea.Bus
	Cache       JobCache
	Store       Store
	Hub         *feed.Hub
	Fingerprint Fingerprint
	OnStored    func([]gaea.Return) // called after the hub, from the writer; must not block; may be nil
	Keys        KeyWatcher          // told from the reader; may be nil
	Registry    prometheus.Registerer
	Logger      *slog.Logger
	Now         gaea.Clock

	Keep time.Duration // older jobs are not fetched from the job cache: the archive does not keep them; 0 means all
	// Horizon is before when the archive has deleted jobs; nil where it never does.
	Horizon      func(ctx context.Context) (time.Time, error)
	MaxReturn    int           // bytes of a return's body that is stored; 0 means saltclient.DefaultMaxReturn
	QueueBytes   int           // bound of the queue; 0 means 64 MiB
	ReserveBytes int           // on top, for events that no cache has; 0 means 16 MiB
	BatchEvents  int           // events in one transaction at most; 0 means 500
	BatchBytes   int           // bytes of them at most, but for one that is larger; 0 means 8 MiB
	Linger       time.Duration // how long a busy bus may fill a batch; 0 means 50 ms
	Settle       time.Duration // how long after a reconnection the cache is looked at a second time; 0 means 5 s

	Spill        Spill         // where events wait while the archive is away; nil: in the queue alone
	SpillAfter   time.Duration // how long one write may take before nothing waits for it any more; 0 means 1 s
	WriteTimeout time.Duration // after which a write is given up and tried again; 0 means 1 min
}

// Ingester is a running ingest. Start it once, stop it once.
type Ingester struct {
	o       Options
	queue   *queue
	metrics *metrics
	missing *missing
	trimmed *trimmed // returns that the master cut short; the job cache has them whole
	origin  origin

	connected atomic.Bool
	looking   atomic.Bool   // for what is missing
	verifying chan struct{} // holds one value while the archive is verified
	overflow  overflow
	doubts    doubts
	suspicion noise.Gate
	failing   atomic.Pointer[error]     // the store's last error while it fails
	behind    atomic.Pointer[time.Time] // since when events wait in the spill; nil while none do

	stopRead  context.CancelFunc
	stopWrite context.CancelFunc
	reading   sync.WaitGroup
	writing   sync.WaitGroup
	ending    sync.Once
	drain     chan struct{} // closed when nothing more comes: the writer empties the queue and ends
}

// overflow is what a full queue or spill could not keep since it has become full.
type overflow struct {
	on    atomic.Bool
	gap   atomic.Bool  // the gap that it made is not closed
	later atomic.Bool  // a look at the job cache waits until the spill is empty
	letGo atomic.Int64 // the job cache has them
	lost  atomic.Int64 // nobody has them
}

// New prepares an ingest.
func New(o Options) *Ingester {
	o.MaxReturn = orDefault(o.MaxReturn, saltclient.DefaultMaxReturn)
	o.QueueBytes = orDefault(o.QueueBytes, 64<<20)
	o.ReserveBytes = orDefault(o.ReserveBytes, 16<<20)
	o.BatchEvents = orDefault(o.BatchEvents, 500)
	o.BatchBytes = orDefault(o.BatchBytes, 8<<20)
	o.Linger = orDefault(o.Linger, 50*time.Millisecond)
	o.Settle = orDefault(o.Settle, 5*time.Second)
	o.SpillAfter = orDefault(o.SpillAfter, time.Second)
	o.WriteTimeout = orDefault(o.WriteTimeout, time.Minute)
	o.MasterID = cmp.Or(o.MasterID, o.Master)
	if o.Now == nil {
		o.Now = time.Now
	}
	i := &Ingester{
		o: o, queue: newQueue(o.QueueBytes, o.ReserveBytes, bounds{events: o.BatchEvents, bytes: o.BatchBytes}), missing: newMissing(), trimmed: newTrimmed(), drain: make(chan struct{}),
		verifying: make(chan struct{}, 1),
	}
	i.metrics = newMetrics(o.Registry, i)
	return i
}

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Start begins to read, also where the archive is away: events wait for it then, as they do in an outage later. It returns at once;
// what goes wrong later is logged, counted and told by [Ingester.Problems].
func (i *Ingester) Start(ctx context.Context) error {
	from, err := i.lastSeen(ctx)
	switch {
	case err == nil:
		i.origin.from.Store(&from)
		if i.depth().Records > 0 {
			i.noteGap(from) // on record before what waits is stored, after which nothing shows any more since when events are missing
		}
	case gaea.CodeOf(err) == gaea.CodeUnavailable:
		i.took(err)
	default:
		return err
	}
	readCtx, stopRead := context.WithCancel(context.WithoutCancel(ctx))
	writeCtx, stopWrite := context.WithCancel(context.WithoutCancel(ctx))
	i.stopRead, i.stopWrite = stopRead, stopWrite
	i.reading.Go(func() { i.read(readCtx) })
	i.reading.Go(func() { i.recoverGaps(readCtx) })
	i.reading.Go(func() { i.completeReturns(readCtx, writeCtx) })
	i.writing.Go(func() { i.write(writeCtx) })
	return nil
}

// Stop stops reading, stores what was read, and returns when all is stored or in the spill, or ctx ends. The next start forwards
// what is in the spill. Of what is left in the queue it fetches jobs and returns from the job cache; the error says how many
// other events are lost.
func (i *Ingester) Stop(ctx context.Context) error {
	if i.stopRead == nil {
		return nil
	}
	giveUp := context.AfterFunc(ctx, i.stopWrite)
	defer giveUp()
	i.stopRead()
	i.reading.Wait()
	i.ending.Do(func() { close(i.drain) })
	i.writing.Wait()
	i.stopWrite()
	i.o.Hub.Close()
	return i.leftOver()
}

// leftOver is an error where the queue could not be emptied.
func (i *Ingester) leftOver() error {
	left := i.queue.take(math.MaxInt, math.MaxInt)
	if len(left) == 0 {
		return nil
	}
	others := 0
	for k := range left {
		if !inCache(&left[k]) {
			others++
		}
	}
	return gaea.Errorf(gaea.CodeTimeout, "the archive did not take the last %d events in time; the next start fetches the jobs and returns among them from the job cache, and %d other events are lost", len(left), others)
}

// Problems says in sentences why the ingest is not ready; nothing while all is well.
func (i *Ingester) Problems() []string {
	var p []string
	if !i.connected.Load() {
		p = append(p, "the master's event bus is not connected")
	}
	if err := i.failing.Load(); err != nil {
		p = append(p, "the archive does not take events: "+gaea.MessageOf(*err))
	}
	return append(p, i.backlog()...)
}

// Connected says whether the master's event bus is being read.
func (i *Ingester) Connected() bool { return i.connected.Load() }

// openGaps is how many gaps are known and not closed yet.
func (i *Ingester) openGaps() (n int) {
	if i.missing.open() {
		n++
	}
	if i.looking.Load() {
		n++
	}
	return n
}

func (i *Ingester) read(ctx context.Context) {
	log := i.o.Logger
	var from *time.Time // since when events may be missing where the bus was connected before
	var heard time.Time // when the last sign of life came on this connection, or the one before
	err := i.o.Bus.Read(ctx, func(m gaea.BusMessage) {
		switch {
		case m.Event != nil:
			if m.Event.Stamp.After(heard) {
				heard = m.Event.Stamp
			}
			i.watchKeys(*m.Event)
			i.take(*m.Event)
		case m.Connected:
			i.keysUnknown() // while the bus was away, if not since
			i.connected.Store(true)
			i.metrics.connected.Set(1)
			since := cmp.Or(from, i.origin.from.Load())
			log.Info("connected to the master's event bus; fetching what was missed from its job cache", "since", sinceLast(since))
			if since != nil { // else it is noted when the archive tells it
				i.noteGap(*since)
			}
			i.lookSoon()
			heard = i.o.Now()
		case m.PassedOver:
			// The job cache may know what it told. Nobody is waited for: what is looked up now comes twice at most.
			i.metrics.passedOver.Inc()
			i.keysUnknown()
			i.noteGap(earlier(heard, i.o.Now()).Add(-gapMargin))
			i.missing.look()
		case m.Err != nil:
			i.keysUnknown()
			if i.connected.Swap(false) {
				// The link may have been dead for longer than it shows, for example where the whole machine slept.
				broke := earlier(heard, i.o.Now()).Add(-gapMargin)
				from = &broke
			}
			i.metrics.connected.Set(0)
			i.metrics.errors.WithLabelValues("bus").Inc()
			log.Warn("the master's event bus is not connected; trying again", "error", m.Err)
		}
	})
	if ctx.Err() == nil {
		i.connected.Store(false)
		i.metrics.connected.Set(0)
		log.Error("reading the event bus has ended; restart jobd", "error", err)
	}
}

// sinceWhen is a time for the log.
func sinceWhen(t time.Time) string {
	if t.IsZero() {
		return "ever"
	}
	return t.UTC().Format(time.RFC3339)
}

// sinceLast is a time for the log that may not be known yet.
func sinceLast(t *time.Time) string {
	if t == nil {
		return "the last event in the archive"
	}
	return sinceWhen(*t)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// isJob says whether an event is of a job, and so told by the job cache too if it is what its tag says.
func isJob(tag string) bool { return strings.HasPrefix(tag, "salt/job/") }

// inCache says whether the job cache also has what an event tells. A minion may give an event of its own any tag.
func inCache(e *gaea.Event) bool {
	if !isJob(e.Tag) {
		return false
	}
	d := saltclient.Decode(*e)
	return d.Job != nil || d.Publication != nil || d.Return != nil
}

// take is called for each event and must not wait.
func (i *Ingester) take(e gaea.Event) {
	switch i.queue.put(e) {
	case letGo:
		i.metrics.letGo.Inc()
		i.overflow.letGo.Add(1)
		// Each time: what was noted before may be being looked at already. The look itself comes when the queue has room.
		i.noteGap(earlier(e.Stamp, i.o.Now()).Add(-gapMargin))
	case lost:
		i.metrics.lost.Inc()
		i.overflow.lost.Add(1)
	case kept:
		return
	}
	i.overflows("the queue in memory")
}

// overflows notes that something had no room, and says so once.
func (i *Ingester) overflows(full string) {
	i.overflow.gap.Store(true)
	if i.overflow.on.CompareAndSwap(false, true) {
		i.o.Logger.Error("there is no room for all that waits for the archive; returns are left to be fetched from the job cache. Bring the database back, or make room: disk, --spill-max, --queue",
			"full", full, "spill", i.place())
	}
}

// lookSoon has what is missing fetched from the job cache, once the spill is empty: what is in there is not missing.
func (i *Ingester) lookSoon() {
	i.overflow.later.Store(true)
	if i.depth().Records == 0 && i.overflow.later.Swap(false) {
		i.missing.look()
	}
}

// relax has what a full queue or spill let go fetched, once there is room again.
func (i *Ingester) relax() {
	if i.depth().Records > 0 {
		return
	}
	if i.overflow.later.Swap(false) {
		i.missing.look()
	}
	if _, bytes := i.queue.depth(); bytes >= i.o.QueueBytes/2 || !i.overflow.on.Swap(false) {
		return
	}
	letGo, lost := i.overflow.letGo.Swap(0), i.overflow.lost.Swap(0)
	i.missing.look()
	if lost > 0 {
		i.o.Logger.Error("there is room again; events that are in no cache are lost", "lost", lost, "fetched_from_job_cache", letGo)
		return
	}
	i.o.Logger.Warn("there is room again; what was let go is fetched from the job cache", "events", letGo)
}
