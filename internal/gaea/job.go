package gaea

import (
	"encoding/json"
	"regexp"
	"time"
)

// busyPattern is how a minion says that another state run holds its lock (salt.modules.state.running, both versions).
var busyPattern = regexp.MustCompile(`is running as PID \d+ and was started at`)

// Event is one message of the master's event bus.
type Event struct {
	Master string          `json:"master,omitempty" doc:"the master's name in the archive"` // filled by queries
	Tag    string          `json:"tag"`                                                     // for example salt/job/JID/ret/MINION
	Stamp  time.Time       `json:"stamp"`                                                   // the master's _stamp, UTC; the time of reading where there is none
	Data   json.RawMessage `json:"data"`                                                    // the body as a JSON object; always valid JSON and valid UTF-8
	// Truncated says that Data is not all of it; nil for nearly every event.
	Truncated *Truncation `json:"truncated,omitempty" doc:"set where the event was larger than max_return_size, or nested too deep, and not all of its data is kept"`
	// Suspect says why the event is not what its tag says.
	Suspect string `json:"suspect,omitempty" doc:"why the event is not what its tag says: a minion made it up, for example to pass for the return of another"`
}

// Truncation tells what a return or an event was of which only a part is kept, because it was larger than max_return_size or nested
// too deep.
type Truncation struct {
	Size    int64  `json:"size" doc:"bytes of the whole as Salt packed it (msgpack); of its JSON where sha256 is empty"`
	SHA256  string `json:"sha256" doc:"digest of those bytes, in hex: of a return the value of return, as in return.p of the master's job cache; empty where that form was not seen"`
	Dropped int    `json:"dropped,omitempty" doc:"how many states, or other members of the return, are not kept at all; of the others long texts may be cut"`
}

// Source says how a job or a return came to Gaea.
type Source string

// The sources.
const (
	SourceBus   Source = "bus"   // from the event bus, as it happened
	SourceCache Source = "cache" // from the master's job cache, later
)

// Origin says how a job came to be, in Salt's words.
type Origin string

// The origins. A job that was archived before jobd knew them, or of which too little was seen, has none.
const (
	OriginPublish       Origin = "publish"       // a master told minions: the salt command, salt-api, a runner, a reactor, Gaea
	OriginBatch         Origin = "batch"         // one of Salt's own batches, whose slices share one job id (Salt 3008)
	OriginRunner        Origin = "runner"        // a runner on the master; its one minion is the master itself
	OriginOrchestration Origin = "orchestration" // a runner that orchestrates: state.orchestrate and its other names
	OriginSaltCall      Origin = "salt-call"     // a minion's own, by salt-call
	OriginSchedule      Origin = "schedule"      // a minion's own, by its schedule
	OriginSaltSSH       Origin = "salt-ssh"      // salt-ssh, without a minion
)

// Origins lists every origin.
func Origins() []Origin {
	return []Origin{OriginPublish, OriginBatch, OriginRunner, OriginOrchestration, OriginSaltCall, OriginSchedule, OriginSaltSSH}
}

// Job is one publication by a master: a function told to a target under one job id. A runner on the master is a job as well,
// with the master for its one minion. A Job that is not Known and has no Function is none: it only brings what is known of
// the job with its JID (Parent, Schedule, Batch), which may come before and after the job itself.
type Job struct {
	Master   string          `json:"master" doc:"the master's name in the archive"`
	JID      string          `json:"jid" doc:"Salt's job id"`
	Function string          `json:"function" doc:"the execution function, for example state.apply"`
	Args     json.RawMessage `json:"args,omitempty" doc:"positional arguments and keyword maps as Salt sent them, secrets redacted"`
	Target   Target          `json:"target"`
	User     string          `json:"user,omitempty" doc:"who published, as Salt names them"`
	Minions  []string        `json:"minions" doc:"the minions that the master expects, sorted"`
	Missing  []string        `json:"missing,omitempty" doc:"listed ids that the master does not know"`
	Metadata json.RawMessage `json:"metadata,omitempty" doc:"the metadata that the publisher gave"`
	RunID    string          `json:"run_id,omitempty" doc:"the Gaea run that published it"`
	Origin   Origin          `json:"origin,omitempty" enum:"publish,batch,runner,orchestration,salt-call,schedule,salt-ssh" doc:"how it came to be; absent where that is not known"`
	Parent   string          `json:"parent,omitempty" doc:"jid of the job that it belongs to: the orchestration of which it is a step"`
	Schedule string          `json:"schedule,omitempty" doc:"the entry of the minion's schedule that started it"`
	Batch    *JobBatch       `json:"batch,omitempty" doc:"how it stands where it is one of Salt's own batches"`
	StateKey string          `json:"-"` // see Return.StateKey
	Test     bool            `json:"test,omitempty" doc:"a state run in test mode"`
	Started  time.Time       `json:"started" doc:"when the master published it"`
	Source   Source          `json:"source"`
	Known    bool            `json:"known" doc:"false where only returns were seen and no publication (salt-call, salt-ssh)"`
	Counts   map[Outcome]int `json:"counts,omitempty" doc:"minions by outcome; filled by queries"`
}

