package api

import (
	"context"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type cancelInput struct {
	RunInput
	Body *gaea.CancelRequest
}

type retryInput struct {
	RunInput
	KeyInput
	Body *gaea.RetryRequest
}

// runControl adds what is done to a run that is there.
func (a *API) runControl() {
	const tag = "runs"
	route(a, operation{
		id: "cancel-run", method: http.MethodPost, path: "/v1/runs/{id}/cancel", tag: tag, action: gaea.ActionCancel, status: http.StatusAccepted,
		summary: "Stop a run",
		about: "Nothing more is published, what runs is killed, and each kill is verified; with a grace the jobs are told to end first. Post-actions that " +
			"are done after a failure or always come then; cancelling again gives them up. Answers at once; a run that has ended stays as it is.",
	}, a.cancelRun)
	route(a, operation{
		id: "pause-run", method: http.MethodPost, path: "/v1/runs/{id}/pause", tag: tag, action: gaea.ActionCancel, status: http.StatusAccepted,
		summary: "Have a run start nothing more for now",
		about: "What runs ends, and nothing begins until the run is resumed. The time does not count against the job timeout. Answers at once: pause in the " +
			"answer has no since while a slice still runs. A conflict where the run has ended, is being cancelled, or its end is decided.",
	}, func(ctx context.Context, in *RunInput) (*accepted, error) {
		return acceptedAs(a.deps.Runs.Pause(ctx, in.ID))
	})
	route(a, operation{
		id: "resume-run", method: http.MethodPost, path: "/v1/runs/{id}/resume", tag: tag, action: gaea.ActionCancel, status: http.StatusAccepted,
		summary: "Have a paused run go on",
		about:   "Whether somebody paused it, or it holds after its canary. A conflict where the run is not paused.",
	}, func(ctx context.Context, in *RunInput) (*accepted, error) {
		return acceptedAs(a.deps.Runs.Resume(ctx, in.ID))
	})
	route(a, operation{
		id: "retry-run", method: http.MethodPost, path: "/v1/runs/{id}/retry", tag: tag, action: gaea.ActionRun, status: http.StatusAccepted,
		summary: "Repeat a run that has ended, on some of its minions",
		about: "Makes a new run of the same call, batch, limits, lock and actions on the minions with the named outcomes; retry_of names the first. " +
			"A conflict where the run goes on; outcomes is wrong where no minion has one of them.",
	}, a.retryRun)
	route(a, operation{
		id: "forget-run-key", method: http.MethodDelete, path: "/v1/runs/{id}/key", tag: tag, action: gaea.ActionRun, status: http.StatusNoContent,
		summary: "Free the idempotency key that a run was made with",
		about:   "The next request with that key makes a new run; this one stays. Only keys of the token's own user are freed. No error where there is no such run or key.",
	}, func(ctx context.Context, in *RunInput) (*nothing, error) {
		if err := a.deps.Archive.ForgetKey(ctx, gaea.PrincipalFrom(ctx).Name, in.ID); err != nil {
			return nil, err
		}
		return &nothing{}, nil
	})
}

func acceptedAs(run *gaea.Run, err error) (*accepted, error) {
	if err != nil {
		return nil, err
	}
	return newAccepted(run), nil
}

func (a *API) cancelRun(ctx context.Context, in *cancelInput) (*accepted, error) {
	var req gaea.CancelRequest
	if in.Body != nil {
		req = *in.Body
	}
	return acceptedAs(a.deps.Runs.Cancel(ctx, in.ID, req))
}

func (a *API) retryRun(ctx context.Context, in *retryInput) (*accepted, error) {
	var req gaea.RetryRequest
	if in.Body != nil {
		req = *in.Body
	}
	run, _, err := a.deps.Runs.Retry(ctx, in.ID, req, gaea.PrincipalFrom(ctx).Name, in.Key)
	if err != nil {
		return nil, err
	}
	a.deps.Enforcer.Follow(run) // what comes after a run of an assignment comes after its retry too
	return newAccepted(run), nil
}
