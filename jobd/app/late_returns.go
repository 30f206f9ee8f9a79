package app

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// lateReturns brings stored returns of runs to the engine, which takes those that come after it has settled their silence.
// The writer of the archive hands them over and must not wait, so they go through a queue of their own.
type lateReturns struct {
	note    func(context.Context, gaea.Return) error
	log     *slog.Logger
	queue   chan gaea.Return
	dropped atomic.Int64
	cancel  context.CancelFunc
	ending  sync.Once
	done    sync.WaitGroup
}

// lateQueue is how many returns of runs may wait for the engine. One that does not fit is stored all the same; only the
// record of a run that has ended long ago would go on saying that its minion did not answer.
const lateQueue = 4096

// newLateReturns takes what notes one return, engine.Engine.Late.
func newLateReturns(note func(context.Context, gaea.Return) error, log *slog.Logger) *lateReturns {
	return &lateReturns{note: note, log: log, queue: make(chan gaea.Return, lateQueue), cancel: func() {}}
}

// take never waits. It is not called after stop.
func (l *lateReturns) take(returns []gaea.Return) {
	for i := range returns {
		if returns[i].RunID == "" && !queued(&returns[i]) {
			continue
		}
		select {
		case l.queue <- returns[i]:
		default:
			l.dropped.Add(1)
		}
	}
}

// queued says whether a return may be of a run although it names none: a state run that waited in Salt's own queue on the
// minion (the engine asks for that) comes back without its metadata.
func queued(r *gaea.Return) bool {
	return strings.HasPrefix(r.Function, "state.") && bytes.Contains(r.Args, []byte(`"queue":true`))
}

func (l *lateReturns) start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.done.Go(func() {
		for r := range l.queue {
			if err := l.note(ctx, r); err != nil && ctx.Err() == nil && gaea.CodeOf(err) != gaea.CodeNotFound {
				l.log.Warn("a late return could not be noted in its run", "run", r.RunID, "minion", r.Minion, "error", err)
			}
			if n := l.dropped.Swap(0); n > 0 {
				l.log.Warn("too many returns at once to look for late ones among them; they are stored, and runs that have ended may not show them", "returns", n)
			}
		}
	})
}

// stop notes what waits, and returns when that is done or ctx ends. It may be called without start.
func (l *lateReturns) stop(ctx context.Context) error {
	l.ending.Do(func() { close(l.queue) })
	defer l.cancel()
	inTime := context.AfterFunc(ctx, l.cancel)
	defer inTime()
	l.done.Wait()
	return nil
}
