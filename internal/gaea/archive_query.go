package gaea

import "time"

// MetadataRun is the key of a job's metadata that names the Gaea run which published it.
const MetadataRun = "gaea_run"

// MetadataFor is the key that names the Gaea run for which a small job was published: a ping, a question, a kill. Such a job is none
// of the run's.
const MetadataFor = "gaea_for"

// JobFilter chooses jobs and returns of the archive. Zero fields choose nothing out; all that are set must hold.
type JobFilter struct {
	Master   string
	Minion   string    // a minion that the job expected, or that returned
	Function string    // whole name, or a prefix that ends in "*", for example "state.*"
	Target   string    // the target expression as it was published
	User     string    // who published
	RunID    string    // the Gaea run
	Parent   string    // jid of the job that they belong to
	Outcome  Outcome   // at least one return with this outcome (jobs), or the return's own (returns)
	Since    time.Time // published, or received, at or after
	Until    time.Time // and before
	Running  bool      // jobs only: an expected minion has not returned, and no Gaea run that ended settled that
}

// EventFilter chooses events that are neither jobs nor returns: beacons, starts, presence, custom ones.
type EventFilter struct {
	Master string
	Tag    string // whole tag; each "*" in it stands for any text
	Minion string
	Since  time.Time
	Until  time.Time
	// Suspect chooses those that are not what their tags say (see Event.Suspect).
	Suspect bool
}

// JobDetail is one job with how it stands for each minion. Stores leave Ledger out: the API adds it.
type JobDetail struct {
	Job
	Returns  map[string]ReturnHead `json:"returns" doc:"each expected minion, and each that returned; pending where nothing was heard, skipped where its batch was halted before"`
	Children []Job                 `json:"children,omitempty" doc:"the jobs that belong to this one, oldest first, at most 100; the list of jobs with parent has them all"`
	Ledger   *JobLedger            `json:"ledger,omitempty" doc:"who was expected, and what of it the archive has"`
}

// MaxChildren is how many children a JobDetail has at most.
const MaxChildren = 100

// ReturnHead is a return without its body.
type ReturnHead struct {
	Outcome Outcome   `json:"outcome"`
	Retcode *int      `json:"retcode,omitempty"`
	Message string    `json:"message,omitempty"`
	Stamp   time.Time `json:"stamp,omitzero"`
}

// AssignmentInput is what defines an assignment: the definition, and beside it what must never be shown again.
type AssignmentInput struct {
	Assignment
	SecretPillar map[string]any `json:"secret_pillar,omitempty" doc:"laid over pillar in every run; sealed, never returned; needs secret_version. Absent keeps what is stored for that secret_version"`
}

// CheckResult is the answer to a check: the report when there is one already, else the test run to wait for.
type CheckResult struct {
	Run    *Run         `json:"run,omitempty" doc:"the test run that was started or joined; absent where the evidence is fresh enough"`
	Report *DriftReport `json:"report,omitempty" doc:"absent while the test run goes on: wait for the run, then get the drift"`
}
