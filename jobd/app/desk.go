package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// desk takes the API's calls about runs and assignments, whichever jobd leads the master that they are about: here where it is
// this one, else it accepts the run for that one or orders the rest of it, and waits for its answer.
type desk struct{ *App }

var (
	_ api.Runs     = desk{}
	_ api.Enforcer = desk{}
)

// Submit implements [api.Runs].
func (d desk) Submit(ctx context.Context, req engine.Request) (run *gaea.Run, created bool, err error) {
	master := cmp.Or(req.Master, d.master)
	if t := d.current(); t != nil && master == d.master {
		return t.runs.Submit(ctx, req)
	}
	front, err := d.front(ctx, master)
	if err != nil {
		return nil, false, err
	}
	run, created, err = front.Submit(ctx, req)
	return d.accepted(ctx, run, created, err)
}

// Retry implements [api.Runs].
func (d desk) Retry(ctx context.Context, id string, req gaea.RetryRequest, user, key string) (run *gaea.Run, created bool, err error) {
	first, err := d.Get(ctx, id)
	if err != nil {
		return nil, false, err
	}
	if t := d.current(); t != nil && first.Master == d.master {
		return t.runs.Retry(ctx, id, req, user, key)
	}
	front, err := d.front(ctx, first.Master)
	if err != nil {
		return nil, false, err
	}
	run, created, err = front.Retry(ctx, id, req, user, key)
	return d.accepted(ctx, run, created, err)
}

// accepted tells the leader of a run's master that the run is there. Where it does not hear that, it finds the run when it looks.
func (d desk) accepted(ctx context.Context, run *gaea.Run, created bool, err error) (*gaea.Run, bool, error) {
	if err == nil && created {
		if err := d.seat.Say(ctx, run.Master); err != nil {
			d.log.Debug("the leader was not told of a run", "run", run.ID, "err", err)
		}
	}
	return run, created, err
}

// Get implements [api.Runs].
func (d desk) Get(ctx context.Context, id string) (*gaea.Run, error) {
	if t := d.current(); t != nil {
		return t.engine.Get(ctx, id)
	}
	return d.store.GetRun(ctx, id)
}

// Watch implements [api.Runs]. A run that does not go on here cannot be watched: it is to be looked at.
func (d desk) Watch(id string) (<-chan *gaea.Run, func()) {
	if t := d.current(); t != nil && (t.engine.Going(id) || d.seat == nil) {
		return t.engine.Watch(id)
	}
	none := make(chan *gaea.Run)
	close(none)
	return none, func() {}
}

// Cancel implements [api.Runs].
func (d desk) Cancel(ctx context.Context, id string, req gaea.CancelRequest) (*gaea.Run, error) {
	return d.control(ctx, id, orderCancel, orderBody{Run: id, Cancel: &req}, func(e *engine.Engine) (*gaea.Run, error) { return e.Cancel(ctx, id, req) })
}

// Pause implements [api.Runs].
func (d desk) Pause(ctx context.Context, id string) (*gaea.Run, error) {
	return d.control(ctx, id, orderPause, orderBody{Run: id}, func(e *engine.Engine) (*gaea.Run, error) { return e.Pause(ctx, id) })
}

// Resume implements [api.Runs].
func (d desk) Resume(ctx context.Context, id string) (*gaea.Run, error) {
	return d.control(ctx, id, orderResume, orderBody{Run: id}, func(e *engine.Engine) (*gaea.Run, error) { return e.Resume(ctx, id) })
}

// control does something to a run where that goes on.
func (d desk) control(ctx context.Context, id, kind string, body orderBody, do func(*engine.Engine) (*gaea.Run, error)) (*gaea.Run, error) {
	t := d.current()
	if d.seat == nil && t == nil {
		return nil, errStarting()
	}
	if d.seat == nil || t != nil && t.engine.Going(id) {
		return do(t.engine)
	}
	run, err := d.store.GetRun(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case run.Status.Final(): // nothing is done, and any engine says so
		return do(engine.New(d.frontDeps(run.Master)))
	case t != nil && run.Master == d.master: // accepted a moment ago
		if _, err := t.engine.Ensure(ctx, id); err != nil {
			return nil, err
		}
		return do(t.engine)
	}
	return d.order(ctx, run.Master, kind, body)
}

