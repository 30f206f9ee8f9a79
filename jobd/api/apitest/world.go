// Package apitest is the world behind jobd's API in memory: an archive, runs, an enforcer and a feed that tests put things
// into. It has no clock and no goroutine of its own.
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Master is the name of the only master in a [World].
const Master = "m1"

// World is everything that the API needs but tokens. Make it with [NewWorld].
type World struct {
	*Feed
	groups      *Definitions[gaea.TargetGroup]
	templates   *Definitions[gaea.JobTemplate]
	assignments *Definitions[gaea.Assignment]

	mu        sync.Mutex
	fail      error
	jobs      []gaea.Job
	returns   map[string]map[string]gaea.Return // by jid and minion
	events    []gaea.Event
	secrets   map[string]json.RawMessage
	tokens    []gaea.Token
	reports   []gaea.VerifyReport
	asked     []gaea.VerifyRequest
	answers   Answers
	questions []any
	holds     []gaea.LegalHold
	stats     gaea.ArchiveStats

	Runs     *Runs
	Enforcer *Enforcer
	Masters  []gaea.MasterStatus // of the archive
}

// NewWorld returns a world in which nothing has happened.
func NewWorld() *World {
	w := &World{
		Feed:        &Feed{subs: map[*subscription]bool{}},
		groups:      &Definitions[gaea.TargetGroup]{},
		templates:   &Definitions[gaea.JobTemplate]{},
		assignments: &Definitions[gaea.Assignment]{},
		returns:     map[string]map[string]gaea.Return{},
		secrets:     map[string]json.RawMessage{},
		Runs:        &Runs{runs: map[string]*gaea.Run{}, keys: map[string]string{}, watches: map[string][]chan *gaea.Run{}, away: map[string]bool{}},
	}
	w.Enforcer = &Enforcer{world: w, Reports: map[string]*gaea.DriftReport{}}
	return w
}

// Fail makes the archive answer with an error from now on, or work again with nil.
func (w *World) Fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = err
}

// AddJob archives a job.
func (w *World) AddJob(j gaea.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j.Master = Master
	w.jobs = append(w.jobs, j)
}

// AddReturn archives a return and tells the feed.
func (w *World) AddReturn(r gaea.Return) {
	w.store(&r)
	w.Send(r)
}

// AddReturnUnheard archives a return of which the feed says nothing.
func (w *World) AddReturnUnheard(r gaea.Return) { w.store(&r) }

func (w *World) store(r *gaea.Return) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Master = Master
	if w.returns[r.JID] == nil {
		w.returns[r.JID] = map[string]gaea.Return{}
	}
	w.returns[r.JID][r.Minion] = *r
}

// AddEvent archives an event.
func (w *World) AddEvent(ev gaea.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, ev)
}

// Job implements api.Archive.
func (w *World) Job(_ context.Context, _, jid string) (*gaea.JobDetail, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return nil, w.fail
	}
	for _, j := range w.jobs {
		if j.JID != jid {
			continue
		}
		d := &gaea.JobDetail{Job: j, Returns: map[string]gaea.ReturnHead{}}
		for _, m := range j.Minions {
			d.Returns[m] = gaea.ReturnHead{Outcome: gaea.OutcomePending}
		}
		for m, r := range w.returns[jid] {
			d.Returns[m] = gaea.ReturnHead{Outcome: r.Outcome, Retcode: r.Retcode, Message: r.Message, Stamp: r.Stamp}
		}
		for _, child := range w.jobs {
			if child.Parent == jid {
				d.Children = append(d.Children, child)
			}
		}
		return d, nil
	}
	return nil, gaea.Errorf(gaea.CodeNotFound, "there is no job %s in the archive", jid)
}

// Jobs implements api.Archive. It filters by function, user and outcome.
func (w *World) Jobs(_ context.Context, f gaea.JobFilter, p gaea.PageRequest) (gaea.Page[gaea.Job], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return gaea.Page[gaea.Job]{}, w.fail
	}
	var out []gaea.Job
	for _, j := range w.jobs {
		if !matches(f.Function, j.Function) || f.User != "" && f.User != j.User || f.RunID != "" && f.RunID != j.RunID || f.Parent != "" && f.Parent != j.Parent ||
			f.Minion != "" && !slices.Contains(j.Minions, f.Minion) || f.Target != "" && f.Target != j.Target.String() {
			continue
		}
		if !w.stands(f, j) || f.Outcome != "" && !slices.ContainsFunc(slices.Collect(maps.Values(w.returns[j.JID])), func(r gaea.Return) bool { return r.Outcome == f.Outcome }) {
			continue
		}
		out = append(out, j)
	}
	slices.SortFunc(out, func(a, b gaea.Job) int { return strings.Compare(b.JID, a.JID) })
	return cut(out, p, func(j gaea.Job) string { return j.JID })
}

