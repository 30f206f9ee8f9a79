package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// maxWait is how long a long poll is held at most.
	maxWait = time.Minute
	// lookAgain is the pace at which a run is looked at that cannot be watched, because another jobd has it.
	lookAgain = time.Second
)

type createRunInput struct {
	KeyInput
	Body gaea.RunRequest
}

// KeyInput is taken by what must happen once however often it is asked for.
type KeyInput struct {
	Key string `header:"Idempotency-Key" maxLength:"255" pattern:"^[!-~]*$" patternDescription:"printable ASCII without spaces" doc:"the same key of the same token gives the same run for 24 hours, so a request may be repeated"`
}

// WaitInput is taken by long polls.
type WaitInput struct {
	Wait string `query:"wait" pattern:"^(0|([0-9]+(\\.[0-9]*)?(ns|us|µs|μs|ms|s|m|h))+)?$" patternDescription:"a duration, for example \"30s\"" example:"30s" doc:"how long to wait for the end before answering; a minute at most, not at all when absent"`
}

func (w WaitInput) duration() (time.Duration, error) {
	if w.Wait == "" {
		return 0, nil
	}
	d, err := gaea.ParseDuration(w.Wait)
	if err != nil {
		return 0, gaea.Invalid("wait", "%s", gaea.MessageOf(err))
	}
	return min(d.Std(), maxWait), nil
}

// RunInput names a run.
type RunInput struct {
	ID string `path:"id" maxLength:"255" doc:"the run's id"`
}

type getRunInput struct {
	RunInput
	WaitInput
}

type listRunsInput struct {
	PageInput
	Status     gaea.RunStatus `query:"status" enum:"queued,running,cancelling,succeeded,failed,cancelled,timed_out"`
	Kind       gaea.RunKind   `query:"kind" enum:"job,check,enforce"`
	Assignment string         `query:"assignment" maxLength:"128" doc:"the assignment's name"`
	User       string         `query:"user" maxLength:"255" doc:"who asked for it"`
	Since      time.Time      `query:"since" doc:"created at or after"`
	Until      time.Time      `query:"until" doc:"and before"`
	Active     bool           `query:"active" doc:"only runs that still go on, or whose check does"`
}

// accepted answers with a run that goes on.
type accepted struct {
	Location string `header:"Location" doc:"where the run is"`
	Body     gaea.Run
}

func newAccepted(run *gaea.Run) *accepted {
	return &accepted{Location: "/v1/runs/" + run.ID, Body: *run}
}

func (a *API) runs() {
	const tag = "runs"
	route(a, operation{
		id: "create-run", method: http.MethodPost, path: "/v1/runs", tag: tag, action: gaea.ActionRun, status: http.StatusAccepted,
		summary: "Run a function on minions",
		about:   "Answers as soon as the run is stored and started. Wait for its end with GET /v1/runs/{id}?wait=30s.",
	}, a.createRun)
	route(a, operation{
		id: "list-runs", method: http.MethodGet, path: "/v1/runs", tag: tag, action: gaea.ActionRead,
		summary: "List runs without their minions, newest first",
	}, func(ctx context.Context, in *listRunsInput) (*answer[gaea.Page[gaea.Run]], error) {
		f := gaea.RunFilter{Status: in.Status, Kind: in.Kind, Assignment: in.Assignment, User: in.User, Since: in.Since, Until: in.Until, Active: in.Active}
		return paged(a.deps.Archive.ListRuns(ctx, f, in.request()))
	})
	route(a, operation{
		id: "get-run", method: http.MethodGet, path: "/v1/runs/{id}", tag: tag, action: gaea.ActionRead, wait: true,
		summary: "One run with its minions",
		about:   "With wait, answers when the run and the check after it have ended, or with the run as it stands when the time is up.",
	}, func(ctx context.Context, in *getRunInput) (*answer[gaea.Run], error) {
		wait, err := in.duration()
		if err != nil {
			return nil, err
		}
		run, err := a.await(ctx, in.ID, wait)
		if err != nil {
			return nil, err
		}
		return &answer[gaea.Run]{*run}, nil
	})
	route(a, operation{
		id: "cancel-run", method: http.MethodPost, path: "/v1/runs/{id}/cancel", tag: tag, action: gaea.ActionCancel, status: http.StatusAccepted,
		summary: "Stop a run",
		about:   "Nothing more is published, what runs is killed, and each kill is verified. Answers at once; a run that has ended stays as it is.",
	}, func(ctx context.Context, in *cancelInput) (*accepted, error) {
		var req gaea.CancelRequest
		if in.Body != nil {
			req = *in.Body
		}
		run, err := a.deps.Runs.Cancel(ctx, in.ID, req)
		if err != nil {
			return nil, err
		}
		return newAccepted(run), nil
	})
}

type cancelInput struct {
	RunInput
	Body *gaea.CancelRequest
}

func (a *API) createRun(ctx context.Context, in *createRunInput) (*accepted, error) {
	req, err := resolver{groups: a.deps.Archive.TargetGroups(), templates: a.deps.Archive.JobTemplates()}.resolve(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	req.User, req.Key = gaea.PrincipalFrom(ctx).Name, in.Key
	run, _, err := a.deps.Runs.Submit(ctx, req)
	if err != nil {
		return nil, err
	}
	return newAccepted(run), nil
}

// await returns the run when it is complete, or as it stands when the time is up or jobd stops.
func (a *API) await(ctx context.Context, id string, wait time.Duration) (*gaea.Run, error) {
	if wait <= 0 {
		return a.deps.Runs.Get(ctx, id)
	}
	leave, err := a.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	changes, end := a.deps.Runs.Watch(id)
	defer end()
	run, err := a.deps.Runs.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for !run.Complete() {
		select {
		case next, ok := <-changes:
			if !ok {
				changes = nil // it is another jobd's, or just ended: look at it from time to time
				if run, err = a.deps.Runs.Get(ctx, id); err != nil {
					return nil, err
				}
				continue
			}
			run = next
		case <-again.C:
			if changes != nil {
				continue
			}
			if run, err = a.deps.Runs.Get(ctx, id); err != nil {
				return nil, err
			}
		case <-limit.C:
			return run, nil
		case <-a.stopped:
			return run, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return run, nil
}
