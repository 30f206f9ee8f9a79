package enforce

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Engine is what the service needs of the run engine; *[engine.Engine] has it and documents it.
type Engine interface {
	Submit(ctx context.Context, req engine.Request) (run *gaea.Run, created bool, err error)
	Wait(ctx context.Context, id string) (*gaea.Run, error)
	WaitComplete(ctx context.Context, id string) (*gaea.Run, error)
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
	// Forgetful says that the stores begin empty with each process. What minions an assignment has is then not known before a
	// run over the whole target: minions that a request names are taken to be its, and the check after a run over some of them is
	// one of the whole target, so that the report after it is whole.
	Forgetful bool
	Process   string       // what carries runs out, for errors; "jobd" where it is empty
	Clock     gaea.Clock   // nil: time.Now
	Logger    *slog.Logger // nil: nothing is logged
}

// Service checks and enforces assignments. Make it with [New], then Start; every goroutine of it has ended when Stop
// returns nil. Its methods may be called from several goroutines.
type Service struct {
	deps  Deps
	turns keyedLock // by assignment: who decides whether a run is started or joined

	patrol  sync.Mutex // who decides whether there is a turn for an interval check
	started time.Time

	ctx     context.Context //nolint:containedctx // the life of the service's goroutines
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	state    serviceState
	followed map[string]bool // ids of the runs whose aftermath somebody waits for
}

type serviceState int

const (
	serviceNew serviceState = iota
	serviceStarted
	serviceStopped
)

// New returns a service that does nothing before Start.
func New(deps Deps) *Service {
	if deps.Process == "" {
		deps.Process = "jobd"
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Service{deps: deps, ctx: ctx, cancel: cancel, followed: map[string]bool{}}
}

// Start takes up the runs whose aftermath was not finished when the process before this one ended. The context is for Start
// itself; the error is the store's.
func (s *Service) Start(ctx context.Context) error {
	unfinished, err := s.unfinished(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.state != serviceNew {
		s.mu.Unlock()
		return gaea.Errorf(gaea.CodeInternal, "the assignment service can be started once")
	}
	s.state, s.started = serviceStarted, s.now()
	s.mu.Unlock()
	for i := range unfinished {
		s.follow(&unfinished[i])
	}
	return nil
}

// unfinished lists this master's checks and enforcing runs that are not complete.
func (s *Service) unfinished(ctx context.Context) ([]gaea.Run, error) {
	var runs []gaea.Run
	page := gaea.PageRequest{Limit: 1000}
	for {
		found, err := s.deps.Runs.ListRuns(ctx, gaea.RunFilter{Master: s.deps.Master, Active: true}, page)
		if err != nil {
			return nil, err
		}
		for _, run := range found.Items {
			if run.Assignment != "" && !run.Complete() {
				runs = append(runs, run)
			}
		}
		if found.Next == "" {
			return runs, nil
		}
		page.Cursor = found.Next
	}
}

// Stop leaves runs to the next Start. It waits for the service's goroutines, and returns ctx's
// error where they do not end in time. It may be called again, and without Start.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.state = serviceStopped
	s.mu.Unlock()
	s.cancel()
	stopped := make(chan struct{})
	go func() { // ends with the last of the service's goroutines
		defer close(stopped)
		s.running.Wait()
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// spawn runs f in a goroutine that Stop waits for; not at all where the service does not run.
func (s *Service) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != serviceStarted {
		return false
	}
	s.running.Go(f)
	return true
}

// takes says whether the service takes requests that start runs on a master's minions; empty: its own.
func (s *Service) takes(master string) error {
	if master != "" && master != s.deps.Master {
		return gaea.Invalid("master", "the minions of the master %q cannot be reached from here, only those of %q", master, s.deps.Master)
	}
	return s.ready()
}

// ready says whether the service takes requests that start runs.
func (s *Service) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case serviceNew:
		return gaea.Errorf(gaea.CodeUnavailable, "%s is starting; try again in a moment", s.deps.Process)
	case serviceStopped:
		return gaea.Errorf(gaea.CodeUnavailable, "%s is stopping; try again when it is back", s.deps.Process)
	default:
		return nil
	}
}

func (s *Service) now() time.Time { return s.deps.Clock() }

// userOf names who makes a request: the context's principal, or jobd itself.
func userOf(ctx context.Context) string {
	if name := gaea.PrincipalFrom(ctx).Name; name != "" {
		return name
	}
	return patrolUser
}
