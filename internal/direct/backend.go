package direct

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/enforce"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/expect"
	"github.com/gaea-salt/terraform-provider-gaea/internal/feed"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/intake"
	"github.com/gaea-salt/terraform-provider-gaea/internal/redact"
)

const (
	// master stands for the master in what is kept here: there is only one.
	master = "master"
	// process is what carries runs out, for errors.
	process = "the provider"
	// streamPatience is how long the event stream is waited for before anything is published.
	streamPatience = 15 * time.Second
	// absentFor is how long checks believe each other that a minion is away: long enough for all resources of a plan.
	absentFor = time.Minute
	// lateQueue is how many late returns may wait for the engine.
	lateQueue = 1024
)

// Salt is how a master is reached.
type Salt interface {
	gaea.Publisher
	gaea.JobCache
	gaea.Runner
	gaea.Bus
	// FindJIDs lists the jobs from a time on of which the job cache has one of the pairs of metadata, oldest first.
	FindJIDs(ctx context.Context, metadata map[string]any, since time.Time) ([]string, error)
	// LastJob is the newest job of which the job cache has one of the pairs of metadata. CodeNotFound where there is none; else
	// as [gaea.JobCache].CachedJob.
	LastJob(ctx context.Context, metadata map[string]any) (*gaea.CachedJob, error)
}

// Options say what a [Backend] works with.
type Options struct {
	Salt   Salt
	User   string // who asks: the name at salt-api
	Logger *slog.Logger
	Clock  gaea.Clock // nil: time.Now
	// Login tries whether the master's doors are open, with the errors of a gaea.Publisher.
	Login func(ctx context.Context) error
}

// Backend is a provider's backend without a jobd. Make it with [New]; what it needs is started when it is first used, and every
// goroutine of it has ended when Stop returns nil.
type Backend struct {
	o        Options
	salt     *watched
	log      *slog.Logger
	engine   *engine.Engine
	enforce  *enforce.Service
	listener *listener
	journal  *journal
	runs     *runs
	evidence *evidence
	secrets  *secrets
	keys     *drift.Fingerprinter

	groups      *definitions[gaea.TargetGroup]
	templates   *definitions[gaea.JobTemplate]
	assignments *definitions[gaea.Assignment]

	late    chan gaea.Return
	read    recent
	maxLeft int
	ctx     context.Context //nolint:containedctx // the life of the backend's goroutines
	cancel  context.CancelFunc
	going   sync.WaitGroup

	mu            sync.Mutex
	engineStarted bool
	started       bool
	stopped       bool
}

// New returns a backend that does nothing before it is used.
func New(o Options) *Backend {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Backend{
		o: o, log: o.Logger, runs: newRuns(), evidence: newEvidence(), secrets: newSecrets(), keys: drift.NewFingerprinter(newDigest()),
		groups: newDefinitions[gaea.TargetGroup](), templates: newDefinitions[gaea.JobTemplate](), assignments: newDefinitions[gaea.Assignment](),
		late: make(chan gaea.Return, lateQueue), maxLeft: maxLeft, ctx: ctx, cancel: cancel,
	}
	b.salt = &watched{Salt: o.Salt}
	b.journal = &journal{
		master: master, hub: feed.NewHub(), JobCache: b.salt, fingerprint: b.keys, evidence: b.evidence, runOf: b.runs.of, late: b.noteLate,
		jobs: map[string]*jobReturns{},
	}
	b.listener = newListener(o.Salt, b.journal, b.log)
	b.runs.left = b.left
	b.engine = engine.New(engine.Deps{
		Master: master, Salt: b.salt, Cache: b.journal, Feed: b.journal.hub, Returns: b.journal, Runs: b.runs, Clock: o.Clock, Logger: b.log,
		Redact: func(_ string, args []any, kwargs map[string]any) json.RawMessage { return redact.Call(args, kwargs) },
		Runner: o.Salt, Expect: compile, HTTP: engine.ActionClient(), Metadata: b.runs.metadata, AbsentFor: absentFor,
		Process: process,
	})
	b.enforce = enforce.New(enforce.Deps{
		Master: master, Engine: taker{b.engine}, Assignments: b.assignments, Groups: b.groups, Templates: b.templates, Secrets: b.secrets,
		Evidence: b.evidence, Returns: b.journal, Runs: b.runs, Fingerprinter: b.keys, Clock: o.Clock, Logger: b.log, Forgetful: true, Process: process,
	})
	return b
}

// newDigest is a digest under a key of this process's own.
func newDigest() func(parts ...[]byte) string {
	key := make([]byte, 32)
	rand.Read(key)
	return func(parts ...[]byte) string {
		h := hmac.New(sha256.New, key)
		for _, p := range parts {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
			h.Write(p)
		}
		return hex.EncodeToString(h.Sum(nil))
	}
}

