package apitest

import (
	"context"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Ledger implements api.Archive. It filters by job, time and whether something is missing.
func (w *World) Ledger(_ context.Context, f gaea.LedgerFilter, p gaea.PageRequest) (gaea.Page[gaea.JobLedger], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return gaea.Page[gaea.JobLedger]{}, w.fail
	}
	return cut(w.ledger(f), p, func(j gaea.JobLedger) string { return j.JID })
}

// LedgerTotals implements api.Archive.
func (w *World) LedgerTotals(_ context.Context, f gaea.LedgerFilter) (gaea.LedgerTotals, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var t gaea.LedgerTotals
	for _, j := range w.ledger(f) {
		t.Jobs++
		t.Expected += j.Expected
		t.Received += j.Received
		t.Recovered += j.Recovered
		t.Missing += j.Missing
		if j.Missing > 0 {
			t.Incomplete++
		}
	}
	return t, w.fail
}

func (w *World) ledger(f gaea.LedgerFilter) []gaea.JobLedger {
	list := []gaea.JobLedger{}
	for _, j := range slices.Backward(w.jobs) {
		l := gaea.JobLedger{Master: j.Master, JID: j.JID, Function: j.Function, Started: j.Started, RunID: j.RunID, Expected: len(j.Minions)}
		for _, r := range w.returns[j.JID] {
			if r.Source == gaea.SourceCache {
				l.Recovered++
			} else {
				l.Received++
			}
		}
		for _, m := range j.Minions {
			if _, ok := w.returns[j.JID][m]; !ok {
				l.Missing++
			}
		}
		if (f.JID == "" || f.JID == j.JID) && !j.Started.Before(f.Since) && (l.Missing > 0 || !f.Incomplete) {
			list = append(list, l)
		}
	}
	return list
}

// Verified has the next calls of Verify answer so, one after the other.
func (w *World) Verified(reports ...gaea.VerifyReport) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, reports...)
}

// VerifyRequests are those that Verify was asked.
func (w *World) VerifyRequests() []gaea.VerifyRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// Verify implements api.Verifier.
func (w *World) Verify(_ context.Context, req gaea.VerifyRequest) (*gaea.VerifyReport, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, req)
	if w.fail != nil || len(w.reports) == 0 {
		return &gaea.VerifyReport{}, w.fail
	}
	report := w.reports[0]
	w.reports = w.reports[1:]
	return &report, nil
}
