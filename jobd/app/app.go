// Package app makes a jobd out of its parts and runs it. It is the only place that knows all of them: each part gets what
// it needs through the small interfaces of package gaea or its own.
package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/enforce"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/redact"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authn"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authz"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

// stopTime bounds a graceful stop: long enough to store what was read, shorter than systemd's patience.
const stopTime = 15 * time.Second

// App is a jobd. Make it with New, and run it once.
type App struct {
	o         Options
	log       *slog.Logger
	master    string
	since     time.Time
	store     archive.Store
	registry  *prometheus.Registry
	hub       *ingest.Hub
	ingest    *ingest.Ingester
	engine    *engine.Engine
	enforce   *enforce.Service
	retention *schedule.Retention
	late      *lateReturns
	api       *api.API
	listener  net.Listener
	server    *http.Server
}

// New opens everything that jobd needs, and says in words what is missing. The master itself may be down: jobd waits for it.
func New(ctx context.Context, o Options) (*App, error) {
	a := &App{o: o, log: o.Logger, since: time.Now(), registry: prometheus.NewRegistry(), hub: ingest.NewHub()}
	tlsConfig, err := o.tlsConfig()
	if err != nil {
		return nil, err
	}
	salt, err := native.New(native.Options{ConfigDir: o.SaltConfigDir, User: o.SaltUser, MaxFrame: o.MaxFrame, Logger: a.log})
	if err != nil {
		return nil, err
	}
	if a.master = o.MasterName; a.master == "" {
		a.master = salt.Master()
	}
	store, sealer, err := openArchive(ctx, o.Database, o.KeyFile)
	if err != nil {
		return nil, err
	}
	a.store = store
	if a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen); err != nil {
		return nil, errors.Join(gaea.Wrap(err, gaea.CodeUnavailable, "cannot listen on %s; is another jobd running there?", o.Listen), store.Close())
	}
	a.wire(salt, sealer)
	a.server = &http.Server{
		Handler: a.api, TLSConfig: tlsConfig, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	return a, nil
}

// wire makes the parts and gives each what it needs.
func (a *App) wire(salt *native.Client, sealer archive.Sealer) {
	fingerprinter := drift.NewFingerprinter(sealer.Digest)
	clock := time.Now
	if salt.Config().UTCJID { // job ids are made from the clock, in its zone
		clock = func() time.Time { return time.Now().UTC() }
	}
	a.engine = engine.New(engine.Deps{
		Master: a.master, Salt: salt, Cache: salt, Feed: a.hub, Returns: a.store, Runs: a.store, Clock: clock, Logger: a.log,
		Digest: sealer.Digest,
		Redact: func(_ string, args []any, kwargs map[string]any) json.RawMessage { return redact.Call(args, kwargs) },
	})
	a.late = newLateReturns(a.engine, a.log)
	a.ingest = ingest.New(ingest.Options{
		Master: a.master, Bus: salt, Cache: salt, Store: ingestStore{store: a.store, master: a.master}, Hub: a.hub,
		Fingerprint: fingerprinter.Job, OnStored: a.late.take,
		Registry: a.registry, Logger: a.log, QueueBytes: a.o.QueueBytes,
	})
	a.enforce = enforce.New(enforce.Deps{
		Master: a.master, Engine: a.engine, Assignments: a.store.Assignments(), Groups: a.store.TargetGroups(),
		Templates: a.store.JobTemplates(), Secrets: a.store, Evidence: a.store, Returns: a.store, Runs: a.store,
		Fingerprinter: fingerprinter, Logger: a.log,
	})
	a.retention = schedule.NewRetention(a.store, a.o.Retention, a.log, time.Now)
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		archiveCollector{store: a.store}, busCollector{salt: salt})
	tokens := authn.New(a.store, time.Now)
	a.api = api.New(api.Deps{
		Archive: a.store, Runs: a.engine, Enforcer: a.enforce, Feed: a.hub, Authenticator: tokens, Policy: authz.Default(), Tokens: tokens,
		Status: a.status, Ready: a.problems, Metrics: promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{}), Logger: a.log,
	})
}

// Addr is where jobd listens.
func (a *App) Addr() string { return a.listener.Addr().String() }

// Run starts everything, serves until ctx ends, stops in order, and returns when all is stored and closed.
func (a *App) Run(ctx context.Context) error {
	served := make(chan error, 1)
	err := a.start(ctx)
	if err == nil {
		scheme := "http"
		if a.server.TLSConfig != nil {
			scheme = "https"
			go func() { served <- a.server.ServeTLS(a.listener, "", "") }()
		} else {
			go func() { served <- a.server.Serve(a.listener) }()
		}
		a.log.Info("jobd is running", "version", a.o.Version, "listen", scheme+"://"+a.Addr(), "master", a.master,
			"salt_config_dir", a.o.SaltConfigDir, "database", a.o.Database, "retention", a.o.Retention.String())
		select {
		case <-ctx.Done():
			a.log.Info("stopping: storing what was read")
		case err = <-served:
		}
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err = errors.Join(err, a.stop(stopCtx))
	if err == nil {
		a.log.Info("stopped")
	}
	return err
}

// start begins with what others wait for: the archive's feed before the engine that follows it.
func (a *App) start(ctx context.Context) error {
	a.late.start(ctx)
	if err := a.ingest.Start(ctx); err != nil {
		return err
	}
	if err := a.engine.Start(ctx); err != nil {
		return err
	}
	if err := a.enforce.Start(ctx); err != nil {
		return err
	}
	a.retention.Start(ctx)
	return nil
}

// stop ends everything in the opposite order. Each part is stopped whatever happened to the one before.
func (a *App) stop(ctx context.Context) error {
	a.api.Stop()
	err := a.server.Shutdown(ctx)
	a.retention.Stop()
	return errors.Join(err, a.enforce.Stop(ctx), a.engine.Stop(ctx), a.ingest.Stop(ctx), a.late.stop(), a.store.Close())
}

func (a *App) problems(ctx context.Context) []string {
	p := a.ingest.Problems()
	if err := a.store.Check(ctx); err != nil {
		p = append(p, "the archive does not answer: "+gaea.MessageOf(err))
	}
	return p
}

func (a *App) status(context.Context) gaea.ServerStatus {
	return gaea.ServerStatus{
		Version: a.o.Version, Master: a.master, Connected: a.ingest.Connected(), Database: "sqlite", Since: a.since,
	}
}
