package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/enforce"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// desk takes the API's calls about runs, assignments and job caches, whichever jobd leads the master that they are about: here where it is
// this one, else it accepts the run for that one or orders the rest of it, and waits for its answer.
type desk struct{ *App }

var (
	_ api.Runs     = desk{}
	_ api.Enforcer = desk{}
	_ api.Verifier = desk{}
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

// Drift implements [api.Enforcer]. It is read from the archive, so any jobd can tell it of any master.
func (d desk) Drift(ctx context.Context, master, name string) (*gaea.DriftReport, error) {
	if master == "" || master == d.master {
		return d.reader.Drift(ctx, name)
	}
	list, err := d.masters(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(list, func(m gaea.MasterStatus) bool { return m.Master == master }) {
		return nil, gaea.Invalid("master", "there is no master %q in this archive; jobd masters lists those that there are", master)
	}
	return enforce.New(d.enforceDeps(master, nil)).Drift(ctx, name)
}

// Check implements [api.Enforcer].
func (d desk) Check(ctx context.Context, name string, req gaea.CheckRequest) (*gaea.Run, error) {
	if t := d.leads(req.Master); t != nil {
		return t.enforce.Check(ctx, name, req)
	}
	return d.order(ctx, cmp.Or(req.Master, d.master), orderCheck, orderBody{Assignment: name, Check: &req})
}

// Enforce implements [api.Enforcer].
func (d desk) Enforce(ctx context.Context, name string, req gaea.EnforceRequest, key string) (*gaea.Run, error) {
	if t := d.leads(req.Master); t != nil {
		return t.enforce.Enforce(ctx, name, req, key)
	}
	return d.order(ctx, cmp.Or(req.Master, d.master), orderEnforce, orderBody{Assignment: name, Enforce: &req, Key: key})
}

// leads is the term in which this jobd leads a master; empty: its own. Nil: it does not.
func (d desk) leads(master string) *term {
	if master != "" && master != d.master {
		return nil
	}
	return d.current()
}

// Verify implements [api.Verifier]. The job cache of this jobd's master is compared here, whoever leads that; of another master its
// leader does, whose answer has all that it found.
func (d desk) Verify(ctx context.Context, req gaea.VerifyRequest) (*gaea.VerifyReport, error) {
	if req.Master == "" || req.Master == d.master {
		return d.ingest.Verify(ctx, req)
	}
	answer, err := d.ask(ctx, req.Master, orderVerify, orderBody{Verify: &req})
	if err != nil {
		return nil, err
	}
	var report gaea.VerifyReport
	if err := json.Unmarshal(answer.Body, &report); err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInternal, "the answer of the jobd that leads the master %q cannot be read; are both of the same version?", req.Master)
	}
	return &report, nil
}

// Follow implements [api.Enforcer]. Of a run that goes on elsewhere the leader sees to what comes after it.
func (d desk) Follow(run *gaea.Run) {
	if t := d.current(); t != nil && run.Master == d.master {
		t.enforce.Follow(run)
	}
}

// orderWait is how long an order is waited for at most: longer than it takes until another jobd leads, and a bit less than a request
// may take, so that whoever asks is told what became of it.
const orderWait = 25 * time.Second

// order has the leader of a master do something, and returns the run that came of it or is meant; nil where there is none.
func (d desk) order(ctx context.Context, master, kind string, body orderBody) (*gaea.Run, error) {
	answer, err := d.ask(ctx, master, kind, body)
	if err != nil || answer.Run == "" {
		return nil, err
	}
	return d.store.GetRun(ctx, answer.Run)
}

