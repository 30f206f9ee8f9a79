package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Request asks for a run.
type Request struct {
	Master     string       // whose minions; empty: the engine's
	Kind       gaea.RunKind // empty: [gaea.RunJob]
	Call       gaea.Call    // what to run, secrets included
	Target     gaea.Target
	Batch      gaea.Batch
	Timeouts   gaea.Timeouts
	Assignment string // for checks and enforcing runs
	Revision   string
	Parent     string          // the run that this one belongs to
	User       string          // who asks
	CheckState gaea.CheckState // pending for a run that a check will follow
	AllowEmpty bool            // a target that matches no minion is no error
	Key        string          // idempotency key: the same key of the same user gives the same run for a day. May be empty

	Pre         []gaea.JobAction // what is done before, in this order; target groups are resolved into targets
	Post        []gaea.JobAction // and after
	Concurrency gaea.Concurrency
	Template    string // the job template that it was made from: NAME@DIGEST
	RetryOf     string // the run of which this one repeats some minions
	ID          string // of a run that is one try of another's action; empty: a new one is made
}

const (
	minJobTimeout    = gaea.Duration(time.Second)
	maxJobTimeout    = gaea.Duration(7 * 24 * time.Hour)
	minGatherTimeout = gaea.Duration(500 * time.Millisecond)
	maxGatherTimeout = gaea.Duration(10 * time.Minute)
	maxKeyLength     = 255
)

// Validate names the first field that is wrong, or returns nil. The syntax of target expressions is not looked at.
func (req *Request) Validate() error {
	if err := gaea.ValidateFunction(req.Call.Function); err != nil {
		return err
	}
	if err := req.Target.Validate(); err != nil {
		return err
	}
	switch req.Kind {
	case gaea.RunJob, gaea.RunCheck, gaea.RunEnforce, "":
		if req.ID != "" {
			return gaea.Invalid("id", "%q cannot be chosen; leave id out", req.ID)
		}
	case gaea.RunForAction:
		if req.ID == "" || req.Parent == "" {
			return gaea.Invalid("parent", "a run for an action is made by the run that has the action")
		}
	default:
		return gaea.Invalid("kind", "%q is none of \"job\", \"check\" and \"enforce\"", req.Kind)
	}
	if err := gaea.ValidateWork(req.Batch, req.Concurrency, req.Pre, req.Post); err != nil {
		return err
	}
	if len(req.Key) > maxKeyLength {
		return gaea.Invalid("idempotency_key", "the key has %d characters; use at most %d", len(req.Key), maxKeyLength)
	}
	t := req.Timeouts.WithDefaults()
	if t.Job < minJobTimeout || t.Job > maxJobTimeout {
		return gaea.Invalid("timeouts.job", "%s is not possible; use %s to %s, for example \"30m\"", t.Job, minJobTimeout, maxJobTimeout)
	}
	if t.Gather < minGatherTimeout || t.Gather > maxGatherTimeout {
		return gaea.Invalid("timeouts.gather", "%s is not possible; use %s to %s, for example \"5s\"", t.Gather, minGatherTimeout, maxGatherTimeout)
	}
	if t.Slice != 0 && (t.Slice < minJobTimeout || t.Slice > t.Job) {
		return gaea.Invalid("timeouts.slice", "%s is not possible; use %s up to the job timeout of %s, for example \"5m\"", t.Slice, minJobTimeout, t.Job)
	}
	if err := validateArguments("", req.Call.Args, req.Call.Kwargs); err != nil {
		return err
	}
	return eachAction(req.Pre, req.Post, func(at string, a *gaea.JobAction) error {
		if a.TargetGroup != "" {
			return gaea.Invalid(at+".target_group", "the target group %q is not resolved; give its target", a.TargetGroup)
		}
		return validateArguments(at+".", a.Args, a.Kwargs)
	})
}

// validateArguments looks at what a function is given; at is the path of the fields, with a dot at its end where it has one.
func validateArguments(at string, args []any, kwargs map[string]any) error {
	for name := range kwargs {
		if name == "" || strings.HasPrefix(name, "__") {
			return gaea.Invalid(at+"kwargs", "%q is not the name of an argument; names that begin with two underscores are Salt's own", name)
		}
	}
	if _, err := json.Marshal([]any{args, kwargs}); err != nil {
		return &gaea.Error{Code: gaea.CodeInvalid, Field: at + "args", Message: "the arguments cannot be written as JSON", Err: err}
	}
	return nil
}

