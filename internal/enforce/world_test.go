package enforce_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/enforce"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a service on the real engine, a scripted master and an archive in memory.
type world struct {
	t       *testing.T
	salt    *enginetest.Salt
	runs    *enginetest.Runs
	archive *archive
	engine  *faultyEngine
	service *enforce.Service
	alarms  *alarms

	assignments *definitions[gaea.Assignment]
	groups      *definitions[gaea.TargetGroup]
	templates   *definitions[gaea.JobTemplate]
}

// faultyEngine is the engine, with submissions that fail where the test wants it.
type faultyEngine struct {
	*engine.Engine
	mu    sync.Mutex
	fail  func(engine.Request) error
	waits map[string]int // by run
	lost  int            // so many calls of Finish fail
}

func (e *faultyEngine) Finish(ctx context.Context, id string, f func(*gaea.Run)) error {
	e.mu.Lock()
	lost := e.lost > 0
	e.lost = max(e.lost-1, 0)
	e.mu.Unlock()
	if lost {
		return gaea.Errorf(gaea.CodeUnavailable, "the disk is full")
	}
	return e.Engine.Finish(ctx, id, f)
}

// loseFinish makes the next calls of Finish fail.
func (e *faultyEngine) loseFinish(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = n
}

func (e *faultyEngine) Wait(ctx context.Context, id string) (*gaea.Run, error) {
	e.mu.Lock()
	e.waits[id]++
	e.mu.Unlock()
	return e.Engine.Wait(ctx, id)
}

// waitsFor counts who waited for a run's end.
func (e *faultyEngine) waitsFor(id string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.waits[id]
}

func (e *faultyEngine) Submit(ctx context.Context, req engine.Request) (*gaea.Run, bool, error) {
	e.mu.Lock()
	fail := e.fail
	e.mu.Unlock()
	if fail != nil {
		if err := fail(req); err != nil {
			return nil, false, err
		}
	}
	return e.Engine.Submit(ctx, req)
}

func (e *faultyEngine) failSubmit(f func(engine.Request) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail = f
}

// inWorld runs a test in a bubble in which time passes when all wait, with minions that are in sync and an assignment "web"
// over all of them.
func inWorld(t *testing.T, minions []string, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, salt: enginetest.New("m"), runs: enginetest.NewRuns(),
			assignments: newDefinitions[gaea.Assignment](), groups: newDefinitions[gaea.TargetGroup](), templates: newDefinitions[gaea.JobTemplate](),
		}
		w.archive = newArchive(w.salt)
		for _, m := range minions {
			w.salt.Set(m, quick)
			w.archive.set(m, func(*machine) {})
		}
		w.group("all", gaea.Target{Type: gaea.TargetGlob, Expr: "*"})
		w.assign(gaea.Assignment{Name: "web", TargetGroup: "all", States: []string{"nginx"}, Remediate: true})
		t.Cleanup(w.salt.Close)
		w.start()
		test(t, w)
		w.stop()
	})
}

var quick = enginetest.Minion{Takes: 200 * time.Millisecond, Answers: 100 * time.Millisecond}

// start starts an engine and a service on what is stored.
func (w *world) start() {
	w.t.Helper()
	w.engine = &faultyEngine{waits: map[string]int{}, Engine: engine.New(engine.Deps{
		Master: "m", Salt: w.salt, Cache: w.salt, Feed: w.archive, Returns: w.archive, Runs: w.runs,
		Digest: keyedDigest,
	})}
	w.service = enforce.New(enforce.Deps{
		Master: "m", Engine: w.engine, Assignments: w.assignments, Groups: w.groups, Templates: w.templates, Secrets: w.archive,
		Evidence: w.archive, Returns: w.archive, Runs: w.runs, Fingerprinter: drift.NewFingerprinter(keyedDigest),
	})
	if err := w.engine.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if err := w.service.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.alarms = setAlarms(w.service)
}

func (w *world) stop() {
	w.t.Helper()
	w.alarms.stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.service.Stop(ctx); err != nil {
		w.t.Errorf("the service does not stop: %v", err)
	}
	if err := w.engine.Stop(ctx); err != nil {
		w.t.Errorf("the engine does not stop: %v", err)
	}
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

func (w *world) group(name string, target gaea.Target) string {
	return w.groups.put(w.t, gaea.TargetGroup{Name: name, Target: target})
}

func (w *world) assign(a gaea.Assignment) string { return w.assignments.put(w.t, a) }

// change stores "web" with something changed, and returns its new ref.
func (w *world) change(f func(*gaea.Assignment)) string {
	v, err := w.assignments.Get(w.t.Context(), gaea.Ref{Name: "web"})
	if err != nil {
		w.t.Fatal(err)
	}
	f(&v.Definition)
	return w.assign(v.Definition)
}

func asUser(name string) context.Context {
	return gaea.WithPrincipal(context.Background(), gaea.Principal{Name: name, Role: gaea.RoleApply})
}

// check asks for a check of "web" and waits until it is complete. Nil: no run was needed.
func (w *world) check(req gaea.CheckRequest) *gaea.Run {
	w.t.Helper()
	run, err := w.service.Check(asUser("ann"), "web", req)
	if err != nil {
		w.t.Fatal(err)
	}
	if run == nil {
		return nil
	}
	return w.complete(run.ID)
}

// enforce enforces "web" and waits until that is complete.
func (w *world) enforce(req gaea.EnforceRequest) *gaea.Run {
	w.t.Helper()
	run, err := w.service.Enforce(asUser("ann"), "web", req, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.complete(run.ID)
}

func (w *world) complete(id string) *gaea.Run {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	run, err := w.engine.WaitComplete(ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

func (w *world) report() *gaea.DriftReport {
	w.t.Helper()
	r, err := w.service.Drift(w.t.Context(), "web")
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// statuses is each minion's status in the report.
func (w *world) statuses() map[string]gaea.EvidenceStatus {
	w.t.Helper()
	s := map[string]gaea.EvidenceStatus{}
	for m, d := range w.report().Minions {
		s[m] = d.Status
	}
	return s
}

// stateRuns lists the runs of an assignment, oldest first, whole.
func (w *world) stateRuns(kind gaea.RunKind) []*gaea.Run {
	w.t.Helper()
	page, err := w.runs.ListRuns(w.t.Context(), gaea.RunFilter{Kind: kind}, gaea.PageRequest{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var runs []*gaea.Run
	for _, head := range slices.Backward(page.Items) {
		run, err := w.runs.GetRun(w.t.Context(), head.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		runs = append(runs, run)
	}
	return runs
}

func keyedDigest(parts ...[]byte) string {
	b, err := json.Marshal(parts)
	if err != nil {
		panic(err)
	}
	return string(b)
}
