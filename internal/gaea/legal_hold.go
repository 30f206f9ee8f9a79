package gaea

import (
	"strings"
	"time"
)

// LegalHold keeps a run or a job, with all that belongs to it, from being deleted by age or size. One that was released stays as
// the record of who held it, when and why.
type LegalHold struct {
	ID            string    `json:"id"`
	RunID         string    `json:"run_id,omitempty" doc:"the run that is held, with the runs of its actions, its checks and retries, their jobs with the jobs that belong to them and the small ones for them, and all returns"`
	Master        string    `json:"master,omitempty" doc:"of the job"`
	JID           string    `json:"jid,omitempty" doc:"the job that is held, with its returns and the jobs that belong to it, however far down"`
	Reason        string    `json:"reason"`
	Holder        string    `json:"holder" doc:"the token's name that it was held with"`
	Created       time.Time `json:"created"`
	Released      time.Time `json:"released,omitzero"`
	Releaser      string    `json:"releaser,omitempty"`
	ReleaseReason string    `json:"release_reason,omitempty"`
}

// HoldRequest asks to hold a run or a job: one of RunID and JID is given.
type HoldRequest struct {
	RunID  string `json:"run_id,omitempty" maxLength:"64" doc:"the run to hold; or jid"`
	JID    string `json:"jid,omitempty" maxLength:"64" doc:"the job to hold; or run_id"`
	Master string `json:"master,omitempty" maxLength:"255" doc:"of the job; the newest job of that id when absent"`
	Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"why, for who reads it later: a case number, who asked"`
}

// ReleaseRequest asks to release a hold.
type ReleaseRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"why, for who reads it later"`
}

// Validate says what is wrong with a request. CodeInvalid.
func (r HoldRequest) Validate() error {
	switch {
	case (r.RunID == "") == (r.JID == ""):
		return Invalid("run_id", "a hold is on a run or on a job; give one of run_id and jid")
	case strings.TrimSpace(r.Reason) == "":
		return Invalid("reason", "a hold needs a reason, for who reads it later")
	}
	return nil
}
