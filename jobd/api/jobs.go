package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// PageInput is what every list takes. Like every struct that others embed for their parameters it is exported, because huma
// looks into exported ones only.
type PageInput struct {
	Cursor string `query:"cursor" maxLength:"4096" doc:"next of the page before; nothing for the first"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"how many items"`
}

func (p PageInput) request() gaea.PageRequest {
	return gaea.PageRequest{Cursor: p.Cursor, Limit: p.Limit}
}

// JobFilterInput chooses jobs and returns.
type JobFilterInput struct {
	PageInput
	Master   string       `query:"master" maxLength:"255" doc:"the master's name in the archive"`
	Minion   string       `query:"minion" maxLength:"255" doc:"a minion that the job expected, or that returned"`
	Function string       `query:"function" maxLength:"255" doc:"a function, or a prefix that ends in *, for example state.*"`
	Target   string       `query:"target" maxLength:"65536" doc:"the target expression as it was published"`
	User     string       `query:"user" maxLength:"255" doc:"who published"`
	Run      string       `query:"run" maxLength:"255" doc:"the Gaea run that published"`
	Parent   string       `query:"parent" maxLength:"64" doc:"jid of the job that they belong to, for example an orchestration"`
	Outcome  gaea.Outcome `query:"outcome" enum:"succeeded,in_sync,changed,would_change,failed,could_not_run,no_return,unreachable,killed,skipped,pending" doc:"jobs with at least one such return, or returns with this outcome"`
	Since    time.Time    `query:"since" doc:"published, or received, at or after"`
	Until    time.Time    `query:"until" doc:"and before"`
}

func (f JobFilterInput) filter() gaea.JobFilter {
	return gaea.JobFilter{Master: f.Master, Minion: f.Minion, Function: f.Function, Target: f.Target, User: f.User, RunID: f.Run, Parent: f.Parent,
		Outcome: f.Outcome, Since: f.Since, Until: f.Until}
}

// JobInput names a job.
type JobInput struct {
	Master string `query:"master" maxLength:"255" doc:"the master's name in the archive, where several have a job of this id"`
	JID    string `path:"jid" maxLength:"64" doc:"Salt's job id"`
}

type jobReturnsInput struct {
	JobInput
	PageInput
}

type jobReturnInput struct {
	JobInput
	Minion string `path:"minion" maxLength:"255"`
}

type eventsInput struct {
	PageInput
	Master  string    `query:"master" maxLength:"255" doc:"the master's name in the archive"`
	Tag     string    `query:"tag" maxLength:"1024" doc:"a tag, in which each * stands for any text, for example salt/beacon/*/inotify/*"`
	Minion  string    `query:"minion" maxLength:"255"`
	Suspect bool      `query:"suspect" doc:"only those that are not what their tags say, for example a return in the name of another minion"`
	Since   time.Time `query:"since" doc:"at or after"`
	Until   time.Time `query:"until" doc:"and before"`
}

