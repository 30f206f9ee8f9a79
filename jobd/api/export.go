package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// ndjson is the media type of an export: https://github.com/ndjson/ndjson-spec.
	ndjson = "application/x-ndjson"
	// exportPatience is how long a client may take to read a piece of an export: it may pass it on to something slow.
	exportPatience = 5 * time.Minute
	// exportPage is how many heads are read at once. Bodies are read one by one: together they may be larger than the memory.
	exportPage = 500
	// exportBuffer is what is sent at once, in bytes, about.
	exportBuffer = 64 << 10
)

type exportInput struct {
	Kind   []gaea.ExportKind `query:"kind" enum:"jobs,returns,events,runs" doc:"which of them, with commas between; all when absent"`
	Master string            `query:"master" maxLength:"255" doc:"the master's name in the archive"`
	Since  time.Time         `query:"since" doc:"published (jobs), received (returns), sent (events) or created (runs) at or after"`
	Until  time.Time         `query:"until" doc:"and before; now when absent"`
}

// export adds the export of the archive.
func (a *API) export() {
	route(a, operation{
		id: "export-archive", method: http.MethodGet, path: "/v1/archive/export", tag: "archive", action: gaea.ActionRead, stream: true, media: ndjson,
		summary: "Jobs, returns, events and runs as NDJSON",
		about: "Each line is {\"type\", \"data\"}. The first is of the type header, with the schema (1) and what was asked for; then come job, return, event and run, " +
			"kind by kind, newest first, with what the API has for each (returns whole, runs with their minions); the last is end, with the number of each. " +
			"An export without its line end is not whole; one that ends in error says why.",
	}, a.exportArchive)
}

func (a *API) exportArchive(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
	leave, err := a.enter()
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	h := gaea.ExportHeader{Schema: gaea.ExportSchema, Exported: now, Kinds: in.Kind, Master: in.Master, Since: in.Since, Until: in.Until}
	if h.Until.IsZero() || h.Until.After(now) {
		h.Until = now // what comes while it is written is not in it
	}
	if len(h.Kinds) == 0 {
		h.Kinds = gaea.ExportKinds()
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer leave()
		_, w := humago.Unwrap(hc)
		newExporter(a, w, h).write(hc.Context())
	}}, nil
}

// exporter writes one export.
type exporter struct {
	api    *API
	header gaea.ExportHeader
	out    *bufio.Writer
	lines  *json.Encoder
	count  gaea.ExportEnd
	gone   error // why the client could not be written to
}

func newExporter(a *API, w http.ResponseWriter, h gaea.ExportHeader) *exporter {
	w.Header().Set("Content-Type", ndjson)
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not gather it
	w.WriteHeader(http.StatusOK)
	e := &exporter{api: a, header: h}
	e.out = bufio.NewWriterSize(&patientWriter{w: w, rc: http.NewResponseController(w), gone: &e.gone}, exportBuffer)
	e.lines = json.NewEncoder(e.out)
	e.lines.SetEscapeHTML(false)
	return e
}

// patientWriter gives a client its time for each piece.
type patientWriter struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	gone *error
}

func (p *patientWriter) Write(b []byte) (int, error) {
	_ = p.rc.SetWriteDeadline(time.Now().Add(exportPatience)) // not every writer has deadlines
	n, err := p.w.Write(b)
	if err == nil {
		err = p.rc.Flush()
	}
	*p.gone = err
	return n, err
}

// write writes the export, and at its end whether it is whole.
func (e *exporter) write(ctx context.Context) {
	err := send(e, gaea.LineHeader, e.header)
	for _, kind := range gaea.ExportKinds() {
		if err == nil && slices.Contains(e.header.Kinds, kind) {
			err = e.kind(ctx, kind)
		}
	}
	switch {
	case e.gone != nil || ctx.Err() != nil:
		return // nobody reads what is written now
	case err != nil:
		problem := problemOf(err)
		inquiryOf(ctx).report(ctx, problem, []error{err})
		err = send(e, gaea.LineError, gaea.ExportError{Code: problem.Code, Detail: problem.Detail})
	default:
		err = send(e, gaea.LineEnd, e.count)
	}
	if err == nil {
		_ = e.out.Flush() // a client that has left needs no last line
	}
}

func (e *exporter) kind(ctx context.Context, kind gaea.ExportKind) error {
	archive, h := e.api.deps.Archive, e.header
	jobs := gaea.JobFilter{Master: h.Master, Since: h.Since, Until: h.Until}
	switch kind {
	case gaea.ExportJobs:
		return pages(ctx, e, &e.count.Jobs, func(p gaea.PageRequest) (gaea.Page[gaea.Job], error) {
			return archive.Jobs(ctx, jobs, p)
		}, func(j *gaea.Job) error { return send(e, gaea.LineJob, j) })
	case gaea.ExportReturns:
		return pages(ctx, e, &e.count.Returns, func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
			return archive.Returns(ctx, jobs, p, false)
		}, func(r *gaea.Return) error {
			whole, err := archive.Return(ctx, r.Master, r.JID, r.Minion)
			if err != nil {
				return err
			}
			return send(e, gaea.LineReturn, whole)
		})
	case gaea.ExportEvents:
		f := gaea.EventFilter{Master: h.Master, Since: h.Since, Until: h.Until}
		return pages(ctx, e, &e.count.Events, func(p gaea.PageRequest) (gaea.Page[gaea.Event], error) {
			return archive.Events(ctx, f, p)
		}, func(ev *gaea.Event) error { return send(e, gaea.LineEvent, ev) })
	case gaea.ExportRuns:
		return pages(ctx, e, &e.count.Runs, func(p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
			return archive.ListRuns(ctx, gaea.RunFilter{Since: h.Since, Until: h.Until}, p)
		}, func(r *gaea.Run) error {
			if h.Master != "" && r.Master != h.Master {
				return errPassedOver
			}
			whole, err := e.api.deps.Runs.Get(ctx, r.ID)
			if err != nil {
				return err
			}
			return send(e, gaea.LineRun, whole)
		})
	default:
		return gaea.Invalid("kind", "%q is none of %s", kind, strings.Join([]string{"jobs", "returns", "events", "runs"}, ", "))
	}
}

// errPassedOver is something of a page that is not exported.
var errPassedOver = gaea.Errorf(gaea.CodeNotFound, "it is not exported")

// pages writes all pages of a list. What is not there any more when it is looked at, retention has taken meanwhile.
func pages[T any](ctx context.Context, e *exporter, count *int, list func(gaea.PageRequest) (gaea.Page[T], error), write func(*T) error) error {
	p := gaea.PageRequest{Limit: exportPage}
	for {
		page, err := list(p)
		if err != nil {
			return err
		}
		for i := range page.Items {
			switch err := write(&page.Items[i]); {
			case err == nil:
				*count++
			case gaea.CodeOf(err) != gaea.CodeNotFound:
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		select {
		case <-e.api.stopped:
			return gaea.Errorf(gaea.CodeUnavailable, "jobd stops; export again from its next start")
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		p.Cursor = page.Next
	}
}

// send writes one line.
func send[T any](e *exporter, kind string, data T) error {
	return e.lines.Encode(gaea.ExportLine[T]{Type: kind, Data: data})
}
