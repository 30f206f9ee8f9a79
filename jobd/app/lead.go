package app

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

const (
	// beginPause is the pause after a term that could not begin.
	beginPause = time.Second
	// orderTimeout bounds the work on an order of another jobd.
	orderTimeout = 30 * time.Second
	// attendTimeout bounds one look at what others have for the leader.
	attendTimeout = 10 * time.Second
	straysPage    = 1000
)

// current is the term that goes on; nil while another jobd leads the master.
func (a *App) current() *term { return a.term.Load() }

// lead has terms begin and end, until ctx ends. The one that goes on then is left to its caller.
func (a *App) lead(ctx context.Context) {
	for {
		t := a.current()
		if t == nil {
			select {
			case lease := <-a.seat.Leads():
				a.begin(ctx, lease)
			case <-ctx.Done():
				return
			}
			continue
		}
		select {
		case <-t.lease.Lost():
			a.end(ctx, t)
		case <-a.seat.Work():
			a.attend(ctx, t)
		case <-ctx.Done():
			return
		}
	}
}

// begin begins a term. It tries until it works or the lease is lost.
func (a *App) begin(ctx context.Context, lease *postgres.Lease) {
	for {
		t, err := a.newTerm(ctx, lease)
		if err == nil {
			if err = a.startTerm(ctx, t); err == nil {
				a.term.Store(t)
				t.engine.KeysChanged() // it was not told of keys that changed while it began
				a.late.take(a.unled.take(time.Now()))
				a.log.Info("this jobd leads the master now", "master", a.master, "fence", lease.Fence())
				a.attend(ctx, t)
				return
			}
			a.leave(ctx, t)
		}
		a.log.Error("this jobd is to lead the master and cannot begin; trying again", "master", a.master, "err", err)
		select {
		case <-time.After(beginPause):
		case <-lease.Lost():
			return
		case <-ctx.Done():
			return
		}
	}
}

// end ends a term whose lease is lost.
func (a *App) end(ctx context.Context, t *term) {
	a.term.Store(nil)
	if ctx.Err() == nil {
		a.log.Warn("another jobd leads the master now; the runs go on there", "master", a.master)
	}
	a.leave(ctx, t)
}

// leave stops a term, whatever of it was started. Each part has its own time, so that one that hangs does not cost the others theirs.
func (a *App) leave(ctx context.Context, t *term) {
	ctx = context.WithoutCancel(ctx)
	if err := errors.Join(step(ctx, stopWorking, t.queue.Stop), step(ctx, stopWorking, t.stopRuns), t.queue.Close()); err != nil {
		a.log.Warn("what this jobd did as the master's leader did not end in time", "err", err)
	}
}

// attend takes up the runs that other jobds have accepted for the master, and what they have ordered. Of runs that nobody has taken
// up in time it sees to the end, also for masters that nobody leads.
func (a *App) attend(ctx context.Context, t *term) {
	ctx, cancel := context.WithTimeout(ctx, attendTimeout)
	defer cancel()
	if err := errors.Join(a.takeStrays(ctx, t), a.takeOrders(ctx, t), a.sweep(ctx, t)); err != nil && ctx.Err() == nil {
		a.log.Warn("could not see what other jobds have for this one; trying again", "err", err)
	}
}

// sweep ends the runs that nobody has taken up in time, of whatever master, each sweepGap.
func (a *App) sweep(ctx context.Context, t *term) error {
	if time.Since(t.swept) < sweepGap {
		return nil
	}
	t.swept = time.Now()
	return a.endUntaken(ctx, t, gaea.RunFilter{})
}

// takeStrays takes up the runs that are accepted and that nobody has begun, unless they have waited for too long.
func (a *App) takeStrays(ctx context.Context, t *term) error {
	now, err := a.seat.Now(ctx)
	if err != nil {
		return err
	}
	page := gaea.PageRequest{Limit: straysPage}
	for {
		found, err := a.store.ListRuns(ctx, gaea.RunFilter{Master: a.master, Active: true, Status: gaea.RunQueued}, page)
		if err != nil {
			return err
		}
		for i := range found.Items {
			run := &found.Items[i]
			if t.engine.Going(run.ID) {
				continue
			}
			if tooLate(run, now) {
				if err := a.endRun(ctx, t.lease, run, now); err != nil {
					return err
				}
				continue
			}
			if _, err := t.engine.Ensure(ctx, run.ID); err != nil {
				return err
			}
			t.enforce.Follow(run)
		}
		if found.Next == "" {
			return nil
		}
		page.Cursor = found.Next
	}
}