// stands says whether a filter finds a job by how it stands and when it was published; w.mu is held.
func (w *World) stands(f gaea.JobFilter, j gaea.Job) bool {
	return (!f.Running || len(w.returns[j.JID]) < len(j.Minions)) && (f.Since.IsZero() || !j.Started.Before(f.Since)) && (f.Until.IsZero() || j.Started.Before(f.Until))
}

// Return implements api.Archive.
func (w *World) Return(_ context.Context, _, jid, minion string) (*gaea.Return, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return nil, w.fail
	}
	r, ok := w.returns[jid][minion]
	if !ok {
		return nil, gaea.Errorf(gaea.CodeNotFound, "there is no return of %s for job %s in the archive", minion, jid)
	}
	return &r, nil
}

// Returns implements api.Archive. It filters by minion and outcome.
func (w *World) Returns(_ context.Context, f gaea.JobFilter, p gaea.PageRequest, bodies bool) (gaea.Page[gaea.Return], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return gaea.Page[gaea.Return]{}, w.fail
	}
	var out []gaea.Return
	for _, byMinion := range w.returns {
		for _, r := range byMinion {
			if f.Minion != "" && f.Minion != r.Minion || f.Outcome != "" && f.Outcome != r.Outcome || !matches(f.Function, r.Function) {
				continue
			}
			if !bodies {
				r.Body, r.States = nil, nil
			}
			out = append(out, r)
		}
	}
	place := func(r gaea.Return) string { return r.JID + " " + r.Minion }
	slices.SortFunc(out, func(a, b gaea.Return) int { return strings.Compare(place(b), place(a)) })
	return cut(out, p, place)
}

// Events implements api.Archive. It filters by tag, and by whether they are suspect.
func (w *World) Events(_ context.Context, f gaea.EventFilter, p gaea.PageRequest) (gaea.Page[gaea.Event], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.DeleteFunc(slices.Clone(w.events), func(ev gaea.Event) bool { return !matches(f.Tag, ev.Tag) || (f.Suspect && ev.Suspect == "") })
	return cut(out, p, func(ev gaea.Event) string { return ev.Tag })
}

// ListRuns implements api.Archive.
func (w *World) ListRuns(_ context.Context, f gaea.RunFilter, p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
	return w.Runs.list(f, p)
}

// ForgetKey implements api.Archive.
func (w *World) ForgetKey(_ context.Context, user, runID string) error {
	w.Runs.forgetKey(user, runID)
	return nil
}

// TargetGroups implements api.Archive.
func (w *World) TargetGroups() gaea.DefinitionStore[gaea.TargetGroup] { return w.groups }

// JobTemplates implements api.Archive.
func (w *World) JobTemplates() gaea.DefinitionStore[gaea.JobTemplate] { return w.templates }

// Assignments implements api.Archive.
func (w *World) Assignments() gaea.DefinitionStore[gaea.Assignment] { return w.assignments }

// PutSecretPillar implements api.Archive.
func (w *World) PutSecretPillar(_ context.Context, assignment, version string, pillar json.RawMessage) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets[assignment+" "+version] = pillar
	return nil
}

// SecretPillar implements api.Archive.
func (w *World) SecretPillar(_ context.Context, assignment, version string) (json.RawMessage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.secrets[assignment+" "+version], nil
}

// CreateToken implements authn.TokenStore.
func (w *World) CreateToken(_ context.Context, t gaea.Token) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens = append(w.tokens, t)
	return nil
}

// TokenByHash implements authn.TokenStore.
func (w *World) TokenByHash(_ context.Context, hash []byte) (gaea.Token, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.tokens {
		if bytes.Equal(t.Hash, hash) {
			return t, nil
		}
	}
	return gaea.Token{}, gaea.Errorf(gaea.CodeNotFound, "there is no such token")
}

