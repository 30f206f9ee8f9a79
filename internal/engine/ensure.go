package engine

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Ensure sees to it that a run goes on: where it is stored as not ended and nobody here runs it, it is taken up as Start does.
// It says whether the run has ended. It may be called at any time for a run that Submit has returned, in this process or in
// one before it. CodeNotFound; CodeConflict where the run is another master's; CodeUnavailable where the engine does not run.
func (e *Engine) Ensure(ctx context.Context, id string) (ended bool, err error) {
	if e.runner(id) != nil {
		return false, nil
	}
	// Whoever lets go of a run stores it first, so what is read now is no older than that.
	run, err := e.deps.Runs.GetRun(ctx, id)
	switch {
	case err != nil:
		return false, err
	case run.Status.Final():
		return true, nil
	case run.Master != e.deps.Master:
		return false, gaea.Errorf(gaea.CodeConflict, "run %s is one of the master %q, whose own jobd carries it out", id, run.Master)
	}
	return e.takeUp(ctx, id)
}

// takeUp runs a stored run that nobody runs. It reads the run again under the engine's lock: another call may have taken it
// up and seen it end in between.
func (e *Engine) takeUp(ctx context.Context, id string) (ended bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != engineStarted {
		return false, gaea.Errorf(gaea.CodeUnavailable, "jobd is starting or stopping; its next start takes up the run %s", id)
	}
	if e.active[id] != nil {
		return false, nil
	}
	run, err := e.deps.Runs.GetRun(ctx, id)
	if err != nil || run.Status.Final() {
		return err == nil, err
	}
	r := e.newRunner(run)
	r.regain()
	r.log.Warn("run taken up, because it was stored and nobody ran it", "status", run.Status)
	e.launch(r)
	return false, nil
}
