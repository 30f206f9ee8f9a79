package provider_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

// fakeJobd is a jobd in memory with minions that do as a test says. Definitions go through JSON as they do through the API.
type fakeJobd struct {
	mu        sync.Mutex
	principal gaea.Principal
	err       error // what every call answers, where set

	groups      map[string]gaea.TargetGroup
	templates   map[string]gaea.JobTemplate
	assignments map[string]gaea.Assignment
	secrets     map[string]map[string]any // by assignment and version

	world   map[string]*fakeMinion
	archive map[string]*gaea.DriftReport // what was seen last
	stale   bool                         // the archive is older than any max_age

	runs      map[string]*gaea.Run
	keys      map[string]string // idempotency key to run
	requests  map[string]string // run to what was asked for, as JSON
	jobs      map[string]*gaea.JobDetail
	returns   map[string][]gaea.Return
	unsettled []string
	checkErr  error                                                     // what Check answers
	cancelErr error                                                     // what CancelRun answers
	createErr error                                                     // what CreateRun answers
	wait      func(ctx context.Context, r *gaea.Run) (*gaea.Run, error) // replaces WaitRun
	calls     []string                                                  // what was asked of the minions
}

type fakeMinion struct {
	down    bool
	unable  string                       // what Salt says instead of running states
	returns string                       // what it returns to a job, as JSON; a text where it is empty
	drift   map[string]map[string]string // assignment to state to diff
	broken  map[string]string            // assignment to what Salt says when its states fail; "" to what it says of jobs
	clean   map[string]bool              // assignments that were applied
}

var _ provider.Backend = (*fakeJobd)(nil)

func newFakeJobd(minions ...string) *fakeJobd {
	f := &fakeJobd{
		principal: gaea.Principal{Name: "ops", Role: gaea.RoleApply},
		groups:    map[string]gaea.TargetGroup{}, templates: map[string]gaea.JobTemplate{}, assignments: map[string]gaea.Assignment{},
		secrets: map[string]map[string]any{}, world: map[string]*fakeMinion{}, archive: map[string]*gaea.DriftReport{},
		runs: map[string]*gaea.Run{}, keys: map[string]string{}, requests: map[string]string{}, jobs: map[string]*gaea.JobDetail{}, returns: map[string][]gaea.Return{},
	}
	for _, m := range minions {
		f.world[m] = &fakeMinion{drift: map[string]map[string]string{}, broken: map[string]string{}, clean: map[string]bool{}}
	}
	return f
}

