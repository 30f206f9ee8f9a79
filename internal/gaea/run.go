package gaea

import (
	"encoding/json"
	"time"
)

// RunKind says what a run is for.
type RunKind string

// The kinds of run.
const (
	RunJob     RunKind = "job"     // a function that somebody asked for
	RunCheck   RunKind = "check"   // a test run of an assignment: the look for drift, and the look after an enforcing run
	RunEnforce RunKind = "enforce" // a real run of an assignment
)

// RunStatus is where a run stands.
type RunStatus string

// The states of a run. The last four are final.
const (
	RunQueued     RunStatus = "queued"     // stored, waiting for its minions to be free or for its turn
	RunRunning    RunStatus = "running"    // resolving, publishing or gathering
	RunCancelling RunStatus = "cancelling" // told to stop; kills are being verified
	RunSucceeded  RunStatus = "succeeded"  // every minion's outcome is OK
	RunFailed     RunStatus = "failed"     // at least one minion's outcome is not OK, or nothing could be published
	RunCancelled  RunStatus = "cancelled"  // stopped by somebody
	RunTimedOut   RunStatus = "timed_out"  // the job timeout passed before every minion was accounted for
)

// Final says whether the run has ended: every minion has an outcome and nothing more will be published.
func (s RunStatus) Final() bool {
	switch s {
	case RunSucceeded, RunFailed, RunCancelled, RunTimedOut:
		return true
	default:
		return false
	}
}

// RunRequest asks for a run.
type RunRequest struct {
	Function    string         `json:"function,omitempty" doc:"execution function, for example test.ping; the template's when absent"`
	Args        []any          `json:"args,omitempty" doc:"positional arguments"`
	Kwargs      map[string]any `json:"kwargs,omitempty" doc:"keyword arguments"`
	Target      Target         `json:"target,omitzero" doc:"which minions; or target_group"`
	TargetGroup string         `json:"target_group,omitempty" doc:"a target group instead of a target: NAME or NAME@DIGEST"`
	JobTemplate string         `json:"job_template,omitempty" doc:"a template that gives what is not said here: NAME or NAME@DIGEST"`
	Batch       Batch          `json:"batch,omitzero"`
	Timeouts    Timeouts       `json:"timeouts,omitzero"`
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
	Started    time.Time            `json:"started,omitzero" doc:"first publish"`
	Ended      time.Time            `json:"ended,omitzero"`
	Slices     []Slice              `json:"slices,omitempty"`
	Minions    map[string]RunMinion `json:"minions,omitempty" doc:"each minion of the run; absent in lists"`
	Counts     map[Outcome]int      `json:"counts,omitempty"`
	CheckRun   string               `json:"check_run,omitempty" doc:"the test run after an enforcing run, which tells what is left and what never settles"`
	CheckState CheckState           `json:"check_state,omitempty" doc:"pending until the test run after an enforcing run has ended"`
	AllowEmpty bool                 `json:"-"`
	// Call is what is published, secrets included. Stores keep it sealed; it never leaves the process in another way.
	Call *Call `json:"-"`
}

// Call is a function with its arguments, secrets included: what a run publishes.
type Call struct {
	Function string
	Args     []any
	Kwargs   map[string]any
}

// CheckState is where the check after an enforcing run stands.
type CheckState string

// The states of that check; the empty string means that the run has none.
const (
	CheckPending CheckState = "pending"
	CheckDone    CheckState = "done"
	CheckFailed  CheckState = "failed"
)

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
}

// RunMinion is how a run stands for one minion.
type RunMinion struct {
	Outcome Outcome   `json:"outcome"`
	JID     string    `json:"jid,omitempty" doc:"the job that reached it"`
	Slice   int       `json:"slice" doc:"index of its slice"`
	Retcode *int      `json:"retcode,omitempty"`
	Message string    `json:"message,omitempty" doc:"why, for people: Salt's words, or how silence was settled"`
	Late    bool      `json:"late,omitempty" doc:"the return came after silence had been settled, or after the run's end"`
	At      time.Time `json:"at,omitzero" doc:"when the outcome became known"`
}

// RunFilter chooses runs. Zero fields choose nothing out.
type RunFilter struct {
	Status     RunStatus
	Kind       RunKind
	Assignment string
	User       string
	Since      time.Time
	Until      time.Time
	Active     bool // only runs that are not final, or whose check is pending
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