func compile(expr string) (gaea.Expectation, error) {
	p, err := expect.Compile(expr)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// taker is the engine, which takes up the runs that were found with their key.
type taker struct{ *engine.Engine }

func (t taker) Submit(ctx context.Context, req engine.Request) (*gaea.Run, bool, error) {
	run, created, err := t.Engine.Submit(ctx, req)
	if err == nil && !created && !run.Status.Final() {
		_, err = t.Ensure(ctx, run.ID)
	}
	return run, created, err
}

// start starts what works in the background, and waits until what is published now would be heard.
func (b *Backend) start(ctx context.Context) error {
	if err := b.startOnce(ctx); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, streamPatience)
	defer cancel()
	if err := b.listener.ready(waiting); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return nil
}

func (b *Backend) startOnce(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.stopped:
		return gaea.Errorf(gaea.CodeUnavailable, "the provider is ending")
	case b.started:
		return nil
	}
	if !b.engineStarted { // an engine can be started once, and what comes after it may fail
		if err := b.engine.Start(ctx); err != nil {
			return err
		}
		b.engineStarted = true
	}
	if err := b.enforce.Start(ctx); err != nil {
		return err
	}
	b.started = true
	b.going.Go(func() { b.listener.listen(b.ctx) })
	b.going.Go(func() { b.listener.poll(b.ctx) })
	b.going.Go(b.noteLates)
	return nil
}

// Stop leaves what runs to itself. It waits for the backend's goroutines and returns ctx's error where they do not end in time. It
// may be called again, and without anything having been started.
func (b *Backend) Stop(ctx context.Context) error {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.cancel()
	if err := errors.Join(b.enforce.Stop(ctx), b.engine.Stop(ctx)); err != nil {
		return err
	}
	b.journal.close()
	ended := make(chan struct{})
	go func() { // ends with the last of the backend's goroutines
		defer close(ended)
		b.going.Wait()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// noteLate queues a return that nobody follows any more for the engine. One that does not fit is kept all the same.
func (b *Backend) noteLate(ret gaea.Return) {
	select {
	case b.late <- ret:
	default:
	}
}

func (b *Backend) noteLates() {
	for {
		select {
		case ret := <-b.late:
			if err := b.engine.Late(b.ctx, ret); err != nil && b.ctx.Err() == nil {
				b.log.Warn("a late return could not be noted in its run", "run", ret.RunID, "minion", ret.Minion, "err", err)
			}
		case <-b.ctx.Done():
			return
		}
	}
}

// Direct implements the provider's Backend: there is no jobd.
func (b *Backend) Direct() bool { return true }

// WhoAmI logs in, and tells who that is. What salt-api lets the user do, salt-api decides each time.
func (b *Backend) WhoAmI(ctx context.Context) (*gaea.Principal, error) {
	if b.o.Login != nil {
		if err := b.o.Login(ctx); err != nil {
			return nil, err
		}
	}
	if err := b.startOnce(ctx); err != nil { // so that the event stream is there when it is needed
		return nil, err
	}
	who := b.principal()
	return &who, nil
}

func (b *Backend) principal() gaea.Principal {
	return gaea.Principal{Name: b.o.User, Role: gaea.RoleApply}
}

func (b *Backend) as(ctx context.Context) context.Context {
	return gaea.WithPrincipal(ctx, b.principal())
}

// PutTargetGroup checks a target group and remembers it.
func (b *Backend) PutTargetGroup(ctx context.Context, g gaea.TargetGroup) (*gaea.Version[gaea.TargetGroup], error) {
	if err := g.Validate(); err != nil {
		return nil, err
	}
	if err := intake.Target(g.Target); err != nil {
		return nil, err
	}
	return remember(ctx, b.groups, g, b.o.User)
}

// GetTargetGroup returns what is known, and remembers it.
func (b *Backend) GetTargetGroup(ctx context.Context, known gaea.TargetGroup) (*gaea.Version[gaea.TargetGroup], error) {
	return remember(ctx, b.groups, known, b.o.User)
}

// DeleteTargetGroup has nothing to delete but the memory of this process.
func (b *Backend) DeleteTargetGroup(ctx context.Context, name string) error {
	return b.groups.Delete(ctx, name, b.o.User)
}

// PutJobTemplate checks a job template and remembers it.
func (b *Backend) PutJobTemplate(ctx context.Context, t gaea.JobTemplate) (*gaea.Version[gaea.JobTemplate], error) {
	try := func(expr string) error { _, err := expect.Compile(expr); return err }
	if err := intake.Template(t, try); err != nil {
		return nil, err
	}
	return remember(ctx, b.templates, t, b.o.User)
}

// GetJobTemplate returns what is known, and remembers it.
func (b *Backend) GetJobTemplate(ctx context.Context, known gaea.JobTemplate) (*gaea.Version[gaea.JobTemplate], error) {
	return remember(ctx, b.templates, known, b.o.User)
}

// DeleteJobTemplate has nothing to delete but the memory of this process.
func (b *Backend) DeleteJobTemplate(ctx context.Context, name string) error {
	return b.templates.Delete(ctx, name, b.o.User)
}

func remember[T gaea.Definition](ctx context.Context, store *definitions[T], d T, author string) (*gaea.Version[T], error) {
	v, err := store.Put(ctx, d, author)
	if err != nil {
		return nil, err
	}
	return &v, nil
}
