package archivetest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

func (b *bench) hold(req gaea.HoldRequest) *gaea.LegalHold {
	b.Helper()
	if req.Reason == "" {
		req.Reason = "case 4711"
	}
	h, err := b.store.Hold(b.ctx(), req, "ann")
	b.ok(err)
	return h
}

func (b *bench) release(h *gaea.LegalHold) {
	b.Helper()
	_, err := b.store.ReleaseHold(b.ctx(), h.ID, "bob", "case closed")
	b.ok(err)
}

// heldReturn is a return whose body no other has.
func heldReturn(n int, minion string) gaea.Return {
	return StateReturn(jid(n), minion, 2, 1000+n, n, at(n))
}

var holdTests = map[string]func(*bench){
	"a job that is held stays with its returns and their bodies, and goes when it is released": func(b *bench) {
		for n := range 6 {
			b.write(archive.Batch{Jobs: []gaea.Job{newJob(n, "web1", "web2")}, Returns: []gaea.Return{heldReturn(n, "web1"), heldReturn(n, "web2")}})
		}
		before := []*gaea.Return{b.ret(jid(2), "web1"), b.ret(jid(2), "web2")}
		detail := b.job(jid(2))
		h := b.hold(gaea.HoldRequest{JID: jid(2), Master: salt})
		same(b, "the master of the hold", h.Master, salt)
		for _, until := range []time.Time{at(4), at(1000), time.Now().Add(-time.Hour)} { // by seconds and by whole days
			b.prune(until, 3)
			same(b, "the returns of the job", []*gaea.Return{b.ret(jid(2), "web1"), b.ret(jid(2), "web2")}, before)
			same(b, "the job", b.job(jid(2)), detail)
		}
		same(b, "the jobs", b.jids(gaea.JobFilter{}), []string{jid(2)})
		same(b, "how much is left", snapshot(b, b.store, salt).Stats, archive.Stats{Jobs: 1, Returns: 2, Contents: 2})
		b.release(h)
		b.prune(time.Now().Add(-time.Hour), 3)
		same(b, "the jobs after the release", b.jids(gaea.JobFilter{}), []string{})
		same(b, "how much is left then", snapshot(b, b.store, salt).Stats, archive.Stats{})
	},
	"the jobs that belong to a job that is held stay": func(b *bench) {
		child, stranger := newJob(2, "web1"), newJob(3, "web1")
		child.Parent = jid(1)
		b.write(archive.Batch{Jobs: []gaea.Job{newJob(1, "web1"), child, stranger}, Returns: []gaea.Return{newReturn(2, "web1"), newReturn(3, "web1")}})
		b.hold(gaea.HoldRequest{JID: jid(1), Master: salt})
		b.prune(at(1000), 100)
		same(b, "the jobs", b.jids(gaea.JobFilter{}), []string{jid(2), jid(1)})
		b.ret(jid(2), "web1")
	},
	"a run that is held stays with the runs of its actions, their jobs and returns": func(b *bench) {
		run, action, other := newRun(1), newRun(2), newRun(3)
		for _, r := range []*gaea.Run{run, action, other} {
			r.Status, r.CheckState, r.Assignment = gaea.RunSucceeded, "", ""
		}
		run.Kind, other.Kind, action.Kind, action.Parent = gaea.RunJob, gaea.RunJob, gaea.RunForAction, run.ID
		for n, r := range []*gaea.Run{run, action, other} {
			b.create(r, fmt.Sprint(n), "digest")
			j := newJob(n+1, "web1")
			j.RunID = r.ID
			b.write(archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{heldReturn(n+1, "web1")}})
		}
		h := b.hold(gaea.HoldRequest{RunID: run.ID})
		b.prune(at(100_000), 2)
		same(b, "the jobs", b.jids(gaea.JobFilter{}), []string{jid(2), jid(1)})
		b.ret(jid(2), "web1")
		same(b, "the minions of the run", len(b.run(run.ID).Minions), 3)
		b.run(action.ID)
		_, err := b.store.GetRun(b.ctx(), other.ID)
		b.code(err, gaea.CodeNotFound)
		b.release(h)
		h = b.hold(gaea.HoldRequest{RunID: action.ID})
		b.prune(at(100_000), 2)
		same(b, "the jobs of the action alone", b.jids(gaea.JobFilter{}), []string{jid(2)})
		b.run(run.ID) // what an action belongs to stays with it
		b.release(h)
		b.prune(at(100_000), 2)
		same(b, "the jobs in the end", b.jids(gaea.JobFilter{}), []string{})
		_, err = b.store.GetRun(b.ctx(), run.ID)
		b.code(err, gaea.CodeNotFound)
	},
	"what a run that is held began is held with it, however far down: retries, checks, actions, child jobs, and the small jobs for them": func(b *bench) {
		run, retry, check, action, stranger := endedRun(1), endedRun(2), endedRun(3), endedRun(4), endedRun(5)
		retry.RetryOf = run.ID
		check.Kind, check.Parent = gaea.RunCheck, retry.ID
		action.Kind, action.Parent = gaea.RunForAction, retry.ID
		runs := []*gaea.Run{run, retry, check, action, stranger}
		write := func(n int, set func(j *gaea.Job)) {
			j := newJob(n, "web1")
			set(&j)
			b.write(archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{heldReturn(n, "web1")}})
		}
		forRun := func(id string) json.RawMessage {
			return json.RawMessage(`{"gaea_for":"` + id + `","gaea_purpose":"kill"}`)
		}
		for i, r := range runs {
			b.create(r, fmt.Sprint(i), "digest")
			n := 10 * (i + 1)
			write(n, func(j *gaea.Job) { j.RunID = r.ID })
			write(n+1, func(j *gaea.Job) { j.Parent, j.Origin = jid(n), gaea.OriginOrchestration })
			write(n+2, func(j *gaea.Job) { j.Parent = jid(n + 1) })
			write(n+3, func(j *gaea.Job) { j.Function, j.Metadata = "saltutil.find_job", forRun(r.ID) })
		}
		h := b.hold(gaea.HoldRequest{RunID: run.ID})
		kept := []string{}
		for n := 40; n > 0; n -= 10 {
			kept = append(kept, jid(n+3), jid(n+2), jid(n+1), jid(n))
		}
		for _, until := range []time.Time{at(100_000), time.Now().Add(-time.Hour)} { // by seconds and by whole days
			b.prune(until, 3)
			same(b, "the jobs", b.jids(gaea.JobFilter{}), kept)
			same(b, "the runs", b.runIDs(gaea.RunFilter{}), idsOf(4, 3, 2, 1))
		}
		b.ret(jid(42), "web1")
		b.release(h)
		h = b.hold(gaea.HoldRequest{RunID: retry.ID}) // what it repeats is another run
		b.prune(time.Now().Add(-time.Hour), 3)
		same(b, "the jobs of the retry", b.jids(gaea.JobFilter{}), kept[:12])
		same(b, "the runs of the retry", b.runIDs(gaea.RunFilter{}), idsOf(4, 3, 2))
		b.release(h)
		b.prune(time.Now().Add(-time.Hour), 3)
		same(b, "the jobs in the end", b.jids(gaea.JobFilter{}), []string{})
	},
	"what is held stays, with what belongs to it, also where the oldest is deleted day by day until nothing is left": func(b *bench) {
		const day = 24 * 3600
		run, action := endedRun(1), endedRun(2)
		run.Kind, action.Kind, action.Parent = gaea.RunJob, gaea.RunForAction, run.ID
		write := func(n int, set func(j *gaea.Job)) {
			j := newJob(n, "web1")
			set(&j)
			b.write(archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{heldReturn(n, "web1")}})
		}
		b.create(run, "1", "digest")
		b.create(action, "2", "digest")
		write(0, func(*gaea.Job) {})
		write(1, func(j *gaea.Job) { j.RunID = run.ID })
		write(day, func(j *gaea.Job) { j.Parent, j.Origin = jid(1), gaea.OriginOrchestration }) // later than what holds it
		write(2*day, func(j *gaea.Job) { j.RunID = action.ID })
		write(2*day+1, func(*gaea.Job) {})
		write(3*day, func(j *gaea.Job) { j.Parent = jid(2 * day) })
		oldestFirst := func() { // as retention does while there is more than max_size
			b.Helper()
			for cut := (time.Time{}); ; {
				oldest, err := b.store.Oldest(b.ctx(), cut)
				b.ok(err)
				if oldest.IsZero() {
					return
				}
				cut = oldest.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
				b.expire(gaea.ExpireAll(cut), 2)
			}
		}
		h := b.hold(gaea.HoldRequest{RunID: run.ID})
		oldestFirst()
		same(b, "the jobs", b.jids(gaea.JobFilter{}), []string{jid(3 * day), jid(2 * day), jid(day), jid(1)})
		same(b, "the runs", b.runIDs(gaea.RunFilter{}), idsOf(2, 1))
		for _, n := range []int{1, day, 2 * day, 3 * day} {
			b.ret(jid(n), "web1")
		}
		b.release(h)
		oldestFirst()
		same(b, "the jobs in the end", b.jids(gaea.JobFilter{}), []string{})
		same(b, "the runs in the end", b.runIDs(gaea.RunFilter{}), []string{})
	},
	"the jobs of a job that is held are held however far down": func(b *bench) {
		for n := 1; n < 5; n++ {
			j := newJob(n, "web1")
			if n > 1 {
				j.Parent = jid(n - 1)
			}
			b.writeJobs(j)
		}
		other := newJob(9, "web1") // another master's, with the same parent's id
		other.Parent = jid(2)
		b.ok(b.store.WriteBatch(b.ctx(), "elsewhere", archive.Batch{Jobs: []gaea.Job{other}}))
		b.hold(gaea.HoldRequest{JID: jid(2), Master: salt})
		b.prune(at(1000), 1)
		same(b, "the jobs", b.jids(gaea.JobFilter{}), []string{jid(4), jid(3), jid(2)})
	},
	"a hold says who held what, when and why, also after it was released": func(b *bench) {
		b.writeJobs(newJob(1, "web1"))
		one := b.hold(gaea.HoldRequest{JID: jid(1), Reason: "case 1 \x00 'quoted'"})
		two := b.hold(gaea.HoldRequest{JID: jid(1), Reason: "case 2"})
		if one.Holder != "ann" || one.Created.IsZero() || one.Reason != "case 1 \x00 'quoted'" {
			b.Errorf("the hold is %+v", one)
		}
		released, err := b.store.ReleaseHold(b.ctx(), one.ID, "bob", "case closed")
		b.ok(err)
		if released.Releaser != "bob" || released.ReleaseReason != "case closed" || released.Released.IsZero() || released.Reason != one.Reason {
			b.Errorf("the released hold is %+v", released)
		}
		again, err := b.store.ReleaseHold(b.ctx(), one.ID, "eve", "another word")
		b.ok(err)
		same(b, "the hold when it is released again", again, released)
		list, err := b.store.Holds(b.ctx(), false)
		b.ok(err)
		same(b, "the holds", list, []gaea.LegalHold{*two})
		list, err = b.store.Holds(b.ctx(), true)
		b.ok(err)
		same(b, "how many holds there were", len(list), 2)
		b.prune(at(1000), 10)
		b.job(jid(1)) // the other hold is still there
	},
	"what is not there, or names nothing or no reason, cannot be held": func(b *bench) {
		for _, row := range []struct {
			req  gaea.HoldRequest
			code gaea.Code
		}{
			{gaea.HoldRequest{JID: jid(1), Reason: "r"}, gaea.CodeNotFound}, {gaea.HoldRequest{RunID: "run-1", Reason: "r"}, gaea.CodeNotFound},
			{gaea.HoldRequest{Reason: "r"}, gaea.CodeInvalid}, {gaea.HoldRequest{JID: jid(1), RunID: "run-1", Reason: "r"}, gaea.CodeInvalid},
			{gaea.HoldRequest{JID: jid(1), Reason: " "}, gaea.CodeInvalid},
		} {
			_, err := b.store.Hold(b.ctx(), row.req, "ann")
			b.code(err, row.code)
		}
		_, err := b.store.ReleaseHold(b.ctx(), "hold-none", "ann", "r")
		b.code(err, gaea.CodeNotFound)
		_, err = b.store.ReleaseHold(b.ctx(), "hold-none", "ann", "")
		b.code(err, gaea.CodeInvalid)
		list, err := b.store.Holds(b.ctx(), true)
		b.ok(err)
		same(b, "the holds", list, []gaea.LegalHold{})
	},
	"each kind expires by itself": func(b *bench) {
		for n := range 4 {
			r := newRun(n)
			r.Status, r.CheckState, r.Assignment, r.Kind = gaea.RunSucceeded, "", "", gaea.RunJob
			b.create(r, fmt.Sprint(n), "digest")
			b.write(archive.Batch{
				Jobs: []gaea.Job{newJob(n, "web1")}, Returns: []gaea.Return{heldReturn(n, "web1")},
				Events: []gaea.Event{{Tag: "t", Stamp: at(n), Data: json.RawMessage(fmt.Sprint(n))}},
			})
		}
		left := func() [3]int {
			b.Helper()
			runs := all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
				return b.store.ListRuns(b.ctx(), gaea.RunFilter{}, p)
			})
			st, err := b.store.Stats(b.ctx())
			b.ok(err)
			return [3]int{int(st.Returns), int(st.Events), len(runs)}
		}
		since := func(n int) time.Time { return at(n) }
		horizon, err := b.store.Horizon(b.ctx())
		b.ok(err)
		same(b, "the horizon at first", horizon, time.Time{})
		same(b, "how much has no expiry", b.expire(gaea.Expiry{}, 10), 0)
		b.expire(gaea.Expiry{Events: since(3)}, 2)
		same(b, "returns, events and runs after events expired", left(), [3]int{4, 1, 4})
		b.expire(gaea.Expiry{Returns: since(2)}, 2)
		same(b, "after returns expired", left(), [3]int{2, 1, 4})
		b.expire(gaea.Expiry{Runs: newRun(1).Created}, 2)
		same(b, "after runs expired", left(), [3]int{2, 1, 3})
		day := time.Now().UTC().Truncate(24 * time.Hour)
		b.expire(gaea.Expiry{Events: day}, 2) // whole days
		same(b, "after days of events expired", left(), [3]int{2, 0, 3})
		b.write(archive.Batch{Events: []gaea.Event{{Tag: "t", Stamp: at(9), Data: json.RawMessage(`1`)}}})
		b.expire(gaea.Expiry{Returns: day}, 2)
		same(b, "after days of returns expired", left(), [3]int{0, 1, 3})
		horizon, err = b.store.Horizon(b.ctx())
		b.ok(err)
		same(b, "the horizon", horizon, day)
		b.write(archive.Batch{Jobs: []gaea.Job{newJob(7, "web1")}, Returns: []gaea.Return{heldReturn(7, "web1")}})
		b.ret(jid(7), "web1") // its day has partitions again
	},
	"how long things took, and what runs, goes with the days of the returns and with no other kind": func(b *bench) {
		const day = 24 * 3600
		for n := range 3 {
			r := runOf(n*day, "web1", "nginx", state{fmt.Sprintf("/%d", n), gaea.OutcomeChanged, 500})
			b.write(archive.Batch{Jobs: []gaea.Job{publishedAs(n*day, "ann", r, "web1", "web2")}, Returns: []gaea.Return{r}})
		}
		told := func() [4]int {
			b.Helper()
			slow, err := b.store.SlowStates(b.ctx(), gaea.SlowStateFilter{}, gaea.PageRequest{})
			b.ok(err)
			runs, err := b.store.RunDurations(b.ctx(), gaea.RunDurationFilter{Applied: "nginx"}, gaea.PageRequest{})
			b.ok(err)
			changes, err := b.store.Changes(b.ctx(), gaea.StateFilter{SLS: "nginx"}, gaea.PageRequest{})
			b.ok(err)
			return [4]int{len(slow.Items), len(runs.Items), len(changes.Items), len(b.jids(gaea.JobFilter{Running: true}))}
		}
		same(b, "what is told at first", told(), [4]int{3, 3, 3, 3})
		b.expire(gaea.Expiry{Events: time.Now(), Runs: time.Now()}, 1)
		same(b, "what is told after events and runs went", told(), [4]int{3, 3, 3, 3})
		h := b.hold(gaea.HoldRequest{JID: jid(0)})
		b.expire(gaea.Expiry{Returns: noon.Truncate(day * time.Second).Add(day * time.Second), Runs: noon.Add(-day * time.Second)}, 1)
		same(b, "what is told after a day went, of which a job is held", told(), [4]int{2, 2, 3, 3})
		b.expire(gaea.Expiry{Returns: at(day + 100)}, 1)
		same(b, "what is told after half a day went", told(), [4]int{2, 2, 2, 2})
		b.release(h)
		b.expire(gaea.Expiry{Returns: at(9 * day)}, 1)
		same(b, "what is told when all went", told(), [4]int{})
		states, err := b.store.States(b.ctx(), gaea.StateFilter{}, gaea.PageRequest{})
		b.ok(err)
		same(b, "the states then", len(states.Items), 0)
	},
	"what was counted of a word about a return goes when the return comes, and again changes nothing": func(b *bench) {
		word := newReturn(1, "web1")
		word.Outcome, word.Body = gaea.OutcomeNoReturn, json.RawMessage(`"no answer"`)
		r := heldReturn(1, "web1")
		b.write(archive.Batch{Jobs: []gaea.Job{newJob(1, "web1")}, Returns: []gaea.Return{word}})
		for range 2 {
			b.writeReturns(word, r, r, word)
			b.writeReturns(r)
		}
		u, kinds := b.usage()
		same(b, "the bytes as they came", u.RawBytes, int64(len(r.Body)))
		same(b, "the bodies", kinds[gaea.KindContents].Rows, 1)
		same(b, "what runs", b.jids(gaea.JobFilter{Running: true}), []string{})
		b.prune(at(1000), 10)
		u, kinds = b.usage()
		same(b, "the bytes in the end", u.RawBytes, 0)
		same(b, "the bodies in the end", kinds[gaea.KindContents].Rows, 0)
	},
}
