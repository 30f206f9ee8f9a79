package machine

import (
	"encoding/json"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Input is something that happened. Each may come late, twice, in any order, or not at all.
type Input interface{ input() }

// Begin is the first input of a machine: for a new run, and for a run that is taken up again.
type Begin struct{}

// Locked says that the minions of a [Lock] are this run's.
type Locked struct{ Lock int }

// LockUnknown answers a [Lock] without minions: others are at work, so the minions must be known before they can be locked.
type LockUnknown struct{ Lock int }

// Published is the master's answer to a [Publish].
type Published struct {
	JID     string
	Minions []string // as the master resolved the target
	Missing []string // listed ids that the master does not know
}

// PublishFailed says that a [Publish] was refused, or that its answer did not come.
type PublishFailed struct {
	JID     string
	Code    gaea.Code
	Message string // for users
}

// Returned is what a minion sent back for a job of the run.
type Returned struct {
	JID     string
	Minion  string
	Outcome gaea.Outcome
	Retcode *int
	Message string
	Busy    bool // another state run holds the minion: it did not begin
}

// ReturnedFrom takes from a return what the machine needs.
func ReturnedFrom(r *gaea.Return) Returned {
	return Returned{JID: r.JID, Minion: r.Minion, Outcome: r.Outcome, Retcode: r.Retcode, Message: r.Message, Busy: r.Busy()}
}

// Asking says that an [Ask] has waited until now for those of other runs. It comes when the question is put, and from time to
// time before; that time does not count. Where it does not come, it does.
type Asking struct{ Ask int }

// Asked says that the master took an [Ask].
type Asked struct {
	Ask     int
	Minions []string
	Missing []string // listed ids that the master does not know
}

// AskFailed says that the master did not take an [Ask].
type AskFailed struct {
	Ask     int
	Code    gaea.Code
	Message string // for users
}

// Answered is one minion's answer to an [Ask].
type Answered struct {
	Ask    int
	Minion string
	Body   json.RawMessage
}

// Cached is what the master's job cache has of a job.
type Cached struct {
	LookUp  int
	JID     string
	Found   bool     // the master has the job's load: it was published
	Minions []string // whom it was published to
	Returns []Returned
	Trouble string // why some returns could not be read, for users; empty: these are all
}

// CacheFailed says that the job cache could not be read.
type CacheFailed struct {
	LookUp  int
	JID     string
	Message string // for users
}

// Cancel asks the run to stop. A second one gives up what the first still does: post-actions.
type Cancel struct {
	By    string        // who asks; may be empty
	Grace gaea.Duration // how long jobs have to end by themselves; 0: they are killed at once
}

// Pause asks the run to start nothing more until [Resume]. What runs goes on.
type Pause struct {
	By string // who asks; may be empty
}

// Resume takes back [Pause], and lets a run go on that was paused after its canary.
type Resume struct{}

// Acted answers an [Act], maybe much later, and more than once.
type Acted struct {
	Key     ActionKey
	Attempt int
	OK      bool
	Message string // for users: what was expected and did not come, or what was done
}

// Claimed answers a [Claim]: the minions are the run's, but for those that other runs hold under the policy skip.
type Claimed struct {
	Busy map[string]string // minion to the run that holds it
}

// ClaimBlocked says what a [Claim] with the policy wait waits for; it comes again when that changes.
type ClaimBlocked struct {
	Runs    []string
	Minions []string // that are busy
}

// ClaimRefused answers a [Claim] with the policy refuse: minions are busy, and nothing was claimed.
type ClaimRefused struct {
	Runs    []string
	Minions []string // that are busy
}

// Tick says that time has passed; see [Machine.Wake].
type Tick struct{}

func (Begin) input()         {}
func (Locked) input()        {}
func (LockUnknown) input()   {}
func (Published) input()     {}
func (PublishFailed) input() {}
func (Returned) input()      {}
func (Asking) input()        {}
func (Asked) input()         {}
func (AskFailed) input()     {}
func (Answered) input()      {}
func (Cached) input()        {}
func (CacheFailed) input()   {}
func (Cancel) input()        {}
func (Pause) input()         {}
func (Resume) input()        {}
func (Acted) input()         {}
func (Claimed) input()       {}
func (ClaimBlocked) input()  {}
func (ClaimRefused) input()  {}
func (Tick) input()          {}

// Effect is something to be done. The effects of a step are started in order. A [Save] is always the first, and waited for.
type Effect interface{ effect() }

// Save stores the run as it stands after the step. No other effect may be started before it is stored.
type Save struct {
	Minions []string // whose entries changed; a name that the run does not have has left it. Empty: only the run's head changed
}

// Lock asks for the sole right to run states on minions. It is answered with [Locked], maybe much later, or where no
// minions are named with [LockUnknown].
type Lock struct {
	ID      int      // from 1
	Minions []string // nil: not known yet; granted for every minion if nobody else holds or waits for any
}

// Narrow turns a lock on every minion into one on these.
type Narrow struct{ Minions []string }

// Unlock gives back all that was given to a [Lock], and withdraws one that is not answered.
type Unlock struct{}

// Free gives back some of what was given to a [Lock].
type Free struct{ Minions []string }

// Claim asks for minions under a lock that runs share by name, for the whole length of the run. It is answered with
// [Claimed], [ClaimBlocked] or [ClaimRefused].
type Claim struct {
	Lock    string
	Minions []string
	Policy  gaea.LockPolicy // never empty
}

// Disclaim gives back what was given to a [Claim], and withdraws one that is not answered.
type Disclaim struct{}

// ActionKey names one action of a run.
type ActionKey struct {
	Phase gaea.ActionPhase
	Slice int // -1: of scope once
	Index int // its place in the list of its phase
}

// Act does an action once. It is answered with [Acted]. The same one may be given out again after a restart: a function on
// minions is then not published again, for the run that does it has the id that is given here.
type Act struct {
	Key     ActionKey
	Attempt int // from 1
	Action  gaea.JobAction
	Minions []string      // where it is done on minions of the run: these
	RunID   string        // of the run that does it, where it is done on minions
	Limit   time.Duration // how long this try may take
}

// EndAct stops an action that was given out: its run is cancelled, its request given up. It is still answered with [Acted].
type EndAct struct{ Key ActionKey }

// Publish publishes the run's call under a job id that is stored, after listening to its returns. It is answered with
// [Published] or [PublishFailed].
type Publish struct {
	JID    string
	Target gaea.Target
}

// Ask publishes a small job that belongs to no slice. It is answered with [Asked] and then [Answered] for each minion
// that answers in time, or with [AskFailed].
type Ask struct {
	ID       int
	Purpose  Purpose
	Function string
	Args     []any
	Kwargs   map[string]any
	Target   gaea.Target
	Listen   time.Duration // how long answers are of use, from Asked on
}

// Purpose says what an [Ask] is for.
type Purpose string

// The purposes.
const (
	PurposeResolve Purpose = "resolve" // which minions the target has
	PurposePing    Purpose = "ping"    // whether minions that did not answer as part of the target answer at all
	PurposeProbe   Purpose = "probe"   // whether silent minions still run the job
	PurposeMatch   Purpose = "match"   // whether a minion that never began the job is in the target
	PurposeKill    Purpose = "kill"    // stop the job
	PurposeTree    Purpose = "tree"    // which processes the job has started
	PurposeFell    Purpose = "fell"    // kill all processes of the job, and tell what there was and what is left
	PurposeTerm    Purpose = "term"    // tell the job to end
	PurposeSweep   Purpose = "sweep"   // kill what is left of the job's processes, and tell what still is
)

// Stops says whether a job of this purpose is there to stop the run's.
func (p Purpose) Stops() bool {
	switch p {
	case PurposeKill, PurposeTree, PurposeFell, PurposeTerm, PurposeSweep:
		return true
	default:
		return false
	}
}

// LookUp reads a job from the master's job cache. It is answered with [Cached] or [CacheFailed].
type LookUp struct {
	ID  int
	JID string
}

// Follow listens to a job that was published earlier, and reads what the archive has of it.
type Follow struct{ JID string }

// Forget ends listening to a job.
type Forget struct{ JID string }

// Finish is the last effect: the run has ended and is stored.
type Finish struct{}

func (Save) effect()     {}
func (Lock) effect()     {}
func (Narrow) effect()   {}
func (Unlock) effect()   {}
func (Free) effect()     {}
func (Claim) effect()    {}
func (Disclaim) effect() {}
func (Act) effect()      {}
func (EndAct) effect()   {}
func (Publish) effect()  {}
func (Ask) effect()      {}
func (LookUp) effect()   {}
func (Follow) effect()   {}
func (Forget) effect()   {}
func (Finish) effect()   {}
