package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// jobsInput is what the list of jobs takes.
type jobsInput struct {
	JobFilterInput
	Running bool `query:"running" doc:"only jobs with an expected minion that has not returned, unless a Gaea run settled that; a minion that is down looks the same"`
}

type historyInput struct {
	PageInput
	Minion   string       `path:"minion" maxLength:"255"`
	Master   string       `query:"master" maxLength:"255" doc:"the master's name in the archive"`
	Function string       `query:"function" maxLength:"255" doc:"a function, or a prefix that ends in *, for example state.*"`
	Outcome  gaea.Outcome `query:"outcome" enum:"succeeded,in_sync,changed,would_change,failed,could_not_run,no_return,unreachable,killed,skipped,pending" doc:"how it ended"`
	Since    time.Time    `query:"since" doc:"returned, or published where it has not returned, at or after"`
	Until    time.Time    `query:"until" doc:"and before"`
}

// StateFilterInput chooses states.
type StateFilterInput struct {
	PageInput
	Master   string    `query:"master" maxLength:"255" doc:"the master's name in the archive"`
	Minion   string    `query:"minion" maxLength:"255"`
	SLS      string    `query:"sls" maxLength:"1024" doc:"the SLS file that declares the state"`
	State    string    `query:"state" maxLength:"4096" doc:"the state's name or its id, for example /etc/motd"`
	Function string    `query:"function" maxLength:"255" doc:"the state's function, for example file.managed"`
	Since    time.Time `query:"since" doc:"the master received the return at or after"`
	Until    time.Time `query:"until" doc:"and before"`
}

func (f StateFilterInput) filter() gaea.StateFilter {
	return gaea.StateFilter{Master: f.Master, Minion: f.Minion, SLS: f.SLS, State: f.State, Function: f.Function, Since: f.Since, Until: f.Until}
}

type latestStatesInput struct {
	StateFilterInput
	Outcome gaea.Outcome `query:"outcome" enum:"in_sync,changed,would_change,failed" doc:"how it stands"`
}

type slowStatesInput struct {
	PageInput
	Master string    `query:"master" maxLength:"255" doc:"the master's name in the archive"`
	SLS    string    `query:"sls" maxLength:"1024" doc:"the SLS file that declares the state"`
	Since  time.Time `query:"since" doc:"from the day (UTC) of this time on"`
	Until  time.Time `query:"until" doc:"to the day of the last moment before it"`
}

type runDurationsInput struct {
	PageInput
	Master  string    `query:"master" maxLength:"255" doc:"the master's name in the archive"`
	Applied string    `query:"applied" maxLength:"4096" required:"true" doc:"highstate, or the SLS files that a run named, with commas between"`
	Test    bool      `query:"test" doc:"test runs instead of real ones"`
	Since   time.Time `query:"since" doc:"from the day (UTC) of this time on"`
	Until   time.Time `query:"until" doc:"to the day of the last moment before it"`
}

// questions adds what people ask of the archive beside its lists.
func (a *API) questions() {
	const tag = "archive"
	route(a, operation{
		id: "list-history", method: http.MethodGet, path: "/v1/minions/{minion}/history", tag: tag, action: gaea.ActionRead,
		summary: "What ran on a minion, who wanted it, and how it ended, newest first",
		about:   "Jobs that expected the minion and to which it has not returned are listed by the time they were published, with how their Gaea run settled that.",
	}, func(ctx context.Context, in *historyInput) (*answer[gaea.Page[gaea.HistoryItem]], error) {
		f := gaea.HistoryFilter{Master: in.Master, Minion: in.Minion, Function: in.Function, Outcome: in.Outcome, Since: in.Since, Until: in.Until}
		return paged(a.deps.Archive.History(ctx, f, in.request()))
	})
	route(a, operation{
		id: "list-states", method: http.MethodGet, path: "/v1/states", tag: tag, action: gaea.ActionRead,
		summary: "The last result of each state on each minion",
		about:   "In an order that does not change: by minion, or by state where sls or state is given and neither minion nor an outcome other than in_sync.",
	}, func(ctx context.Context, in *latestStatesInput) (*answer[gaea.Page[gaea.LatestState]], error) {
		f := in.filter()
		f.Outcome = in.Outcome
		return paged(a.deps.Archive.States(ctx, f, in.request()))
	})
	route(a, operation{
		id: "list-state-changes", method: http.MethodGet, path: "/v1/states/changes", tag: tag, action: gaea.ActionRead,
		summary: "What changed a file, a package, a service, and when, newest first",
		about:   "state, sls or minion is needed. The return of the job has the changes and the diff.",
	}, func(ctx context.Context, in *StateFilterInput) (*answer[gaea.Page[gaea.StateChange]], error) {
		return paged(a.deps.Archive.Changes(ctx, in.filter(), in.request()))
	})
	route(a, operation{
		id: "list-state-failures", method: http.MethodGet, path: "/v1/states/failures", tag: tag, action: gaea.ActionRead,
		summary: "The minions on which an SLS file failed, each with its last failure",
		about: "sls is needed. A minion is listed where a state of that file failed, in whatever run, and where a run that named the file could not run " +
			"(a missing file, broken Jinja). In an order of minions that does not change.",
	}, func(ctx context.Context, in *StateFilterInput) (*answer[gaea.Page[gaea.FailedMinion]], error) {
		return paged(a.deps.Archive.FailedMinions(ctx, in.filter(), in.request()))
	})
	route(a, operation{
		id: "list-slow-states", method: http.MethodGet, path: "/v1/states/slowest", tag: tag, action: gaea.ActionRead,
		summary: "The states that took 100 ms or more, the slowest first",
		about:   "Durations are kept by the day, UTC.",
	}, func(ctx context.Context, in *slowStatesInput) (*answer[gaea.Measured[gaea.SlowState]], error) {
		return measured(a.deps.Archive.SlowStates(ctx, gaea.SlowStateFilter{Master: in.Master, SLS: in.SLS, Since: in.Since, Until: in.Until}, in.request()))
	})
	route(a, operation{
		id: "list-run-durations", method: http.MethodGet, path: "/v1/states/durations", tag: tag, action: gaea.ActionRead,
		summary: "How long a highstate, or a run of SLS files, took on each day",
		about:   "Each return of a minion counts, with the time that its states took together. Days are UTC, newest first.",
	}, func(ctx context.Context, in *runDurationsInput) (*answer[gaea.Measured[gaea.RunDurations]], error) {
		f := gaea.RunDurationFilter{Master: in.Master, Applied: in.Applied, Test: in.Test, Since: in.Since, Until: in.Until}
		return measured(a.deps.Archive.RunDurations(ctx, f, in.request()))
	})
}

func measured[T any](m gaea.Measured[T], err error) (*answer[gaea.Measured[T]], error) {
	if err != nil {
		return nil, err
	}
	m.Items = filled(m.Items)
	return &answer[gaea.Measured[T]]{m}, nil
}
