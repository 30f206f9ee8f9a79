package archive

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Store keeps the archive. It may be used from several goroutines, and every method may be called until Close.
//
// What a method has returned without an error survives the death of the process. Times are kept to the microsecond and come
// back in UTC; the zero time stays zero. Texts may hold anything that is valid UTF-8, zero bytes included.
//
// Lists come newest first in pages ([gaea.PageRequest]). A cursor names the last item of its page, so items that arrive
// while somebody turns pages are neither shown twice nor push others out. Use a cursor with the filter it was made with. The
// items of one page may share memory: do not change them in place.
//
// Errors are [gaea.Error]: CodeNotFound and CodeConflict as each method says, CodeInvalid naming the field "cursor",
// "limit", "batch" or what else is wrong, CodeUnavailable where the database does not answer, is locked for too long or is
// full, and CodeInternal where it does not hold what it should.
type Store interface {
	gaea.RunStore
	gaea.ReturnStore
	gaea.EvidenceStore
	gaea.SecretStore

	// TargetGroups keeps the target groups with their versions.
	TargetGroups() gaea.DefinitionStore[gaea.TargetGroup]
	// JobTemplates keeps the job templates with their versions.
	JobTemplates() gaea.DefinitionStore[gaea.JobTemplate]
	// Assignments keeps the state assignments with their versions.
	Assignments() gaea.DefinitionStore[gaea.Assignment]

	// ForgetKey frees the idempotency key that a user's run was made with: the next CreateRun with it makes a new run. The run
	// stays. No error where there is no such run or key.
	ForgetKey(ctx context.Context, user, runID string) error

	// WriteBatch stores what came from one master, in one transaction: all of it or nothing. The batch's own Master fields
	// are not looked at.
	//
	// A batch that is written again, whole, in part or in another order, changes nothing:
	//   - A return is known by master, jid and minion. The first one stored stays as it is, but what is only a word about a
	//     return (gaea.Outcome.Heard is false: the bus did not carry it) is replaced by the return itself.
	//   - A job is known by master and jid. A publication replaces what was gathered from returns alone (Known false); of two
	//     publications under one jid (Salt's own batches do that) the earlier one stays, and the minions that are expected,
	//     missing or listed as the target are those of both; what the bus told is better than what the job cache did. A job that
	//     is seen through returns only takes function, arguments and time from the earliest of them, and expects nobody.
	//     Metadata, RunID and StateKey that a publication lacks are taken from another, or from a return.
	//   - What a job brings beside itself (Parent, Schedule, Batch) is kept by master and jid, whether it comes before or after
	//     the job, or alone: in a job that is not Known and has no Function, which makes no job. Of two parents the later job is
	//     kept, and accounts of a batch are merged as [gaea.JobBatch.Merge] does. An Origin is taken from whom the head is taken
	//     from, or from another where that has none; a job with a Batch is one of gaea.OriginBatch.
	//   - An event is known by master, tag, stamp and data.
	//
	// Return.States and Return.Body come back as they went in. Minion lists of jobs come back sorted. A return that is
	// [gaea.Return.Busy], or has no StateKey, is no evidence. CodeInvalid for a job without a jid, or a return without a jid
	// or a minion; nothing is stored then.
	WriteBatch(ctx context.Context, master string, b Batch) error

	// Job returns one job with how it stands for each minion: those it expects, pending where nothing was heard, and those
	// that returned; those that its batch has not told are pending, or skipped where the batch has ended. Its children are
	// those whose Parent it is, with their counts. An empty master means any; of several the newest. CodeNotFound.
	Job(ctx context.Context, master, jid string) (*gaea.JobDetail, error)
	// Jobs lists jobs by the time they were published. Counts is filled, pending ones included; Since and Until are about
	// Job.Started. A filter on Outcome finds jobs with at least one such return.
	Jobs(ctx context.Context, f gaea.JobFilter, p gaea.PageRequest) (gaea.Page[gaea.Job], error)
	// Return returns one return whole: its body and its states as they were. An empty master means any; of several the
	// newest. CodeNotFound.
	Return(ctx context.Context, master, jid, minion string) (*gaea.Return, error)
	// Returns lists returns by the time the master received them. Without bodies, Body and States are left out. Function,
	// Target, User, RunID and Parent of the filter are the job's.
	Returns(ctx context.Context, f gaea.JobFilter, p gaea.PageRequest, bodies bool) (gaea.Page[gaea.Return], error)
	// States lists how each state stood on each minion when it was last run or tested, minion by minion in an order that does
	// not change.
	States(ctx context.Context, f StateFilter, p gaea.PageRequest) (gaea.Page[LatestState], error)
	// Events lists events by stamp. An event's minion is the "id" in its data, else the one its tag names.
	Events(ctx context.Context, f gaea.EventFilter, p gaea.PageRequest) (gaea.Page[gaea.Event], error)
	// HaveReturns names the minions whose own return of a job is stored (not only a word about it); empty where there is no
	// such job.
	HaveReturns(ctx context.Context, master, jid string) (map[string]bool, error)

	// Ledger lists jobs by the time they were published, with whom they expected and what of it is stored. A word about a
	// return is none.
	Ledger(ctx context.Context, f gaea.LedgerFilter, p gaea.PageRequest) (gaea.Page[gaea.JobLedger], error)
	// LedgerTotals sums up what Ledger lists. It looks at every job that the filter chooses.
	LedgerTotals(ctx context.Context, f gaea.LedgerFilter) (gaea.LedgerTotals, error)

	// OpenGap notes that events of a master may be missing from a time on. The id is for CloseGap.
	OpenGap(ctx context.Context, master string, from time.Time) (id int64, err error)
	// CloseGap notes when the link was back, and how many returns were fetched from the job cache. Closing it again changes
	// nothing. CodeNotFound.
	CloseGap(ctx context.Context, id int64, until time.Time, recovered int) error
	// OpenGaps lists the gaps of a master that are not closed, oldest first.
	OpenGaps(ctx context.Context, master string) ([]Gap, error)
	// LastStamp is the newest time of what was stored by WriteBatch for a master; zero where there is nothing.
	LastStamp(ctx context.Context, master string) (time.Time, error)

	// Masters lists the masters that something is stored of, or that have runs which are active, by name. Who serves them is
	// not told.
	Masters(ctx context.Context) ([]gaea.MasterStatus, error)

	// CreateToken stores a token. CodeConflict where its id or hash is taken; names may repeat, so that a token can be
	// replaced by another of the same name.
	CreateToken(ctx context.Context, t gaea.Token) error
	// TokenByHash finds a token, expired or not. CodeNotFound.
	TokenByHash(ctx context.Context, hash []byte) (gaea.Token, error)
	// Tokens lists all tokens, by name and then oldest first.
	Tokens(ctx context.Context) ([]gaea.Token, error)
	// DeleteToken removes a token. CodeNotFound.
	DeleteToken(ctx context.Context, id string) error

	// Prune removes what is older than a time: jobs that were published before it with all their returns, where none of those
	// came after it, events, and runs that have ended; about limit of them in one transaction (a job or run goes whole), so
	// that writers wait only shortly. It returns how many things went: call again until that is 0. What stays:
	//   - definitions, tokens and secrets;
	//   - runs that are active, or whose check is pending, with their jobs, and the newest run of each kind of an assignment;
	//   - the runs of a run's actions as long as it stays, which is at least as long as one of them is active; they go before it;
	//   - of every state key that Evidence or PutSilence was asked about since that time, each minion's newest evidence.
	// What only they needed goes too: contents, state keys, states that no minion has had since, closed gaps, and what was
	// unsettled in revisions that have a newer one. CodeInvalid for a limit below 1.
	Prune(ctx context.Context, before time.Time, limit int) (deleted int, err error)
	// Stats counts what is stored. It is cheap enough for every scrape of the metrics.
	Stats(ctx context.Context) (Stats, error)
	// Check returns an error where the database cannot be read and written now.
	Check(ctx context.Context) error
	// Close waits for what is being written and closes the database. Closing again does nothing.
	Close() error
}

