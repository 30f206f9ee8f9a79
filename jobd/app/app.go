// Package app makes a jobd out of its parts and runs it. It is the only place that knows all of them: each part gets what
// it needs through the small interfaces of package gaea or its own.
package app

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/enforce"
	"github.com/gaea-salt/terraform-provider-gaea/internal/expect"
	"github.com/gaea-salt/terraform-provider-gaea/internal/feed"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authn"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authz"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest/spill"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

// App is a jobd. Make it with New, and run it once.
type App struct {
	o                       Options
	log                     *slog.Logger
	master                  string
	since                   time.Time
	store                   archive.Store
	database                string         // its address without user and password
	host                    string         // the machine's name
	lock                    *databaseLock  // nil where the archive is no file
	seat                    *postgres.Seat // nil where the archive is a file
	registry                *prometheus.Registry
	hub                     *feed.Hub
	spill                   *spill.Spill // nil where events wait in memory alone
	ingest                  *ingest.Ingester
	parts                   parts
	reader                  *enforce.Service // that only reads
	queueAddress, queueSeat string
	queueLock               *databaseLock // nil where the queue is no file
	first                   *term         // to be started by Run; nil where another jobd led the master when this one began
	term                    atomic.Pointer[term]
	without                 atomic.Pointer[error] // why a database was not reached at the last try; nil where all were since the start
	granted                 *postgres.Lease       // had before the databases were reached; nil for none
	unusable                chan error            // holds why this jobd cannot use the database that it has reached after its start
	stopLead                context.CancelFunc
	leading                 sync.WaitGroup
	late                    *lateReturns
	unled                   unled
	api                     *api.API
	listener                net.Listener
	server                  *http.Server
}

// rosterFor is how long the engine believes the master on whom a target of minion ids means. The bus tells when keys change;
// this is for the key files that somebody changes by hand.
const rosterFor = time.Minute

// New opens everything that jobd needs, and says in words what is missing. The master itself may be down, and so may a database in
// PostgreSQL that has been this jobd's before: jobd waits for them.
func New(ctx context.Context, o Options) (*App, error) {
	o.TakeoverWait = cmp.Or(o.TakeoverWait, DefaultTakeoverWait)
	a := &App{o: o, log: o.Logger, since: time.Now(), registry: prometheus.NewRegistry(), hub: feed.NewHub(), unusable: make(chan error, 1)}
	tlsConfig, err := o.tlsConfig()
	if err != nil {
		return nil, err
	}
	if a.database, err = databaseAddress(o.Database); err != nil {
		return nil, err
	}
	salt, err := native.New(native.Options{ConfigDir: o.SaltConfigDir, User: o.SaltUser, MaxFrame: o.MaxFrame, MaxReturn: o.MaxReturn, Logger: a.log})
	if err != nil {
		return nil, err
	}
	if a.host, err = os.Hostname(); err != nil {
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the name of this machine cannot be had")
	}
	if a.master = o.MasterName; a.master == "" {
		a.master = salt.Master()
	}
	// The port before the archive: where another jobd has it, that is what to say.
	if a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen); err != nil {
		return nil, listenError(err, o.Listen)
	}
	sealer, err := a.openArchive(ctx)
	if err != nil {
		return nil, errors.Join(err, a.listener.Close())
	}
	if err := a.openSpill(ctx); err != nil {
		return nil, errors.Join(err, a.seat.Leave(), a.store.Close(), a.lock.release(), a.listener.Close())
	}
	a.wire(salt, sealer)
	err = a.findQueue()
	if err == nil {
		err = a.firstTerm(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, a.queueLock.release(), a.closeSpill(), a.seat.Leave(), a.store.Close(), a.lock.release(), a.listener.Close())
	}
	a.server = &http.Server{
		Handler: a.api, TLSConfig: tlsConfig, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	return a, nil
}

// listenError says why jobd cannot listen.
func listenError(err error, address string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return gaea.Wrap(err, gaea.CodeUnavailable, "cannot listen on %s: something listens there already, perhaps another jobd (find it with: ss -ltnp); stop it, or give --listen another port", address)
	case errors.Is(err, fs.ErrPermission):
		return gaea.Wrap(err, gaea.CodeForbidden, "cannot listen on %s: jobd's user may not take a port below 1024; give --listen a higher one", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return gaea.Wrap(err, gaea.CodeInvalid, "cannot listen on %s: this machine has no such address; give --listen one of its own (ip address shows them)", address)
	default:
		return gaea.Wrap(err, gaea.CodeUnavailable, "cannot listen on %s; give --listen HOST:PORT, for example 127.0.0.1:7780", address)
	}
}

