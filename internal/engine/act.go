package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/redact"
)

const (
	actSlack     = 5 * time.Second  // on top of a try's limit and gather, before its run is cancelled
	actTakeUp    = 35 * time.Second // the same for a run that was found, and may have to learn first what became of its job
	actKeepTries = 3                // to archive what a runner or a request answered
	actMessage   = 1000             // characters of a try's message at most
	answerKept   = 64 << 10         // bytes of an answer that are archived
	judgeLeast   = 10 * time.Second // to judge what was done, however late that ended
)

// trying is a try of an action that is under way.
type trying struct{ cancel context.CancelFunc }

// tried is how a try ended.
type tried struct {
	ok      bool
	message string          // for people
	answer  json.RawMessage // to be archived, secrets redacted; empty where the archive has it already, or there is none
}

func failed(format string, args ...any) tried { return tried{message: fmt.Sprintf(format, args...)} }

// act makes one try of an action.
func (r *runner) act(a machine.Act) {
	ctx, cancel := context.WithCancel(r.ctx)
	t := &trying{cancel: cancel}
	r.mu.Lock()
	r.tries[a.Key] = t
	r.mu.Unlock()
	request := r.actionRequest(a) // here, where the machine may be read
	r.start(func(context.Context) {
		defer cancel()
		end := r.try(ctx, a, request)
		r.mu.Lock()
		if r.tries[a.Key] == t {
			delete(r.tries, a.Key)
		}
		r.mu.Unlock()
		if r.ctx.Err() != nil {
			return // the next process is given it again
		}
		end.message = cut(end.message, actMessage)
		r.keep(a, end)
		r.log.Info("action tried", "action", a.Action.Name, "phase", a.Key.Phase, "slice", a.Key.Slice, "attempt", a.Attempt, "ok", end.ok)
		r.send(machine.Acted{Key: a.Key, Attempt: a.Attempt, OK: end.ok, Message: end.message})
	})
}

// endAct gives up the try of an action that is under way.
func (r *runner) endAct(key machine.ActionKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tries[key]; t != nil {
		t.cancel()
	}
}

func (r *runner) try(ctx context.Context, a machine.Act, request Request) tried {
	switch {
	case a.Action.HTTP != nil:
		return r.e.tryRequest(ctx, &a.Action, a.Limit)
	case a.Action.Runner != "":
		return r.e.tryRunner(ctx, &a.Action, a.Limit)
	default:
		return r.tryFunction(ctx, a, request)
	}
}

// actionRequest asks for the run that does an action on minions.
func (r *runner) actionRequest(a machine.Act) Request {
	run := r.m.Run()
	target := a.Action.Target
	if a.Action.OwnMinions() {
		target = gaea.ListTarget(a.Minions)
	}
	limit := gaea.Duration(a.Limit.Round(time.Second))
	return Request{
		Kind: gaea.RunForAction, ID: a.RunID, Parent: run.ID, User: run.User, Target: target,
		Call:     gaea.Call{Function: a.Action.Function, Args: a.Action.Args, Kwargs: a.Action.Kwargs},
		Timeouts: gaea.Timeouts{Job: min(max(limit, minJobTimeout), maxJobTimeout), Gather: run.Timeouts.Gather},
	}
}

// tryFunction does an action on minions, with a run of its own.
func (r *runner) tryFunction(ctx context.Context, a machine.Act, request Request) tried {
	limited, cancel := context.WithTimeout(ctx, a.Limit)
	defer cancel()
	limit, _ := limited.Deadline()
	found, err := r.e.adopt(limited, request)
	switch {
	case err == nil:
	case limited.Err() != nil && r.e.present(r.ctx, request.ID):
		ctx, found = limited, true // to be stopped
	case ctx.Err() != nil:
		return failed("given up before it began")
	default:
		return failed("%s", gaea.MessageOf(err))
	}
	slack := actSlack
	if found {
		slack = actTakeUp
	}
	if late := r.await(ctx, request.ID, a.Limit+request.Timeouts.Gather.Std()+slack); late {
		return failed("it did not end within %s, and was stopped (run %s)", a.Limit.Round(time.Second), request.ID)
	}
	return r.judgeRun(ctx, &a.Action, request.ID, max(time.Until(limit), judgeLeast))
}

// judgeRun reads the run that did an action, and judges it within a limit. One that was given up is read all the same: it
// says what became of it.
func (r *runner) judgeRun(ctx context.Context, a *gaea.JobAction, id string, limit time.Duration) tried {
	reading, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	run, err := r.e.storedRun(reading, id)
	if err != nil {
		return failed("run %s cannot be read from the archive: %s", id, gaea.MessageOf(err))
	}
	judging, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	end := r.e.judge(judging, a, run)
	switch {
	case end.ok || judging.Err() == nil || a.Expect == "" || run.Status == gaea.RunCancelled:
		return end
	case ctx.Err() == nil:
		return failed("run %s was not judged within %s: expected %s; raise the action's timeout, or simplify what is expected", id, limit.Round(time.Second), a.Expect)
	default:
		return failed("given up while run %s was judged", id)
	}
}

// await waits for the end of the run that does an action. It stops that run when ctx ends or the limit has passed; then
// late is true.
func (r *runner) await(ctx context.Context, id string, limit time.Duration) (late bool) {
	child := r.e.runner(id)
	if child == nil {
		return false
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-child.done:
		return false
	case <-ctx.Done():
	case <-timer.C:
		late = true
	}
	if _, err := r.e.control(r.ctx, id, machine.Cancel{By: "run " + r.id}, nil); err != nil {
		r.log.Debug("the run of an action was not stopped", "child", id, "err", err)
	}
	select { // a cancelled run ends in bounded time
	case <-child.done:
	case <-r.ctx.Done():
	}
	return late
}