// Return is what one minion sent back for one job.
type Return struct {
	Master   string          `json:"master"`
	JID      string          `json:"jid"`
	Minion   string          `json:"minion"`
	Function string          `json:"function"`
	Args     json.RawMessage `json:"args,omitempty" doc:"fun_args as the minion sent them, secrets redacted"`
	Outcome  Outcome         `json:"outcome"`
	Retcode  *int            `json:"retcode,omitempty" doc:"absent where Salt sent none"`
	Success  *bool           `json:"success,omitempty" doc:"absent where Salt sent none"`
	Message  string          `json:"message,omitempty" doc:"for people: Salt's words where the function could not run or failed, one line a problem"`
	Body     json.RawMessage `json:"body,omitempty" doc:"what the function returned"`
	// Truncated says that Body and States are not all of it; nil for nearly every return.
	Truncated *Truncation     `json:"truncated,omitempty" doc:"set where the return was larger than max_return_size, or nested too deep, and only a part of its body is kept; the whole is in the master's job cache, while that lasts"`
	States    []StateResult   `json:"states,omitempty" doc:"the states of a state run, in the order they ran"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	RunID     string          `json:"run_id,omitempty"`
	Origin    Origin          `json:"-"`              // of its job, where the return tells; only on the way into the archive, where its job has it
	Schedule  string          `json:"-"`              // see Job.Schedule; as Origin
	StateKey  string          `json:"-"`              // keyed digest of SLS list, pillar and environment; empty unless a state run that can be evidence
	Test      bool            `json:"test,omitempty"` // a state run in test mode
	Stamp     time.Time       `json:"stamp" doc:"when the master received it"`
	Source    Source          `json:"source"`
}

// Busy says whether the minion refused because another state run holds its lock: ask again, it is neither drift nor failure.
func (r *Return) Busy() bool {
	return r.Outcome == OutcomeCouldNotRun && busyPattern.MatchString(r.Message)
}

// StateResult is one state of a state run's return.
type StateResult struct {
	Key      string          `json:"key" doc:"Salt's key MODULE_|-ID_|-NAME_|-FUNCTION, whole"`
	Module   string          `json:"module" doc:"for example file"`
	Function string          `json:"function" doc:"for example managed"`
	ID       string          `json:"id" doc:"the state's declared id"`
	Name     string          `json:"name" doc:"the state's name argument"`
	SLS      string          `json:"sls,omitempty"`
	RunNum   int             `json:"run_num" doc:"its place in the run, from 0"`
	Result   *bool           `json:"result" doc:"true, false, or null: would change"`
	Outcome  Outcome         `json:"outcome" doc:"in_sync, changed, would_change or failed"`
	Comment  string          `json:"comment,omitempty"`
	Diff     string          `json:"diff,omitempty" doc:"the unified diff where Salt gave one"`
	Changes  json.RawMessage `json:"changes,omitempty" doc:"Salt's changes, absent when empty"`
	Duration float64         `json:"duration_ms,omitempty" doc:"milliseconds"`
}

// CachedJob is what the master's job cache knows of one job.
type CachedJob struct {
	Job     Job
	Returns []Return
	Cut     []string // minions that have returned, and whose returns are more than the cache can tell; sorted
}
