package engine

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Deps is what an [Engine] works with. All are needed but for those that say otherwise.
type Deps struct {
	Master  string // the master's name in the archive
	Salt    gaea.Publisher
	Cache   gaea.JobCache
	Feed    gaea.Feed
	Returns gaea.ReturnStore
	Runs    gaea.RunStore
	JIDs    *gaea.JIDs   // nil: the engine's own
	Clock   gaea.Clock   // nil: time.Now
	Logger  *slog.Logger // nil: nothing is logged
	// Redact writes a call's arguments as users may see them, as JSON. Nil: the arguments are left out.
	Redact func(fun string, args []any, kwargs map[string]any) json.RawMessage
	// Digest is a keyed digest, by which two requests with the same idempotency key are compared. Nil: they are compared
	// by what Redact leaves of them.
	Digest func(parts ...[]byte) string
	// Runner runs the runners of actions. Nil: such an action fails.
	Runner gaea.Runner
	// Expect compiles what actions expect: CodeInvalid, with the position. Nil: a run whose actions expect something is refused.
	Expect func(expr string) (gaea.Expectation, error)
	// HTTP makes the requests of actions. It must not follow redirects; its timeout, if any, counts beside the action's. Nil:
	// such an action fails.
	HTTP *http.Client
	// Keep archives what the runner or the request of an action answered, as an event (see [gaea.ActionTag]). Nil: only the
	// run's own words about it are kept.
	Keep func(ctx context.Context, ev gaea.Event) error
	// Metadata is what else the publication of a slice carries, beside the run's id: a few short texts, for they come back in
	// every return. May be nil.
	Metadata func(run *gaea.Run, jid string) map[string]any
	// Process is what carries runs out, for errors: "jobd" where it is empty.
	Process string
	// AbsentFor is how long a minion that a run found unreachable counts as unreachable for checks, which then do not wait for
	// it; until somebody hears it. 0: each run finds out for itself.
	AbsentFor time.Duration
	// RosterFor is how long the master's word is believed on whom a target of minion ids means, unless KeysChanged is called;
	// 0: it is asked each time.
	RosterFor time.Duration
	// Front says that this engine is never started: it accepts runs that another one takes up (see [Engine.Ensure]). Salt may
	// be nil then.
	Front bool
	// TakeBy is by when that is to happen to the runs that a front accepts, else they end (see [machine.Untaken]). Whoever takes
	// runs up looks at it before. Zero: at any time.
	TakeBy time.Time
	// OnEnd is told of every run that has ended and is stored, before Stop returns. The run is the callee's own. It may
	// call the engine's methods. May be nil.
	OnEnd func(*gaea.Run)
}

// Engine runs runs. Make it with [New], then Start; every goroutine of it has ended when Stop returns nil.
type Engine struct {
	deps   Deps
	locks  *lockTable
	claims *claimTable

	resolutions *resolutions
	roster      *roster
	witness     *witness
	functions   *functions

	publishing chan struct{} // one element for each publish under way
	lookingUp  chan struct{} // the same for look-ups

	ctx     context.Context //nolint:containedctx // the life of the engine's goroutines
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	state    engineState
	active   map[string]*runner
	left     int // runs that were let go of since the start
	watchers map[string][]*watcher

	ended sync.Mutex // serializes changes to runs that have ended
}

type engineState int

const (
	engineNew engineState = iota
	engineStarted
	engineStopped
)

// MaxActive bounds the runs that go on at once, those that wait for others included.
const MaxActive = 5000