// do changes the world under the lock.
func (f *fakeJobd) do(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// tamper makes states of an assignment differ on a minion.
func (f *fakeJobd) tamper(assignment, minion, state, diff string) {
	f.do(func() {
		if f.world[minion].drift[assignment] == nil {
			f.world[minion].drift[assignment] = map[string]string{}
		}
		f.world[minion].drift[assignment][state] = diff
		f.stale = true
	})
}

// asked returns what was asked of the minions since the last call.
func (f *fakeJobd) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// must refuses what the role may not do.
func (f *fakeJobd) must(role gaea.Role) error {
	if f.err != nil {
		return f.err
	}
	if !f.principal.Role.Includes(role) {
		return gaea.Errorf(gaea.CodeForbidden, "the token %q has the role %s; this needs the role %s", f.principal.Name, f.principal.Role, role)
	}
	return nil
}

func (f *fakeJobd) WhoAmI(context.Context) (*gaea.Principal, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.principal
	return &p, f.err
}

// put stores a definition as jobd does: after a way through JSON.
func put[T gaea.Definition](f *fakeJobd, all map[string]T, d T) (*gaea.Version[T], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.must(gaea.RoleApply); err != nil {
		return nil, err
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	var stored T
	if err := json.Unmarshal(b, &stored); err != nil {
		return nil, err
	}
	if err := stored.Validate(); err != nil {
		return nil, err
	}
	all[stored.DefinitionName()] = stored
	return &gaea.Version[T]{Definition: stored, Ref: gaea.RefOf(stored), Number: 1}, nil
}

func get[T gaea.Definition](f *fakeJobd, all map[string]T, ref string) (*gaea.Version[T], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	d, ok := all[ref]
	if !ok {
		return nil, gaea.Errorf(gaea.CodeNotFound, "there is no definition %q", ref)
	}
	return &gaea.Version[T]{Definition: d, Ref: gaea.RefOf(d), Number: 1}, nil
}

func remove[T gaea.Definition](f *fakeJobd, all map[string]T, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.must(gaea.RoleApply); err != nil {
		return err
	}
	if _, ok := all[name]; !ok {
		return gaea.Errorf(gaea.CodeNotFound, "there is no definition %q", name)
	}
	delete(all, name)
	return nil
}

func (f *fakeJobd) PutTargetGroup(_ context.Context, g gaea.TargetGroup) (*gaea.Version[gaea.TargetGroup], error) {
	return put(f, f.groups, g)
}

func (f *fakeJobd) GetTargetGroup(_ context.Context, known gaea.TargetGroup) (*gaea.Version[gaea.TargetGroup], error) {
	return get(f, f.groups, known.Name)
}

func (f *fakeJobd) DeleteTargetGroup(_ context.Context, name string) error {
	return remove(f, f.groups, name)
}

func (f *fakeJobd) PutJobTemplate(_ context.Context, t gaea.JobTemplate) (*gaea.Version[gaea.JobTemplate], error) {
	return put(f, f.templates, t)
}

func (f *fakeJobd) GetJobTemplate(_ context.Context, known gaea.JobTemplate) (*gaea.Version[gaea.JobTemplate], error) {
	return get(f, f.templates, known.Name)
}

func (f *fakeJobd) DeleteJobTemplate(_ context.Context, name string) error {
	return remove(f, f.templates, name)
}

func (f *fakeJobd) PutAssignment(_ context.Context, in gaea.AssignmentInput) (*gaea.Version[gaea.Assignment], error) {
	f.mu.Lock()
	before, had := f.assignments[in.Name]
	f.mu.Unlock()
	v, err := put(f, f.assignments, in.Assignment)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if in.SecretPillar != nil {
		f.secrets[in.Name+" "+in.SecretVersion] = in.SecretPillar
	}
	if !had || gaea.RefOf(before) != v.Ref {
		for _, m := range f.world { // other states: not applied yet
			delete(m.clean, in.Name)
		}
		delete(f.archive, in.Name)
	}
	return v, nil
}

func (f *fakeJobd) GetAssignment(_ context.Context, known gaea.Assignment) (*gaea.Version[gaea.Assignment], error) {
	return get(f, f.assignments, known.Name)
}

func (f *fakeJobd) DeleteAssignment(_ context.Context, name string) error {
	return remove(f, f.assignments, name)
}

// see looks at every minion, as a test run does.
func (f *fakeJobd) see(a gaea.Assignment) *gaea.DriftReport {
	report := &gaea.DriftReport{Assignment: a.Name, Ref: gaea.RefOf(a), Minions: map[string]gaea.MinionDrift{}, Unsettled: f.unsettled}
	for _, name := range slices.Sorted(maps.Keys(f.world)) {
		m, d := f.world[name], gaea.MinionDrift{Status: gaea.EvidenceInSync}
		report.Summary.Minions++
		switch {
		case m.down:
			d.Status = gaea.EvidenceUnreachable
			report.Unreachable = append(report.Unreachable, name)
			report.Summary.Unreachable++
		case m.unable != "":
			d.Status, d.Message = gaea.EvidenceCouldNotRun, m.unable
			report.Summary.CouldNotRun++
		case len(m.drift[a.Name]) > 0:
			d.Status, d.States = gaea.EvidenceDrifted, maps.Clone(m.drift[a.Name])
		case !m.clean[a.Name]:
			d.Status, d.States = gaea.EvidenceDrifted, map[string]string{"file.managed /etc/motd": "would be created"}
		default:
			report.Summary.InSync++
		}
		if d.Status == gaea.EvidenceDrifted {
			report.Summary.Drifted++
			report.Summary.States += len(d.States)
		}
		report.Minions[name] = d
	}
	f.archive[a.Name], f.stale = report, false
	return report
}

func (f *fakeJobd) Drift(_ context.Context, name string) (*gaea.DriftReport, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	if r := f.archive[name]; r != nil {
		return r, nil
	}
	return &gaea.DriftReport{Assignment: name}, nil
}

func (f *fakeJobd) Check(_ context.Context, name string, req gaea.CheckRequest) (*gaea.DriftReport, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.must(gaea.RolePlan); err != nil {
		return nil, err
	}
	if f.checkErr != nil {
		return nil, f.checkErr
	}
	if r := f.archive[name]; r != nil && req.MaxAge > 0 && !f.stale {
		return r, nil
	}
	f.calls = append(f.calls, "test "+name)
	return f.see(f.assignments[name]), nil
}

func (f *fakeJobd) Enforce(_ context.Context, name string, req gaea.EnforceRequest, key string) (*gaea.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.must(gaea.RoleApply); err != nil {
		return nil, err
	}
	if id, ok := f.keys[key]; ok {
		return f.runs[id], nil
	}
	a := f.assignments[name]
	if ref := gaea.RefOf(a); req.Ref != ref {
		return nil, gaea.Errorf(gaea.CodeConflict, "the assignment is %s, not %s", ref, req.Ref)
	}
	minions, what := req.Minions, fmt.Sprintf("apply %s on %v", name, req.Minions)
	if len(minions) == 0 {
		minions, what = slices.Sorted(maps.Keys(f.world)), "apply "+name+" on all"
	}
	f.calls = append(f.calls, what)
	run := &gaea.Run{
		ID: fmt.Sprintf("run-%d", len(f.runs)+1), Kind: gaea.RunEnforce, Assignment: name, Status: gaea.RunRunning,
		Function: "state.apply", Minions: map[string]gaea.RunMinion{}, CheckState: gaea.CheckPending,
	}
	for _, m := range minions {
		run.Minions[m] = gaea.RunMinion{Outcome: gaea.OutcomePending}
	}
	f.runs[run.ID], f.keys[key] = run, run.ID
	return snapshot(run), nil
}

// CreateRun starts a run, on the minions of a list or else on all. A template gives the function where the request has none.
func (f *fakeJobd) CreateRun(_ context.Context, req gaea.RunRequest, key string) (*gaea.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.must(gaea.RoleApply); err != nil {
		return nil, err
	}
	if f.createErr != nil {
		return nil, f.createErr
	}
	text, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	if id, ok := f.keys[key]; ok {
		if f.requests[id] != string(text) {
			return nil, gaea.Errorf(gaea.CodeConflict, "the idempotency key %q was used for run %s, which asked for something else; use another key", key, id)
		}
		return snapshot(f.runs[id]), nil
	}
	function := req.Function
	if name, _, _ := strings.Cut(req.JobTemplate, "@"); name != "" && function == "" {
		function = f.templates[name].Function
	}
	if function == "" {
		return nil, gaea.Invalid("function", "neither the request nor the job template %q names a function", req.JobTemplate)
	}
	minions := req.Target.Minions
	if req.Target.Type != gaea.TargetList {
		minions = slices.Sorted(maps.Keys(f.world))
	}
	f.calls = append(f.calls, fmt.Sprintf("run %s %v on %v", function, req.Args, minions))
	run := &gaea.Run{
		ID: fmt.Sprintf("run-%d", len(f.runs)+1), Kind: gaea.RunJob, Status: gaea.RunRunning, Function: function, Minions: map[string]gaea.RunMinion{},
	}
	for _, m := range minions {
		run.Minions[m] = gaea.RunMinion{Outcome: gaea.OutcomePending}
	}
	f.runs[run.ID], f.keys[key], f.requests[run.ID] = run, run.ID, string(text)
	return snapshot(run), nil
}

func (f *fakeJobd) ForgetKey(_ context.Context, runID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.keys, func(_, id string) bool { return id == runID })
	return f.err
}

// finish lets a run do its work, and the check after it.
func (f *fakeJobd) finish(id string) *gaea.Run {
	f.mu.Lock()
	defer f.mu.Unlock()
	run := f.runs[id]
	if run.Complete() {
		return snapshot(run)
	}
	run.Status = gaea.RunSucceeded
	for _, name := range slices.Sorted(maps.Keys(run.Minions)) {
		m, outcome, message := f.world[name], gaea.OutcomeChanged, ""
		switch {
		case m.down:
			outcome, message = gaea.OutcomeUnreachable, "did not answer within 5s"
		case m.unable != "":
			outcome, message = gaea.OutcomeCouldNotRun, m.unable
		case m.broken[run.Assignment] != "":
			outcome, message = gaea.OutcomeFailed, m.broken[run.Assignment]
		default:
			delete(m.drift, run.Assignment)
			m.clean[run.Assignment] = true
		}
		if run.Kind == gaea.RunJob && outcome.Heard() {
			if outcome.OK() {
				outcome = gaea.OutcomeSucceeded
			}
			body := cmp.Or(m.returns, `"done"`)
			f.returns[run.ID] = append(f.returns[run.ID], gaea.Return{JID: run.ID, Minion: name, Outcome: outcome, Body: json.RawMessage(body)})
		}
		run.Minions[name] = gaea.RunMinion{Outcome: outcome, Message: message, JID: run.ID}
		if !outcome.OK() {
			run.Status = gaea.RunFailed
		}
	}
	if run.Kind == gaea.RunEnforce {
		run.CheckState = gaea.CheckDone
		f.see(f.assignments[run.Assignment])
	}
	return snapshot(run)
}

func snapshot(r *gaea.Run) *gaea.Run {
	c := *r
	c.Minions = maps.Clone(r.Minions)
	return &c
}

// Direct says that it is a jobd.
func (f *fakeJobd) Direct() bool { return false }

func (f *fakeJobd) Memory(context.Context, string) ([]byte, error) { return nil, nil }

func (f *fakeJobd) Recall(context.Context, string, []byte) error { return nil }

func (f *fakeJobd) LeaveRun(ctx context.Context, id string) (*gaea.Run, error) {
	return f.GetRun(ctx, id)
}

func (f *fakeJobd) GetRun(_ context.Context, id string) (*gaea.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.runs[id]
	if !ok {
		return nil, gaea.Errorf(gaea.CodeNotFound, "there is no run %q", id)
	}
	return snapshot(r), f.err
}

func (f *fakeJobd) WaitRun(ctx context.Context, id string, _ func(*gaea.Run)) (*gaea.Run, error) {
	run, err := f.GetRun(ctx, id)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	wait := f.wait
	f.mu.Unlock()
	if wait != nil {
		return wait(ctx, run)
	}
	return f.finish(id), nil
}

// CancelRun kills what a run still does on its minions, at once.
func (f *fakeJobd) CancelRun(_ context.Context, id string, _ gaea.CancelRequest) (*gaea.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cancelErr != nil {
		return nil, f.cancelErr
	}
	run := f.runs[id]
	f.calls = append(f.calls, "cancel "+id)
	for name, m := range run.Minions {
		if !m.Outcome.Final() {
			run.Minions[name] = gaea.RunMinion{Outcome: gaea.OutcomeKilled}
		}
	}
	run.Status = gaea.RunCancelled
	if run.Kind == gaea.RunEnforce {
		run.CheckState = gaea.CheckDone
	}
	return snapshot(run), nil
}

func (f *fakeJobd) Job(_ context.Context, jid string) (*gaea.JobDetail, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, ok := f.jobs[jid]
	if !ok {
		return nil, gaea.Errorf(gaea.CodeNotFound, "there is no job %q", jid)
	}
	return j, f.err
}

func (f *fakeJobd) JobReturns(_ context.Context, jid string, p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var from int
	if p.Cursor != "" {
		if _, err := fmt.Sscan(p.Cursor, &from); err != nil {
			return gaea.Page[gaea.Return]{}, err
		}
	}
	all := f.returns[jid][from:]
	if len(all) <= p.Limit {
		return gaea.Page[gaea.Return]{Items: all}, f.err
	}
	return gaea.Page[gaea.Return]{Items: all[:p.Limit], Next: fmt.Sprint(from + p.Limit)}, f.err
}

func (f *fakeJobd) FollowJob(ctx context.Context, jid string, do func(gaea.Return) error) error {
	f.mu.Lock()
	all, job := f.returns[jid], f.jobs[jid]
	f.mu.Unlock()
	if job == nil {
		return gaea.Errorf(gaea.CodeNotFound, "there is no job %q", jid)
	}
	for _, r := range all {
		if err := do(r); err != nil {
			return err
		}
	}
	if len(all) < len(job.Minions) {
		<-ctx.Done()
		return gaea.Wrap(ctx.Err(), gaea.CodeTimeout, "the time ran out")
	}
	return nil
}
