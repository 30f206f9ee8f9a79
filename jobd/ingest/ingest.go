// Package ingest brings a master's event bus into the archive: it reads, decodes, redacts and stores in batches, drops
// nothing, and hands stored returns to whoever waits for them. When the bus was away it fetches what was missed from the
// master's job cache.
package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Store is what ingest needs of the archive, for one master.
type Store interface {
	// Write stores all or nothing. Writing the same again changes nothing.
	Write(ctx context.Context, jobs []gaea.Job, returns []gaea.Return, events []gaea.Event) error
	// Job returns a stored job with its returns. CodeNotFound.
	Job(ctx context.Context, jid string) (*gaea.JobDetail, error)
	// LastStamp is the newest stamp stored; zero in an empty archive.
	LastStamp(ctx context.Context) (time.Time, error)
	// OpenGap records that events from a time on may be missing, CloseGap that they no longer are.
	OpenGap(ctx context.Context, from time.Time) (int64, error)
	CloseGap(ctx context.Context, id int64, until time.Time, recovered int) error
	// OpenGaps returns the gaps that were not closed: id to its start.
	OpenGaps(ctx context.Context) (map[int64]time.Time, error)
}

// Fingerprint gives a state run's key and whether it is a test run; an empty key for what is no evidence.
type Fingerprint func(function string, args json.RawMessage) (key string, test bool)

// Options say what to ingest from and to.
type Options struct {
	Master      string // the master's name in the archive
	Bus         gaea.Bus
	Cache       gaea.JobCache
	Store       Store
	Hub         *Hub
	Fingerprint Fingerprint
	OnStored    func([]gaea.Return) // called after the hub, from the writer; must not block; may be nil
	Registry    prometheus.Registerer
	Logger      *slog.Logger
	Now         gaea.Clock

	QueueBytes   int           // bound of the queue; 0 means 64 MiB
	ReserveBytes int           // on top, for events that no cache has; 0 means 16 MiB
	BatchEvents  int           // events in one transaction at most; 0 means 500
	Linger       time.Duration // how long a busy bus may fill a batch; 0 means 50 ms
	Settle       time.Duration // how long after a reconnection the cache is looked at a second time; 0 means 5 s
}

// Ingester is a running ingest. Start it once, stop it once.
type Ingester struct {
	o       Options
	queue   *queue
	metrics *metrics
	gaps    chan gap
	trimmed chan gaea.Return // returns that the master cut short; the job cache has them whole

	connected atomic.Bool
	openGaps  atomic.Int32
	overflow  atomic.Bool
	failing   atomic.Pointer[error] // the store's last error while it fails

	stopRead  context.CancelFunc
	stopWrite context.CancelFunc
	reading   sync.WaitGroup
	writing   sync.WaitGroup
	drain     chan struct{} // closed when nothing more comes: the writer empties the queue and ends
}

// New prepares an ingest.
func New(o Options) *Ingester {
	o.QueueBytes = orDefault(o.QueueBytes, 64<<20)
	o.ReserveBytes = orDefault(o.ReserveBytes, 16<<20)
	o.BatchEvents = orDefault(o.BatchEvents, 500)
	o.Linger = orDefault(o.Linger, 50*time.Millisecond)
	o.Settle = orDefault(o.Settle, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	q := newQueue(o.QueueBytes, o.ReserveBytes)
	return &Ingester{o: o, queue: q, metrics: newMetrics(o.Registry, q), gaps: make(chan gap, 16), trimmed: make(chan gaea.Return, 256), drain: make(chan struct{})}
}

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Start begins to read. It returns at once; what goes wrong later is logged, counted and told by [Ingester.Problems].
func (i *Ingester) Start(ctx context.Context) error {
	from, err := i.start(ctx)
	if err != nil {
		return err
	}
	readCtx, stopRead := context.WithCancel(context.WithoutCancel(ctx))
	writeCtx, stopWrite := context.WithCancel(context.WithoutCancel(ctx))
	i.stopRead, i.stopWrite = stopRead, stopWrite
	i.reading.Go(func() { i.read(readCtx, from) })
	i.reading.Go(func() { i.recoverGaps(readCtx) })
	i.reading.Go(func() { i.completeReturns(readCtx, writeCtx) })
	i.writing.Go(func() { i.write(writeCtx) })
	return nil
}

// Stop stops reading, stores what was read, and returns when all is stored or ctx ends; then what is left in the queue is
// in the job cache still, and the next start fetches it.
func (i *Ingester) Stop(ctx context.Context) error {
	if i.stopRead == nil {
		return nil
	}
	i.stopRead()
	i.reading.Wait()
	close(i.drain)
	done := make(chan struct{})
	go func() { i.writing.Wait(); close(done) }()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = gaea.Wrap(ctx.Err(), gaea.CodeTimeout, "the archive did not take the last events in time; the next start fetches them from the job cache")
		i.stopWrite()
		<-done
	}
	i.stopWrite()
	i.o.Hub.Close()
	return err
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
	return p
}

// Connected says whether the master's event bus is being read.
func (i *Ingester) Connected() bool { return i.connected.Load() }

// OpenGaps is the number of gaps that are being closed.
func (i *Ingester) OpenGaps() int { return int(i.openGaps.Load()) }

func (i *Ingester) read(ctx context.Context, from time.Time) {
	log := i.o.Logger
	var lostAt time.Time // when the link was lost; zero while it is up, and before it was first
	err := i.o.Bus.Read(ctx, func(m gaea.BusMessage) {
		switch {
		case m.Event != nil:
			i.take(*m.Event)
		case m.Connected:
			i.connected.Store(true)
			i.metrics.connected.Set(1)
			if !lostAt.IsZero() {
				from, lostAt = lostAt.Add(-gapMargin), time.Time{}
			}
			log.Info("connected to the master's event bus", "gap_from", from)
			i.noteGap(from)
		case m.Err != nil:
			if i.connected.Swap(false) {
				lostAt = i.o.Now()
			}
			i.metrics.connected.Set(0)
			i.metrics.errors.WithLabelValues("bus").Inc()
			log.Warn("the master's event bus is not connected; trying again", "error", m.Err)
		}
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Error("reading the event bus ended", "error", err)
	}
}

// take is called for each event and must not wait.
func (i *Ingester) take(e gaea.Event) {
	switch i.queue.put(e) {
	case letGo:
		i.metrics.letGo.Inc()
		if i.overflow.CompareAndSwap(false, true) {
			i.o.Logger.Error("the queue is full because the archive is slower than the bus; returns are left to be fetched from the job cache")
			i.noteGap(e.Stamp.Add(-gapMargin))
		}
	case lost:
		i.metrics.lost.Inc()
		if i.overflow.CompareAndSwap(false, true) {
			i.o.Logger.Error("the queue is full because the archive is slower than the bus; events that are in no cache are lost", "tag", e.Tag)
		}
	case kept:
	}
}
