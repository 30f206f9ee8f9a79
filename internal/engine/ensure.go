package engine

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Ensure sees to it that a run goes on: where it is stored as not ended and nobody here runs it, it is taken up as Start does.
// It says whether the run has ended. It may be called at any time for a run that Submit has returned, in this process or in
// one before it. CodeNotFound; CodeConflict where the run is another master's; CodeUnavailable where the engine does not run.
func (e *Engine) Ensure(ctx context.Context, id string) (ended bool, err error) {
	for {
		runs, before := e.runsNow(id)
		if runs {
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
		if taken, err := e.takeUp(run, before); taken || err != nil {
			return false, err
		}
	}
}

// runsNow says whether a run goes on here, and how many runs were let go of.
func (e *Engine) runsNow(id string) (runs bool, left int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.active[id] != nil, e.left
}

// takeUp runs a stored run, unless somebody runs it. False: runs were let go of since it was read, and it may have been one
// of them, taken up by another call and ended. The store is not read here, where the engine's lock is held: it may be slow.
func (e *Engine) takeUp(run *gaea.Run, before int) (taken bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.state != engineStarted:
		return false, gaea.Errorf(gaea.CodeUnavailable, "%s is starting or stopping; its next start takes up the run %s", e.deps.Process, run.ID)
	case e.active[run.ID] != nil:
		return true, nil
	case e.left != before:
		return false, nil
	}
	r := e.newRunner(run)
	r.regain()
	r.log.Warn("run taken up, because it was stored and nobody ran it", "status", run.Status)
	e.launch(r)
	return true, nil
}
