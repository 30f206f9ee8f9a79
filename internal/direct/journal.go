package direct

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/feed"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/redact"
)

// keptBytes bounds what is kept of returns; of jobs that are followed only the bodies are over it let go. What is over it is read from the job cache where it is needed again.
const keptBytes = 64 << 20

// journal keeps the returns of this process's jobs, hands them to those who follow, and is the store of returns. See the
// package's doc for what it keeps.
type journal struct {
	gaea.JobCache // the master's

	master      string
	hub         *feed.Hub
	fingerprint *drift.Fingerprinter
	evidence    *evidence
	runOf       func(jid string) string
	late        func(gaea.Return) // is given what comes when nobody follows any more; must not block

	mu    sync.Mutex
	jobs  map[string]*jobReturns
	order []string // jids, oldest first
	bytes int
}

// jobReturns is what is kept of one job.
type jobReturns struct {
	returns map[string]gaea.Return // nil where all were let go
	bytes   int
	partial bool // some returns or bodies were not kept
}

// take takes returns of jobs of this process, each minion's once.
func (j *journal) take(source gaea.Source, returns ...gaea.Return) {
	fresh := make([]gaea.Return, 0, len(returns))
	for _, ret := range returns {
		run := j.runOf(ret.JID)
		if run == "" && !j.hub.Followed(ret.JID) {
			continue
		}
		if ret.RunID == "" { // a state run that waited in Salt's own queue comes back without its metadata
			ret.RunID = run
		}
		ret.Master, ret.Source = j.master, source
		j.prepare(&ret)
		if j.keep(&ret) {
			fresh = append(fresh, ret)
		}
	}
	for i := range fresh {
		j.evidence.take(&fresh[i])
	}
	j.hub.Send(fresh)
	for i := range fresh {
		if fresh[i].RunID != "" && !j.hub.Followed(fresh[i].JID) {
			j.late(fresh[i])
		}
	}
}

// prepare makes of a return what may be kept.
func (j *journal) prepare(ret *gaea.Return) {
	key, test := j.fingerprint.Job(ret.Function, ret.Args)
	ret.StateKey, ret.Test = key, ret.Test || test
	ret.Args, ret.Metadata = nil, nil // for each minion the same
	redact.Return(ret)
	if len(ret.States) > 0 {
		ret.States = slices.Clip(slices.DeleteFunc(ret.States, func(s gaea.StateResult) bool { return s.Outcome == gaea.OutcomeInSync }))
	}
}

// keep stores a return. False where that minion's is there already.
func (j *journal) keep(ret *gaea.Return) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if job := j.jobs[ret.JID]; job != nil {
		if _, ok := job.returns[ret.Minion]; ok {
			return false
		}
	}
	kept := *ret
	j.makeRoom(sizeOf(&kept)) // which may let go of what is kept of this job, too
	job := j.jobs[ret.JID]
	if job == nil {
		job = &jobReturns{}
		j.jobs[ret.JID] = job
	}
	if job.returns == nil {
		job.returns = map[string]gaea.Return{}
		j.order = append(j.order, ret.JID)
	}
	if j.bytes+sizeOf(&kept) > keptBytes {
		kept.Body, job.partial = nil, true
	}
	job.returns[ret.Minion] = kept
	job.bytes += sizeOf(&kept)
	j.bytes += sizeOf(&kept)
	return true
}

// returnOverhead is about what a return takes besides its body and its states, stateOverhead the same for a state.
const (
	returnOverhead = 600
	stateOverhead  = 500
)

func sizeOf(r *gaea.Return) int { return returnOverhead + len(r.Body) + stateOverhead*len(r.States) }

// makeRoom lets go of the oldest jobs that nobody follows, until there is room for so many bytes more. The lock is held.
func (j *journal) makeRoom(size int) {
	for i := 0; j.bytes+size > keptBytes && i < len(j.order); {
		jid := j.order[i]
		if j.hub.Followed(jid) {
			i++
			continue
		}
		j.bytes -= j.jobs[jid].bytes
		j.jobs[jid] = &jobReturns{partial: true}
		j.order = slices.Delete(j.order, i, i+1)
	}
}

// kept returns what is kept of a job, sorted by minion; whole is false where the job cache may have more.
func (j *journal) kept(jid string) (returns []gaea.Return, whole bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	job := j.jobs[jid]
	if job == nil {
		return nil, false
	}
	for _, name := range slices.Sorted(maps.Keys(job.returns)) {
		returns = append(returns, job.returns[name])
	}
	return returns, !job.partial
}

// EachReturn implements [gaea.ReturnStore].
func (j *journal) EachReturn(ctx context.Context, _, jid string, take func(*gaea.Return) error) error {
	returns, err := j.returnsOf(ctx, jid)
	if err != nil {
		return err
	}
	for i := range returns {
		if err := take(&returns[i]); err != nil {
			return err
		}
	}
	return nil
}

// returnsOf are the returns of a job, by minion.
func (j *journal) returnsOf(ctx context.Context, jid string) ([]gaea.Return, error) {
	returns, whole := j.kept(jid)
	if whole {
		return returns, nil
	}
	job, err := j.CachedJob(ctx, jid)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		return returns, nil
	case job == nil:
		return returns, err
	}
	for i := range job.Returns {
		job.Returns[i].Master, job.Returns[i].Source = j.master, gaea.SourceCache
		j.prepare(&job.Returns[i])
	}
	return job.Returns, nil
}

// CachedJobParts implements [gaea.JobCache].
func (j *journal) CachedJobParts(ctx context.Context, jid string, part func(*gaea.CachedJob) error) error {
	return gaea.InOnePart(ctx, j, jid, part)
}

// CachedJob implements [gaea.JobCache]. What it tells of this process's jobs is taken as if the bus had told it.
func (j *journal) CachedJob(ctx context.Context, jid string) (*gaea.CachedJob, error) {
	job, err := j.JobCache.CachedJob(ctx, jid)
	if job != nil {
		copies := slices.Clone(job.Returns)
		for i := range copies {
			copies[i].States = slices.Clone(copies[i].States) // prepare changes them in place
		}
		j.take(gaea.SourceCache, copies...)
	}
	return job, err
}

// close lets go of everything.
func (j *journal) close() {
	j.hub.Close()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.jobs, j.order, j.bytes = map[string]*jobReturns{}, nil, 0
}