// Tokens implements authn.TokenStore.
func (w *World) Tokens(context.Context) ([]gaea.Token, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.tokens), nil
}

// DeleteToken implements authn.TokenStore.
func (w *World) DeleteToken(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.tokens)
	w.tokens = slices.DeleteFunc(w.tokens, func(t gaea.Token) bool { return t.ID == id })
	if len(w.tokens) == n {
		return gaea.Errorf(gaea.CodeNotFound, "there is no token %s", id)
	}
	return nil
}

func matches(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return pattern == "" || regexp.MustCompile("(?s)^"+strings.Join(parts, ".*")+"$").MatchString(s)
}

// cut takes a page out of a sorted list; the cursor is the place of the last item.
func cut[T any](all []T, p gaea.PageRequest, place func(T) string) (gaea.Page[T], error) {
	start := 0
	if p.Cursor != "" {
		start = slices.IndexFunc(all, func(item T) bool { return place(item) == p.Cursor }) + 1
		if start == 0 {
			return gaea.Page[T]{}, gaea.Invalid("cursor", "this is not a cursor of this list")
		}
	}
	if p.Limit == 0 {
		p.Limit = 100
	}
	out := gaea.Page[T]{Items: all[start:min(start+p.Limit, len(all))]}
	if start+p.Limit < len(all) {
		out.Next = place(out.Items[len(out.Items)-1])
	}
	return out, nil
}

// Enforcer is an enforcer whose evidence is what a test puts into Reports: where there is none, a check makes a run.
type Enforcer struct {
	world   *World
	mu      sync.Mutex
	Reports map[string]*gaea.DriftReport // by assignment; by MASTER/ASSIGNMENT where a master is named
	Panic   bool                         // the next question for drift panics

	followed []string
}

// Follow implements api.Enforcer: it notes the run.
func (e *Enforcer) Follow(run *gaea.Run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if run.CheckState == gaea.CheckPending {
		e.followed = append(e.followed, run.ID)
	}
}

// Followed lists the runs that were handed over and have an aftermath.
func (e *Enforcer) Followed() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.followed)
}

// PutReport says how an assignment stands.
func (e *Enforcer) PutReport(r gaea.DriftReport) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Reports[r.Assignment] = &r
}

// Drift implements api.Enforcer.
func (e *Enforcer) Drift(ctx context.Context, master, name string) (*gaea.DriftReport, error) {
	if e.Panic {
		panic("the archive is upside down")
	}
	if _, err := e.world.assignments.Get(ctx, gaea.Ref{Name: name}); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if master != "" {
		name = master + "/" + name
	}
	if r := e.Reports[name]; r != nil {
		c := *r
		return &c, nil
	}
	return &gaea.DriftReport{Assignment: name}, nil
}

// Check implements api.Enforcer: a MaxAge finds the evidence fresh where there is a report.
func (e *Enforcer) Check(ctx context.Context, name string, req gaea.CheckRequest) (*gaea.Run, error) {
	if _, err := e.world.assignments.Get(ctx, gaea.Ref{Name: name}); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if req.MaxAge > 0 && e.Reports[name] != nil {
		return nil, nil //nolint:nilnil // as api.Enforcer has it
	}
	return e.world.Runs.Start(gaea.Run{Kind: gaea.RunCheck, Function: "state.apply", Assignment: name, User: gaea.PrincipalFrom(ctx).Name, Master: req.Master}), nil
}

// Enforce implements api.Enforcer.
func (e *Enforcer) Enforce(ctx context.Context, name string, req gaea.EnforceRequest, key string) (*gaea.Run, error) {
	v, err := e.world.assignments.Get(ctx, gaea.Ref{Name: name})
	if err != nil {
		return nil, err
	}
	if req.Ref != "" && req.Ref != v.Ref {
		return nil, gaea.Errorf(gaea.CodeConflict, "the assignment %q is %s by now, not %s", name, v.Ref, req.Ref)
	}
	run, _, err := e.world.Runs.Submit(ctx, engine.Request{Kind: gaea.RunEnforce, Call: gaea.Call{Function: "state.apply"}, Assignment: name,
		User: gaea.PrincipalFrom(ctx).Name, Key: key})
	return run, err
}
