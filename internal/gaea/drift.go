package gaea

import "time"

// EvidenceStatus is what the newest evidence says of one minion.
type EvidenceStatus string

// The statuses. Only in_sync means that nothing is wrong.
const (
	EvidenceInSync      EvidenceStatus = "in_sync"
	EvidenceDrifted     EvidenceStatus = "drifted"       // states differ, or would fail
	EvidenceCouldNotRun EvidenceStatus = "could_not_run" // Salt answered with words: missing SLS, broken Jinja
	EvidenceUnreachable EvidenceStatus = "unreachable"   // it did not answer when last asked
	EvidenceUnknown     EvidenceStatus = "unknown"       // never looked at in this revision
)

// DriftReport is how an assignment stands by the newest evidence for each of its minions.
type DriftReport struct {
	Assignment  string                 `json:"assignment"`
	Revision    string                 `json:"revision" doc:"what was compared with, as in a run"`
	Ref         string                 `json:"ref" doc:"the assignment's version"`
	Mode        CheckMode              `json:"mode"`
	Minions     map[string]MinionDrift `json:"minions" doc:"every minion of the target by the newest evidence"`
	Unreachable []string               `json:"unreachable,omitempty" doc:"minions whose newest evidence is that they did not answer, sorted"`
	Unsettled   []string               `json:"unsettled,omitempty" doc:"states that would change again right after they were applied, sorted; they are not drift"`
	Summary     DriftSummary           `json:"summary"`
	Oldest      time.Time              `json:"oldest,omitzero" doc:"the oldest evidence used"`
	CheckRun    string                 `json:"check_run,omitempty" doc:"the test run made for this report, if one was"`
}

// MinionDrift is how an assignment stands on one minion.
type MinionDrift struct {
	Status  EvidenceStatus    `json:"status"`
	States  map[string]string `json:"states,omitempty" doc:"each differing state, as \"file.managed /etc/motd\", with its diff or what would happen"`
	Message string            `json:"message,omitempty" doc:"Salt's words where it could not run"`
	JID     string            `json:"jid,omitempty" doc:"the job that is the evidence"`
	At      time.Time         `json:"at,omitzero" doc:"when the evidence was made"`
}

// DriftSummary counts an assignment's minions by status, and the states that differ.
type DriftSummary struct {
	Minions     int `json:"minions"`
	InSync      int `json:"in_sync"`
	Drifted     int `json:"drifted"`
	CouldNotRun int `json:"could_not_run"`
	Unreachable int `json:"unreachable"`
	Unknown     int `json:"unknown"`
	States      int `json:"states" doc:"differing states over all minions"`
}

// Evidence is a state run's return, or a failed attempt to get one, that tells how an assignment stands on a minion.
type Evidence struct {
	Minion  string
	JID     string
	At      time.Time
	Test    bool
	Outcome Outcome
	Message string
	States  []StateResult // those that are not clean: would_change, changed or failed
}

// CheckRequest asks for an assignment's drift to be looked at.
type CheckRequest struct {
	Master  string   `json:"master,omitempty" maxLength:"255" doc:"the master whose minions are meant, by its name in the archive; that of the jobd that is asked when absent"`
	MaxAge  Duration `json:"max_age,omitzero" doc:"keep evidence that is at most this old; 0 makes a test run on every minion"`
	Minions []string `json:"minions,omitempty" doc:"only these; all of the target when absent"`
}

// EnforceRequest asks for an assignment to be made true.
type EnforceRequest struct {
	Master  string   `json:"master,omitempty" maxLength:"255" doc:"the master whose minions are meant, by its name in the archive; that of the jobd that is asked when absent"`
	Minions []string `json:"minions,omitempty" doc:"only these; all of the target when absent"`
	Ref     string   `json:"ref,omitempty" doc:"refuse unless this is the assignment's version, so that what was planned is what runs"`
}
