package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/expect"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an engine with a scripted master. Tests run it in a synctest bubble, in which time passes when all wait.
type world struct {
	t      testing.TB
	salt   *enginetest.Salt
	runs   *enginetest.Runs
	engine *engine.Engine
	line   *line
	ended  chan *gaea.Run
	adapt  func(*engine.Deps) // what a test has of its own; may be nil
}

// line is what an engine reaches the store and the master by. A crash cuts it.
type line struct {
	gaea.RunStore
	gaea.Publisher
	cut atomic.Bool
}

var errCut = errors.New("the process has crashed")

func (l *line) SaveRun(ctx context.Context, r *gaea.Run, minions ...string) error {
	if l.cut.Load() {
		return errCut
	}
	return l.RunStore.SaveRun(ctx, r, minions...)
}

func (l *line) CreateRun(ctx context.Context, r *gaea.Run, key, digest string) (*gaea.Run, bool, error) {
	if l.cut.Load() {
		return nil, false, errCut
	}
	return l.RunStore.CreateRun(ctx, r, key, digest)
}

func (l *line) Publish(ctx context.Context, p gaea.Publication) (gaea.Published, error) {
	if l.cut.Load() {
		return gaea.Published{}, errCut
	}
	return l.Publisher.Publish(ctx, p)
}

// newWorld starts an engine over minions that return after a fifth of a second.
func newWorld(t testing.TB, minions ...string) *world { return newWorldWith(t, nil, minions...) }

// newWorldWith starts an engine that has something of its own.
func newWorldWith(t testing.TB, adapt func(*engine.Deps), minions ...string) *world {
	w := &world{t: t, adapt: adapt, salt: enginetest.New("m"), runs: enginetest.NewRuns(), ended: make(chan *gaea.Run, 1000)}
	for _, name := range minions {
		w.salt.Set(name, enginetest.Minion{Takes: 200 * time.Millisecond, Answers: 100 * time.Millisecond})
	}
	t.Cleanup(w.salt.Close)
	w.start()
	return w
}

// start starts an engine on what is stored.
func (w *world) start() {
	l := &line{RunStore: w.runs, Publisher: w.salt}
	w.line = l
	deps := engine.Deps{
		Master: "m", Salt: l, Cache: w.salt, Feed: w.salt, Returns: w.salt, Runs: l,
		Redact: func(_ string, args []any, _ map[string]any) json.RawMessage {
			b, err := json.Marshal(args)
			if err != nil {
				w.t.Error(err)
			}
			return b
		},
		Expect: func(expr string) (gaea.Expectation, error) { return expect.Compile(expr) },
		OnEnd:  func(run *gaea.Run) { w.ended <- run },
	}
	if w.adapt != nil {
		w.adapt(&deps)
	}
	e := engine.New(deps)
	w.salt.OnStore(func(ret gaea.Return) {
		if err := e.Late(context.Background(), ret); err != nil && !l.cut.Load() {
			w.t.Errorf("late return refused: %v", err)
		}
	})
	if err := e.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.engine = e
	w.t.Cleanup(func() { w.stop(e) })
}

func (w *world) stop(e *engine.Engine) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := e.Stop(ctx); err != nil {
		w.t.Errorf("the engine does not stop: %v", err)
	}
}

// restart stops the engine and starts another on what is stored.
func (w *world) restart() {
	w.stop(w.engine)
	w.start()
}

// crash ends the engine so that nothing of it is stored or published any more, and starts another.
func (w *world) crash() {
	w.line.cut.Store(true)
	w.restart()
}

func (w *world) submit(req engine.Request) *gaea.Run {
	w.t.Helper()
	run, _, err := w.engine.Submit(context.Background(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

// finish waits for a run's end and returns it as it is stored.
func (w *world) finish(id string) *gaea.Run {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	if _, err := w.engine.Wait(ctx, id); err != nil {
		w.t.Fatal(err)
	}
	return w.stored(id)
}

func (w *world) stored(id string) *gaea.Run {
	w.t.Helper()
	run, err := w.runs.GetRun(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

// run submits and waits.
func (w *world) run(req engine.Request) *gaea.Run {
	w.t.Helper()
	return w.finish(w.submit(req).ID)
}

// eventually lets time pass until something is so.
func (w *world) eventually(what string, so func() bool) {
	w.t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Hour)
	for !so() {
		select {
		case <-ticker.C:
		case <-deadline:
			w.t.Fatalf("never: %s", what)
		}
	}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

func glob(expr string) gaea.Target { return gaea.Target{Type: gaea.TargetGlob, Expr: expr} }

func grain(expr string) gaea.Target { return gaea.Target{Type: gaea.TargetGrain, Expr: expr} }

func ping(t gaea.Target) engine.Request {
	return engine.Request{Call: gaea.Call{Function: "test.ping"}, Target: t, User: "ann"}
}

func apply(t gaea.Target) engine.Request {
	return engine.Request{Call: gaea.Call{Function: "state.apply", Args: []any{"web"}}, Target: t, User: "ann"}
}

func inSlices(req engine.Request, size string) engine.Request {
	amount, err := gaea.ParseAmount(size)
	if err != nil {
		panic(err)
	}
	req.Batch.Size = amount
	return req
}

// outcomes is each minion's outcome.
func outcomes(run *gaea.Run) map[string]gaea.Outcome {
	o := map[string]gaea.Outcome{}
	for name, rm := range run.Minions {
		o[name] = rm.Outcome
	}
	return o
}