// wire makes the parts and gives each what it needs.
func (a *App) wire(salt *native.Client, sealer archive.Sealer) {
	fingerprinter := drift.NewFingerprinter(sealer.Digest)
	clock := time.Now
	if salt.Config().UTCJID { // job ids are made from the clock, in its zone
		clock = func() time.Time { return time.Now().UTC() }
	}
	a.parts = parts{salt: salt, sealer: sealer, fingerprinter: fingerprinter, clock: clock, ended: countRuns(a.registry)}
	a.late = newLateReturns(a.noteLate, a.log)
	reading := ingest.Options{
		Master: a.master, MasterID: salt.Master(), Bus: salt, Cache: salt, Store: ingestStore{store: a.store, master: a.master}, Hub: a.hub,
		Fingerprint: fingerprinter.Job, OnStored: a.stored, Keys: a,
		Registry: a.registry, Logger: a.log, QueueBytes: a.o.QueueBytes, MaxReturn: a.o.MaxReturn, Keep: a.o.Retention.Returns, Horizon: a.store.Horizon,
	}
	if a.spill != nil {
		reading.Spill = a.spill
	}
	a.ingest = ingest.New(reading)
	a.reader = enforce.New(a.enforceDeps(a.master, nil))
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		archiveCollector{store: a.store, max: a.o.Retention.MaxSize, pruned: a.pruned}, busCollector{salt: salt}, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gaea_leads", Help: "Whether this jobd carries out the master's runs: 1, or 0 while another one does.",
		}, func() float64 {
			if a.current() == nil {
				return 0
			}
			return 1
		}))
	registerReady(a.registry, a.problems)
	if path, err := SQLitePath(a.o.Database); err == nil && path != "" {
		registerDisk(a.registry, path)
	}
	tokens := authn.New(a.store, time.Now)
	a.api = api.New(api.Deps{
		Archive: watchedArchive{a.store, a.o.Retention.MaxSize, a.changed}, Runs: desk{a}, Enforcer: desk{a}, Masters: a.masters, Verifier: desk{a}, Feed: a.hub, Authenticator: tokens, Policy: authz.Default(), Tokens: tokens,
		CompileExpect: func(expr string) error { _, err := expect.Compile(expr); return err },
		Status:        a.status, Ready: a.problems, Metrics: promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}), Logger: a.log,
	})
}

func (a *App) closeSpill() error {
	if a.spill == nil {
		return nil
	}
	return a.spill.Close()
}

// Addr is where jobd listens.
func (a *App) Addr() string { return a.listener.Addr().String() }

// probeLimit bounds what /readyz waits for: a database that hangs is one that is not ready.
const probeLimit = 3 * time.Second

func (a *App) problems(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	p := a.ingest.Problems()
	if a.absent() != nil {
		return p // which name the database
	}
	if err := a.store.Check(ctx); err != nil {
		p = append(p, "the archive does not answer: "+gaea.MessageOf(err))
	}
	if a.seat != nil && a.seat.Fault() != nil {
		p = append(p, "this jobd's place in the database is not renewed, and another jobd may lead the master: "+gaea.MessageOf(a.seat.Fault()))
	}
	if t := a.current(); t != nil {
		p = append(p, t.queue.Problems(ctx)...)
	} else if err := a.without.Load(); err != nil {
		p = append(p, "no run is carried out: "+gaea.MessageOf(*err))
	}
	return p
}

// changed has it seen which assignments are checked by interval. Another jobd, where that leads the master, sees it by itself.
func (a *App) changed() {
	if t := a.current(); t != nil {
		t.queue.Changed()
	}
}

func (a *App) status(context.Context) gaea.ServerStatus {
	kind := "sqlite"
	if a.seat != nil {
		kind = "postgres"
	}
	return gaea.ServerStatus{
		Version: a.o.Version, Master: a.master, Connected: a.ingest.Connected(), Database: kind, Since: a.since, Leads: a.current() != nil,
	}
}

// KeysChanged implements [ingest.KeyWatcher].
func (a *App) KeysChanged() {
	if t := a.current(); t != nil {
		t.engine.KeysChanged()
	}
}

// Authenticated implements [ingest.KeyWatcher].
func (a *App) Authenticated(minion string) {
	if t := a.current(); t != nil {
		t.engine.Authenticated(minion)
	}
}

// pruned is what retention has deleted here, which it does where this jobd leads the master.
func (a *App) pruned() schedule.Pruned {
	if t := a.current(); t != nil {
		return t.queue.Pruned()
	}
	return schedule.Pruned{}
}

// stored is told of returns that were stored. It must not wait.
func (a *App) stored(returns []gaea.Return) {
	if t := a.current(); t != nil {
		t.engine.Heard(returns)
	}
	a.late.take(returns)
}

// noteLate hands a return to the engine; one that does not name its run is looked up by its job. Where this jobd does not lead the
// master it is the leader's, which reads it from the bus too; it is kept for a while, for there may be none.
func (a *App) noteLate(ctx context.Context, r gaea.Return) error {
	t := a.current()
	if t == nil {
		if a.seat == nil {
			return nil
		}
		a.unled.keep(r, time.Now())
		if a.current() != nil { // a term has begun meanwhile, and may have taken them before
			a.late.take(a.unled.take(time.Now()))
		}
		return nil
	}
	if r.RunID == "" {
		job, err := a.store.Job(ctx, a.master, r.JID)
		if err != nil || job.RunID == "" {
			return err
		}
		r.RunID = job.RunID
	}
	err := t.engine.Late(ctx, r)
	if err != nil && t.lease != nil && !t.lease.Held() { // another may lead, or be about to
		a.unled.keep(r, time.Now())
		return nil
	}
	return err
}
