package archivetest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// newRun is a run of two slices with a call that has a secret.
func newRun(n int) *gaea.Run {
	batch, err := gaea.ParseAmount("50%")
	if err != nil {
		panic(err) // the text is right
	}
	return &gaea.Run{
		ID: fmt.Sprintf("run-%06d", n), Master: salt, Kind: gaea.RunEnforce, Function: "state.apply", Args: json.RawMessage(`["motd",{"pillar":"<redacted>"}]`),
		Target: gaea.Target{Type: gaea.TargetGlob, Expr: "web*"}, Batch: gaea.Batch{Size: batch}, Timeouts: gaea.Timeouts{}.WithDefaults(),
		Assignment: "motd", Revision: "abc", Parent: "run-000", User: "ann", Status: gaea.RunRunning, Message: "é <b>", Created: at(n), Started: at(n + 1),
		Slices: []gaea.Slice{{Index: 0, JID: jid(n), Minions: []string{"web1", "web2"}, Started: at(n + 1)}, {Index: 1, Minions: []string{"web3"}}},
		Minions: map[string]gaea.RunMinion{
			"web1": {Outcome: gaea.OutcomeChanged, JID: jid(n), Retcode: new(0), At: at(n + 2)},
			"web2": {Outcome: gaea.OutcomePending, JID: jid(n)},
			"web3": {Outcome: gaea.OutcomePending, Slice: 1},
		},
		Counts:   map[gaea.Outcome]int{gaea.OutcomeChanged: 1, gaea.OutcomePending: 2},
		CheckRun: "run-9", CheckState: gaea.CheckPending, AllowEmpty: true,
		Call: &gaea.Call{
			Function: "state.apply", Args: []any{"motd", nil, true, 1.5, []any{"a"}},
			Kwargs: map[string]any{"pillar": map[string]any{"password": Secret}, "n": int64(3)},
		},
	}
}

// Secret is in the call of every run and every secret pillar of the suite: a store must not hold it in clear.
const Secret = "correct-horse-battery-staple"

func (b *bench) create(r *gaea.Run, key, digest string) (*gaea.Run, bool) {
	b.Helper()
	stored, created, err := b.store.CreateRun(b.ctx(), r, key, digest)
	b.ok(err)
	return stored, created
}

func (b *bench) run(id string) *gaea.Run {
	b.Helper()
	r, err := b.store.GetRun(b.ctx(), id)
	b.ok(err)
	return r
}

