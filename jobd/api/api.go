// Package api is jobd's HTTP API: routes, their documentation as OpenAPI, and what every request goes through (who is it, may
// they, how large, how long). It decides nothing of Gaea's own work: archive, engine and enforcement are handed to it.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Archive is what the API reads and writes of the archive. Every archive.Store has it; the methods are documented there.
type Archive interface {
	gaea.SecretStore
	Job(ctx context.Context, master, jid string) (*gaea.JobDetail, error)
	Jobs(ctx context.Context, f gaea.JobFilter, p gaea.PageRequest) (gaea.Page[gaea.Job], error)
	Return(ctx context.Context, master, jid, minion string) (*gaea.Return, error)
	Returns(ctx context.Context, f gaea.JobFilter, p gaea.PageRequest, bodies bool) (gaea.Page[gaea.Return], error)
	Events(ctx context.Context, f gaea.EventFilter, p gaea.PageRequest) (gaea.Page[gaea.Event], error)
	ForgetKey(ctx context.Context, user, runID string) error
	History(ctx context.Context, f gaea.HistoryFilter, p gaea.PageRequest) (gaea.Page[gaea.HistoryItem], error)
	States(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.LatestState], error)
	Changes(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.StateChange], error)
	FailedMinions(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.FailedMinion], error)
	SlowStates(ctx context.Context, f gaea.SlowStateFilter, p gaea.PageRequest) (gaea.Measured[gaea.SlowState], error)
	RunDurations(ctx context.Context, f gaea.RunDurationFilter, p gaea.PageRequest) (gaea.Measured[gaea.RunDurations], error)
	Ledger(ctx context.Context, f gaea.LedgerFilter, p gaea.PageRequest) (gaea.Page[gaea.JobLedger], error)
	LedgerTotals(ctx context.Context, f gaea.LedgerFilter) (gaea.LedgerTotals, error)
	Usage(ctx context.Context) (gaea.ArchiveStats, error)
	Hold(ctx context.Context, req gaea.HoldRequest, holder string) (*gaea.LegalHold, error)
	Holds(ctx context.Context, released bool) ([]gaea.LegalHold, error)
	ReleaseHold(ctx context.Context, id, releaser, reason string) (*gaea.LegalHold, error)
	ListRuns(ctx context.Context, f gaea.RunFilter, p gaea.PageRequest) (gaea.Page[gaea.Run], error)
	TargetGroups() gaea.DefinitionStore[gaea.TargetGroup]
	JobTemplates() gaea.DefinitionStore[gaea.JobTemplate]
	Assignments() gaea.DefinitionStore[gaea.Assignment]
}

// Runs is what the API needs of the run engine; *[engine.Engine] has it, and documents the methods.
type Runs interface {
	Submit(ctx context.Context, req engine.Request) (run *gaea.Run, created bool, err error)
	Get(ctx context.Context, id string) (*gaea.Run, error)
	Cancel(ctx context.Context, id string, req gaea.CancelRequest) (*gaea.Run, error)
	Pause(ctx context.Context, id string) (*gaea.Run, error)
	Resume(ctx context.Context, id string) (*gaea.Run, error)
	Retry(ctx context.Context, id string, req gaea.RetryRequest, user, key string) (run *gaea.Run, created bool, err error)
	Watch(id string) (<-chan *gaea.Run, func())
}

// Enforcer checks assignments and makes them true; enforce.Service has it, and documents the methods. Who asks is in the
// context: see [gaea.PrincipalFrom].
type Enforcer interface {
	// Drift is of a master by its name in the archive; empty: the own one.
	Drift(ctx context.Context, master, name string) (*gaea.DriftReport, error)
	Check(ctx context.Context, name string, req gaea.CheckRequest) (*gaea.Run, error)
	Enforce(ctx context.Context, name string, req gaea.EnforceRequest, key string) (*gaea.Run, error)
	// Follow sees to what comes after a run of an assignment that was made in another way; of others it takes no notice.
	Follow(run *gaea.Run)
}

// Authenticator tells whose token a request carries; an empty token is given where it carries none. CodeUnauthenticated.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (gaea.Principal, error)
}

// Policy tells whether a caller may do something. CodeForbidden.
type Policy interface {
	Authorize(who gaea.Principal, action gaea.Action) error
}

// Tokens makes tokens and takes them out of use.
type Tokens interface {
	Create(ctx context.Context, req gaea.TokenRequest) (*gaea.CreatedToken, error)
	List(ctx context.Context) ([]gaea.Token, error)
	Revoke(ctx context.Context, id string) error
}

