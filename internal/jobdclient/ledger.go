package jobdclient

import (
	"context"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// LedgerTotals tells how many returns of the jobs that the filter chooses were expected, and what became of them.
func (c *Client) LedgerTotals(ctx context.Context, f gaea.LedgerFilter) (gaea.LedgerTotals, error) {
	out, err := get[gaea.LedgerTotals](ctx, c, "/v1/archive/ledger", ledgerQuery(f).Values)
	if err != nil {
		return gaea.LedgerTotals{}, err
	}
	return *out, nil
}

// Ledger lists the same job by job, newest first. The filter's JID is not looked at: [Client.Job] has a job's own.
func (c *Client) Ledger(ctx context.Context, f gaea.LedgerFilter, p gaea.PageRequest) (gaea.Page[gaea.JobLedger], error) {
	q := ledgerQuery(f)
	if f.Incomplete {
		q.text("incomplete", "true")
	}
	return page[gaea.JobLedger](ctx, c, "/v1/archive/ledger/jobs", q, p)
}

func ledgerQuery(f gaea.LedgerFilter) query {
	return newQuery().text("master", f.Master).time("since", f.Since).time("until", f.Until)
}

// VerifyArchive compares a part of the archive with the master's job cache: ask again with After while the report has Next.
func (c *Client) VerifyArchive(ctx context.Context, req gaea.VerifyRequest) (*gaea.VerifyReport, error) {
	return send[gaea.VerifyReport](ctx, c, call{method: http.MethodPost, path: "/v1/archive/verify", body: req})
}