// adopt makes the run that is asked for and begins it. One that is there already was made by a process before this one: it
// is found, and goes on here. What may get better is tried again until ctx ends.
func (e *Engine) adopt(ctx context.Context, req Request) (found bool, err error) {
	for failures := 1; ; failures++ {
		found, err = e.adoptOnce(ctx, req)
		switch gaea.CodeOf(err) {
		case "", gaea.CodeInvalid, gaea.CodeEmptyTarget, gaea.CodeConflict, gaea.CodeTooLarge:
			return found, err
		default:
		}
		e.deps.Logger.Warn("the run of an action was not made; trying again", "run", req.ID, "failures", failures, "err", err)
		if wait(ctx, retryPause(failures)) != nil {
			return false, err
		}
	}
}

func (e *Engine) adoptOnce(ctx context.Context, req Request) (found bool, err error) {
	run, err := e.deps.Runs.GetRun(ctx, req.ID)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		_, _, err = e.Submit(ctx, req)
		return false, err
	case err != nil:
		return false, err
	case run.Kind != gaea.RunForAction || run.Parent != req.Parent:
		return false, gaea.Errorf(gaea.CodeConflict, "there is another run %s", req.ID)
	}
	_, err = e.Ensure(ctx, req.ID)
	return true, err
}

// present says whether there is a run of which the try was given up while it was being made: a process before this one may
// have made it, or the store just now. It is made to go on, so that it can be stopped.
func (e *Engine) present(ctx context.Context, id string) bool {
	if _, err := e.storedRun(ctx, id); err != nil {
		return false
	}
	if _, err := e.Ensure(ctx, id); err != nil {
		e.deps.Logger.Warn("the run of an action that was given up does not go on here", "run", id, "err", err)
	}
	return true
}

// storedRun reads a run. It tries until it can be read or ctx ends.
func (e *Engine) storedRun(ctx context.Context, id string) (*gaea.Run, error) {
	for failures := 1; ; failures++ {
		run, err := e.deps.Runs.GetRun(ctx, id)
		if err == nil || gaea.CodeOf(err) == gaea.CodeNotFound {
			return run, err
		}
		if wait(ctx, retryPause(failures)) != nil {
			return nil, err
		}
	}
}

// tryRunner does an action with a runner on the master.
func (e *Engine) tryRunner(ctx context.Context, a *gaea.JobAction, limit time.Duration) tried {
	if e.deps.Runner == nil {
		return failed("runners cannot be run here")
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := e.deps.Runner.Run(limited, a.Runner, a.Args, a.Kwargs)
	switch {
	case err != nil && ctx.Err() != nil:
		return failed("given up; the runner may still go on at the master")
	case err != nil && limited.Err() != nil:
		return failed("the runner did not end within %s", limit.Round(time.Second))
	case err != nil:
		return failed("%s", gaea.MessageOf(err))
	}
	ret := redact.JSON(answer.Return)
	if strings.HasPrefix(a.Runner, "pillar.") {
		ret = hidden
	}
	end := e.judgeAnswer(ctx, a, ret, answer.Success)
	if a.Expect == "" && !answer.Success {
		_, last := gaea.RunnerReturn{Return: ret}.Words()
		end.message = "the runner failed: " + cmp.Or(cut(last, valueShown), "it returned nothing")
	}
	end.answer = bounded(ret)
	return end
}

// hidden stands for what is secret as a whole.
var hidden = json.RawMessage(`"` + redact.Mark + `"`)

// keep archives what a runner or a request answered. A try whose answer cannot be archived counts all the same.
func (r *runner) keep(a machine.Act, end tried) {
	if r.e.deps.Keep == nil || len(end.answer) == 0 {
		return
	}
	data, err := json.Marshal(struct {
		Run     string           `json:"run"`
		Action  string           `json:"action"`
		What    string           `json:"what"`
		Phase   gaea.ActionPhase `json:"phase"`
		Slice   *int             `json:"slice,omitempty"`
		Attempt int              `json:"attempt"`
		OK      bool             `json:"ok"`
		Message string           `json:"message"`
		Answer  json.RawMessage  `json:"answer"`
	}{r.id, a.Action.Name, a.Action.What(), a.Key.Phase, sliceOf(a.Key), a.Attempt, end.ok, end.message, end.answer})
	if err != nil {
		r.log.Error("the answer to an action is no JSON and was not archived", "action", a.Action.Name, "err", err)
		return
	}
	event := gaea.Event{Tag: gaea.ActionTag(r.id), Stamp: r.e.now().UTC(), Data: data}
	for failures := 1; ; failures++ {
		ctx, cancel := context.WithTimeout(r.ctx, archiveTimeout)
		err := r.e.deps.Keep(ctx, event)
		cancel()
		switch {
		case err == nil || r.ctx.Err() != nil:
			return
		case failures == actKeepTries:
			r.log.Error("the answer to an action was not archived", "action", a.Action.Name, "err", err)
			return
		case wait(r.ctx, retryPause(failures)) != nil:
			return
		}
	}
}

func sliceOf(key machine.ActionKey) *int {
	if key.Slice < 0 {
		return nil
	}
	return &key.Slice
}

// bounded is JSON that is small enough to be archived: what is larger becomes its first part, as a text.
func bounded(answer json.RawMessage) json.RawMessage {
	if len(answer) <= answerKept {
		return slices.Clone(answer)
	}
	b, err := json.Marshal(map[string]any{"cut": true, "text": strings.ToValidUTF8(string(answer[:answerKept]), "")})
	if err != nil {
		return nil
	}
	return b
}
