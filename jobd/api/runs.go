package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/intake"
)

const (
	// maxWait is how long a long poll is held at most.
	maxWait = time.Minute
	// firstWordMost bounds the wait for the master's first word on a new run, which is looked for at the gap.
	firstWordMost = 200 * time.Millisecond
	firstWordGap  = 10 * time.Millisecond
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
	Master     string         `query:"master" maxLength:"255" doc:"the master's name in the archive"`
	Status     gaea.RunStatus `query:"status" enum:"queued,awaiting_approval,pre_actions,running,paused,cancelling,post_actions,succeeded,failed,halted,cancelled,timed_out"`
	Kind       gaea.RunKind   `query:"kind" enum:"job,check,enforce,action"`
	Assignment string         `query:"assignment" maxLength:"128" doc:"the assignment's name"`
	User       string         `query:"user" maxLength:"255" doc:"who asked for it"`
	Since      time.Time      `query:"since" doc:"created at or after"`
	Until      time.Time      `query:"until" doc:"and before"`
	Active     bool           `query:"active" doc:"only runs that still go on, or whose check does"`
	Parent     string         `query:"parent" maxLength:"255" doc:"only runs that belong to this one: the check after it, and with actions what its actions did on minions"`
	RetryOf    string         `query:"retry_of" maxLength:"255" doc:"only runs that repeat minions of this one"`
	Actions    bool           `query:"actions" doc:"also runs that were made for an action of another; without it they are left out, but where kind asks for them"`
}

func (in *listRunsInput) filter() gaea.RunFilter {
	return gaea.RunFilter{Master: in.Master, Status: in.Status, Kind: in.Kind, Assignment: in.Assignment, User: in.User, Since: in.Since, Until: in.Until,
		Active: in.Active, Parent: in.Parent, RetryOf: in.RetryOf, NoActions: !in.Actions && in.Kind != gaea.RunForAction}
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
		about:   "Answers as soon as the run is stored and started, or when the master says within a fifth of a second that the target matches no minion: that is empty_target. Wait for its end with GET /v1/runs/{id}?wait=30s, or follow it with /v1/runs/{id}/events.",
	}, a.createRun)
	route(a, operation{
		id: "list-runs", method: http.MethodGet, path: "/v1/runs", tag: tag, action: gaea.ActionRead,
		summary: "List runs without their minions, newest first",
	}, func(ctx context.Context, in *listRunsInput) (*answer[gaea.Page[gaea.Run]], error) {
		return paged(a.deps.Archive.ListRuns(ctx, in.filter(), in.request()))
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
	a.runControl()
	a.runEvents()
}

func (a *API) createRun(ctx context.Context, in *createRunInput) (*accepted, error) {
	req, err := intake.Resolver{Groups: a.deps.Archive.TargetGroups(), Templates: a.deps.Archive.JobTemplates()}.Resolve(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	req.User, req.Key = gaea.PrincipalFrom(ctx).Name, in.Key
	run, created, err := a.deps.Runs.Submit(ctx, req)
	if err != nil {
		return nil, err
	}
	if created && !req.AllowEmpty {
		if err := a.firstWord(ctx, run.ID); err != nil {
			return nil, err
		}
	}
	return newAccepted(run), nil
}

// firstWord waits a moment for the master's first word on a new run, and returns CodeEmptyTarget where that is that the
// target matches no minion. Where the word does not come in time, the run says so when it ends.
func (a *API) firstWord(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, firstWordMost)
	defer cancel()
	look := time.NewTicker(firstWordGap)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
		run, err := a.deps.Runs.Get(ctx, id)
		switch {
		case err != nil || len(run.Minions) > 0 || run.Blocked != nil || run.Pause != nil:
			return nil
		case run.Status == gaea.RunFailed && strings.Contains(run.Reason, "matches no minion"):
			return &gaea.Error{Code: gaea.CodeEmptyTarget, Field: "target", Message: fmt.Sprintf("%s; nothing was published, and run %s says so too", run.Reason, id)}
		case run.Status.Final():
			return nil
		}
	}
}