// ask has the leader of a master do something, or the one that leads it next, and returns its answer, or the error that was answered.
func (d desk) ask(ctx context.Context, master, kind string, body orderBody) (postgres.Answer, error) {
	none := postgres.Answer{}
	switch {
	case d.seat == nil && master == d.master:
		return none, errStarting()
	case d.seat == nil:
		return none, d.errAlone(master)
	}
	who, err := d.served(ctx, master)
	if err != nil {
		return none, err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return none, gaea.Wrap(err, gaea.CodeInvalid, "the request cannot be written as JSON")
	}
	if now, err := d.seat.Now(ctx); err != nil {
		return none, err
	} else if longGone(who, now) {
		return none, gaea.Errorf(gaea.CodeUnavailable, "no jobd serves the master %q now, and nothing was done: %s", master, whoServes(who))
	}
	limited, cancel := context.WithTimeout(ctx, min(orderWait, d.o.TakeoverWait))
	defer cancel()
	began := time.Now()
	answer, err := d.seat.Ask(limited, master, postgres.Order{Kind: kind, Body: text, User: gaea.PrincipalFrom(ctx).Name})
	switch waited := gaea.Duration(time.Since(began).Round(time.Second)); {
	case errors.Is(err, postgres.ErrNotTaken):
		return none, gaea.Wrap(err, gaea.CodeUnavailable, "no jobd leads the master %q or came to within %s, and nothing was done: %s", master, waited, whoServes(who))
	case errors.Is(err, postgres.ErrNotAnswered):
		return none, gaea.Wrap(err, gaea.CodeUnavailable, "the jobd that leads the master %q did not answer within %s, and may have done it or not; see: jobd masters, and jobd runs --active", master, waited)
	case err != nil:
		return none, err
	}
	return answer, answer.Err()
}

// errAlone is told where the archive is one jobd's.
func (d desk) errAlone(master string) error {
	return gaea.Invalid("master", "this jobd serves the master %q alone; leave master out, or ask the jobd of %q", d.master, master)
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
		return nil, d.errAlone(master)
	}
	if _, err := d.served(ctx, master); err != nil {
		return nil, err
	}
	now, err := d.seat.Now(ctx)
	if err != nil {
		return nil, err
	}
	deps := d.frontDeps(master)
	deps.TakeBy = now.Add(d.o.TakeoverWait)
	return engine.New(deps), nil
}

func (d desk) frontDeps(master string) engine.Deps {
	deps := d.engineDeps(master)
	deps.Front, deps.Runner, deps.Keep = true, nil, nil
	if master != d.master {
		deps.Salt, deps.Cache = nil, nil
	}
	return deps
}

// served finds out who serves a master, and whether the master has room for one more run. That nobody is alive at the moment is no
// error, for another one may be about to take over. A master that no jobd has ever served is one.
func (d desk) served(ctx context.Context, master string) (*gaea.MasterStatus, error) {
	list, err := d.masters(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range list {
		m := &list[i]
		switch known := m.Fence > 0 || len(m.Jobds) > 0; {
		case known && m.Master == master && m.Runs >= engine.MaxActive:
			return nil, gaea.Errorf(gaea.CodeUnavailable, "%d runs of the master %q are going on, which is the most at once; wait for some to end or cancel them", m.Runs, master)
		case known && m.Master == master:
			return m, nil
		case known && len(names) < mastersNamed:
			names = append(names, strconv.Quote(m.Master))
		case known:
			names[mastersNamed-1] = "others"
		}
	}
	return nil, gaea.Invalid("master", "no jobd serves a master %q in this archive, or ever did; there are %s (jobd masters lists them)", master, strings.Join(names, ", "))
}

// mastersNamed bounds how many masters an error names.
const mastersNamed = 20

// longGone says whether all jobds of a master have been silent for longer than it takes until another one leads after a leader that
// is gone: nothing is to be waited for then. By the database's clock, which their heartbeats are of.
func longGone(m *gaea.MasterStatus, now time.Time) bool {
	return !slices.ContainsFunc(m.Jobds, func(j gaea.Jobd) bool { return j.Alive || now.Sub(j.Seen) <= unledFor })
}

// whoServes says which jobd of a master is to be looked after where none takes what it is asked.
func whoServes(m *gaea.MasterStatus) string {
	var last gaea.Jobd
	for _, j := range m.Jobds {
		if j.Alive {
			return fmt.Sprintf("the one at %s (%s) is alive; its log says why it does not lead", j.Host, j.Address)
		}
		if j.Seen.After(last.Seen) {
			last = j
		}
	}
	if last.ID == "" {
		return "none has been there in the last day; start one beside it"
	}
	return fmt.Sprintf("the last, at %s (%s), was heard of %s ago; start it there, and ask again", last.Host, last.Address, time.Since(last.Seen).Round(time.Second))
}