// Deps is what an [API] works with. All are needed to serve; none to write the OpenAPI document.
type Deps struct {
	Archive       Archive
	Runs          Runs
	Enforcer      Enforcer
	Verifier      Verifier
	Feed          gaea.Feed
	Authenticator Authenticator
	Policy        Policy
	Tokens        Tokens
	// CompileExpect tells whether an action's expectation compiles: CodeInvalid with line and column where it does not.
	CompileExpect func(expr string) error
	// Masters lists the masters of the archive, and who serves each.
	Masters func(ctx context.Context) ([]gaea.MasterStatus, error)
	// Status tells how jobd stands, for /v1/status.
	Status func(ctx context.Context) gaea.ServerStatus
	// Ready names what keeps jobd from its work, a sentence each, for /readyz; nothing where it is ready.
	Ready func(ctx context.Context) []string
	// Metrics serves /metrics.
	Metrics http.Handler
	// Logger gets one line for each request, and the causes of failures.
	Logger *slog.Logger
}

//go:generate go run ./cmd/openapi ../../docs/openapi.json

// API is the handler of every route. Make it with [New].
type API struct {
	deps    Deps
	log     *slog.Logger
	mux     *http.ServeMux
	huma    huma.API
	openAPI []byte
	streams chan struct{} // a place for each long answer that may go on at once
	patient time.Duration // how long a body may take to arrive: bodyTimeout
	stop    sync.Once
	stopped chan struct{}
}

// maxStreams bounds the streams and long polls that go on at once.
const maxStreams = 1024

// New makes the API.
func New(deps Deps) *API {
	useProblems()
	a := &API{
		deps:    deps,
		log:     deps.Logger,
		mux:     http.NewServeMux(),
		streams: make(chan struct{}, maxStreams),
		patient: bodyTimeout,
		stopped: make(chan struct{}),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.huma = humago.New(a.mux, humaConfig())
	a.huma.UseMiddleware(a.admit)
	a.probes()
	a.jobs()
	a.ledger()
	a.export()
	a.questions()
	a.retention()
	a.masters()
	a.runs()
	a.targetGroups()
	a.jobTemplates()
	a.assignments()
	a.tokens()
	a.openAPI = a.document()
	a.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(a.openAPI) // a client that has left needs no answer
	})
	if deps.Metrics != nil {
		a.mux.Handle("GET /metrics", deps.Metrics)
	}
	return a
}

// Stop ends streams and long polls, so that a server can shut down without waiting for them. Requests that come later are
// still answered, streams and long polls at once. Stopping again does nothing.
func (a *API) Stop() { a.stop.Do(func() { close(a.stopped) }) }

// OpenAPI is the OpenAPI 3.1 document of every route, as /openapi.json serves it.
func (a *API) OpenAPI() []byte { return bytes.Clone(a.openAPI) }

func (a *API) document() []byte {
	raw, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		panic(err) // the document is made of this package's own types
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		panic(err) // what was just marshalled is JSON
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// operation is what is said of a route beside its types.
type operation struct {
	id      string // unique in the document
	method  string
	path    string
	summary string
	about   string // more, for the document
	tag     string
	action  gaea.Action // empty: no token is needed
	status  int         // of success; 200 when 0
	wait    bool        // a long poll: it may take maxWait longer
	stream  bool        // no limit in time
	media   string      // of a stream; text/event-stream when empty
}

// maxBody bounds a request's body: a list of 100,000 minions with names of usual length fits.
const maxBody = 4 << 20

// handleTimeout bounds the work on a request, without the time a long poll waits.
const handleTimeout = 30 * time.Second

// Names of what [API.admit] reads of an operation.
const (
	metaAction = "action"
	metaLimit  = "limit"
)

// route adds one route.
func route[I, O any](a *API, op operation, handle func(context.Context, *I) (*O, error)) {
	h := huma.Operation{
		OperationID:      op.id,
		Method:           op.method,
		Path:             op.path,
		Summary:          op.summary,
		Description:      op.about,
		Tags:             []string{op.tag},
		DefaultStatus:    op.status,
		MaxBodyBytes:     -1, // admit reads the body, with its own bound
		BodyReadTimeout:  -1,
		SkipValidateBody: false,
		Metadata:         map[string]any{},
	}
	switch {
	case op.stream:
	case op.wait:
		h.Metadata[metaLimit] = handleTimeout + maxWait
	default:
		h.Metadata[metaLimit] = handleTimeout
	}
	if op.action != "" {
		h.Metadata[metaAction] = op.action
		h.Security = []map[string][]string{{"token": {}}}
		h.Extensions = map[string]any{"x-gaea-action": op.action}
	}
	if op.stream {
		media, description := op.media, "A value a line"
		if media == "" {
			media, description = "text/event-stream", "Server-sent events"
		}
		h.Responses = map[string]*huma.Response{
			"200": {Description: description, Content: map[string]*huma.MediaType{media: {Schema: &huma.Schema{Type: huma.TypeString}}}},
		}
	}
	huma.Register(a.huma, h, handle)
}

// answer is a response with a body and nothing else.
type answer[T any] struct{ Body T }

// nothing is a request without parameters, or a response without a body.
type nothing struct{}
