package gaea

import (
	"encoding/json"
	"time"
)

// RunKind says what a run is for.
type RunKind string

// The kinds of run.
const (
	RunJob       RunKind = "job"     // a function that somebody asked for
	RunCheck     RunKind = "check"   // a test run of an assignment: the look for drift, and the look after an enforcing run
	RunEnforce   RunKind = "enforce" // a real run of an assignment
	RunForAction RunKind = "action"  // one try of another run's action, which is its parent
)

// RunStatus is where a run stands.
type RunStatus string

// The states of a run. The last five are final.
const (
	RunQueued           RunStatus = "queued"            // stored, waiting for its minions to be free or for its turn
	RunAwaitingApproval RunStatus = "awaiting_approval" // reserved: no run has it yet
	RunPreActions       RunStatus = "pre_actions"       // doing what comes before the run's or a slice's own work
	RunRunning          RunStatus = "running"           // publishing or gathering a slice, or waiting for the time of the next
	RunPaused           RunStatus = "paused"            // nothing goes on until somebody resumes it
	RunCancelling       RunStatus = "cancelling"        // told to stop; kills are being verified
	RunPostActions      RunStatus = "post_actions"      // doing what comes after; Verdict tells how it will end
	RunSucceeded        RunStatus = "succeeded"         // every minion's outcome is OK
	RunFailed           RunStatus = "failed"            // at least one minion's outcome is not OK, or an action failed, or nothing could be published
	RunHalted           RunStatus = "halted"            // more went wrong than is allowed, or a canary did; the rest was skipped
	RunCancelled        RunStatus = "cancelled"         // stopped by somebody
	RunTimedOut         RunStatus = "timed_out"         // the job timeout passed before every minion was accounted for
)

// RunStatuses lists every status in the order of a run's life.
func RunStatuses() []RunStatus {
	return []RunStatus{
		RunQueued, RunAwaitingApproval, RunPreActions, RunRunning, RunPaused, RunCancelling, RunPostActions,
		RunSucceeded, RunFailed, RunHalted, RunCancelled, RunTimedOut,
	}
}

// Final says whether the run has ended: every minion has an outcome and nothing more will be published.
func (s RunStatus) Final() bool {
	switch s {
	case RunSucceeded, RunFailed, RunHalted, RunCancelled, RunTimedOut:
		return true
	default:
		return false
	}
}

// RunRequest asks for a run.
type RunRequest struct {
	Master      string         `json:"master,omitempty" maxLength:"255" doc:"the master whose minions are meant, by its name in the archive; that of the jobd that is asked when absent"`
	Function    string         `json:"function,omitempty" doc:"execution function, for example test.ping; the template's when absent"`
	Args        []any          `json:"args,omitempty" doc:"positional arguments"`
	Kwargs      map[string]any `json:"kwargs,omitempty" doc:"keyword arguments"`
	Target      Target         `json:"target,omitzero" doc:"which minions; or target_group"`
	TargetGroup string         `json:"target_group,omitempty" doc:"a target group instead of a target: NAME or NAME@DIGEST"`
	JobTemplate string         `json:"job_template,omitempty" doc:"a template that gives what is not said here: NAME or NAME@DIGEST"`
	Batch       Batch          `json:"batch,omitzero"`
	Timeouts    Timeouts       `json:"timeouts,omitzero"`
	Concurrency Concurrency    `json:"concurrency,omitzero"`
	AllowEmpty  bool           `json:"allow_empty,omitempty" doc:"a target that matches no minion is no error"`
}

