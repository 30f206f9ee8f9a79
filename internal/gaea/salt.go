package gaea

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// Publication is one job to be published: what [Publisher] takes.
type Publication struct {
	JID      string         // chosen by the caller and stored before
	Function string         // for example state.apply
	Args     []any          // positional arguments: JSON values
	Kwargs   map[string]any // keyword arguments: JSON values
	Target   Target
	Metadata map[string]any // comes back in the job's event and in every return
	// Allowed is asked right before the publication leaves, and keeps it by an error: who publishes may have been suspended
	// since it began. Nil: nothing is asked.
	Allowed func() error
}

// Published is the master's answer to a publication.
type Published struct {
	JID     string
	Minions []string // the target as the master resolved it; from cached grains it may name more than really match
	Missing []string // listed ids that the master does not know
}

// Publisher tells a master to run jobs. Errors: CodeEmptyTarget where nothing matched, CodeForbidden or CodeUnauthenticated
// where the master refuses, CodeUnavailable where it does not answer, CodeSalt for what else it says.
type Publisher interface {
	Publish(ctx context.Context, p Publication) (Published, error)
}

// Runner runs runners on a master.
type Runner interface {
	// Run returns when the runner has ended or ctx has. A runner that failed is no error: Success says so. The errors are
	// CodeForbidden or CodeUnauthenticated where the master refuses, CodeSalt for what else it says, CodeTimeout where the end
	// did not come in time (of a runner that does not exist masters tell nothing), CodeCancelled and CodeUnavailable.
	Run(ctx context.Context, fun string, args []any, kwargs map[string]any) (RunnerReturn, error)
}

// RunnerReturn is how a runner ended.
type RunnerReturn struct {
	JID     string          // under which the master ran it
	Success bool            // as Salt judged it
	Return  json.RawMessage // what it returned; where it failed the traceback, or its words
}

// Words is the return as a text, and its last line, which in a traceback says what went wrong.
func (r RunnerReturn) Words() (all, last string) {
	if json.Unmarshal(r.Return, &all) != nil {
		all = string(r.Return)
	}
	all = strings.TrimSpace(all)
	return all, strings.TrimSpace(all[strings.LastIndexByte(all, '\n')+1:])
}

// JobCache looks into what the master itself remembers, about a day.
type JobCache interface {
	// CachedJob returns one job with the returns that the cache has. CodeNotFound where it has no such job.
	CachedJob(ctx context.Context, jid string) (*CachedJob, error)
	// CachedJobParts calls part with the job and some of its returns, so often that all are told and, where the job cache can be read
	// bit by bit, never too many held. Beside an error there may be parts, whose returns are whole. An error of part ends it.
	CachedJobParts(ctx context.Context, jid string, part func(*CachedJob) error) error
	// CachedJIDs returns the ids of the jobs from a time on, oldest first.
	CachedJIDs(ctx context.Context, since time.Time) ([]string, error)
}

// InOnePart is [JobCache].CachedJobParts of a job cache that tells a job as a whole.
func InOnePart(ctx context.Context, cache JobCache, jid string, part func(*CachedJob) error) error {
	job, err := cache.CachedJob(ctx, jid)
	if job != nil {
		if err := part(job); err != nil {
			return err
		}
	}
	return err
}

// BusMessage is one thing that a [Bus] tells: an event, that the link is up, or that it is gone.
type BusMessage struct {
	Event      *Event // an event; nil for the others
	Connected  bool   // the link is up, first or again; what was sent before this moment may have been missed
	PassedOver bool   // a message could not be read, and the job cache may know what it told
	Err        error  // the link is gone, and why
}

// Bus is a master's event stream.
type Bus interface {
	// Read connects, again and again with growing pauses, and hands each message to the sink in order until ctx ends.
	// It always drains the socket: the sink must not block. Read returns nil when ctx has ended.
	Read(ctx context.Context, sink func(BusMessage)) error
}

// Feed hands out returns as they are stored.
type Feed interface {
	// Follow delivers every return of one job that is stored from now on.
	Follow(jid string) Subscription
}

