package engine

import (
	"context"
	"encoding/json"
	"log/slog"

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
	JIDs    *gaea.JIDs // nil: the engine's own
	Clock   gaea.Clock // nil: time.Now
	Logger  *slog.Logger
	// Redact writes a call's arguments as users may see them, as JSON. Nil: the arguments are left out.
	Redact func(fun string, args []any, kwargs map[string]any) json.RawMessage
	// Digest is a keyed digest, by which two requests with the same idempotency key are compared. Nil: they are compared
	// without what Redact takes out.
	Digest func(parts ...[]byte) string
	// OnEnd is told of every run that has ended and is stored, before Stop returns. The run is the callee's own. It may
	// call the engine's methods. May be nil.
	OnEnd func(*gaea.Run)
}

// Engine runs runs. Make it with [New], then Start; every goroutine of it has ended when Stop returns nil.
type Engine struct {
	deps Deps
}

// New returns an engine that does nothing before Start.
func New(deps Deps) *Engine { return &Engine{deps: deps} }

// Start takes up the runs that were going on when the process before this one ended.
func (e *Engine) Start(ctx context.Context) error { return errNotReady }

// Stop leaves every run as it is stored, to be taken up by the next Start, and waits for the engine's goroutines. It
// returns ctx's error where they do not end in time.
func (e *Engine) Stop(ctx context.Context) error { return errNotReady }

// Cancel tells a run to stop: nothing more is published, the minions that were told are killed, and that is verified. It
// returns the run as it then stands; [Engine.Wait] tells when the last minion is accounted for. Cancelling a run that has
// ended changes nothing. CodeNotFound.
func (e *Engine) Cancel(ctx context.Context, id string) (*gaea.Run, error) { return nil, errNotReady }

// Wait returns the run when it has ended. Where ctx ends first it returns the run as it stands and ctx's error.
// CodeNotFound.
func (e *Engine) Wait(ctx context.Context, id string) (*gaea.Run, error) { return nil, errNotReady }

// WaitComplete is [Engine.Wait] for a run and the check after it: see [gaea.Run.Complete].
func (e *Engine) WaitComplete(ctx context.Context, id string) (*gaea.Run, error) {
	return nil, errNotReady
}

// Get returns the run as it stands at this moment. CodeNotFound.
func (e *Engine) Get(ctx context.Context, id string) (*gaea.Run, error) { return nil, errNotReady }

// Watch delivers the run as it stands, then again when it has changed; a snapshot that is not taken is replaced by the
// next. The channel is closed after the snapshot in which the run is complete, when the engine stops, and at once where
// there is no such run. The returned function ends the watch; it must be called.
func (e *Engine) Watch(id string) (<-chan *gaea.Run, func()) {
	c := make(chan *gaea.Run)
	close(c)
	return c, func() {}
}

// Late takes a stored return of a run that has ended, or whose job it is no longer listening to: it replaces an outcome
// that the minion had not sent itself, and is marked late. Every other return is none of its business and changes
// nothing, so it may be called for each return that names a run.
func (e *Engine) Late(ctx context.Context, r gaea.Return) error { return errNotReady }

// Finish changes a run's CheckRun, CheckState or Message under the engine's lock and stores it. CodeNotFound.
func (e *Engine) Finish(ctx context.Context, id string, f func(*gaea.Run)) error { return errNotReady }

var errNotReady = gaea.Errorf(gaea.CodeInternal, "the engine is being built")