// Run is one piece of work on a set of minions, from acceptance to the last outcome.
type Run struct {
	ID         string               `json:"id" doc:"run-… ; sorts by time"`
	Master     string               `json:"master"`
	Kind       RunKind              `json:"kind"`
	Function   string               `json:"function"`
	Args       json.RawMessage      `json:"args,omitempty" doc:"as published, secrets redacted"`
	Target     Target               `json:"target"`
	Batch      Batch                `json:"batch,omitzero"`
	Timeouts   Timeouts             `json:"timeouts"`
	Assignment string               `json:"assignment,omitempty" doc:"the assignment's name, for checks and enforcing runs"`
	Revision   string               `json:"revision,omitempty" doc:"what was enforced or checked: assignment, group and template versions and pillar, as one digest"`
	Parent     string               `json:"parent,omitempty" doc:"the run that this one belongs to: a check after an enforcing run names it"`
	User       string               `json:"user" doc:"who asked for it"`
	Status     RunStatus            `json:"status"`
	Message    string               `json:"message,omitempty" doc:"why it ended as it did, for people"`
	Created    time.Time            `json:"created"`
	Started    time.Time            `json:"started,omitzero" doc:"first publish or pre-action"`
	Ended      time.Time            `json:"ended,omitzero"`
	Slices     []Slice              `json:"slices,omitempty"`
	Minions    map[string]RunMinion `json:"minions,omitempty" doc:"each minion of the run; absent in lists"`
	Counts     map[Outcome]int      `json:"counts,omitempty"`
	CheckRun   string               `json:"check_run,omitempty" doc:"the test run after an enforcing run, which tells what is left and what never settles"`
	CheckState CheckState           `json:"check_state,omitempty" doc:"pending until the test run after an enforcing run has ended"`
	AllowEmpty bool                 `json:"-"`

	Template    string      `json:"job_template,omitempty" doc:"the template that it was made from: NAME@DIGEST"`
	Concurrency Concurrency `json:"concurrency,omitzero"`
	Blocked     *Blocked    `json:"blocked,omitempty" doc:"what the run waits for, while it does"`
	Pause       *Pause      `json:"pause,omitempty" doc:"asked to pause, or paused"`
	PausedFor   Duration    `json:"paused_for,omitzero" doc:"pauses that are over, which do not count against the job timeout"`
	Actions     []RunAction `json:"actions,omitempty" doc:"pre-actions and post-actions of scope once that have begun or were skipped; those of slices are with the slices"`
	Verdict     RunStatus   `json:"verdict,omitempty" doc:"how the run will end, once that is decided"`
	Reason      string      `json:"reason,omitempty" doc:"why the verdict is what it is, for people"`
	RetryOf     string      `json:"retry_of,omitempty" doc:"the run of which this one repeats some minions"`
	Grace       Duration    `json:"grace,omitzero" doc:"of a cancelled run: how long its jobs have to end by themselves before they are killed"`
	Hurried     bool        `json:"hurried,omitempty" doc:"cancelled twice: post-actions were given up"`
	Seed        uint32      `json:"seed,omitempty" doc:"of the random order"`
	Resolved    bool        `json:"resolved,omitempty" doc:"the minions were asked before they were told, and all of them are known; a run in slices may begin before that"`
	CanaryDone  bool        `json:"canary_done,omitempty" doc:"the canary has ended well"`
	Claimed     bool        `json:"claimed,omitempty" doc:"the minions are the run's under its lock"`
	TakeBy      time.Time   `json:"take_by,omitzero" doc:"accepted for another jobd: by when that is to take it up, else the run fails and nothing is published; absent once it has"`
	Seq         int64       `json:"seq" doc:"grows with each change of the run"`
	// Call is what is published, secrets included. Stores keep it sealed; it never leaves the process in another way.
	Call *Call `json:"-"`
}

// Call is what a run does, secrets included: a function with its arguments, and the actions around it.
type Call struct {
	Function string
	Args     []any
	Kwargs   map[string]any
	Pre      []JobAction `json:",omitempty"`
	Post     []JobAction `json:",omitempty"`
}

// Blocked is what a run waits for before it begins.
type Blocked struct {
	Lock    string    `json:"lock" doc:"the lock that others hold"`
	Runs    []string  `json:"runs" doc:"the runs that hold it, or that came before"`
	Minions []string  `json:"minions" doc:"the minions that are busy, at most 100 of them"`
	Since   time.Time `json:"since"`
}

// Pause is a run that goes on only when somebody resumes it.
type Pause struct {
	Reason PauseReason `json:"reason" enum:"asked,canary"`
	By     string      `json:"by,omitempty" doc:"who asked"`
	Asked  time.Time   `json:"asked"`
	Since  time.Time   `json:"since,omitzero" doc:"from when on nothing goes on; absent while a slice still runs"`
}

// PauseReason says what paused a run.
type PauseReason string

// The reasons.
const (
	PauseAsked  PauseReason = "asked"  // somebody did
	PauseCanary PauseReason = "canary" // the canary has ended well, and canary_hold is manual
)

// CheckState is where the check after an enforcing run stands.
type CheckState string

// The states of that check; the empty string means that the run has none.
const (
	CheckPending CheckState = "pending"
	CheckDone    CheckState = "done"
	CheckFailed  CheckState = "failed"
)

