package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Verifier compares the archive with a master's job cache. *ingest.Ingester does for its own master, and documents the method.
type Verifier interface {
	Verify(ctx context.Context, req gaea.VerifyRequest) (*gaea.VerifyReport, error)
}

// LedgerFilterInput chooses jobs of the ledger.
type LedgerFilterInput struct {
	Master string    `query:"master" maxLength:"255" doc:"the master's name in the archive"`
	Since  time.Time `query:"since" doc:"published at or after"`
	Until  time.Time `query:"until" doc:"and before"`
}

func (f LedgerFilterInput) filter() gaea.LedgerFilter {
	return gaea.LedgerFilter{Master: f.Master, Since: f.Since, Until: f.Until}
}

type ledgerInput struct {
	LedgerFilterInput
	PageInput
	Incomplete bool `query:"incomplete" doc:"only jobs with an expected minion that has not returned"`
}

type verifyInput struct{ Body gaea.VerifyRequest }

// ledger adds what says whether the archive is complete.
func (a *API) ledger() {
	const tag = "archive"
	route(a, operation{
		id: "get-ledger", method: http.MethodGet, path: "/v1/archive/ledger", tag: tag, action: gaea.ActionRead,
		summary: "How many returns were expected, received, recovered from the job cache, and never came",
		about:   "Looks at every job since: name a time in an archive of many jobs.",
	}, func(ctx context.Context, in *LedgerFilterInput) (*answer[gaea.LedgerTotals], error) {
		totals, err := a.deps.Archive.LedgerTotals(ctx, in.filter())
		return &answer[gaea.LedgerTotals]{totals}, err
	})
	route(a, operation{
		id: "list-ledger", method: http.MethodGet, path: "/v1/archive/ledger/jobs", tag: tag, action: gaea.ActionRead,
		summary: "The same for each job, newest first",
	}, func(ctx context.Context, in *ledgerInput) (*answer[gaea.Page[gaea.JobLedger]], error) {
		f := in.filter()
		f.Incomplete = in.Incomplete
		return paged(a.deps.Archive.Ledger(ctx, f, in.request()))
	})
	route(a, operation{
		id: "verify-archive", method: http.MethodPost, path: "/v1/archive/verify", tag: tag, action: gaea.ActionCheck,
		summary: "Compare the archive with the master's job cache",
		about: "Each job of the job cache is compared: that it is there, the minions that the master expects, and each return with what it says, after " +
			"secrets were redacted. What only the archive has is no difference, and neither is a return that has not come yet. With fix what is missing is " +
			"stored; a return that differs stays as it was first stored. It works for some seconds: ask again with after where the answer has next.",
	}, func(ctx context.Context, in *verifyInput) (*answer[gaea.VerifyReport], error) {
		report, err := a.deps.Verifier.Verify(ctx, in.Body)
		if err != nil {
			return nil, err
		}
		report.Differences = filled(report.Differences)
		return &answer[gaea.VerifyReport]{*report}, nil
	})
}

// jobWithLedger is a job, with what of it is there.
func (a *API) jobWithLedger(ctx context.Context, in *JobInput) (*answer[gaea.JobDetail], error) {
	job, err := a.deps.Archive.Job(ctx, in.Master, in.JID)
	if err != nil {
		return nil, err
	}
	detail := *job
	ledger, err := a.deps.Archive.Ledger(ctx, gaea.LedgerFilter{Master: job.Master, JID: job.JID}, gaea.PageRequest{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(ledger.Items) > 0 { // else retention took it meanwhile
		detail.Ledger = &ledger.Items[0]
	}
	return &answer[gaea.JobDetail]{detail}, nil
}
