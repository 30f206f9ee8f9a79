package archivetest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// prune deletes all that is older, in steps, and returns how much went.
func (b *bench) prune(before time.Time, limit int) int {
	b.Helper()
	return b.expire(gaea.ExpireAll(before), limit)
}

// expire deletes what has expired, in steps, and returns how much went.
func (b *bench) expire(e gaea.Expiry, limit int) int {
	b.Helper()
	total := 0
	for range 10_000 {
		n, err := b.store.Prune(b.ctx(), e, limit)
		b.ok(err)
		if total += n; n == 0 {
			return total
		}
	}
	b.Fatal("pruning does not end")
	return 0
}

var pruneTests = map[string]func(*bench){
	"what is older goes and what is newer stays": func(b *bench) {
		for n := range 10 {
			b.write(archive.Batch{
				Jobs: []gaea.Job{newJob(n, "web1", fmt.Sprintf("only%d", n))}, Returns: []gaea.Return{StateReturn(jid(n), "web1", 2, n, n, at(n))},
				Events: []gaea.Event{{Tag: "t", Stamp: at(n), Data: json.RawMessage(fmt.Sprint(n))}},
			})
		}
		for _, limit := range []int{1, 1000} {
			before := at(map[int]int{1: 4, 1000: 7}[limit])
			if n := b.prune(before, limit); n == 0 {
				b.Error("nothing went")
			}
			for n := range 10 {
				_, err := b.store.Job(b.ctx(), salt, jid(n))
				if gone := at(n).Before(before); gone != (gaea.CodeOf(err) == gaea.CodeNotFound) {
					b.Errorf("job %d after pruning: %v", n, err)
				}
			}
		}
		got := snapshot(b, b.store, salt)
		same(b, "how much is left", got.Stats, archive.Stats{Jobs: 3, Returns: 3, Events: 3, Contents: 3})
		same(b, "how much is there", [3]int{len(got.Jobs), len(got.Returns), len(got.Events)}, [3]int{3, 3, 3})
		same(b, "how many states are left", len(got.States), 2)
		same(b, "how much is left to prune", b.prune(at(7), 10), 0)

		b.prune(at(1000), 1000)
		got = snapshot(b, b.store, salt)
		same(b, "what is left of all", got, archived{Last: got.Last})
		b.write(archive.Batch{Jobs: []gaea.Job{newJob(1, "web1")}, Returns: []gaea.Return{StateReturn(jid(1), "web1", 2, 1, 1, at(1))}})
		same(b, "the minions of a job that came again", b.job(jid(1)).Minions, []string{"web1"})
		b.ret(jid(1), "web1") // what was remembered of the deleted rows does no harm
	},
	"a step is bounded": func(b *bench) {
		for n := range 50 {
			b.write(archive.Batch{Jobs: []gaea.Job{newJob(n, "web1")}, Returns: []gaea.Return{newReturn(n, "web1")}})
		}
		n, err := b.store.Prune(b.ctx(), gaea.ExpireAll(at(1000)), 10)
		b.ok(err)
		if n < 10 || n > 12 {
			b.Errorf("a step of 10 deleted %d things", n)
		}
		_, err = b.store.Prune(b.ctx(), gaea.ExpireAll(at(1000)), 0)
		b.code(err, gaea.CodeInvalid)
	},
	"a body that a newer return has stays": func(b *bench) {
		for n := range 5 {
			b.writeReturns(StateReturn(jid(n), "web1", 2, 7, n, at(n)))
		}
		b.prune(at(4), 2)
		want := StateReturn(jid(4), "web1", 2, 7, 4, at(4))
		want.Master = salt
		same(b, "the return", *b.ret(jid(4), "web1"), want)
	},
	"a job whose returns are not all old stays whole": func(b *bench) {
		late := newReturn(1, "web2")
		late.Stamp = at(100)
		b.write(archive.Batch{Jobs: []gaea.Job{newJob(1, "web1", "web2")}, Returns: []gaea.Return{newReturn(1, "web1"), late}})
		same(b, "how much went", b.prune(at(50), 10), 0)
		same(b, "the counts", b.job(jid(1)).Counts, map[gaea.Outcome]int{gaea.OutcomeSucceeded: 2})
	},
	"the newest evidence that somebody asks about stays": func(b *bench) {
		b.writeReturns(
			stateReturn(1, "web1", "key", gaea.OutcomeFailed), stateReturn(2, "web1", "key", gaea.OutcomeWouldChange), stateReturn(2, "web2", "key", gaea.OutcomeInSync),
			stateReturn(2, "web3", "forgotten", gaea.OutcomeFailed), stateReturn(3, "web2", "key", gaea.OutcomeInSync),
		)
		ask := []string{"web1", "web2", "web9"}
		b.ok(b.store.PutSilence(b.ctx(), salt, "key", []string{"web9"}, jid(2), at(3)))
		before := b.evidence("key", ask...)
		b.prune(at(1000), 1)
		same(b, "the evidence", b.evidence("key", ask...), before)
		same(b, "the evidence nobody asked about", b.evidence("forgotten", "web3"), []string{})
		same(b, "the jobs", b.jids(gaea.JobFilter{}), []string{jid(3), jid(2)})
		same(b, "the returns of the job of the evidence", len(b.job(jid(2)).Returns), 1)
		b.ret(jid(2), "web1")
		// Once newer evidence is there, the old goes.
		b.writeReturns(stateReturn(9, "web1", "key", gaea.OutcomeInSync))
		b.prune(at(9), 100)
		same(b, "the jobs later", b.jids(gaea.JobFilter{}), []string{jid(9), jid(3)})
	},
	"jobs of active runs stay": func(b *bench) {
		r := newRun(1)
		b.create(r, "key", "digest")
		j := newJob(1, "web1")
		j.RunID = r.ID
		b.writeJobs(j, newJob(2, "web1"))
		b.prune(at(1000), 10)
		same(b, "the jobs", b.jids(gaea.JobFilter{}), []string{jid(1)})
		b.run(r.ID)
		r.Status, r.CheckState = gaea.RunSucceeded, gaea.CheckDone
		b.ok(b.store.SaveRun(b.ctx(), r))
		b.prune(at(1000), 10)
		same(b, "the jobs after the run", b.jids(gaea.JobFilter{}), []string{})
	},
	"runs that have ended go, but not an assignment's newest": func(b *bench) {
		for n := range 6 {
			r := newRun(n)
			r.Status, r.CheckState = gaea.RunFailed, ""
			switch n {
			case 1:
				r.Kind = gaea.RunCheck
			case 3:
				r.Assignment, r.Kind = "", gaea.RunJob
			}
			b.create(r, fmt.Sprint(n), "digest")
		}
		b.prune(at(1000), 3)
		var left []string
		for _, r := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
			return b.store.ListRuns(b.ctx(), gaea.RunFilter{}, p)
		}) {
			left = append(left, r.ID)
		}
		same(b, "the runs", left, []string{newRun(5).ID, newRun(1).ID})
		same(b, "the minions of a run that stays", len(b.run(newRun(5).ID).Minions), 3)
	},
	"definitions, tokens and secrets stay": func(b *bench) {
		_, err := b.store.TargetGroups().Put(b.ctx(), group("web", "A"), "ann")
		b.ok(err)
		b.ok(b.store.CreateToken(b.ctx(), gaea.Token{ID: "t1", Hash: []byte{1}, Created: at(1)}))
		b.ok(b.store.PutSecretPillar(b.ctx(), "nginx", "1", json.RawMessage(`{}`)))
		b.prune(time.Now().Add(time.Hour), 10)
		_, err = b.store.TargetGroups().Get(b.ctx(), gaea.Ref{Name: "web"})
		b.ok(err)
		_, err = b.store.TokenByHash(b.ctx(), []byte{1})
		b.ok(err)
		p, err := b.store.SecretPillar(b.ctx(), "nginx", "1")
		b.ok(err)
		same(b, "the secret", string(p), `{}`)
	},
	"what was unsettled in a revision goes when there is a newer one": func(b *bench) {
		for _, revision := range []string{"r1", "r2"} {
			b.ok(b.store.PutUnsettled(b.ctx(), "nginx", revision, []string{"web1"}, []gaea.UnsettledState{{Minion: "web1", Label: "cmd.run a", Digest: "1"}}))
		}
		b.prune(time.Now().Add(time.Hour), 10)
		for revision, want := range map[string]int{"r1": 0, "r2": 1} {
			list, err := b.store.Unsettled(b.ctx(), "nginx", revision)
			b.ok(err)
			same(b, "how much is unsettled in "+revision, len(list), want)
		}
	},
}
