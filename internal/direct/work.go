package direct

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/intake"
)

// CreateRun starts a run, or joins the one that has the key, here or in the master's job cache.
func (b *Backend) CreateRun(ctx context.Context, req gaea.RunRequest, key string) (*gaea.Run, error) {
	ctx = b.as(ctx)
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	request, err := intake.Resolver{Groups: b.groups, Templates: b.templates}.Resolve(ctx, req)
	if err != nil {
		return nil, err
	}
	request.User, request.Key = b.o.User, key
	run, _, err := taker{b.engine}.Submit(ctx, request)
	return run, err
}

// GetRun returns a run as it stands. One of an earlier process is put together from the master's job cache. CodeNotFound where
// that has nothing of it either.
func (b *Backend) GetRun(ctx context.Context, id string) (*gaea.Run, error) {
	run, err := b.engine.Get(ctx, id)
	if gaea.CodeOf(err) != gaea.CodeNotFound {
		return run, err
	}
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	return b.regain(ctx, id)
}

// WaitRun waits until a run and the check after it have ended. Where ctx ends first it returns the run as it was last seen, and an
// error. progress is called with the run at first and when it has changed; it may be nil.
func (b *Backend) WaitRun(ctx context.Context, id string, progress func(*gaea.Run)) (*gaea.Run, error) {
	last, err := b.GetRun(ctx, id)
	if err != nil {
		return nil, err
	}
	seen := func(run *gaea.Run) {
		last = run
		if progress != nil {
			progress(run)
		}
	}
	seen(last)
	if last.Complete() {
		return last, nil
	}
	snapshots, end := b.engine.Watch(id)
	defer end()
	look := time.NewTicker(outageLook)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if err := b.salt.outage(); err != nil {
				return last, err
			}
		case run, ok := <-snapshots:
			if !ok {
				return b.lastOf(ctx, last)
			}
			if seen(run); run.Complete() {
				return run, nil
			}
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
}

// lastOf returns a run that is not watched any more.
func (b *Backend) lastOf(ctx context.Context, last *gaea.Run) (*gaea.Run, error) {
	if run, err := b.engine.Get(ctx, last.ID); err == nil {
		last = run
	}
	if last.Complete() {
		return last, nil
	}
	return last, gaea.Errorf(gaea.CodeUnavailable, "the provider is ending")
}

// CancelRun stops a run: see [engine.Engine.Cancel].
func (b *Backend) CancelRun(ctx context.Context, id string, req gaea.CancelRequest) (*gaea.Run, error) {
	if _, err := b.GetRun(ctx, id); err != nil {
		return nil, err
	}
	return b.engine.Cancel(b.as(ctx), id, req)
}

// LeaveRun tells nobody any more of a run that is not waited for, and returns it as it stands. What was told goes on.
func (b *Backend) LeaveRun(ctx context.Context, id string) (*gaea.Run, error) {
	run, err := b.engine.Pause(b.as(ctx), id)
	if gaea.CodeOf(err) == gaea.CodeConflict { // it has ended, or is decided
		return b.engine.Get(ctx, id)
	}
	return run, err
}

// ForgetKey has the key of a run find it no more, for as long as this process lives. What the job cache has under the key cannot be
// taken out of it: a later process finds the run, unless a newer one has the key.
func (b *Backend) ForgetKey(_ context.Context, runID string) error {
	b.runs.free(runID)
	return nil
}
