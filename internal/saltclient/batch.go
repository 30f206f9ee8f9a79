package saltclient

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// batchStatuses are the events of one of Salt's own batches, and what each says.
var batchStatuses = map[string]gaea.JobBatchStatus{
	"new": gaea.JobBatchRunning, "progress": gaea.JobBatchRunning, "complete": gaea.JobBatchComplete, "halted": gaea.JobBatchHalted,
}

// decodeBatch reads the events salt/batch/JID/{new,progress,complete,halted} of Salt 3008 and later (salt.utils.batch_output),
// or nil where it is none of these, or a minion sent it. Where the salt command drives the batch they hold its whole state,
// returns included, which the returns themselves tell better; where the master does, counts.
func decodeBatch(ev gaea.Event, jid, what string) *gaea.Job {
	status, ok := batchStatuses[what]
	if !ok || !gaea.ValidJID(jid) {
		return nil
	}
	b := &gaea.JobBatch{Status: status, Stamp: ev.Stamp}
	var tgt, tgtType, state []byte
	for key, val := range members(ev.Data) {
		switch string(key) {
		case "cmd":
			return nil // only what minions send has one
		case "tgt":
			tgt = val
		case "tgt_type":
			tgtType = val
		case "state":
			state = val
		}
	}
	switch {
	case kind(state) == '{':
		batchState(b, state)
	case state == nil:
		batchCounts(b, ev.Data)
	}
	if what == "new" {
		b.Waiting = b.Minions
	}
	b.Target = target(gaea.TargetType(scalar(tgtType)), tgt)
	return &gaea.Job{JID: jid, Batch: b, Started: ev.Stamp, Source: gaea.SourceBus}
}

// batchCounts reads the counts that the master tells of a batch that it drives into b. Where it was halted they do not say of
// how many, but name who is left.
func batchCounts(b *gaea.JobBatch, data []byte) {
	for key, val := range members(data) {
		switch string(key) {
		case "driver":
			b.Driver = scalar(val)
		case "batch_size":
			b.Size = count(val)
		case "total", "total_minions":
			b.Minions = count(val)
		case "completed":
			b.Done = count(val)
		case "failed":
			b.Failed = count(val)
		case "active":
			b.Running = count(val)
		case "pending":
			b.Waiting = count(val)
		case "abandoned_active":
			b.Running = length(val)
		case "abandoned_pending":
			b.Untold = sortedTexts(val)
			b.Waiting = len(b.Untold)
		case "reason":
			b.Reason = scalar(val)
		}
	}
	if b.Status == gaea.JobBatchHalted {
		b.Minions = b.Done + b.Failed + b.Running + b.Waiting
	}
}

// batchState reads the state of a batch (salt.utils.batch_state) into b. Of one that was cut short on its way it takes no counts.
func batchState(b *gaea.JobBatch, state []byte) {
	cut := false
	for key, val := range members(state) {
		switch string(key) {
		case "all_minions", "pending", "active", "done", "failed":
			cut = cut || (kind(val) != '[' && kind(val) != '{')
		}
		switch string(key) {
		case "all_minions":
			b.Minions = length(val)
		case "pending":
			b.Untold = sortedTexts(val)
			b.Waiting = len(b.Untold)
		case "active":
			b.Running = length(val)
		case "done":
			b.Done = length(val)
		case "failed":
			b.Failed = length(val)
		case "batch_size":
			b.Size = count(val)
		case "driver":
			b.Driver = scalar(val)
		case "halted_reason":
			b.Reason = scalar(val)
		}
	}
	if cut {
		b.Minions, b.Done, b.Failed, b.Running, b.Waiting, b.Untold = 0, 0, 0, 0, 0, nil
	}
}

// ParseBatchState reads the state of a batch that the master keeps beside a job in its job cache (.batch.p);
// nil where state is none, or another job's.
func ParseBatchState(jid string, state json.RawMessage) *gaea.JobBatch {
	b := &gaea.JobBatch{Status: gaea.JobBatchRunning}
	var tgt, tgtType []byte
	for key, val := range members(state) {
		switch string(key) {
		case "jid":
			if scalar(val) != jid {
				return nil
			}
		case "tgt":
			tgt = val
		case "tgt_type":
			tgtType = val
		case "halted":
			if string(val) == "true" {
				b.Status = gaea.JobBatchHalted
			}
		case "last_progress":
			b.Stamp = unixTime(val)
		}
	}
	batchState(b, state)
	if b.Minions == 0 {
		return nil
	}
	if b.Status == gaea.JobBatchRunning && b.Waiting == 0 && b.Running == 0 {
		b.Status = gaea.JobBatchComplete
	}
	b.Target = target(gaea.TargetType(scalar(tgtType)), tgt)
	return b
}

// count reads a number of things; 0 where val is none.
func count(val []byte) int {
	n, err := strconv.Atoi(text(val))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// length is how many items a map or an array has.
func length(val []byte) (n int) {
	for range members(val) {
		n++
	}
	for range elements(val) {
		n++
	}
	return n
}

// unixTime reads seconds since 1970, to the microsecond; the zero time where val is no such number.
func unixTime(val []byte) time.Time {
	s, err := strconv.ParseFloat(text(val), 64)
	if err != nil || math.IsNaN(s) || s <= 0 || s > 1e11 {
		return time.Time{}
	}
	return time.UnixMicro(int64(s * 1e6)).UTC()
}
