package enforce

import (
	"context"
	"log/slog"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Engine is what the service needs of the run engine; *[engine.Engine] has it.
type Engine interface {
	Submit(ctx context.Context, req engine.Request) (run *gaea.Run, created bool, err error)
	Wait(ctx context.Context, id string) (*gaea.Run, error)
	Finish(ctx context.Context, id string, f func(*gaea.Run)) error
}

// Deps is what a [Service] works with. All are needed but for those that say otherwise.
type Deps struct {
	Master        string // the master's name in the archive
	Engine        Engine // started before the service and stopped after it
	Assignments   gaea.DefinitionStore[gaea.Assignment]
	Groups        gaea.DefinitionStore[gaea.TargetGroup]
	Templates     gaea.DefinitionStore[gaea.JobTemplate]
	Secrets       gaea.SecretStore
	Evidence      gaea.EvidenceStore
	Returns       gaea.ReturnStore
	Runs          gaea.RunStore
	Fingerprinter *drift.Fingerprinter
	Clock         gaea.Clock   // nil: time.Now
	Logger        *slog.Logger // nil: nothing is logged
}

// Service checks and enforces assignments. Make it with [New], then Start; every goroutine of it has ended when Stop
// returns nil. Its methods may be called from several goroutines.
type Service struct {
	deps Deps
}

// New returns a service that does nothing by itself before Start.
func New(deps Deps) *Service { return &Service{deps: deps} }

// Start takes up the runs whose aftermath was not finished when the process before this one ended, and begins to check the
// assignments that have an interval.
func (s *Service) Start(ctx context.Context) error { return errNotReady }

// Stop ends the interval checks and leaves runs to the next Start. It waits for the service's goroutines, and returns ctx's
// error where they do not end in time.
func (s *Service) Stop(ctx context.Context) error { return errNotReady }

// Drift reports how an assignment stands by what is archived; it asks no minion. The minions are those of the newest run
// over the whole target, so a new assignment has none before its first check. CodeNotFound, also where the assignment's
// target group or job template is gone.
func (s *Service) Drift(ctx context.Context, name string) (*gaea.DriftReport, error) {
	return nil, errNotReady
}

// Check makes a test run on the minions whose evidence is older than req.MaxAge, or joins one that is going on and covers
// them; it does not wait for its end. The run is nil where all evidence is fresh. The report is whole when the run is
// complete, see [gaea.Run.Complete]. CodeNotFound; CodeInvalid for a minion that is not in the target.
func (s *Service) Check(ctx context.Context, name string, req gaea.CheckRequest) (*gaea.Run, error) {
	return nil, errNotReady
}

// Enforce applies the assignment's states for real, or joins such a run of the same revision that is going on and covers
// the same minions. The run is complete when the test run after it has ended too. The key is the caller's idempotency key,
// or empty. CodeNotFound; CodeConflict where the assignment is another version than req.Ref or does not remediate;
// CodeInvalid for a minion that is not in the target.
func (s *Service) Enforce(ctx context.Context, name string, req gaea.EnforceRequest, key string) (*gaea.Run, error) {
	return nil, errNotReady
}

var errNotReady = gaea.Errorf(gaea.CodeInternal, "the service is being built")
