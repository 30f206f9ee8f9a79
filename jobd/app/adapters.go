package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// ingestStore is the archive as ingest knows it: for one master.
type ingestStore struct {
	store  archive.Store
	master string
}

func (s ingestStore) Write(ctx context.Context, jobs []gaea.Job, returns []gaea.Return, events []gaea.Event) error {
	return s.store.WriteBatch(ctx, s.master, archive.Batch{Jobs: jobs, Returns: returns, Events: events})
}

func (s ingestStore) Job(ctx context.Context, jid string) (*gaea.JobDetail, error) {
	return s.store.Job(ctx, s.master, jid)
}

func (s ingestStore) LastStamp(ctx context.Context) (time.Time, error) {
	return s.store.LastStamp(ctx, s.master)
}

func (s ingestStore) OpenGap(ctx context.Context, from time.Time) (int64, error) {
	return s.store.OpenGap(ctx, s.master, from)
}

func (s ingestStore) CloseGap(ctx context.Context, id int64, until time.Time, recovered int) error {
	return s.store.CloseGap(ctx, id, until, recovered)
}

func (s ingestStore) OpenGaps(ctx context.Context) (map[int64]time.Time, error) {
	gaps, err := s.store.OpenGaps(ctx, s.master)
	if err != nil {
		return nil, err
	}
	starts := make(map[int64]time.Time, len(gaps))
	for _, g := range gaps {
		starts[g.ID] = g.From
	}
	return starts, nil
}

// lateReturns brings stored returns of runs to the engine, which takes those that come after it has settled their silence.
// The writer of the archive hands them over and must not wait, so they go through a queue of their own.
type lateReturns struct {
	engine *engine.Engine
	log    *slog.Logger
	queue  chan gaea.Return
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// lateQueue is how many returns of runs may wait for the engine. One that does not fit is stored all the same; only the
// record of a run that has ended long ago would go on saying that its minion did not answer.
const lateQueue = 4096

func newLateReturns(e *engine.Engine, log *slog.Logger) *lateReturns {
	return &lateReturns{engine: e, log: log, queue: make(chan gaea.Return, lateQueue)}
}

func (l *lateReturns) take(returns []gaea.Return) {
	for i := range returns {
		if returns[i].RunID == "" {
			continue
		}
		select {
		case l.queue <- returns[i]:
		default:
			l.log.Warn("too many returns at once to look for late ones", "jid", returns[i].JID, "minion", returns[i].Minion)
		}
	}
}

func (l *lateReturns) start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case r := <-l.queue:
				if err := l.engine.Late(ctx, r); err != nil && ctx.Err() == nil && gaea.CodeOf(err) != gaea.CodeNotFound {
					l.log.Warn("a late return could not be noted in its run", "run", r.RunID, "minion", r.Minion, "error", err)
				}
			}
		}
	})
}

func (l *lateReturns) stop() error {
	if l.cancel != nil {
		l.cancel()
		l.done.Wait()
	}
	return nil
}
