package direct

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// resume has a run stand where its jobs stand, and returns how many minions none of them has told. What is silent is the engine's
// to ask.
func resume(run *gaea.Run, jobs []*gaea.CachedJob, now time.Time) (untold int) {
	run.Minions, run.Slices = map[string]gaea.RunMinion{}, nil
	run.Started, run.Status, run.Resolved = jobs[0].Job.Started, gaea.RunRunning, true
	planned := 0
	for i, job := range jobs {
		run.Slices = append(run.Slices, takeSlice(run, i, job, now))
		planned = max(planned, plannedOf(&job.Job))
	}
	run.Counts = run.Tally()
	return max(planned-len(run.Minions), 0)
}

// takeSlice enters what a job has told, and returns its slice.
func takeSlice(run *gaea.Run, index int, job *gaea.CachedJob, now time.Time) gaea.Slice {
	minions := slices.Clone(job.Job.Minions)
	for k := range job.Returns {
		minions = append(minions, job.Returns[k].Minion)
	}
	slices.Sort(minions)
	minions = slices.Compact(minions)
	slice := gaea.Slice{Index: index, JID: job.Job.JID, Minions: minions, Canary: isCanary(&job.Job), Again: len(minions) > 0}
	if len(minions) > 0 {
		slice.Started = cmp.Or(job.Job.Started, run.Started)
	}
	for _, name := range minions {
		_, before := run.Minions[name]
		slice.Again = slice.Again && before
		run.Minions[name] = gaea.RunMinion{Outcome: gaea.OutcomePending, JID: job.Job.JID, Slice: index}
	}
	silent := len(minions)
	for k := range job.Returns {
		r := &job.Returns[k]
		if r.Busy() {
			continue // told again, or to be
		}
		run.Minions[r.Minion] = gaea.RunMinion{Outcome: r.Outcome, JID: r.JID, Slice: index, Retcode: r.Retcode, Message: r.Message, At: r.Stamp}
		silent--
	}
	if len(minions) > 0 && silent == 0 {
		slice.Ended = now // when exactly is not known, and waits between slices begin anew
	}
	return slice
}

// conclude ends a run of which nothing is left to be done or waited for.
func conclude(run *gaea.Run) {
	whole := !slices.ContainsFunc(run.Slices, func(s gaea.Slice) bool { return len(s.Minions) == 0 })
	if !run.Resolved || !whole || run.Counts[gaea.OutcomePending] > 0 {
		return
	}
	for _, m := range run.Minions {
		if m.At.After(run.Ended) {
			run.Ended = m.At
		}
	}
	run.Status = cmp.Or(run.Verdict, gaea.RunSucceeded)
	for o, n := range run.Counts {
		if n > 0 && !o.OK() && run.Verdict == "" {
			run.Status = gaea.RunFailed
		}
	}
	run.Verdict, run.Message = run.Status, run.Reason
}

// halt has a run tell nobody more.
func halt(run *gaea.Run, untold int, why string) {
	run.Verdict = gaea.RunHalted
	run.Reason = fmt.Sprintf("halted: the process that carried the run out ended when %d of %d minions had been told; the others were not", len(run.Minions), len(run.Minions)+untold)
	if why != "" {
		run.Reason += ", for " + why
	}
}

// haltUnread has a run tell nobody more that has more jobs than were read: who of the others has been told is not known.
func haltUnread(run *gaea.Run, read int) {
	run.Verdict = gaea.RunHalted
	run.Reason = fmt.Sprintf("halted: the process that carried the run out ended, and the run has more jobs in the master's job cache than the %d that are read; "+
		"of %d minions it is known that they were told", read, len(run.Minions))
}

// obstacle is why a run that had told a part of its minions when its process ended cannot be gone on with: of what is left in the
// job cache it must follow, as surely as it did for that process, who is told next and whether anybody is. Empty where it does.
func obstacle(run *gaea.Run, jobs []*gaea.CachedJob, untold int, now time.Time) string {
	canaries := 0
	for i, job := range jobs {
		if index := -1; !told(&job.Job, metadataSlice, &index) || index != i || len(run.Slices[i].Minions) == 0 {
			return "not all of its jobs are in the master's job cache any more"
		}
	}
	for i := range run.Slices {
		if run.Slices[i].Canary {
			canaries += len(run.Slices[i].Minions)
		}
	}
	switch limit := run.Timeouts.WithDefaults().Job; {
	case len(run.Call.Pre)+len(run.Call.Post) > 0:
		return "which of its actions were done is not known"
	case run.Concurrency.Lock != "":
		return fmt.Sprintf("the lock %q was not held meanwhile", run.Concurrency.Lock)
	case run.Batch.MaxFailures.IsShare():
		return "max_failures is a share, of minions that are not known any more"
	case !run.Batch.Canary.IsZero() && canaries < run.Batch.Canary.Count(len(run.Minions)+untold):
		return "not all of its canary had been told"
	case !now.Before(run.Started.Add(limit.Std())):
		return fmt.Sprintf("the job timeout of %s has passed since", limit)
	default:
		return ""
	}
}

// isCanary says whether a job told a run's canary.
func isCanary(job *gaea.Job) (canary bool) { return told(job, metadataCanary, &canary) && canary }

// plannedOf is how many minions a job's run had; 0 where that was not known.
func plannedOf(job *gaea.Job) (n int) {
	if !told(job, metadataPlanned, &n) {
		return 0
	}
	return n
}

// told reads a value of a job's metadata. False where there is none of its kind.
func told(job *gaea.Job, key string, value any) bool {
	var metadata map[string]json.RawMessage
	return json.Unmarshal(job.Metadata, &metadata) == nil && json.Unmarshal(metadata[key], value) == nil
}