// Batch is what is stored at once: jobs, returns and other events in the order in which they came.
type Batch struct {
	Jobs    []gaea.Job
	Returns []gaea.Return
	Events  []gaea.Event
}

// Len is the number of things in the batch.
func (b Batch) Len() int { return len(b.Jobs) + len(b.Returns) + len(b.Events) }

// Gap is a time in which events of a master may have been missed.
type Gap struct {
	ID        int64
	Master    string
	From      time.Time
	Until     time.Time // zero while it is open
	Recovered int       // returns that were fetched from the master's job cache
}

// StateFilter chooses among the latest results of states. Zero fields choose nothing out.
type StateFilter struct {
	Master  string
	Minion  string
	SLS     string
	Outcome gaea.Outcome
}

// LatestState is how a state stood on a minion when it was last run or tested there.
type LatestState struct {
	Master  string       `json:"master"`
	Minion  string       `json:"minion"`
	Key     string       `json:"key" doc:"Salt's key MODULE_|-ID_|-NAME_|-FUNCTION"`
	SLS     string       `json:"sls,omitempty"`
	Outcome gaea.Outcome `json:"outcome"`
	Test    bool         `json:"test,omitempty" doc:"seen in a test run"`
	JID     string       `json:"jid" doc:"the job that told"`
	Stamp   time.Time    `json:"stamp"`
}

// Stats is how much is stored.
type Stats struct {
	Jobs     int64
	Returns  int64
	Events   int64
	Contents int64 // distinct bodies of returns
	Bytes    int64 // the database on disk, with what is not yet folded into it
}
