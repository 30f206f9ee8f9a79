package app

import (
	"context"
	"time"

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

func (s ingestStore) Return(ctx context.Context, jid, minion string) (*gaea.Return, error) {
	return s.store.Return(ctx, s.master, jid, minion)
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
