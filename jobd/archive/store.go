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
	// Job.Started. A filter on Outcome finds jobs with at least one such return. A page of running jobs may hold fewer than there
	// is room for.
	Jobs(ctx context.Context, f gaea.JobFilter, p gaea.PageRequest) (gaea.Page[gaea.Job], error)
	// Return returns one return whole: its body and its states as they were. An empty master means any; of several the
	// newest. CodeNotFound.
	Return(ctx context.Context, master, jid, minion string) (*gaea.Return, error)
	// Returns lists returns by the time the master received them. Without bodies, Body and States are left out. Function,
	// Target, User, RunID and Parent of the filter are the job's.
	Returns(ctx context.Context, f gaea.JobFilter, p gaea.PageRequest, bodies bool) (gaea.Page[gaea.Return], error)
	// History lists what ran on one minion, newest first: its returns by the time the master received them, and between them by
	// the time they were published the jobs that expected it and to which it has not returned. CodeInvalid without a minion.
	History(ctx context.Context, f gaea.HistoryFilter, p gaea.PageRequest) (gaea.Page[gaea.HistoryItem], error)
	// States lists how each state stood on each minion when it was last run or tested, in an order that does not change: minion by
	// minion, or state by state where the filter names an SLS file or a state and neither minion nor outcome.
	States(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.LatestState], error)
	// Changes lists the states that changed something, by the time the master received the return. Test runs change nothing.
	// CodeInvalid unless the filter names a state, an SLS file or a minion.
	Changes(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.StateChange], error)
	// FailedMinions lists the minions on which a state of an SLS file failed, or where a run that named that file could not run, in
	// an order that does not change. CodeInvalid unless the filter names an SLS file.
	FailedMinions(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.FailedMinion], error)
	// SlowStates lists the states that took 100 ms or more, the slowest first.
	SlowStates(ctx context.Context, f gaea.SlowStateFilter, p gaea.PageRequest) (gaea.Measured[gaea.SlowState], error)
	// RunDurations tells for each day how long the runs of a highstate or of SLS files took, newest first. CodeInvalid unless the
	// filter says of what.
	RunDurations(ctx context.Context, f gaea.RunDurationFilter, p gaea.PageRequest) (gaea.Measured[gaea.RunDurations], error)
	// Events lists events by stamp, with their masters. An event's minion is the "id" in its data, else the one its tag names.
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

	// Prune removes what of each kind is older than a time: jobs that were published before it with all their returns, where none
	// of those came after it, events, and runs that have ended; about limit of them in one transaction (a job or run goes whole),
	// so that writers wait only shortly. It returns how many things went: call again until that is 0. What stays:
	//   - definitions, tokens and secrets;
	//   - what a hold keeps: runs and jobs as [gaea.LegalHold] says, with their returns;
	//   - runs that are active, or whose check is pending, with their jobs, and the newest run of each kind of an assignment;
	//   - the runs of a run's actions as long as it stays, which is at least as long as one of them is active; they go before it;
	//   - of every state key that Evidence or PutSilence was asked about since that time, each minion's newest evidence.
	// What only they needed goes too: contents, state keys, states that no minion has had since, closed gaps, and what was
	// unsettled in revisions that have a newer one. CodeInvalid for a limit below 1.
	Prune(ctx context.Context, e gaea.Expiry, limit int) (deleted int, err error)
	// Horizon is before when Prune has deleted jobs; zero where it never has.
	Horizon(ctx context.Context) (time.Time, error)
	// Oldest is when the oldest job, event or run is from that is not older than a time; zero where there is none.
	Oldest(ctx context.Context, after time.Time) (time.Time, error)
	// UsedBytes is how much of the database is in use, with indexes: what is free in it is used before it grows. In PostgreSQL
	// it is an estimate from samples.
	UsedBytes(ctx context.Context) (int64, error)
	// GiveBack gives free space back to the disk where the database can do that in small steps, one step a call, and leaves
	// some for what comes next. It returns whether there may be more to give.
	GiveBack(ctx context.Context) (more bool, err error)

	// Hold keeps a run or a job from being deleted by Prune, from when it returns. CodeNotFound where there is no such run or
	// job; CodeInvalid naming the field for a request that cannot be. The same may be held several times.
	Hold(ctx context.Context, req gaea.HoldRequest, holder string) (*gaea.LegalHold, error)
	// Holds lists holds, newest first; those that were released as well if released says so.
	Holds(ctx context.Context, released bool) ([]gaea.LegalHold, error)
	// ReleaseHold ends a hold, and keeps the record of it. Releasing it again changes nothing. CodeNotFound; CodeInvalid without
	// a reason.
	ReleaseHold(ctx context.Context, id, releaser, reason string) (*gaea.LegalHold, error)
	// Usage is how much is stored of each kind and how fast that grows, by the measures of the last week. Counting is cheap; how
	// many bytes each kind takes is measured where that is cheap, and else carried on from the last measure.
	Usage(ctx context.Context) (gaea.ArchiveStats, error)
	// Measure notes how much is stored of each kind now, and forgets measures older than a month. It may read the whole
	// database.
	Measure(ctx context.Context) error
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

// Stats is how much is stored.
type Stats struct {
	Jobs     int64
	Returns  int64
	Events   int64
	Contents int64 // distinct bodies of returns
	Bytes    int64 // the database on disk, with what is not yet folded into it
}
