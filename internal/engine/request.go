package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Request asks for a run.
type Request struct {
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
	default:
		return gaea.Invalid("kind", "%q is none of \"job\", \"check\" and \"enforce\"", req.Kind)
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
	for name := range req.Call.Kwargs {
		if name == "" || strings.HasPrefix(name, "__") {
			return gaea.Invalid("kwargs", "%q is not the name of an argument; names that begin with two underscores are Salt's own", name)
		}
	}
	if _, err := json.Marshal([]any{req.Call.Args, req.Call.Kwargs}); err != nil {
		return &gaea.Error{Code: gaea.CodeInvalid, Field: "args", Message: "the arguments cannot be written as JSON", Err: err}
	}
	return nil
}

// Submit validates and stores a run and starts it at once. With a key that was used before it returns the run of then and
// created false. Errors: CodeInvalid names the field, CodeConflict where the key was used for something else,
// CodeUnavailable where the engine does not run or is full.
func (e *Engine) Submit(ctx context.Context, req Request) (run *gaea.Run, created bool, err error) {
	if err := req.Validate(); err != nil {
		return nil, false, err
	}
	if err := e.ready(); err != nil {
		return nil, false, err
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
	e.launch(e.newRunner(run))
	return snapshot, true, nil
}

// ready says whether the engine takes runs.
func (e *Engine) ready() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.state == engineNew:
		return gaea.Errorf(gaea.CodeUnavailable, "jobd is starting; try again in a moment")
	case e.state == engineStopped:
		return gaea.Errorf(gaea.CodeUnavailable, "jobd is stopping; try again when it is back")
	case len(e.active) >= maxActive:
		return gaea.Errorf(gaea.CodeUnavailable, "%d runs are going on, which is the most at once; wait for some to end or cancel them", maxActive)
	}
	return nil
}

func (e *Engine) newRun(req Request) *gaea.Run {
	now := e.now()
	call := gaea.Call{Function: req.Call.Function, Args: req.Call.Args, Kwargs: maps.Clone(req.Call.Kwargs)}
	queue(&call)
	target := req.Target
	if target.Type == gaea.TargetList {
		target = gaea.ListTarget(target.Minions)
	}
	run := &gaea.Run{
		ID: newID(now), Master: e.deps.Master, Kind: req.Kind, Function: call.Function, Target: target, Batch: req.Batch,
		Timeouts: req.Timeouts.WithDefaults(), Assignment: req.Assignment, Revision: req.Revision, Parent: req.Parent,
		User: req.User, Status: gaea.RunQueued, Created: now, CheckState: req.CheckState, AllowEmpty: req.AllowEmpty,
		Minions: map[string]gaea.RunMinion{}, Counts: map[gaea.Outcome]int{}, Call: &call,
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

// newID makes the id of a run: a time in UTC, by which ids sort, and 30 random bits.
func newID(now time.Time) string {
	return "run-" + now.UTC().Format("20060102T150405") + "-" + strings.ToLower(rand.Text()[:6])
}