// New returns an engine that does nothing before Start.
func New(deps Deps) *Engine {
	if deps.Process == "" {
		deps.Process = "jobd"
	}
	if deps.JIDs == nil {
		deps.JIDs = &gaea.JIDs{}
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Engine{
		deps: deps, locks: newLockTable(), claims: newClaimTable(), resolutions: newResolutions(), roster: newRoster(), witness: newWitness(), functions: newFunctions(), ctx: ctx, cancel: cancel,
		publishing: make(chan struct{}, publishAtOnce), lookingUp: make(chan struct{}, lookUpAtOnce),
		active: map[string]*runner{}, watchers: map[string][]*watcher{},
	}
}

func (e *Engine) now() time.Time { return e.deps.Clock() }

// Start takes up the runs that were going on when the process before this one ended: for each job id that was stored it is
// found out whether the job was published, and nothing is published twice. The error is the store's.
func (e *Engine) Start(ctx context.Context) error {
	runs, err := e.stored(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != engineNew {
		return gaea.Errorf(gaea.CodeInternal, "the engine can be started once")
	}
	e.state = engineStarted
	runners := make([]*runner, 0, len(runs))
	for _, run := range runs {
		r := e.newRunner(run)
		r.regain()
		runners = append(runners, r)
	}
	for _, r := range runners {
		r.log.Info("run taken up", "status", r.m.Run().Status)
		e.launch(r)
	}
	return nil
}

// stored returns this master's runs that have not ended, oldest first.
func (e *Engine) stored(ctx context.Context) ([]*gaea.Run, error) {
	var runs []*gaea.Run
	page := gaea.PageRequest{Limit: 1000}
	for {
		found, err := e.deps.Runs.ListRuns(ctx, gaea.RunFilter{Master: e.deps.Master, Active: true}, page)
		if err != nil {
			return nil, err
		}
		for _, head := range found.Items {
			if head.Status.Final() {
				continue
			}
			run, err := e.deps.Runs.GetRun(ctx, head.ID)
			if err != nil {
				return nil, err
			}
			runs = append(runs, run)
		}
		if found.Next == "" {
			slices.Reverse(runs)
			return runs, nil
		}
		page.Cursor = found.Next
	}
}

// launch starts a run's goroutine. The engine's lock is held.
func (e *Engine) launch(r *runner) {
	e.active[r.id] = r
	e.running.Go(r.loop)
}

// leave takes a run out of those that go on.
func (e *Engine) leave(r *runner) {
	e.mu.Lock()
	delete(e.active, r.id)
	e.left++
	e.mu.Unlock()
	close(r.done)
}

// Going says whether a run goes on here.
func (e *Engine) Going(id string) bool { return e.runner(id) != nil }

// runner returns the run's goroutine, nil where it does not go on here.
func (e *Engine) runner(id string) *runner {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.active[id]
}

// Stop leaves every run as it is stored, to be taken up by the next Start, and waits for the engine's goroutines. It
// returns ctx's error where they do not end in time. It may be called again.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	e.state = engineStopped
	e.mu.Unlock()
	e.cancel()
	stopped := make(chan struct{})
	go func() { // ends with the last run's goroutine
		defer close(stopped)
		e.running.Wait()
	}()
	select {
	case <-stopped:
		e.closeWatchers()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Get returns the run as it stands at this moment. CodeNotFound.
func (e *Engine) Get(ctx context.Context, id string) (*gaea.Run, error) {
	if r := e.runner(id); r != nil {
		var run *gaea.Run
		err := r.call(ctx, func() error {
			run = Clone(r.m.Run())
			return nil
		})
		if !errors.Is(err, errRunEnded) {
			return run, err
		}
	}
	return e.deps.Runs.GetRun(ctx, id)
}

// Finish changes a run's CheckRun, CheckState or Message under the engine's lock and stores it. The function f must not
// call the engine. CodeNotFound.
func (e *Engine) Finish(ctx context.Context, id string, f func(*gaea.Run)) error {
	if r := e.runner(id); r != nil {
		err := r.call(ctx, func() error {
			run := r.m.Run()
			run.Seq++
			f(run)
			r.dirty, r.changed = true, true
			return r.flush()
		})
		if !errors.Is(err, errRunEnded) {
			return err
		}
	}
	e.ended.Lock()
	defer e.ended.Unlock()
	run, err := e.deps.Runs.GetRun(ctx, id)
	if err != nil {
		return err
	}
	run.Seq++
	f(run)
	if err := e.deps.Runs.SaveRun(ctx, run, headOnly(run)...); err != nil {
		return err
	}
	e.deliver(run)
	return nil
}

// Late takes a stored return of a run that has ended, or of a job of it that is not listened to any more: it replaces an
// outcome that the minion had not sent itself, and is marked late. Every other return is none of its business and changes
// nothing, so it may be called for each return that names a run. The error is the store's.
func (e *Engine) Late(ctx context.Context, ret gaea.Return) error {
	if ret.RunID == "" {
		return nil
	}
	if r := e.runner(ret.RunID); r != nil {
		if r.following(ret.JID) {
			return nil
		}
		err := r.call(ctx, func() error {
			r.step(machine.ReturnedFrom(&ret))
			return nil
		})
		if !errors.Is(err, errRunEnded) {
			return err
		}
	}
	e.ended.Lock()
	defer e.ended.Unlock()
	run, err := e.deps.Runs.GetRun(ctx, ret.RunID)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		return nil
	case err != nil:
		return err
	case !machine.Late(run, machine.ReturnedFrom(&ret), e.now()):
		return nil
	}
	if err := e.deps.Runs.SaveRun(ctx, run, ret.Minion); err != nil {
		return err
	}
	e.deps.Logger.Info("late return taken", "run", run.ID, "jid", ret.JID, "minion", ret.Minion, "outcome", ret.Outcome)
	e.deliver(run)
	return nil
}
