package gaea

import (
	"cmp"
	"time"
)

// JobBatchStatus says whether one of Salt's own batches goes on.
type JobBatchStatus string

// The statuses.
const (
	JobBatchRunning  JobBatchStatus = "running"
	JobBatchComplete JobBatchStatus = "complete" // every minion was told, and has returned or was given up
	JobBatchHalted   JobBatchStatus = "halted"   // ended before: see JobBatch.Reason
)

// Ended says whether nothing more comes.
func (s JobBatchStatus) Ended() bool { return s == JobBatchComplete || s == JobBatchHalted }

// JobBatch is how one of Salt's own batches stands (salt -b, from Salt 3008 on), as its driver last told. It is Salt's count:
// what each minion returned is in the job's returns.
type JobBatch struct {
	Status  JobBatchStatus `json:"status" enum:"running,complete,halted"`
	Reason  string         `json:"reason,omitempty" doc:"why it was halted: failhard, stop, or what else Salt says"`
	Driver  string         `json:"driver,omitempty" doc:"who cuts the slices: cli (the salt command) or master"`
	Target  Target         `json:"target" doc:"as it was asked for; the job's own target lists the minions that were told"`
	Size    int            `json:"size" doc:"how many minions run at a time; 0 where that is not known"`
	Minions int            `json:"minions" doc:"how many minions the batch is for"`
	Done    int            `json:"done" doc:"how many have returned"`
	Failed  int            `json:"failed" doc:"how many were given up because they did not answer in time"`
	Running int            `json:"running" doc:"how many were told and have not returned"`
	Waiting int            `json:"waiting" doc:"how many were not told yet, or where it has ended never"`
	Untold  []string       `json:"untold,omitempty" doc:"who is not told, where Salt names them, sorted"`
	Stamp   time.Time      `json:"stamp" doc:"when it stood like that"`
}

// Merge makes one of two accounts of the same batch, in whatever order they came: how it stands is told by the one in which it
// has ended, or else by the newer one; what only one of them knows is kept. Nil is no account.
func (b *JobBatch) Merge(other *JobBatch) *JobBatch {
	if b == nil || other == nil {
		return cmp.Or(b, other)
	}
	newer, older := *b, other
	if other.after(b) {
		newer, older = *other, b
	}
	if newer.Minions == 0 { // cut short on its way
		newer.Minions, newer.Done, newer.Failed = older.Minions, older.Done, older.Failed
		newer.Running, newer.Waiting, newer.Untold = older.Running, older.Waiting, older.Untold
	}
	newer.Size = cmp.Or(newer.Size, older.Size)
	newer.Driver = cmp.Or(newer.Driver, older.Driver)
	newer.Reason = cmp.Or(newer.Reason, older.Reason)
	if newer.Target.Type == "" {
		newer.Target = older.Target
	}
	return &newer
}

// after says whether b tells how the batch stands rather than o.
func (b *JobBatch) after(o *JobBatch) bool {
	if b.Status.Ended() != o.Status.Ended() {
		return b.Status.Ended()
	}
	return cmp.Or(b.Stamp.Compare(o.Stamp), cmp.Compare(b.Done, o.Done), cmp.Compare(b.Status, o.Status)) > 0
}
