package ingest

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaea-salt/terraform-provider-gaea/internal/feed"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

const (
	importRows  = 500     // of one transaction
	importBytes = 8 << 20 // of one transaction, about
)

// Importer stores what a job cache has and the archive has not, as ingest stores what it missed: with secrets redacted, and
// marked as the job cache's. What is there already stays as it is. Give it jobs with Add, and call Flush after the last.
//
// The archive may then hold later jobs than the ones before it are complete, so before anything is stored a gap is recorded,
// which the master's jobd closes when it starts.
type Importer struct {
	i       *Ingester
	report  *gaea.ImportReport
	rows    records
	bytes   int
	part    string // the job of which a part was added last
	guarded bool   // the gap is recorded
}

// NewImporter makes an importer of what one master's job cache has, that counts in a report.
func NewImporter(master string, store Store, fingerprint Fingerprint, report *gaea.ImportReport) *Importer {
	return &Importer{report: report, i: New(Options{
		Master: master, Store: store, Fingerprint: fingerprint, Hub: feed.NewHub(), Registry: prometheus.NewRegistry(),
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})}
}

// Add takes a job, or one part of it after the other, and stores it with others at once or later. The error says why the archive takes nothing now; what it
// refuses for good is in the report.
func (m *Importer) Add(ctx context.Context, cached *gaea.CachedJob) error {
	have, err := m.i.o.Store.Job(ctx, cached.Job.JID)
	if err != nil && gaea.CodeOf(err) != gaea.CodeNotFound {
		return err
	}
	begins := cached.Job.JID != m.part
	if m.part = cached.Job.JID; begins {
		m.report.Jobs++
	}
	m.report.Returns += len(cached.Returns)
	r := m.missing(cached, have, begins)
	isNew := begins && (have == nil || !have.Known && len(r.jobs) > 0)
	if r.size() == 0 {
		return nil
	}
	if isNew {
		m.report.NewJobs++
	}
	m.report.NewReturns += len(r.returns)
	m.rows.jobs, m.rows.returns = append(m.rows.jobs, r.jobs...), append(m.rows.returns, r.returns...)
	for k := range r.returns {
		m.bytes += sizeOfReturn(&r.returns[k])
	}
	if m.rows.size() < importRows && m.bytes < importBytes {
		return nil
	}
	return m.Flush(ctx)
}

// missing is what of a job, or of a part of it, is not in the archive, which has what is told of it; nil where it has nothing.
func (m *Importer) missing(cached *gaea.CachedJob, have *gaea.JobDetail, begins bool) records {
	var r records
	job := cached.Job
	if saltclient.IsMasterFunction(job.Function) && len(cached.Returns) > 0 {
		m.i.o.MasterID = cached.Returns[0].Minion // the master itself, by its own id
	}
	if begins && job.Function != "" && (have == nil || !have.Known || lacks(have.Minions, job.Minions) || stands(have.Batch, job.Batch)) {
		m.i.addJob(&r, job, gaea.SourceCache)
	}
	for _, ret := range cached.Returns {
		if have == nil || !have.Returns[ret.Minion].Outcome.Heard() {
			m.i.addReturn(&r, ret, gaea.SourceCache)
		}
	}
	return r
}

// Flush stores what was added and is not stored yet.
func (m *Importer) Flush(ctx context.Context) error {
	if m.rows.size() == 0 {
		return nil
	}
	if err := m.guard(ctx); err != nil {
		return err
	}
	if err := m.write(ctx, &m.rows); err != nil {
		return err
	}
	m.rows, m.bytes = records{}, 0
	return nil
}

// guard has the master's jobd look for what it missed from where the archive ends now, however new what is imported is.
func (m *Importer) guard(ctx context.Context) error {
	if m.guarded {
		return nil
	}
	from, err := m.i.o.Store.LastStamp(ctx)
	if err != nil {
		return err
	}
	if !from.IsZero() {
		from = from.Add(-gapMargin)
	}
	_, err = m.i.o.Store.OpenGap(ctx, from)
	m.guarded = err == nil
	return err
}

// write stores records, and of those that the archive refuses all but the ones that are refused themselves.
func (m *Importer) write(ctx context.Context, r *records) error {
	err := m.i.o.Store.Write(ctx, r.jobs, r.returns, nil)
	if !refused(err) {
		return err
	}
	if r.size() == 1 {
		m.report.Skip(r.name(), err)
		m.report.NewReturns -= len(r.returns)
		return nil
	}
	first, second := r.halves()
	if err := m.write(ctx, first); err != nil {
		return err
	}
	return m.write(ctx, second)
}