// eachAction calls f with each action and the path of its fields, up to the first error.
func eachAction(pre, post []gaea.JobAction, f func(at string, a *gaea.JobAction) error) error {
	for i := range pre {
		if err := f(fmt.Sprintf("pre_actions[%d]", i), &pre[i]); err != nil {
			return err
		}
	}
	for i := range post {
		if err := f(fmt.Sprintf("post_actions[%d]", i), &post[i]); err != nil {
			return err
		}
	}
	return nil
}

// compile tries what a request's actions expect. The error names the field, and says where in the expression it is wrong.
func (e *Engine) compile(req *Request) error {
	return eachAction(req.Pre, req.Post, func(at string, a *gaea.JobAction) error {
		if a.Expect == "" {
			return nil
		}
		if _, err := e.expectation(a.Expect); err != nil {
			return &gaea.Error{Code: gaea.CodeInvalid, Field: at + ".expect", Message: gaea.MessageOf(err), Err: err}
		}
		return nil
	})
}

// Submit validates and stores a run and starts it at once. With a key that was used before it returns the run of then and
// created false. Errors: CodeInvalid names the field, CodeConflict where the key was used for something else,
// CodeUnavailable where the engine does not run or is full.
func (e *Engine) Submit(ctx context.Context, req Request) (run *gaea.Run, created bool, err error) {
	if err := req.Validate(); err != nil {
		return nil, false, err
	}
	if req.Master != "" && req.Master != e.deps.Master {
		return nil, false, gaea.Invalid("master", "the minions of the master %q cannot be reached from here, only those of %q", req.Master, e.deps.Master)
	}
	if err := e.compile(&req); err != nil {
		return nil, false, err
	}
	if err := e.ready(req.Kind == gaea.RunForAction); err != nil {
		return nil, false, err
	}
	if (req.Kind == "" || req.Kind == gaea.RunJob) && req.RetryOf == "" {
		if err := e.checkFunction(ctx, req); err != nil {
			return nil, false, err
		}
	}
	run = e.newRun(req)
	stored, created, err := e.deps.Runs.CreateRun(ctx, run, req.Key, e.digest(req, run))
	if err != nil {
		return nil, false, err
	}
	if !created {
		if live, err := e.Get(ctx, stored.ID); err == nil {
			stored = live
		}
		return stored, false, nil
	}
	e.deps.Logger.Info("run accepted", "run", run.ID, "kind", run.Kind, "function", run.Function, "target", run.Target.String(),
		"target_type", run.Target.Type, "user", run.User, "assignment", run.Assignment)
	snapshot := Clone(run)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != engineStarted {
		return snapshot, true, nil // stopped in between: the next Start takes it up
	}
	if e.active[run.ID] == nil { // Ensure may have seen it first
		e.launch(e.newRunner(run))
	}
	return snapshot, true, nil
}

// ready says whether the engine takes runs. It always takes a run for an action, of which each run that goes on has one at
// most: a run that waits for it must not keep it out.
func (e *Engine) ready(forAction bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.deps.Front:
		return nil
	case e.state == engineNew:
		return gaea.Errorf(gaea.CodeUnavailable, "%s is starting; try again in a moment", e.deps.Process)
	case e.state == engineStopped:
		return gaea.Errorf(gaea.CodeUnavailable, "%s is stopping; try again when it is back", e.deps.Process)
	case len(e.active) >= MaxActive && !forAction:
		return gaea.Errorf(gaea.CodeUnavailable, "%d runs are going on, which is the most at once; wait for some to end or cancel them", MaxActive)
	}
	return nil
}

