package archivetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

var jobTests = map[string]func(*bench){
	"a job comes back with how it stands for each minion": func(b *bench) {
		j := newJob(1, "web1", "web2", "web3")
		j.Missing, j.Metadata, j.RunID, j.StateKey, j.Test = []string{"web9"}, json.RawMessage(`{"gaea_run": "run-1"}`), "run-1", "key", true
		failed := newReturn(1, "web2")
		failed.Outcome, failed.Retcode, failed.Message = gaea.OutcomeFailed, new(3), "exit code 3"
		b.write(archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{newReturn(1, "web1"), failed, newReturn(1, "stray")}})
		want := j
		want.Master = salt
		want.Counts = map[gaea.Outcome]int{gaea.OutcomeSucceeded: 2, gaea.OutcomeFailed: 1, gaea.OutcomePending: 1}
		got := b.job(jid(1))
		same(b, "the job", got.Job, want)
		same(b, "the returns", got.Returns, map[string]gaea.ReturnHead{
			"web1":  {Outcome: gaea.OutcomeSucceeded, Retcode: new(0), Stamp: at(2)},
			"web2":  {Outcome: gaea.OutcomeFailed, Retcode: new(3), Message: "exit code 3", Stamp: at(2)},
			"web3":  {Outcome: gaea.OutcomePending},
			"stray": {Outcome: gaea.OutcomeSucceeded, Retcode: new(0), Stamp: at(2)},
		})
		page, err := b.store.Jobs(b.ctx(), gaea.JobFilter{}, gaea.PageRequest{})
		b.ok(err)
		same(b, "the list", page.Items, []gaea.Job{want})
		_, err = b.store.Job(b.ctx(), salt, jid(2))
		b.code(err, gaea.CodeNotFound)
		_, err = b.store.Job(b.ctx(), "other", jid(1))
		b.code(err, gaea.CodeNotFound)
	},
	"a job is found without its master's name, the newest of several": func(b *bench) {
		for i, master := range []string{"one", "two", "three"} {
			j := newJob(1, "web1")
			j.Started = at([]int{5, 9, 7}[i])
			b.ok(b.store.WriteBatch(b.ctx(), master, archive.Batch{Jobs: []gaea.Job{j}}))
		}
		got, err := b.store.Job(b.ctx(), "", jid(1))
		b.ok(err)
		same(b, "the master", got.Master, "two")
	},
	"returns without a publication make a job": func(b *bench) {
		late, early := newReturn(1, "web2"), newReturn(1, "web1")
		late.Stamp = at(9)
		late.Args = json.RawMessage(`["late"]`)
		for _, returns := range [][]gaea.Return{{late, early}, {early, late}} {
			store := b.open(b.T)
			b.ok(store.WriteBatch(b.ctx(), salt, archive.Batch{Returns: returns}))
			got, err := store.Job(b.ctx(), salt, jid(1))
			b.ok(err)
			same(b, "the job", got.Job, gaea.Job{
				Master: salt, JID: jid(1), Function: "test.ping", Args: json.RawMessage(`[]`), Minions: []string{}, Started: at(2), Source: gaea.SourceBus,
				Counts: map[gaea.Outcome]int{gaea.OutcomeSucceeded: 2},
			})
		}
	},
	"a publication that comes late makes the job known": func(b *bench) {
		r := newReturn(1, "web1")
		r.Metadata, r.RunID, r.StateKey = json.RawMessage(`{"gaea_run":"run-1"}`), "run-1", "key"
		j := newJob(1, "web1", "web2")
		want := j
		want.Master, want.Metadata, want.RunID, want.StateKey = salt, r.Metadata, r.RunID, r.StateKey
		want.Counts = map[gaea.Outcome]int{gaea.OutcomeSucceeded: 1, gaea.OutcomePending: 1}
		for _, batches := range [][]archive.Batch{
			{{Returns: []gaea.Return{r}}, {Jobs: []gaea.Job{j}}},
			{{Jobs: []gaea.Job{j}}, {Returns: []gaea.Return{r}}},
			{{Jobs: []gaea.Job{j}, Returns: []gaea.Return{r}}, {Jobs: []gaea.Job{j}, Returns: []gaea.Return{r}}},
		} {
			store := b.open(b.T)
			for _, batch := range batches {
				b.ok(store.WriteBatch(b.ctx(), salt, batch))
			}
			got, err := store.Job(b.ctx(), salt, jid(1))
			b.ok(err)
			same(b, "the job", got.Job, want)
			page, err := store.Jobs(b.ctx(), gaea.JobFilter{RunID: "run-1"}, gaea.PageRequest{})
			b.ok(err)
			same(b, "the number of jobs of the run", len(page.Items), 1)
		}
	},
	"a job that is published in parts is one, in whatever order": func(b *bench) {
		var parts []gaea.Job
		for i, m := range []string{"web3", "web1", "web2"} {
			j := newJob(1, m)
			j.Target, j.Started, j.Missing = gaea.Target{Type: gaea.TargetList, Minions: []string{m}}, at(i+1), []string{"gone" + m}
			parts = append(parts, j)
		}
		cached := newJob(1, "web1", "web2", "web3")
		cached.Source, cached.Started, cached.User = gaea.SourceCache, at(0), "cache"
		cached.Target = gaea.Target{Type: gaea.TargetList, Minions: []string{"web1", "web2", "web3"}}
		parts = append(parts, cached)
		for i := range parts {
			store := b.open(b.T)
			for k := range parts {
				b.ok(store.WriteBatch(b.ctx(), salt, archive.Batch{Jobs: []gaea.Job{parts[(i+k)%len(parts)]}}))
			}
			got, err := store.Job(b.ctx(), salt, jid(1))
			b.ok(err)
			web := []string{"web1", "web2", "web3"}
			same(b, "the job", got.Job, gaea.Job{
				Master: salt, JID: jid(1), Function: "test.ping", Args: json.RawMessage(`[]`), Target: gaea.Target{Type: gaea.TargetList, Minions: web},
				User: "root", Minions: web, Missing: []string{"goneweb1", "goneweb2", "goneweb3"}, Started: at(1), Source: gaea.SourceBus, Known: true,
				Counts: map[gaea.Outcome]int{gaea.OutcomePending: 3},
			})
			same(b, "who returned", slices.Sorted(maps.Keys(got.Returns)), web)
		}
	},
	"a publication that only adds its metadata and run changes nothing else": func(b *bench) {
		// Salt 3007 and later tell a job twice: with its minions, and once more, without them, with its metadata.
		told := newJob(1, "web1", "web2")
		told.Missing, told.Target = []string{"gone"}, gaea.ListTarget([]string{"gone", "web1", "web2"})
		again := told
		again.Minions, again.Missing = nil, nil
		again.Metadata, again.RunID, again.StateKey = json.RawMessage(`{"gaea_run":"run-1"}`), "run-1", "key"
		want := told
		want.Master, want.Metadata, want.RunID, want.StateKey = salt, again.Metadata, again.RunID, again.StateKey
		want.Counts = map[gaea.Outcome]int{gaea.OutcomePending: 2}
		for _, later := range []int{-1, 0, 1} { // by a stamp, or not
			again.Started = at(1 + later)
			want.Started = at(1 + min(later, 0))
			for _, order := range [][]gaea.Job{{told, again}, {again, told}, {told, again, told}} {
				for _, together := range []bool{true, false} {
					store := b.open(b.T)
					batches := []archive.Batch{{Jobs: order}}
					if !together {
						batches = nil
						for _, j := range order {
							batches = append(batches, archive.Batch{Jobs: []gaea.Job{j}})
						}
					}
					for _, batch := range batches {
						b.ok(store.WriteBatch(b.ctx(), salt, batch))
					}
					got, err := store.Job(b.ctx(), salt, jid(1))
					b.ok(err)
					same(b, "the job", got.Job, want)
					page, err := store.Jobs(b.ctx(), gaea.JobFilter{RunID: "run-1"}, gaea.PageRequest{})
					b.ok(err)
					same(b, "the number of jobs of the run", len(page.Items), 1)
				}
			}
		}
	},
	"jobs are found by what a filter says": func(b *bench) {
		ping := newJob(1, "web1", "web2")
		apply := newJob(2, "web1")
		apply.Function, apply.User, apply.RunID, apply.Target = "state.apply", "ann", "run-1", gaea.ListTarget([]string{"web1"})
		high := newJob(3, "db1")
		high.Function, high.Target = "state.highstate", gaea.Target{Type: gaea.TargetCompound, Expr: "G@role:db and not E@c.*"}
		list := newJob(4, "db1", "web1")
		list.Target = gaea.Target{Type: gaea.TargetList, Minions: []string{"web1", "db1"}}
		b.write(archive.Batch{Jobs: []gaea.Job{ping, apply, high, list}, Returns: []gaea.Return{
			newReturn(1, "web1"), stateReturn(2, "web1", "", gaea.OutcomeFailed), stateReturn(3, "db1", "", gaea.OutcomeInSync), newReturn(5, "call1"),
		}})
		other := newJob(6, "web1")
		b.ok(b.store.WriteBatch(b.ctx(), "other", archive.Batch{Jobs: []gaea.Job{other}}))
		for _, row := range []struct {
			f    gaea.JobFilter
			want []int
		}{
			{gaea.JobFilter{}, []int{6, 5, 4, 3, 2, 1}},
			{gaea.JobFilter{Master: "other"}, []int{6}},
			{gaea.JobFilter{Master: "none"}, nil},
			{gaea.JobFilter{Minion: "web2"}, []int{1}},
			{gaea.JobFilter{Minion: "web1"}, []int{6, 4, 2, 1}},
			{gaea.JobFilter{Minion: "call1"}, []int{5}},
			{gaea.JobFilter{Minion: "nobody"}, nil},
			{gaea.JobFilter{Function: "state.apply"}, []int{2}},
			{gaea.JobFilter{Function: "state.*"}, []int{3, 2}},
			{gaea.JobFilter{Function: "state.h*"}, []int{3}},
			{gaea.JobFilter{Function: "state.a"}, nil},
			{gaea.JobFilter{User: "ann"}, []int{2}},
			{gaea.JobFilter{RunID: "run-1"}, []int{2}},
			{gaea.JobFilter{Target: "*"}, []int{6, 1}},
			{gaea.JobFilter{Target: "G@role:db and not E@c.*"}, []int{3}},
			{gaea.JobFilter{Target: "web1"}, []int{2}},
			{gaea.JobFilter{Target: "db1,web1"}, []int{4}},
			{gaea.JobFilter{Target: "web1,db1"}, []int{4}},
			{gaea.JobFilter{Outcome: gaea.OutcomeFailed}, []int{2}},
			{gaea.JobFilter{Outcome: gaea.OutcomeInSync}, []int{3}},
			{gaea.JobFilter{Outcome: gaea.OutcomeSucceeded}, []int{5, 1}},
			{gaea.JobFilter{Outcome: gaea.OutcomeFailed, Since: at(3)}, nil},
			{gaea.JobFilter{Since: at(3)}, []int{6, 5, 4, 3}},
			{gaea.JobFilter{Until: at(3)}, []int{2, 1}},
			{gaea.JobFilter{Since: at(2), Until: at(4), Minion: "db1", Function: "state.*", User: "root", Outcome: gaea.OutcomeInSync}, []int{3}},
		} {
			want := []string{}
			for _, n := range row.want {
				want = append(want, jid(n))
			}
			same(b, fmt.Sprintf("what %+v finds", row.f), b.jids(row.f), want)
		}
		_, err := b.store.Jobs(b.ctx(), gaea.JobFilter{Outcome: "splendid"}, gaea.PageRequest{})
		b.code(err, gaea.CodeInvalid)
	},
	"what is stored is counted, and the last stamp known": func(b *bench) {
		last, err := b.store.LastStamp(b.ctx(), salt)
		b.ok(err)
		same(b, "the last stamp of nothing", last.IsZero(), true)
		b.write(archive.Batch{
			Jobs: []gaea.Job{newJob(1, "web1")}, Returns: []gaea.Return{newReturn(1, "web1"), newReturn(2, "web1")},
			Events: []gaea.Event{{Tag: "my/tag", Stamp: at(77), Data: json.RawMessage(`{}`)}},
		})
		b.writeReturns(newReturn(0, "web1"))
		last, err = b.store.LastStamp(b.ctx(), salt)
		b.ok(err)
		same(b, "the last stamp", last, at(77))
		stats, err := b.store.Stats(b.ctx())
		b.ok(err)
		if stats.Bytes <= 0 {
			b.Errorf("the archive takes %d bytes", stats.Bytes)
		}
		stats.Bytes = 0
		same(b, "what is counted", stats, archive.Stats{Jobs: 3, Returns: 3, Events: 1, Contents: 1})
		b.ok(b.store.Check(b.ctx()))
	},
}