// RetryRequest asks for a new run of some of a run's minions.
type RetryRequest struct {
	Outcomes []Outcome `json:"outcomes,omitempty" enum:"succeeded,in_sync,changed,would_change,failed,could_not_run,no_return,unreachable,killed,skipped" doc:"which minions: those with these outcomes; failed, could_not_run, no_return and unreachable when absent"`
}

// CancelRequest says how a run is stopped.
type CancelRequest struct {
	Grace Duration `json:"grace,omitzero" doc:"tell the jobs to end (SIGTERM), and kill what is left of them when this has passed; killed at once when absent"`
}

// MaxGrace is the longest that a [CancelRequest] may give jobs to end by themselves.
const MaxGrace = Duration(10 * 60 * 1e9)

// RetryOutcomes are those that a retry takes where none is named.
func RetryOutcomes() []Outcome {
	return []Outcome{OutcomeFailed, OutcomeCouldNotRun, OutcomeNoReturn, OutcomeUnreachable}
}

// Planned says whether the run's minions are known before any is told.
func (r *Run) Planned() bool { return r.Resolved || r.Batch.Sliced() || r.Target.Type == TargetList }

// Complete says whether the run and the check after it have ended.
func (r *Run) Complete() bool { return r.Status.Final() && r.CheckState != CheckPending }

// Tally counts the run's minions by outcome.
func (r *Run) Tally() map[Outcome]int {
	counts := map[Outcome]int{}
	for _, m := range r.Minions {
		counts[m.Outcome]++
	}
	return counts
}

// Slice is a part of a run's minions that is published at once, under one job id.
type Slice struct {
	Index   int       `json:"index" doc:"from 0"`
	JID     string    `json:"jid,omitempty" doc:"stored before it is published"`
	Minions []string  `json:"minions" doc:"sorted"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`

	Canary  bool        `json:"canary,omitempty"`
	Again   bool        `json:"again,omitempty" doc:"tells minions again that another state run held"`
	Actions []RunAction `json:"actions,omitempty" doc:"the actions of this slice that have begun or were skipped"`
}

// RunMinion is how a run stands for one minion.
type RunMinion struct {
	Outcome Outcome   `json:"outcome"`
	JID     string    `json:"jid,omitempty" doc:"the job that reached it"`
	Slice   int       `json:"slice" doc:"index of its slice; -1 for a minion that is in none"`
	Retcode *int      `json:"retcode,omitempty"`
	Message string    `json:"message,omitempty" doc:"why, for people: Salt's words, or how silence was settled"`
	Late    bool      `json:"late,omitempty" doc:"the return came after silence had been settled, or after the run's end"`
	At      time.Time `json:"at,omitzero" doc:"when the outcome became known"`
	// Processes is what the minion's job had started when it was told to stop, "PID:START PID:START", START in clock ticks
	// since boot as in /proc/PID/stat: so that what is left of it is found, and no other process is taken for it.
	Processes string `json:"-"`
	Seq       int64  `json:"seq,omitempty" doc:"the run's seq at the last change"`
}

// RunFilter chooses runs. Zero fields choose nothing out.
type RunFilter struct {
	Master     string
	Status     RunStatus
	Kind       RunKind
	Assignment string
	User       string
	Since      time.Time
	Until      time.Time
	Active     bool // only runs that are not final, or whose check is pending
	Parent     string
	RetryOf    string
	NoActions  bool // no runs of kind action
}

// Matches says whether the filter chooses the run.
func (f RunFilter) Matches(r *Run) bool {
	switch {
	case f.Master != "" && r.Master != f.Master,
		f.Status != "" && r.Status != f.Status,
		f.Kind != "" && r.Kind != f.Kind,
		f.Assignment != "" && r.Assignment != f.Assignment,
		f.User != "" && r.User != f.User,
		f.Parent != "" && r.Parent != f.Parent,
		f.RetryOf != "" && r.RetryOf != f.RetryOf,
		f.NoActions && r.Kind == RunForAction,
		!f.Since.IsZero() && r.Created.Before(f.Since),
		!f.Until.IsZero() && !r.Created.Before(f.Until),
		f.Active && r.Complete():
		return false
	default:
		return true
	}
}

// PageRequest asks for one page of a list, newest first.
type PageRequest struct {
	Cursor string // from the page before; empty for the first
	Limit  int    // 1 to 1000; 0 means 100
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"pass as cursor for the page after; absent on the last page"`
}
