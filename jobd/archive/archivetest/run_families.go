package archivetest

import (
	"fmt"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// actionRun is a run that has ended, of another run's action.
func actionRun(n int, parent string) *gaea.Run {
	r := newRun(n)
	r.Kind, r.Parent, r.Assignment, r.CheckState, r.Status = gaea.RunForAction, parent, "", "", gaea.RunSucceeded
	return r
}

// endedRun is a run that somebody asked for, and that has ended.
func endedRun(n int) *gaea.Run {
	r := newRun(n)
	r.Kind, r.Parent, r.Assignment, r.CheckState, r.Status = gaea.RunJob, "", "", "", gaea.RunHalted
	return r
}

// runIDs lists the ids of the runs that a filter finds, turning small pages.
func (b *bench) runIDs(f gaea.RunFilter) []string {
	b.Helper()
	ids := []string{}
	for _, r := range all(b, 2, func(p gaea.PageRequest) (gaea.Page[gaea.Run], error) { return b.store.ListRuns(b.ctx(), f, p) }) {
		ids = append(ids, r.ID)
	}
	return ids
}

// idsOf are the ids of the runs of newRun with these numbers.
func idsOf(numbers ...int) []string {
	ids := []string{}
	for _, n := range numbers {
		ids = append(ids, newRun(n).ID)
	}
	return ids
}

var runFamilyTests = map[string]func(*bench){
	"runs are found by the run that they belong to or repeat, and without those of actions": func(b *bench) {
		first := endedRun(0).ID
		retried := endedRun(5)
		retried.RetryOf, retried.User = first, "bob"
		check := newRun(6) // belongs to a run, and is no action's
		check.Kind, check.Parent = gaea.RunCheck, first
		going := actionRun(7, endedRun(1).ID)
		going.Status = gaea.RunRunning
		for _, r := range []*gaea.Run{endedRun(0), endedRun(1), actionRun(2, first), actionRun(3, first), actionRun(4, endedRun(1).ID), retried, check, going} {
			b.create(r, "", "")
		}
		for _, row := range []struct {
			f    gaea.RunFilter
			want []string
		}{
			{gaea.RunFilter{}, idsOf(7, 6, 5, 4, 3, 2, 1, 0)},
			{gaea.RunFilter{Parent: first}, idsOf(6, 3, 2)},
			{gaea.RunFilter{Parent: first, NoActions: true}, idsOf(6)},
			{gaea.RunFilter{Parent: first, Kind: gaea.RunForAction}, idsOf(3, 2)},
			{gaea.RunFilter{Parent: "run-none"}, idsOf()},
			{gaea.RunFilter{RetryOf: first}, idsOf(5)},
			{gaea.RunFilter{RetryOf: "run-none"}, idsOf()},
			{gaea.RunFilter{NoActions: true}, idsOf(6, 5, 1, 0)},
			{gaea.RunFilter{NoActions: true, User: "bob"}, idsOf(5)},
			{gaea.RunFilter{NoActions: true, Since: at(1), Until: at(6)}, idsOf(5, 1)},
			{gaea.RunFilter{NoActions: true, Kind: gaea.RunForAction}, idsOf()},
			{gaea.RunFilter{NoActions: true, Active: true}, idsOf(6)},
			{gaea.RunFilter{Kind: gaea.RunForAction}, idsOf(7, 4, 3, 2)},
			{gaea.RunFilter{Kind: gaea.RunJob}, idsOf(5, 1, 0)},
			{gaea.RunFilter{Active: true}, idsOf(7, 6)},
		} {
			same(b, fmt.Sprintf("what %+v finds", row.f), b.runIDs(row.f), row.want)
		}
		r := b.run(retried.ID)
		r.Parent, r.RetryOf = endedRun(1).ID, ""
		b.ok(b.store.SaveRun(b.ctx(), r, "web1"))
		same(b, "the retries after one became none", b.runIDs(gaea.RunFilter{RetryOf: first}), idsOf())
		same(b, "the runs of its new parent", b.runIDs(gaea.RunFilter{Parent: endedRun(1).ID}), idsOf(7, 5, 4))
	},
	"a run is active until its status is final, whatever its kind": func(b *bench) {
		var active []int
		for n, status := range gaea.RunStatuses() {
			r := endedRun(n)
			r.Status = status
			if n%2 == 0 {
				r.Kind, r.Parent = gaea.RunForAction, "run-000000"
			}
			b.create(r, "", "")
			if !status.Final() {
				active = append([]int{n}, active...)
			}
		}
		same(b, "how many statuses are not final", len(active), 7)
		same(b, "the active runs", b.runIDs(gaea.RunFilter{Active: true}), idsOf(active...))
		for _, n := range active {
			r := b.run(newRun(n).ID)
			r.Status = gaea.RunHalted
			b.ok(b.store.SaveRun(b.ctx(), r, "web1"))
		}
		same(b, "the active runs after all were halted", b.runIDs(gaea.RunFilter{Active: true}), idsOf())
	},
	"a list counts the minions of a run in progress": func(b *bench) {
		r := ManyMinions(500, 100)
		b.create(r, "", "")
		saves := 0
		Play(r, func(minions []string) {
			b.ok(b.store.SaveRun(b.ctx(), r, minions...))
			if saves++; saves%7 == 0 {
				page, err := b.store.ListRuns(b.ctx(), gaea.RunFilter{}, gaea.PageRequest{})
				b.ok(err)
				same(b, "the counts", page.Items[0].Counts, r.Tally())
			}
		})
	},
	"the runs of a run's actions stay as long as it, and go with it": func(b *bench) {
		parent := newRun(3) // the newest of its assignment
		parent.Status, parent.CheckState = gaea.RunSucceeded, ""
		b.create(parent, "", "")
		old := endedRun(4)
		b.create(old, "", "")
		for n, of := range []*gaea.Run{parent, parent, old} {
			b.create(actionRun(10+n, of.ID), "", "")
		}
		late := actionRun(9000, old.ID) // newer than what is pruned, unlike its parent
		b.create(late, "", "")
		b.create(actionRun(5, "run-gone"), "", "")
		b.prune(at(1000), 1)
		same(b, "the runs", b.runIDs(gaea.RunFilter{}), idsOf(11, 10, 3))

		newer := newRun(20)
		newer.Status, newer.CheckState = gaea.RunSucceeded, ""
		b.create(newer, "", "")
		b.prune(at(1000), 100)
		same(b, "the runs after a newer one", b.runIDs(gaea.RunFilter{}), idsOf(20))
	},
	"a run stays while one of its actions' runs is active": func(b *bench) {
		b.create(endedRun(1), "", "")
		going := actionRun(2, endedRun(1).ID)
		going.Status = gaea.RunCancelling
		b.create(going, "", "")
		b.create(actionRun(3, endedRun(1).ID), "", "")
		same(b, "how much went", b.prune(at(1000), 10), 0)
		going.Status = gaea.RunCancelled
		b.ok(b.store.SaveRun(b.ctx(), going, "web1"))
		same(b, "how much went at the end", b.prune(at(1000), 10), 3)
	},
	"the jobs of an active run's actions stay": func(b *bench) {
		parent := endedRun(1)
		parent.Status = gaea.RunPaused
		b.create(parent, "", "")
		b.create(actionRun(2, parent.ID), "", "")
		check := newRun(3) // belongs to the run, but is no action's
		check.Kind, check.Parent, check.Assignment, check.Status, check.CheckState = gaea.RunCheck, parent.ID, "", gaea.RunSucceeded, ""
		b.create(check, "", "")
		for n := 2; n <= 3; n++ {
			j := newJob(n, "web1")
			j.RunID = newRun(n).ID
			b.writeJobs(j)
			b.writeReturns(newReturn(n, "web1"))
		}
		b.prune(at(1000), 10)
		same(b, "the jobs", b.jids(gaea.JobFilter{}), []string{jid(2)})
		parent.Status = gaea.RunSucceeded
		b.ok(b.store.SaveRun(b.ctx(), parent, "web1"))
		b.prune(at(1000), 10)
		same(b, "the jobs after the run", b.jids(gaea.JobFilter{}), []string{})
	},
	"a step of pruning is bounded also where a run has many actions": func(b *bench) {
		b.create(endedRun(0), "", "")
		for n := range 30 {
			b.create(actionRun(n+1, endedRun(0).ID), "", "")
		}
		n, err := b.store.Prune(b.ctx(), gaea.ExpireAll(at(1000)), 12) // each has three minions
		b.ok(err)
		same(b, "how many runs went", n, 3)
		b.run(endedRun(0).ID)
		same(b, "how many went later", b.prune(at(1000), 12), 28)
	},
}