// Drift implements [api.Enforcer].
func (d desk) Drift(ctx context.Context, name string) (*gaea.DriftReport, error) {
	return d.reader.Drift(ctx, name)
}

// Check implements [api.Enforcer].
func (d desk) Check(ctx context.Context, name string, req gaea.CheckRequest) (*gaea.Run, error) {
	if t := d.current(); t != nil {
		return t.enforce.Check(ctx, name, req)
	}
	return d.order(ctx, d.master, orderCheck, orderBody{Assignment: name, Check: &req})
}

// Enforce implements [api.Enforcer].
func (d desk) Enforce(ctx context.Context, name string, req gaea.EnforceRequest, key string) (*gaea.Run, error) {
	if t := d.current(); t != nil {
		return t.enforce.Enforce(ctx, name, req, key)
	}
	return d.order(ctx, d.master, orderEnforce, orderBody{Assignment: name, Enforce: &req, Key: key})
}

// Follow implements [api.Enforcer]. Of a run that goes on elsewhere the leader sees to what comes after it.
func (d desk) Follow(run *gaea.Run) {
	if t := d.current(); t != nil && run.Master == d.master {
		t.enforce.Follow(run)
	}
}

// order has the leader of a master do something, and returns the run that came of it or is meant; nil where there is none.
func (d desk) order(ctx context.Context, master, kind string, body orderBody) (*gaea.Run, error) {
	if err := d.served(ctx, master); err != nil {
		return nil, err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "the request cannot be written as JSON")
	}
	answer, err := d.seat.Ask(ctx, master, postgres.Order{Kind: kind, Body: text, User: gaea.PrincipalFrom(ctx).Name})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the jobd that leads the master %q did not answer in time, and may have done it or not; see: jobd masters, and jobd runs --active", master)
	case err != nil:
		return nil, err
	case answer.Err() != nil || answer.Run == "":
		return nil, answer.Err()
	}
	return d.store.GetRun(ctx, answer.Run)
}

func errStarting() error {
	return gaea.Errorf(gaea.CodeUnavailable, "jobd is starting or stopping; try again in a moment")
}

// front is an engine that accepts runs of a master for the jobd that leads it.
func (d desk) front(ctx context.Context, master string) (*engine.Engine, error) {
	switch {
	case d.seat == nil && master == d.master:
		return nil, errStarting()
	case d.seat == nil:
		return nil, gaea.Invalid("master", "this jobd serves the master %q alone; leave master out, or ask the jobd of %q", d.master, master)
	}
	if err := d.served(ctx, master); err != nil {
		return nil, err
	}
	return engine.New(d.frontDeps(master)), nil
}

func (d desk) frontDeps(master string) engine.Deps {
	deps := d.engineDeps(master)
	deps.Front, deps.Runner, deps.Keep = true, nil, nil
	if master != d.master {
		deps.Salt, deps.Cache = nil, nil
	}
	return deps
}

// served says whether there is a jobd of a master that is alive, and whether the master has room for one more run.
func (d desk) served(ctx context.Context, master string) error {
	list, err := d.masters(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		m := &list[i]
		if m.Master != master {
			continue
		}
		var last gaea.Jobd
		for _, j := range m.Jobds {
			if j.Alive {
				if m.Runs >= engine.MaxActive {
					return gaea.Errorf(gaea.CodeUnavailable, "%d runs of the master %q are going on, which is the most at once; wait for some to end or cancel them", m.Runs, master)
				}
				return nil
			}
			if j.Seen.After(last.Seen) {
				last = j
			}
		}
		hint := "none has been there in the last day"
		if last.ID != "" {
			hint = fmt.Sprintf("the last, at %s (%s), was heard of %s ago", last.Host, last.Address, time.Since(last.Seen).Round(time.Second))
		}
		return gaea.Errorf(gaea.CodeUnavailable, "no jobd of the master %q is alive: %s; start it there, and ask again", master, hint)
	}
	return gaea.Invalid("master", "there is no master %q in this archive; jobd masters lists those that there are", master)
}