func (e *Engine) newRun(req Request) *gaea.Run {
	now := e.now()
	call := gaea.Call{Function: req.Call.Function, Args: req.Call.Args, Kwargs: maps.Clone(req.Call.Kwargs), Pre: req.Pre, Post: req.Post}
	queue(&call)
	target := req.Target
	if target.Type == gaea.TargetList {
		target = gaea.ListTarget(target.Minions)
	}
	run := &gaea.Run{
		ID: cmp.Or(req.ID, newID(now)), Master: e.deps.Master, Kind: req.Kind, Function: call.Function, Target: target, Batch: req.Batch,
		Timeouts: req.Timeouts.WithDefaults(), Assignment: req.Assignment, Revision: req.Revision, Parent: req.Parent,
		User: req.User, Status: gaea.RunQueued, Created: now, CheckState: req.CheckState, AllowEmpty: req.AllowEmpty,
		Minions: map[string]gaea.RunMinion{}, Counts: map[gaea.Outcome]int{}, Call: &call,
		Concurrency: req.Concurrency, Template: req.Template, RetryOf: req.RetryOf, TakeBy: e.deps.TakeBy,
	}
	if run.Batch.Order == gaea.OrderRandom {
		run.Seed = newSeed()
	}
	if run.Kind == "" {
		run.Kind = gaea.RunJob
	}
	if e.deps.Redact != nil {
		run.Args = e.deps.Redact(call.Function, call.Args, call.Kwargs)
	}
	return run
}

// queued lists the state functions that take the argument queue, and without it refuse while another one runs.
var queued = map[string]bool{
	"state.apply": true, "state.highstate": true, "state.sls": true, "state.sls_id": true, "state.single": true, "state.top": true,
	"state.template": true, "state.template_str": true, "state.low": true, "state.high": true, "state.test": true,
	"state.show_sls": true, "state.show_low_sls": true, "state.show_highstate": true, "state.show_lowstate": true,
	"state.show_states": true, "state.show_state_usage": true, "state.show_top": true,
}

// queue has the minion queue a state run behind those of others, unless the caller says what is to happen.
func queue(call *gaea.Call) {
	if !queued[call.Function] {
		return
	}
	for _, name := range []string{"queue", "concurrent"} {
		if _, said := call.Kwargs[name]; said {
			return
		}
	}
	if call.Kwargs == nil {
		call.Kwargs = map[string]any{}
	}
	call.Kwargs["queue"] = true
}

// digest tells whether two requests with the same key ask for the same.
func (e *Engine) digest(req Request, run *gaea.Run) string {
	if req.Key == "" {
		return ""
	}
	asked := []any{
		run.Kind, run.Function, run.Target, run.Batch, run.Timeouts, run.Assignment, run.Revision, run.Parent, run.AllowEmpty,
	}
	if len(req.Pre) > 0 || len(req.Post) > 0 || req.Concurrency != (gaea.Concurrency{}) || req.RetryOf != "" {
		// Only where they are given, and not the template, which earlier releases did not know: a key that they took stays good.
		asked = append(asked, e.digestible(req.Pre), e.digestible(req.Post), req.Concurrency, req.RetryOf)
	}
	if req.Master != "" {
		asked = append(asked, req.Master)
	}
	if e.deps.Digest != nil {
		b, err := json.Marshal(append(asked, run.Call.Args, run.Call.Kwargs))
		if err == nil { // Validate has tried the arguments
			return e.deps.Digest(b)
		}
	}
	b, err := json.Marshal(append(asked, run.Args))
	if err != nil {
		b = []byte(run.Function) // Redact gave what is no JSON: the least that must agree
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// digestible is what of actions goes into a digest: where that is not keyed, nothing that may be secret.
func (e *Engine) digestible(actions []gaea.JobAction) []gaea.JobAction {
	if e.deps.Digest != nil {
		return actions
	}
	shown := slices.Clone(actions)
	for i := range shown {
		a := &shown[i]
		if e.deps.Redact != nil && (len(a.Args) > 0 || len(a.Kwargs) > 0) {
			a.Args, a.Kwargs = []any{e.deps.Redact(a.What(), a.Args, a.Kwargs)}, nil
		} else {
			a.Args, a.Kwargs = nil, nil
		}
		if a.HTTP != nil {
			a.HTTP = &gaea.HTTPCall{URL: a.HTTP.URL, Method: a.HTTP.Method}
		}
	}
	return shown
}

// newSeed makes the seed of a random order, which is never 0.
func newSeed() uint32 {
	var b [4]byte
	for {
		rand.Read(b[:])
		if seed := binary.BigEndian.Uint32(b[:]); seed != 0 {
			return seed
		}
	}
}

// newID makes the id of a run: a time in UTC, by which ids sort, and 30 random bits.
func newID(now time.Time) string {
	return "run-" + now.UTC().Format("20060102T150405") + "-" + strings.ToLower(rand.Text()[:6])
}
