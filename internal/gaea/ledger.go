package gaea

import "time"

// JobLedger says of one job who was expected, what of it the archive has, and how that came there.
type JobLedger struct {
	Master    string          `json:"master"`
	JID       string          `json:"jid"`
	Function  string          `json:"function"`
	Started   time.Time       `json:"started"`
	RunID     string          `json:"run_id,omitempty" doc:"the Gaea run that published it"`
	Expected  int             `json:"expected" doc:"minions that the master expects"`
	Received  int             `json:"received" doc:"returns from the event bus, as it happened"`
	Recovered int             `json:"recovered" doc:"returns from the master's job cache, later"`
	Late      int             `json:"late" doc:"of the returns, those that came after the run was settled without them"`
	Missing   int             `json:"missing" doc:"expected minions without a return of their own"`
	Settled   map[Outcome]int `json:"settled,omitempty" doc:"how the Gaea run settled those that are missing, where one published the job: no_return, unreachable, killed or skipped; pending where it goes on"`
}

// LedgerTotals are the sums over many jobs.
type LedgerTotals struct {
	Jobs       int `json:"jobs"`
	Incomplete int `json:"incomplete" doc:"of those the jobs with a minion that is missing"`
	Expected   int `json:"expected" doc:"returns that the master expects"`
	Received   int `json:"received" doc:"returns from the event bus, as it happened"`
	Recovered  int `json:"recovered" doc:"returns from the master's job cache, later"`
	Missing    int `json:"missing" doc:"expected returns that are not there"`
}

// LedgerFilter chooses jobs of the ledger. Zero fields choose nothing out.
type LedgerFilter struct {
	Master     string
	JID        string
	Incomplete bool      // only jobs with a minion that is missing
	Since      time.Time // published at or after
	Until      time.Time // and before
}

// VerifyRequest asks to compare the archive with the master's job cache.
type VerifyRequest struct {
	Master string    `json:"master,omitempty" maxLength:"255" doc:"the master whose job cache is meant, by its name in the archive; that of the jobd that is asked when absent"`
	Since  time.Time `json:"since,omitzero" doc:"jobs that were published, or had a return, at or after; all that the job cache has when absent"`
	JID    string    `json:"jid,omitempty" maxLength:"64" doc:"only this job"`
	After  string    `json:"after,omitempty" maxLength:"64" doc:"next of the answer before; nothing at first"`
	Fix    bool      `json:"fix,omitempty" doc:"store what is missing"`
}

// VerifyReport is what was found. Jobs are compared for some seconds; Next says that there are more.
type VerifyReport struct {
	Jobs        int          `json:"jobs" doc:"jobs of the job cache that were compared"`
	Returns     int          `json:"returns" doc:"returns of the job cache that were compared"`
	Beyond      int          `json:"beyond" doc:"returns of these jobs that only the archive has"`
	Stored      int          `json:"stored" doc:"returns that were missing and have been stored"`
	Differences []Difference `json:"differences" doc:"what is missing or different in the archive"`
	Unread      []UnreadJob  `json:"unread,omitempty" doc:"jobs that the job cache could not tell whole"`
	Recovering  bool         `json:"recovering" doc:"jobd is fetching what it missed: what is missing now may be there in a moment"`
	Next        string       `json:"next,omitempty" doc:"after in the next request; absent at the end"`
}

// DifferenceKind says what is wrong in the archive.
type DifferenceKind string

// The kinds of differences.
const (
	JobMissing      DifferenceKind = "job_missing"      // neither its publication nor a return
	HeadMissing     DifferenceKind = "head_missing"     // returns, but not how it was published
	MinionMissing   DifferenceKind = "minion_missing"   // a minion that the master expects
	ReturnMissing   DifferenceKind = "return_missing"   // a return
	BodyDiffers     DifferenceKind = "body_differs"     // what the function returned
	RetcodeDiffers  DifferenceKind = "retcode_differs"  // the return code
	SuccessDiffers  DifferenceKind = "success_differs"  // whether the minion called it a success
	FunctionDiffers DifferenceKind = "function_differs" // what was run
)

// DifferenceKinds lists the kinds.
func DifferenceKinds() []DifferenceKind {
	return []DifferenceKind{JobMissing, HeadMissing, MinionMissing, ReturnMissing, BodyDiffers, RetcodeDiffers, SuccessDiffers, FunctionDiffers}
}

// Difference is one thing that the archive lacks, or has otherwise than the job cache.
type Difference struct {
	JID    string         `json:"jid"`
	Minion string         `json:"minion,omitempty"`
	Kind   DifferenceKind `json:"kind" enum:"job_missing,head_missing,minion_missing,return_missing,body_differs,retcode_differs,success_differs,function_differs"`
	Fixed  bool           `json:"fixed,omitempty" doc:"it was stored just now"`
}

// UnreadJob is a job that could not be compared, or not wholly.
type UnreadJob struct {
	JID    string `json:"jid"`
	Reason string `json:"reason"`
}
