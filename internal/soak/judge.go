package soak

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path/filepath"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// judged reads a run again until what it says of each minion is what the journal and the minion's role say, and compares its
// jobs in the archive with the master's job cache. Returns may come late, so it is not said to be wrong at once.
func (s *stage) judged(ctx context.Context, id string, minions []string) (*gaea.Run, error) {
	var run *gaea.Run
	err := s.settles(ctx, func() (err error) {
		if run, err = s.Client.GetRun(ctx, id); err != nil {
			return err
		}
		return s.judge(run, minions)
	})
	if err != nil {
		return nil, err
	}
	for _, slice := range run.Slices {
		if slice.Started.IsZero() {
			continue
		}
		if err := s.settles(ctx, func() error { return s.kept(ctx, slice.JID) }); err != nil {
			return nil, err
		}
	}
	return run, nil
}

// judge compares a run with what its minions did. minions are those that it has to have.
func (s *stage) judge(run *gaea.Run, minions []string) error {
	if got, want := slices.Sorted(maps.Keys(run.Minions)), slices.Sorted(slices.Values(minions)); !slices.Equal(got, want) {
		return violation("run %s has %d minions, not %d: %.500q", run.ID, len(got), len(want), got)
	}
	traces := map[string]map[string]swarm.Trace{}
	for _, slice := range run.Slices {
		traces[slice.JID] = s.swarm.Trace(slice.JID)
	}
	for _, name := range minions {
		var told swarm.Trace
		for _, job := range traces {
			told = sum(told, job[name])
		}
		if err := s.judgeMinion(run, name, told); err != nil {
			return err
		}
	}
	return nil
}

// sum adds the traces of a minion in the jobs of a run.
func sum(a, b swarm.Trace) swarm.Trace {
	return swarm.Trace{Told: a.Told + b.Told, Finished: a.Finished + b.Finished, Killed: a.Killed + b.Killed, Returned: a.Returned + b.Returned}
}

func (s *stage) judgeMinion(run *gaea.Run, name string, did swarm.Trace) error {
	rm, r := run.Minions[name], s.roles[name]
	wrong := func(why string) error {
		return violation("run %s says that %s (%s) is %q (late: %v; %s), and %s: the minion did %+v", run.ID, name, r.name, rm.Outcome, rm.Late, rm.Message, why, did)
	}
	returned := did.Returned > 0 && !r.behaviour.WrongJID
	switch {
	case !rm.Outcome.Final():
		return wrong("it has ended")
	case did.Told > 1:
		return wrong("the function ran there more than once")
	case rm.Outcome == gaea.OutcomeSkipped && did.Told > 0:
		return wrong("it was told")
	case rm.Outcome.Heard() && did.Finished == 0:
		return wrong("it returned nothing")
	case !rm.Outcome.Heard() && returned:
		return wrong("it returned")
	case rm.Outcome == gaea.OutcomeKilled && did.Finished > 0:
		return wrong("it came to its end")
	case !r.may(rm.Outcome) && (rm.Outcome != gaea.OutcomeSkipped || run.Status != gaea.RunHalted):
		return wrong("it has to be another outcome")
	case r.late && rm.Outcome.Heard() && !rm.Late:
		return wrong("its return was late")
	}
	return nil
}

// kept compares a job's returns in the archive with those in the master's job cache and in the journal: each is there once.
func (s *stage) kept(ctx context.Context, jid string) error {
	cached, err := s.cached(jid)
	if err != nil {
		return err
	}
	archived := map[string]int{}
	for ret, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) { return s.Client.JobReturns(ctx, jid, p) }) {
		if err != nil {
			return err
		}
		archived[ret.Minion]++
	}
	did := s.swarm.Trace(jid)
	for name, n := range archived {
		if told := s.torn && did[name].Finished > 0; n != 1 || !cached[name] && !told {
			return violation("job %s: the archive has the return of %s %d times, the job cache has it: %v", jid, name, n, cached[name])
		}
	}
	for name, did := range did {
		if did.Returned > 0 && !s.roles[name].behaviour.WrongJID && !cached[name] {
			return violation("job %s: the master took the return of %s, and it is not in its job cache", jid, name)
		}
	}
	for name := range cached {
		if archived[name] == 0 {
			return violation("job %s: the return of %s is in the job cache, and lost to the archive", jid, name)
		}
	}
	return nil
}

// cached lists the minions whose return for a job is in the master's job cache.
func (s *stage) cached(jid string) (map[string]bool, error) {
	digest := sha256.Sum256([]byte(jid)) // hash_type of a master that is not told otherwise
	name := hex.EncodeToString(digest[:])
	files, err := filepath.Glob(filepath.Join(s.Lab.CacheDir(), "jobs", name[:2], name[2:], "*", "return.p"))
	minions := map[string]bool{}
	for _, file := range files {
		minions[filepath.Base(filepath.Dir(file))] = true
	}
	return minions, err
}
