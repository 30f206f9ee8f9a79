package schedule

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/riverqueue/river"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Options are what a [Queue] works with. All are needed but for those that say otherwise.
type Options struct {
	Address string // sqlite:///PATH or postgres://…
	Master  string // the master's name in the archive
	// Seat names the place of this process: two that live at the same time never have the same, and after a restart it is
	// the same again. By it a process knows what the one before it left behind.
	Seat   string
	Runs   Runs
	Checks Checks
	Store  Pruner
	Keep   gaea.Retention
	// WholeDays says that the archive is kept by the day, and so is deleted.
	WholeDays bool
	Logger    *slog.Logger
}

// Queue holds what jobd does by the clock. Make it with [Open], then Start it once, Stop it, and Close it. Every goroutine of
// it has ended when Stop returns nil.
type Queue struct {
	o      Options
	log    *slog.Logger
	said   *said  // in the log
	name   string // of the master's queue in River
	seat   string // what the ids of this place's clients begin with
	db     *database
	client client
	keep   *retention

	ctx      context.Context //nolint:containedctx // the life of the queue's goroutines
	cancel   context.CancelFunc
	running  sync.WaitGroup
	ending   sync.Once
	ended    chan struct{} // closed when all goroutines have ended
	accepted chan string   // runs whose jobs are not in the queue yet
	changed  chan struct{} // what should be in the queue is to be compared now

	tended map[string]string // by what a job is of, the version it was last woken for; the tending goroutine's own
}

const (
	migrateTimeout = time.Minute
	pingTimeout    = 2 * time.Second
	// failedLately is how long what River could not do is a problem: it tries all it does again within ten seconds.
	failedLately = 15 * time.Second
	// closeTimeout is for River, which gives up its office in three tries where the database does not answer.
	closeTimeout = 15 * time.Second
	// jobTimeout bounds one look of a job, which waits for the archive and for nothing else.
	jobTimeout = time.Minute
	// rescueAfter is when a job under way is taken for one whose process died. That of this seat is known at its start.
	rescueAfter = 2 * time.Minute
	// softStop is how long the jobs under way may take to end by themselves.
	softStop = 2 * time.Second
	// workers bounds the jobs under way.
	workers = 8
	// acceptedMost bounds the runs whose jobs are not in the queue yet.
	acceptedMost = 4096
	// remember is how long River keeps jobs that are over, for those who look into its tables.
	remember = time.Hour
)

// Open opens the queue and makes its tables. CodeInvalid for an address that cannot be; CodeUnavailable where the database
// does not answer.
func Open(ctx context.Context, o Options) (*Queue, error) {
	db, err := openDatabase(o.Address)
	if err != nil {
		return nil, err
	}
	log := newRiverLog(o.Logger.Handler())
	q := &Queue{
		o: o, db: db, log: slog.New(log), said: log.said, ended: make(chan struct{}),
		name: "gaea-" + digest(o.Master), seat: "gaea-" + digest(o.Master, o.Seat) + "-",
		keep: newRetention(o.Store, o.Keep, o.WholeDays, o.Logger), tended: map[string]string{},
		accepted: make(chan string, acceptedMost), changed: make(chan struct{}, 1),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	migrating, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	if err = db.migrate(migrating, q.log); err != nil {
		err = gaea.Wrap(err, gaea.CodeUnavailable, "the queue's database does not answer, or its tables cannot be made; see that it is there, and that jobd's user may make tables in it")
	} else {
		q.client, err = db.newClient(q.config())
	}
	if err != nil {
		q.cancel()
		return nil, errors.Join(err, db.close())
	}
	return q, nil
}

// digest is 16 hex digits that differ where one of the parts does.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

func (q *Queue) config() *river.Config {
	w := river.NewWorkers()
	river.AddWorker(w, &runWorker{runs: q.o.Runs})
	river.AddWorker(w, &checkWorker{checks: q.o.Checks})
	river.AddWorker(w, &retentionWorker{retention: q.keep})
	return &river.Config{
		ID:      q.seat + strings.ToLower(rand.Text()[:8]),
		Queues:  map[string]river.QueueConfig{q.name: {MaxWorkers: workers}},
		Workers: w, Logger: q.log, ErrorHandler: &failures{log: q.o.Logger}, RetryPolicy: patience{},
		JobTimeout: jobTimeout, RescueStuckJobsAfter: rescueAfter, SoftStopTimeout: softStop,
		CompletedJobRetentionPeriod: remember, CancelledJobRetentionPeriod: remember,
		// To listen on SQLite is to ask 20 times a second. What this process inserts it is told of anyway.
		PollOnly: q.db.ownFile,
	}
}

// Start takes back what the process before this one left under way, and begins to work. The context is for Start itself;
// the error is the database's.
func (q *Queue) Start(ctx context.Context) error {
	if err := q.takeBack(ctx); err != nil {
		return gaea.Wrap(err, gaea.CodeUnavailable, "the queue's database does not answer; see that it is there, and start jobd again")
	}
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		return gaea.Wrap(err, gaea.CodeUnavailable, "the queue does not start; see that its database is there, and start jobd again")
	}
	q.running.Go(q.insertRuns)
	q.running.Go(q.tend)
	q.running.Go(q.measure)
	return nil
}

// Stop ends the work, and leaves what is in the queue to the next Start. It waits for the queue's goroutines, and returns
// ctx's error where they do not end in time. It may be called again, and without Start.
func (q *Queue) Stop(ctx context.Context) error {
	q.ending.Do(func() {
		q.cancel()
		go func() { // ends with the last of the queue's goroutines
			defer close(q.ended)
			q.running.Wait()
			_ = q.client.Stop(context.WithoutCancel(ctx)) // the error is the context's
		}()
	})
	select {
	case <-q.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops the queue where it is not, and lets go of the database.
func (q *Queue) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := q.Stop(ctx); err != nil {
		return gaea.Wrap(err, gaea.CodeTimeout, "the queue did not let go of its database in time; the next start takes up what it left")
	}
	return q.db.close()
}

// Changed has the queue look at once at which assignments are to be checked. It does not wait.
func (q *Queue) Changed() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// Problems says in words what keeps the queue from working; nothing where it works.
func (q *Queue) Problems(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_, err := q.client.JobList(ctx, river.NewJobListParams().Queues(q.name).First(1))
	switch {
	case err != nil:
		q.o.Logger.Debug("the queue's database does not answer", "err", err)
		return []string{"the queue's database does not answer: interval checks and retention wait for it, runs do not"}
	case q.said.failedSince(time.Now().Add(-failedLately)):
		return []string{"the queue's database does not take what is to be written (the log says why): interval checks and retention wait for it, runs do not"}
	}
	return nil
}
