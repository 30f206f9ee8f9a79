package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/enforce"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/redact"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

// parts are what every term is made of.
type parts struct {
	salt          *native.Client
	sealer        archive.Sealer
	fingerprinter *drift.Fingerprinter
	clock         gaea.Clock
	ended         func(*gaea.Run) // told of every run that has ended
}

// term is a time in which this jobd leads its master: the master's runs go on here, and what is done by the clock is done here.
// In SQLite there is one, which lasts as long as jobd.
type term struct {
	lease   *postgres.Lease // nil: nobody else can lead
	engine  *engine.Engine
	runs    queuedRuns
	enforce *enforce.Service
	queue   *schedule.Queue
	swept   time.Time     // when it was looked last for runs of other masters that nobody takes up
	orders  chan struct{} // one element for each order that is being carried out
	doing   sync.WaitGroup
	over    atomic.Bool     // it is being stopped
	waited  context.Context //nolint:containedctx // until orders that are being carried out are not waited for any more
	giveUp  context.CancelFunc
}

// ordersAtOnce bounds the orders of other jobds that are carried out at the same time.
const ordersAtOnce = 64

// newTerm makes the parts of a term, and starts nothing.
func (a *App) newTerm(ctx context.Context, lease *postgres.Lease) (*term, error) {
	waited, giveUp := context.WithCancel(context.Background())
	t := &term{lease: lease, orders: make(chan struct{}, ordersAtOnce), waited: waited, giveUp: giveUp}
	deps := a.engineDeps(a.master)
	deps.HTTP = engine.ActionClient()
	if lease != nil {
		deps.Salt, deps.Runs = leasedPublisher{a.parts.salt, lease}, lease.Runs()
		deps.Runner = leasedRunner{a.parts.salt, lease}
		deps.HTTP.Transport = leasedTransport{deps.HTTP.Transport, lease}
	}
	t.engine = engine.New(deps)
	t.runs = queuedRuns{t.engine, func(run string) { t.queue.Accepted(run) }} // the queue is made after those that use it
	t.enforce = enforce.New(a.enforceDeps(a.master, t.runs))
	var err error
	t.queue, err = schedule.Open(ctx, schedule.Options{
		Address: a.queueAddress, Master: a.master, Seat: a.queueSeat,
		Runs: t.engine, Checks: t.enforce, Store: a.store, Keep: a.o.Retention, WholeDays: a.seat != nil, Logger: a.log,
	})
	return t, err
}

// engineDeps is what an engine works with whose runs are a master's.
func (a *App) engineDeps(master string) engine.Deps {
	return engine.Deps{
		Master: master, Salt: a.parts.salt, Cache: a.parts.salt, Feed: a.hub, Returns: a.store, Runs: a.store, Clock: a.parts.clock, Logger: a.log,
		Digest:    a.parts.sealer.Digest,
		Redact:    func(_ string, args []any, kwargs map[string]any) json.RawMessage { return redact.Call(args, kwargs) },
		RosterFor: rosterFor, OnEnd: a.parts.ended,
		Runner: a.parts.salt, Expect: compileExpectation, Keep: ingestStore{store: a.store, master: a.master}.keepEvent,
	}
}

// enforceDeps is what a service for assignments on a master's minions works with; one without an engine only reads.
func (a *App) enforceDeps(master string, runs enforce.Engine) enforce.Deps {
	return enforce.Deps{
		Master: master, Engine: runs, Assignments: a.store.Assignments(), Groups: a.store.TargetGroups(),
		Templates: a.store.JobTemplates(), Secrets: a.store, Evidence: a.store, Returns: a.store, Runs: a.store,
		Fingerprinter: a.parts.fingerprinter, Logger: a.log,
	}
}

// startTerm takes up the master's runs, but for those that waited for too long.
func (a *App) startTerm(ctx context.Context, t *term) error {
	if t.lease != nil {
		if err := a.endUntaken(ctx, t, gaea.RunFilter{Master: a.master}); err != nil {
			return err
		}
	}
	if err := t.engine.Start(ctx); err != nil {
		return err
	}
	if err := t.enforce.Start(ctx); err != nil {
		return err
	}
	return t.queue.Start(ctx)
}

// stopRuns leaves the master's runs as they are stored, and when ctx ends the orders that are not done to the next leader. It may
// be called without start.
func (t *term) stopRuns(ctx context.Context) error {
	t.over.Store(true)
	err := errors.Join(t.enforce.Stop(ctx), t.engine.Stop(ctx))
	defer t.giveUp()
	stop := context.AfterFunc(ctx, t.giveUp)
	defer stop()
	t.doing.Wait()
	return err
}

// leaves says whether an order that came to an error is the next leader's to answer.
func (t *term) leaves(err error) bool { return err != nil && (t.over.Load() || !t.lease.Held()) }

// errNotHeld is told where this jobd may not act because its lease may be another's.
func errNotHeld() error {
	return gaea.Errorf(gaea.CodeUnavailable, "this jobd could not renew its lease in the database, and another may lead the master now; nothing was sent")
}

// leasedPublisher publishes while a lease is held: what is not sent by then is not sent any more, also where the machine or the
// process was suspended meanwhile and no timer has ended yet.
type leasedPublisher struct {
	gaea.Publisher
	lease *postgres.Lease
}

// Publish implements [gaea.Publisher].
func (p leasedPublisher) Publish(ctx context.Context, pub gaea.Publication) (gaea.Published, error) {
	pub.Allowed = func() error {
		if !p.lease.Held() {
			return errNotHeld()
		}
		return nil
	}
	if err := pub.Allowed(); err != nil {
		return gaea.Published{}, err
	}
	ctx, cancel := context.WithDeadline(ctx, p.lease.Until())
	defer cancel()
	return p.Publisher.Publish(ctx, pub)
}

// leasedRunner begins runners while a lease is held, and waits for that.
type leasedRunner struct {
	gaea.Runner
	lease *postgres.Lease
}

// Run implements [gaea.Runner].
func (r leasedRunner) Run(ctx context.Context, fun string, args []any, kwargs map[string]any) (gaea.RunnerReturn, error) {
	if err := held(ctx, r.lease); err != nil {
		return gaea.RunnerReturn{}, err
	}
	return r.Runner.Run(ctx, fun, args, kwargs)
}

// leasedTransport makes requests while a lease is held, and waits for that.
type leasedTransport struct {
	http.RoundTripper
	lease *postgres.Lease
}

// RoundTrip implements [http.RoundTripper].
func (l leasedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := held(r.Context(), l.lease); err != nil {
		return nil, err
	}
	return l.RoundTripper.RoundTrip(r)
}

// heldPause is how often a lease is looked at that is not held for the moment.
const heldPause = 100 * time.Millisecond

// held waits until a lease is held. The error is the context's, or says that the lease is lost.
func held(ctx context.Context, lease *postgres.Lease) error {
	tick := time.NewTicker(heldPause)
	defer tick.Stop()
	for !lease.Held() {
		select {
		case <-tick.C:
		case <-lease.Lost():
			return errNotHeld()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
