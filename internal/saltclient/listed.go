package saltclient

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// ParseListedJob reads what the runner jobs.list_job answers: a job of the master's job cache with its returns. Nil where the
// cache has no such job. Started, and the returns' Stamp, are the caller's to set; the answer does not tell how a job came to
// be, so only runners have an Origin. trimmed names the minions whose returns are missing because the master cut them: the
// answer was larger than its max_event_size. Where it cut the job itself, job is nil too.
func ParseListedJob(listed json.RawMessage) (job *gaea.CachedJob, trimmed []string) {
	j := &gaea.Job{Known: true, Source: gaea.SourceCache}
	var tgt, result []byte
	for key, val := range members(listed) {
		switch string(key) {
		case "Error":
			return nil, nil
		case "jid":
			j.JID = scalar(val)
		case "Function":
			j.Function = functionName(val)
		case "Arguments":
			j.Args = val
		case "Target":
			tgt = val
		case "Target-type":
			j.Target.Type = gaea.TargetType(scalar(val))
		case "User":
			j.User = scalar(val)
		case "Metadata":
			j.Metadata = metadata(val)
		case "Minions":
			j.Minions = sortedTexts(val)
		case "Result":
			result = val
		}
	}
	trimmed = trimmedReturns(result)
	if j.Function == "" || j.Function == Trimmed || j.JID == Trimmed {
		return nil, trimmed
	}
	j.RunID = runID(j.Metadata)
	j.Target = target(j.Target.Type, tgt)
	if IsMasterFunction(j.Function) {
		j.Minions = j.Target.Minions
		listedRunner(j, result)
	}
	j.Test = j.Test || (isStateFunction(j.Function) && testMode(j.Function, j.Args))
	job = &gaea.CachedJob{Job: *j}
	for minion, entry := range members(result) {
		if !isTrimmed(entry) {
			job.Returns = append(job.Returns, ParseCachedReturn(j, string(minion), entry))
		}
	}
	slices.SortFunc(job.Returns, func(a, b gaea.Return) int { return strings.Compare(a.Minion, b.Minion) })
	return job, trimmed
}

// trimmedReturns names the minions whose returns were cut, sorted.
func trimmedReturns(result []byte) (minions []string) {
	for minion, entry := range members(result) {
		if isTrimmed(entry) {
			minions = append(minions, string(minion))
		}
	}
	slices.Sort(minions)
	return minions
}

// listedRunner fills in what a master lists of a runner only with its return.
func listedRunner(j *gaea.Job, result []byte) {
	for _, entry := range members(result) {
		if r := parseCachedRunner(j.JID, entry); r != nil {
			ran := r.job(j.JID)
			j.Args, j.User, j.Origin, j.Parent, j.Test = ran.Args, ran.User, ran.Origin, ran.Parent, ran.Test
		}
	}
}

// ParseLastJob reads what the runner jobs.last_run answers: the id of a job, and what [ParseListedJob] reads of it. No id where
// there is no such job.
func ParseLastJob(listed json.RawMessage) (jid string, job json.RawMessage) {
	for key, val := range members(listed) {
		return string(key), val
	}
	return "", nil
}

// ParseListedJIDs reads what the runner jobs.list_jobs answers: the ids of the jobs that minions were told, and of runners, in no
// order. Wheels, and the runners that read the job cache itself, are not among them.
func ParseListedJIDs(listed json.RawMessage) []string {
	var jids []string
	for jid, job := range members(listed) {
		fun := ""
		for key, val := range members(job) {
			if string(key) == "Function" {
				fun = functionName(val)
			}
		}
		if !IsRedundantFunction(fun) {
			jids = append(jids, string(jid))
		}
	}
	return jids
}

// IsMasterFunction says whether a function of the job cache ran on the master and not on minions.
func IsMasterFunction(fun string) bool {
	return strings.HasPrefix(fun, runnerPrefix) || strings.HasPrefix(fun, "wheel.")
}

// IsRedundantFunction says whether a function of the job cache is of no interest: a wheel, or a runner that reads the job cache
// and so only repeats it.
func IsRedundantFunction(fun string) bool {
	return strings.HasPrefix(fun, "wheel.") || isCacheRunner(fun)
}