// Subscription is a live list of returns.
type Subscription interface {
	// Returns is closed when the subscription or the feed ends.
	Returns() <-chan Return
	// Lost is signalled (it holds one value) when returns did not fit into the channel: read the job from the archive.
	Lost() <-chan struct{}
	// Close ends the subscription.
	Close()
}

// RunStore keeps runs.
type RunStore interface {
	// CreateRun stores a new run with its Call sealed. Where key is not empty and a run was made with it in the last 24 h by
	// the same user, that run is returned with created false; CodeConflict where that run asked for something else (digest).
	CreateRun(ctx context.Context, r *Run, key, digest string) (stored *Run, created bool, err error)
	// SaveRun stores the run's head, its slices and the named minions of r.Minions (all where none is named). A named
	// minion that r.Minions does not have is no part of the run any more: what is stored of it is removed.
	SaveRun(ctx context.Context, r *Run, minions ...string) error
	// GetRun returns a run with its minions and its Call. CodeNotFound.
	GetRun(ctx context.Context, id string) (*Run, error)
	// ListRuns returns runs without their minions (Counts is filled), newest first.
	ListRuns(ctx context.Context, f RunFilter, p PageRequest) (Page[Run], error)
}

// ReturnStore reads archived returns.
type ReturnStore interface {
	// EachReturn calls take with each return of one job, with its states; their order is the same each time. A few MiB of them are
	// held at a time, and nothing of the archive while take works: what comes or goes meanwhile may be told or not. A job that is
	// not there has none. An error of take ends it and comes back.
	EachReturn(ctx context.Context, master, jid string, take func(*Return) error) error
}

// EvidenceStore tells how things stood when last looked at.
type EvidenceStore interface {
	// Evidence returns the newest evidence of each minion for a state key, at most one a minion: of the returns with that
	// key, test or real, and of the recorded failures to get one.
	Evidence(ctx context.Context, master, stateKey string, minions []string) ([]Evidence, error)
	// PutSilence records that minions did not answer a check of a state key: "unreachable at T" is evidence too.
	PutSilence(ctx context.Context, master, stateKey string, minions []string, jid string, at time.Time) error
	// Unsettled returns the states that were seen not to settle, for an assignment's revision.
	Unsettled(ctx context.Context, assignment, revision string) ([]UnsettledState, error)
	// PutUnsettled replaces what is recorded for the minions that are named.
	PutUnsettled(ctx context.Context, assignment, revision string, minions []string, states []UnsettledState) error
}

// UnsettledState is a state that would change again right after it was applied without error.
type UnsettledState struct {
	Minion string
	Label  string // as in a drift report: "cmd.run deploy"
	// Digest is of what it said it would change, without what differs each time. Another change later is drift.
	Digest string
}

// DefinitionStore keeps definitions with every version.
type DefinitionStore[T Definition] interface {
	// Put stores a version; an equal latest version is returned as it is. CodeConflict where the name is another owner's.
	Put(ctx context.Context, d T, author string) (Version[T], error)
	// Get returns the version that ref points at; the latest one where it has no digest. CodeNotFound, also for the latest
	// version of a deleted definition; a version that is pinned by its digest is found for ever.
	Get(ctx context.Context, ref Ref) (Version[T], error)
	// Delete marks the definition as deleted and keeps its versions. CodeNotFound.
	Delete(ctx context.Context, name, author string) error
	// List returns the latest versions, by name.
	List(ctx context.Context, p PageRequest) (Page[Version[T]], error)
	// History returns every version of a name, newest first. CodeNotFound where there was never one.
	History(ctx context.Context, name string) ([]Version[T], error)
}

// SecretStore keeps the secret pillar of assignments, sealed.
type SecretStore interface {
	// PutSecretPillar stores the secret pillar of an assignment's version; nil removes it.
	PutSecretPillar(ctx context.Context, assignment, secretVersion string, pillar json.RawMessage) error
	// SecretPillar returns it; nil where there is none.
	SecretPillar(ctx context.Context, assignment, secretVersion string) (json.RawMessage, error)
}

// Clock tells the time; tests set their own.
type Clock func() time.Time
