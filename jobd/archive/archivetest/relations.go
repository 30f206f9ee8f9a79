package archivetest

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// orchestration is the first job of a test, of a runner, with its return a second later.
func orchestration() archive.Batch {
	j := newJob(1, "vm_master")
	j.Function, j.Origin, j.Target = "runner.state.orchestrate", gaea.OriginOrchestration, gaea.ListTarget([]string{"vm_master"})
	r := newReturn(1, "vm_master")
	r.Function, r.Origin, r.Outcome = j.Function, j.Origin, gaea.OutcomeChanged
	return archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{r}}
}

// tie says that a job belongs to another, and nothing else of it.
func tie(n, parent int) gaea.Job {
	return gaea.Job{JID: jid(n), Parent: jid(parent), Started: at(parent + 1), Source: gaea.SourceBus}
}

var relationTests = map[string]func(*bench){
	"the jobs of an orchestration are shown with it, whichever comes first": func(b *bench) {
		parent := orchestration()
		first, second, stranger := newJob(2, "web1"), newJob(3, "web1", "web2"), newJob(4, "web1")
		first.Origin, second.Origin, stranger.Origin = gaea.OriginPublish, gaea.OriginPublish, gaea.OriginPublish
		failed := newReturn(3, "web2")
		failed.Outcome = gaea.OutcomeFailed
		parts := []archive.Batch{
			parent,
			{Jobs: []gaea.Job{first, second, stranger}, Returns: []gaea.Return{newReturn(2, "web1"), failed}},
			{Jobs: []gaea.Job{tie(2, 1), tie(3, 1), tie(9, 1)}},
		}
		for i := range parts {
			store := b.open(b.T)
			for k := range parts {
				for range 2 {
					b.ok(store.WriteBatch(b.ctx(), salt, parts[(i+k)%len(parts)]))
				}
			}
			first.Master, second.Master, first.Parent, second.Parent = salt, salt, jid(1), jid(1)
			first.Counts = map[gaea.Outcome]int{gaea.OutcomeSucceeded: 1}
			second.Counts = map[gaea.Outcome]int{gaea.OutcomeFailed: 1, gaea.OutcomePending: 1}
			got, err := store.Job(b.ctx(), salt, jid(1))
			b.ok(err)
			same(b, "the children", got.Children, []gaea.Job{first, second})
			same(b, "the origin", got.Origin, gaea.OriginOrchestration)
			same(b, "how the master stands", got.Returns["vm_master"].Outcome, gaea.OutcomeChanged)
			child, err := store.Job(b.ctx(), salt, jid(3))
			b.ok(err)
			same(b, "the child's parent", child.Parent, jid(1))
			page, err := store.Jobs(b.ctx(), gaea.JobFilter{Parent: jid(1)}, gaea.PageRequest{})
			b.ok(err)
			same(b, "the list of its children", page.Items, []gaea.Job{second, first})
			returns, err := store.Returns(b.ctx(), gaea.JobFilter{Parent: jid(1)}, gaea.PageRequest{}, false)
			b.ok(err)
			same(b, "how many returns its children have", len(returns.Items), 2)
			_, err = store.Job(b.ctx(), salt, jid(9)) // it was never seen
			b.code(err, gaea.CodeNotFound)
		}
	},
	"the parents of one master's jobs are not another's": func(b *bench) {
		b.write(orchestration())
		b.ok(b.store.WriteBatch(b.ctx(), "other", archive.Batch{Jobs: []gaea.Job{newJob(2, "web1"), tie(2, 1)}}))
		same(b, "the children", len(b.job(jid(1)).Children), 0)
		stranger, err := b.store.Job(b.ctx(), "other", jid(2))
		b.ok(err)
		same(b, "the parent", stranger.Parent, jid(1))
	},
	"an orchestration within another is the nearer parent of its jobs": func(b *bench) {
		for _, ties := range [][]gaea.Job{{tie(3, 1), tie(3, 2)}, {tie(3, 2), tie(3, 1)}} {
			store := b.open(b.T)
			b.ok(store.WriteBatch(b.ctx(), salt, archive.Batch{Jobs: append([]gaea.Job{newJob(3, "web1")}, ties...)}))
			got, err := store.Job(b.ctx(), salt, jid(3))
			b.ok(err)
			same(b, "the parent", got.Parent, jid(2))
		}
	},
	"what a minion did by itself says how": func(b *bench) {
		called, scheduled := newReturn(1, "web1"), newReturn(2, "web1")
		called.Origin = gaea.OriginSaltCall
		scheduled.Origin, scheduled.Schedule = gaea.OriginSchedule, "nightly"
		b.writeReturns(called, scheduled)
		same(b, "salt-call", b.job(jid(1)).Origin, gaea.OriginSaltCall)
		got := b.job(jid(2))
		same(b, "the schedule", []string{string(got.Origin), got.Schedule}, []string{"schedule", "nightly"})
		same(b, "that nobody published it", got.Known, false)
	},
	"an origin that is learnt later is kept, and a publication's is the one that counts": func(b *bench) {
		old, told, own := newJob(1, "web1"), newJob(1, "web1"), newReturn(2, "web1")
		told.Origin = gaea.OriginPublish
		own.Origin = gaea.OriginSaltCall
		b.write(archive.Batch{Jobs: []gaea.Job{old}})
		same(b, "the origin of a job from before", b.job(jid(1)).Origin, "")
		b.write(archive.Batch{Jobs: []gaea.Job{told}})
		same(b, "the origin", b.job(jid(1)).Origin, gaea.OriginPublish)
		published := newJob(2, "web1")
		published.Origin = gaea.OriginPublish
		b.write(archive.Batch{Jobs: []gaea.Job{published}, Returns: []gaea.Return{own}})
		same(b, "the origin of a publication", b.job(jid(2)).Origin, gaea.OriginPublish)
	},
	"a batch of Salt's own says how it stands, and whom it never told": func(b *bench) {
		account := func(status gaea.JobBatchStatus, seconds, done, waiting int, untold ...string) gaea.Job {
			return gaea.Job{JID: jid(1), Started: at(seconds), Source: gaea.SourceBus, Batch: &gaea.JobBatch{
				Status: status, Driver: "cli", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Size: 1, Minions: 3, Done: done, Waiting: waiting,
				Untold: untold, Stamp: at(seconds),
			}}
		}
		slice := newJob(1, "web1")
		slice.Target, slice.Origin = gaea.ListTarget([]string{"web1"}), gaea.OriginPublish
		failed := newReturn(1, "web1")
		failed.Outcome = gaea.OutcomeFailed
		begun, halted := account(gaea.JobBatchRunning, 1, 0, 3, "web1", "web2", "web3"), account(gaea.JobBatchHalted, 3, 1, 2, "web2", "web3")
		halted.Batch.Reason = "failhard"
		b.write(archive.Batch{Jobs: []gaea.Job{begun}})
		_, err := b.store.Job(b.ctx(), salt, jid(1)) // an account of it is no job
		b.code(err, gaea.CodeNotFound)
		b.write(archive.Batch{Jobs: []gaea.Job{slice}})
		got := b.job(jid(1))
		same(b, "how it stands", *got.Batch, *begun.Batch)
		same(b, "the origin", got.Origin, gaea.OriginBatch)
		same(b, "the counts", got.Counts, map[gaea.Outcome]int{gaea.OutcomePending: 3})
		same(b, "how many minions there are", len(got.Returns), 3)
		for range 2 {
			b.write(archive.Batch{Jobs: []gaea.Job{halted, begun}, Returns: []gaea.Return{failed}})
		}
		got = b.job(jid(1))
		same(b, "how it ended", *got.Batch, *halted.Batch)
		same(b, "the counts at its end", got.Counts, map[gaea.Outcome]int{gaea.OutcomeFailed: 1, gaea.OutcomeSkipped: 2})
		same(b, "one that was never told", got.Returns["web3"], gaea.ReturnHead{Outcome: gaea.OutcomeSkipped})
		same(b, "whom the master expects", got.Minions, []string{"web1"})
		page, err := b.store.Jobs(b.ctx(), gaea.JobFilter{}, gaea.PageRequest{})
		b.ok(err)
		same(b, "the list", page.Items, []gaea.Job{got.Job})
	},
	"a job has no more children than are shown at once, and the list has them all": func(b *bench) {
		batch := orchestration()
		for n := range gaea.MaxChildren + 5 {
			batch.Jobs = append(batch.Jobs, newJob(n+2, "web1"), tie(n+2, 1))
		}
		b.write(batch)
		got := b.job(jid(1))
		same(b, "how many are shown", len(got.Children), gaea.MaxChildren)
		same(b, "the first", got.Children[0].JID, jid(2))
		page, err := b.store.Jobs(b.ctx(), gaea.JobFilter{Parent: jid(1)}, gaea.PageRequest{Limit: 1000})
		b.ok(err)
		same(b, "how many there are", len(page.Items), gaea.MaxChildren+5)
	},
	"what is known of a job goes with it, and alone when it is old": func(b *bench) {
		b.write(orchestration())
		b.write(archive.Batch{Jobs: []gaea.Job{newJob(2, "web1"), tie(2, 1), tie(9, 1)}})
		for {
			n, err := b.store.Prune(b.ctx(), gaea.ExpireAll(at(0).Add(time.Hour)), 100)
			b.ok(err)
			if n == 0 {
				break
			}
		}
		b.write(archive.Batch{Jobs: []gaea.Job{newJob(2, "web1"), newJob(9, "web1")}}) // as from the job cache
		same(b, "what is left of their parent", []string{b.job(jid(2)).Parent, b.job(jid(9)).Parent}, []string{"", ""})
	},
	"the states of an orchestration are its steps": func(b *bench) {
		for _, version := range SaltVersions() {
			for _, r := range CapturedReturns(b, version) {
				if r.Origin != gaea.OriginOrchestration {
					continue
				}
				b.writeReturns(r)
				got, err := b.store.Return(b.ctx(), salt, r.JID, r.Minion)
				b.ok(err)
				same(b, "how many steps it took", len(got.States), 2)
				same(b, "a step", got.States[0].ID, "ping")
				if !json.Valid(got.Body) || !slices.Equal(got.Body, r.Body) {
					b.Errorf("the body is %s", got.Body)
				}
			}
		}
	},
	"an origin that is none is refused": func(b *bench) {
		j := newJob(1, "web1")
		j.Origin = "thin air"
		b.code(b.store.WriteBatch(b.ctx(), salt, archive.Batch{Jobs: []gaea.Job{j}}), gaea.CodeInvalid)
	},
}