// takeOrders has the orders of other jobds carried out, each by a goroutine of its own.
func (a *App) takeOrders(ctx context.Context, t *term) error {
	if len(t.orders) > 0 && len(t.orders) == cap(t.orders) {
		return nil // those that are done first make room; the next heartbeat looks again
	}
	orders, err := t.lease.Orders(ctx)
	if err != nil {
		return err
	}
	for _, o := range orders {
		t.doing.Go(func() { a.takeOrder(context.WithoutCancel(ctx), t, o) })
	}
	return nil
}

// takeOrder carries out an order of another jobd, and answers it.
func (a *App) takeOrder(ctx context.Context, t *term, o postgres.Order) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	stop := context.AfterFunc(t.waited, cancel)
	defer stop()
	select {
	case t.orders <- struct{}{}:
		defer func() { <-t.orders }()
	case <-ctx.Done():
		return
	case <-t.lease.Lost():
		return
	}
	answer, err := a.carryOut(ctx, t, o)
	if !t.leaves(err) {
		err = t.lease.Answer(ctx, o, answer)
	}
	if err != nil {
		a.log.Warn("an order of another jobd was not answered; whoever leads next answers it", "kind", o.Kind, "err", err)
	}
}

// What jobds order of each other.
const (
	orderCancel  = "cancel"
	orderPause   = "pause"
	orderResume  = "resume"
	orderCheck   = "check"
	orderEnforce = "enforce"
	orderVerify  = "verify"
)

// orderBody is what an order says, each kind what it needs.
type orderBody struct {
	Run        string               `json:"run,omitempty"`
	Assignment string               `json:"assignment,omitempty"`
	Key        string               `json:"key,omitempty"`
	Cancel     *gaea.CancelRequest  `json:"cancel,omitempty"`
	Check      *gaea.CheckRequest   `json:"check,omitempty"`
	Enforce    *gaea.EnforceRequest `json:"enforce,omitempty"`
	Verify     *gaea.VerifyRequest  `json:"verify,omitempty"`
}

// carryOut does what another jobd has ordered, and returns what to answer: the run that is meant or came of it, if any. The error is
// in the answer, too.
func (a *App) carryOut(ctx context.Context, t *term, o postgres.Order) (postgres.Answer, error) {
	var b orderBody
	if err := json.Unmarshal(o.Body, &b); err != nil {
		err = gaea.Wrap(err, gaea.CodeInternal, "the order of another jobd cannot be read; are both of the same version?")
		return postgres.AnswerOf("", err), err
	}
	ctx = gaea.WithPrincipal(ctx, gaea.Principal{Name: o.User})
	var run *gaea.Run
	var err error
	switch {
	case o.Kind == orderCheck && b.Check != nil:
		run, err = t.enforce.Check(ctx, b.Assignment, *b.Check)
	case o.Kind == orderEnforce && b.Enforce != nil:
		run, err = t.enforce.Enforce(ctx, b.Assignment, *b.Enforce, b.Key)
	case o.Kind == orderVerify && b.Verify != nil:
		return a.verify(ctx, *b.Verify)
	case o.Kind == orderCancel && b.Cancel != nil, o.Kind == orderPause, o.Kind == orderResume:
		err = a.controlRun(ctx, t, o, &b)
		return postgres.AnswerOf(b.Run, err), err
	default:
		err = gaea.Errorf(gaea.CodeInternal, "the jobd that leads the master does not know the order %q; update it to the same version", o.Kind)
	}
	if err != nil || run == nil {
		return postgres.AnswerOf("", err), err
	}
	return postgres.AnswerOf(run.ID, nil), nil
}

// verify compares the master's job cache for another jobd.
func (a *App) verify(ctx context.Context, req gaea.VerifyRequest) (postgres.Answer, error) {
	report, err := a.ingest.Verify(ctx, req)
	if err != nil {
		return postgres.AnswerOf("", err), err
	}
	body, err := json.Marshal(report)
	return postgres.Answer{Body: body}, err
}

// controlRun does what was ordered about a run. What a leader before this one may have done already is not done again.
func (a *App) controlRun(ctx context.Context, t *term, o postgres.Order, b *orderBody) error {
	if _, err := t.engine.Ensure(ctx, b.Run); err != nil { // it may have been accepted a moment ago
		return err
	}
	run, err := t.engine.Get(ctx, b.Run)
	if err != nil {
		return err
	}
	switch o.Kind {
	case orderCancel:
		if o.Again && (run.Status == gaea.RunCancelling || run.Status.Final()) {
			return nil // a second cancel would mean more
		}
		_, err = t.engine.Cancel(ctx, b.Run, *b.Cancel)
	case orderPause:
		_, err = t.engine.Pause(ctx, b.Run)
	case orderResume:
		if o.Again && run.Pause == nil {
			return nil
		}
		_, err = t.engine.Resume(ctx, b.Run)
	}
	return err
}