func (a *API) jobs() {
	const tag = "archive"
	route(a, operation{
		id: "list-jobs", method: http.MethodGet, path: "/v1/jobs", tag: tag, action: gaea.ActionRead,
		summary: "List jobs, newest first",
		about:   "A page of running jobs may hold fewer than asked for.",
	}, func(ctx context.Context, in *jobsInput) (*answer[gaea.Page[gaea.Job]], error) {
		f := in.filter()
		f.Running = in.Running
		return paged(a.deps.Archive.Jobs(ctx, f, in.request()))
	})
	route(a, operation{
		id: "get-job", method: http.MethodGet, path: "/v1/jobs/{jid}", tag: tag, action: gaea.ActionRead,
		summary: "One job, with how it stands for each minion, and the jobs that belong to it",
	}, a.jobWithLedger)
	route(a, operation{
		id: "list-job-returns", method: http.MethodGet, path: "/v1/jobs/{jid}/returns", tag: tag, action: gaea.ActionRead,
		summary: "The returns of one job, whole, by minion",
		about:   "A page may hold fewer returns than asked for where they are large.",
	}, a.jobReturns)
	route(a, operation{
		id: "get-job-return", method: http.MethodGet, path: "/v1/jobs/{jid}/returns/{minion}", tag: tag, action: gaea.ActionRead,
		summary: "What one minion sent back for one job",
	}, func(ctx context.Context, in *jobReturnInput) (*answer[gaea.Return], error) {
		ret, err := a.deps.Archive.Return(ctx, in.Master, in.JID, in.Minion)
		if err != nil {
			return nil, err
		}
		return &answer[gaea.Return]{*ret}, nil
	})
	route(a, operation{
		id: "follow-job", method: http.MethodGet, path: "/v1/jobs/{jid}/events", tag: tag, action: gaea.ActionRead, stream: true,
		summary: "The returns of one job as they come",
		about: "Server-sent events: `job` once, with the job as it stands; `return` for each return, stored ones first, with the minion as id; " +
			"`end` at last, with {\"reason\"}: complete (every expected minion has returned), slow (the client does not keep up), " +
			"limit (an hour has passed), shutdown (jobd stops) or the code of the problem for which the archive could not be read. After " +
			"any but complete, ask again.",
	}, a.followJob)
	route(a, operation{
		id: "list-returns", method: http.MethodGet, path: "/v1/returns", tag: tag, action: gaea.ActionRead,
		summary: "List returns without their bodies, newest first",
	}, func(ctx context.Context, in *JobFilterInput) (*answer[gaea.Page[gaea.Return]], error) {
		return paged(a.deps.Archive.Returns(ctx, in.filter(), in.request(), false))
	})
	route(a, operation{
		id: "list-events", method: http.MethodGet, path: "/v1/events", tag: tag, action: gaea.ActionRead,
		summary: "List events that are neither jobs nor returns, newest first",
		about:   "Beacons, starts, presence, custom events, and those that are not what their tags say. A page may hold fewer than asked for where they are large.",
	}, func(ctx context.Context, in *eventsInput) (*answer[gaea.Page[gaea.Event]], error) {
		f := gaea.EventFilter{Master: in.Master, Tag: in.Tag, Minion: in.Minion, Suspect: in.Suspect, Since: in.Since, Until: in.Until}
		return paged(a.deps.Archive.Events(ctx, f, in.request()))
	})
}

func paged[T any](p gaea.Page[T], err error) (*answer[gaea.Page[T]], error) {
	if err != nil {
		return nil, err
	}
	p.Items = filled(p.Items)
	return &answer[gaea.Page[T]]{p}, nil
}

// pageBytes is how large the bodies of a page of returns may grow before it ends early. One return is always in it.
const pageBytes = 16 << 20

// jobReturns reads one page return by return: a job's returns together may be larger than the memory.
func (a *API) jobReturns(ctx context.Context, in *jobReturnsInput) (*answer[gaea.Page[gaea.Return]], error) {
	after, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err != nil {
		return nil, gaea.Invalid("cursor", "this is not a cursor of this list; pass \"next\" of the page before, or nothing for the first page")
	}
	job, err := a.deps.Archive.Job(ctx, in.Master, in.JID)
	if err != nil {
		return nil, err
	}
	minions := returned(job)
	if in.Cursor != "" {
		at, found := slices.BinarySearch(minions, string(after))
		if found {
			at++
		}
		minions = minions[at:]
	}
	page := gaea.Page[gaea.Return]{Items: []gaea.Return{}}
	size := 0
	for i, minion := range minions {
		ret, err := a.deps.Archive.Return(ctx, job.Master, in.JID, minion)
		if gaea.CodeOf(err) == gaea.CodeNotFound { // retention took it meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		page.Items = append(page.Items, *ret)
		size += len(ret.Body)
		if (len(page.Items) >= in.Limit || size >= pageBytes) && i+1 < len(minions) {
			page.Next = base64.RawURLEncoding.EncodeToString([]byte(minion))
			break
		}
	}
	return &answer[gaea.Page[gaea.Return]]{page}, nil
}

// returned names the minions whose return of a job is stored, sorted.
func returned(job *gaea.JobDetail) []string {
	minions := make([]string, 0, len(job.Returns))
	for minion, head := range job.Returns {
		if head.Outcome.Heard() {
			minions = append(minions, minion)
		}
	}
	slices.Sort(minions)
	return minions
}