var runTests = map[string]func(*bench){
	"a run comes back as it went in, with its call": func(b *bench) {
		r := newRun(1)
		stored, created := b.create(r, "", "")
		same(b, "whether it was created", created, true)
		same(b, "the stored run", stored, newRun(1))
		same(b, "the run", b.run(r.ID), newRun(1))
		_, _, err := b.store.CreateRun(b.ctx(), newRun(1), "", "")
		b.code(err, gaea.CodeConflict)
		_, _, err = b.store.CreateRun(b.ctx(), &gaea.Run{}, "", "")
		b.code(err, gaea.CodeInvalid)
		_, err = b.store.GetRun(b.ctx(), "run-2")
		b.code(err, gaea.CodeNotFound)
	},
	"a run of nearly nothing comes back too": func(b *bench) {
		r := &gaea.Run{ID: "run-1", Created: at(1)}
		b.create(r, "", "")
		got := b.run("run-1")
		got.Minions, got.Counts = nil, nil
		same(b, "the run", got, r)
	},
	"numbers in a call stay what they are, whole ones as integers": func(b *bench) {
		r := newRun(1)
		r.Call.Args = []any{int64(1 << 60), uint64(1<<63 + 1), -7.0, json.Number("3"), 1.5, 1e300}
		b.create(r, "", "")
		same(b, "the arguments", b.run(r.ID).Call.Args, []any{int64(1 << 60), uint64(1<<63 + 1), int64(-7), int64(3), 1.5, 1e300})
	},
	"saving a run writes its head, its slices and the minions that are named": func(b *bench) {
		b.create(newRun(1), "", "")
		r := newRun(1)
		r.Status, r.Ended, r.Slices[0].Ended, r.Message = gaea.RunFailed, at(50), at(49), "done"
		r.Minions["web2"] = gaea.RunMinion{Outcome: gaea.OutcomeFailed, JID: jid(1), Retcode: new(2), Message: "why", Late: true, At: at(9)}
		r.Minions["web3"] = gaea.RunMinion{Outcome: gaea.OutcomeSkipped}
		r.Call = nil
		b.ok(b.store.SaveRun(b.ctx(), r, "web2"))
		want := newRun(1)
		want.Status, want.Ended, want.Slices[0].Ended, want.Message = r.Status, r.Ended, at(49), "done"
		want.Minions["web2"] = r.Minions["web2"]
		want.Counts = map[gaea.Outcome]int{gaea.OutcomeChanged: 1, gaea.OutcomeFailed: 1, gaea.OutcomePending: 1}
		same(b, "the run", b.run(r.ID), want)

		b.ok(b.store.SaveRun(b.ctx(), r)) // all of them now
		want.Minions, want.Counts = r.Minions, r.Tally()
		same(b, "the run with all minions saved", b.run(r.ID), want)
		b.code(b.store.SaveRun(b.ctx(), newRun(2)), gaea.CodeNotFound)
	},
	"a minion that left the run is gone when it is named, or all are": func(b *bench) {
		b.create(newRun(1), "", "")
		r := newRun(1)
		delete(r.Minions, "web1")
		delete(r.Minions, "web2")
		r.Slices = r.Slices[:1]
		r.Slices[0].Minions = []string{"web2"}
		b.ok(b.store.SaveRun(b.ctx(), r, "web1"))
		got := b.run(r.ID)
		same(b, "the number of minions", len(got.Minions), 2)
		same(b, "the slices", got.Slices, r.Slices)
		b.ok(b.store.SaveRun(b.ctx(), r))
		same(b, "the minions", b.run(r.ID).Minions, r.Minions)
	},
	"slices are saved whenever they changed": func(b *bench) {
		r := newRun(1)
		b.create(r, "", "")
		for i, change := range []func(){
			func() { r.Slices[1].JID = jid(2) },
			func() { r.Slices[1].Started = at(7) },
			func() { r.Slices[1].Minions[0] = "web4" },
			func() { r.Slices = append(r.Slices, gaea.Slice{Index: 2, Minions: []string{"web5"}}) },
			func() { r.Slices = r.Slices[:1] },
			func() { r.Slices = append(r.Slices, gaea.Slice{Index: 1, Minions: []string{"web6"}}) },
			func() { r.Slices[0].Ended = at(8) },
		} {
			change()
			b.ok(b.store.SaveRun(b.ctx(), r, "web1"))
			same(b, fmt.Sprintf("the slices after change %d", i), b.run(r.ID).Slices, r.Slices)
		}
	},
	"the same key makes the same run, for a day and a user": func(b *bench) {
		first, _ := b.create(newRun(1), "key", "digest")
		again, created := b.create(newRun(2), "key", "digest")
		same(b, "whether it was created", created, false)
		same(b, "the run", again, first)
		_, _, err := b.store.CreateRun(b.ctx(), newRun(3), "key", "another digest")
		b.code(err, gaea.CodeConflict)
		_, err = b.store.GetRun(b.ctx(), newRun(3).ID)
		b.code(err, gaea.CodeNotFound)

		others := newRun(4)
		others.User = "bob"
		_, created = b.create(others, "key", "digest")
		same(b, "whether another user's was created", created, true)
		_, created = b.create(newRun(5), "another key", "digest")
		same(b, "whether that of another key was created", created, true)
		late := newRun(6)
		late.Created = at(1).Add(24*time.Hour - time.Second)
		_, created = b.create(late, "key", "digest")
		same(b, "whether it was created within a day", created, false)
		late.Created = at(1).Add(24 * time.Hour)
		_, created = b.create(late, "key", "digest")
		same(b, "whether it was created after a day", created, true)
		again, created = b.create(newRun(7), "key", "digest")
		same(b, "whether it was created within the next day", created, false)
		same(b, "the run", again.ID, late.ID)
	},
	"a key that is forgotten makes another run, and the first one stays": func(b *bench) {
		first, _ := b.create(newRun(1), "key", "digest")
		b.create(newRun(2), "another key", "digest")
		b.ok(b.store.ForgetKey(b.ctx(), "bob", first.ID))
		_, created := b.create(newRun(3), "key", "digest")
		same(b, "whether it was created after another user forgot it", created, false)
		b.ok(b.store.ForgetKey(b.ctx(), first.User, first.ID))
		b.ok(b.store.ForgetKey(b.ctx(), first.User, first.ID))
		again, created := b.create(newRun(4), "key", "another digest")
		same(b, "whether it was created", created, true)
		same(b, "the run", again.ID, newRun(4).ID)
		same(b, "the first run", b.run(first.ID).ID, first.ID)
		_, created = b.create(newRun(5), "another key", "digest")
		same(b, "whether that of another key was created", created, false)
	},
	"runs are found by what a filter says": func(b *bench) {
		for n, change := range []func(*gaea.Run){
			func(*gaea.Run) {},
			func(r *gaea.Run) { r.Kind, r.Assignment = gaea.RunJob, "" },
			func(r *gaea.Run) { r.Status, r.User, r.CheckState = gaea.RunSucceeded, "bob", gaea.CheckDone },
			func(r *gaea.Run) { r.Status = gaea.RunSucceeded }, // its check is pending
			func(r *gaea.Run) { r.Status, r.CheckState, r.Assignment = gaea.RunQueued, "", "nginx" },
		} {
			r := newRun(n)
			change(r)
			b.create(r, "", "")
		}
		for _, row := range []struct {
			f    gaea.RunFilter
			want []int
		}{
			{gaea.RunFilter{}, []int{4, 3, 2, 1, 0}},
			{gaea.RunFilter{Status: gaea.RunSucceeded}, []int{3, 2}},
			{gaea.RunFilter{Kind: gaea.RunJob}, []int{1}},
			{gaea.RunFilter{Assignment: "motd"}, []int{3, 2, 0}},
			{gaea.RunFilter{User: "bob"}, []int{2}},
			{gaea.RunFilter{Active: true}, []int{4, 3, 1, 0}},
			{gaea.RunFilter{Active: true, Assignment: "motd"}, []int{3, 0}},
			{gaea.RunFilter{Since: at(1), Until: at(3)}, []int{2, 1}},
		} {
			page, err := b.store.ListRuns(b.ctx(), row.f, gaea.PageRequest{})
			b.ok(err)
			got := []string{}
			for _, r := range page.Items {
				got = append(got, r.ID)
				same(b, "the counts in a list", r.Counts, newRun(0).Counts)
				if r.Minions != nil || r.Call != nil || r.Slices != nil {
					b.Errorf("run %s names its minions, or what it calls, in a list", r.ID)
				}
			}
			want := []string{}
			for _, n := range row.want {
				want = append(want, newRun(n).ID)
			}
			same(b, fmt.Sprintf("what %+v finds", row.f), got, want)
		}
		r := newRun(0)
		r.Status, r.CheckState = gaea.RunCancelled, gaea.CheckFailed
		b.ok(b.store.SaveRun(b.ctx(), r))
		page, err := b.store.ListRuns(b.ctx(), gaea.RunFilter{Active: true}, gaea.PageRequest{})
		b.ok(err)
		same(b, "the number of active runs after one ended", len(page.Items), 3)
	},
}
