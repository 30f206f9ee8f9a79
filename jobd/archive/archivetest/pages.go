package archivetest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// lists are the lists that have pages, each as the texts of its items.
func (b *bench) lists() map[string]func(gaea.PageRequest) (gaea.Page[string], error) {
	return map[string]func(gaea.PageRequest) (gaea.Page[string], error){
		"jobs": listOf(func(p gaea.PageRequest) (gaea.Page[gaea.Job], error) {
			return b.store.Jobs(b.ctx(), gaea.JobFilter{}, p)
		},
			func(j gaea.Job) string { return j.JID }),
		"returns": listOf(func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
			return b.store.Returns(b.ctx(), gaea.JobFilter{}, p, true)
		}, func(r gaea.Return) string { return r.JID }),
		"events": listOf(func(p gaea.PageRequest) (gaea.Page[gaea.Event], error) {
			return b.store.Events(b.ctx(), gaea.EventFilter{}, p)
		},
			func(ev gaea.Event) string { return string(ev.Data) }),
		"runs": listOf(func(p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
			return b.store.ListRuns(b.ctx(), gaea.RunFilter{}, p)
		},
			func(r gaea.Run) string { return r.ID }),
	}
}

func listOf[T any](list func(gaea.PageRequest) (gaea.Page[T], error), name func(T) string) func(gaea.PageRequest) (gaea.Page[string], error) {
	return func(p gaea.PageRequest) (gaea.Page[string], error) {
		page, err := list(p)
		names := gaea.Page[string]{Next: page.Next}
		for _, item := range page.Items {
			names.Items = append(names.Items, name(item))
		}
		return names, err
	}
}

// add stores one of each thing that lists have: three in each second, so that times alone do not tell them apart.
func (b *bench) add(n int) {
	b.Helper()
	j, r := newJob(n, "web1"), newReturn(n, "web1")
	j.Started, r.Stamp = at(n/3), at(n/3)
	b.write(archive.Batch{
		Jobs: []gaea.Job{j}, Returns: []gaea.Return{r}, Events: []gaea.Event{{Tag: "t", Stamp: at(n / 3), Data: json.RawMessage(fmt.Sprint(n))}},
	})
	run := newRun(n)
	run.Created = at(n / 3)
	_, _, err := b.store.CreateRun(b.ctx(), run, "", "")
	b.ok(err)
}

var pageTests = map[string]func(*bench){
	"pages put together are the list, whatever their size": func(b *bench) {
		for n := range 20 {
			b.add(n)
		}
		for name, list := range b.lists() {
			whole := all(b, 1000, list)
			same(b, "the number of "+name, len(whole), 20)
			same(b, "the number of different "+name, len(slices.Compact(slices.Sorted(slices.Values(whole)))), 20)
			for _, limit := range []int{1, 2, 3, 7, 19, 20, 21} {
				same(b, fmt.Sprintf("%s in pages of %d", name, limit), all(b, limit, list), whole)
			}
		}
	},
	"pages stay right while more arrives": func(b *bench) {
		for n := range 20 {
			b.add(n)
		}
		more := 100
		for name, list := range b.lists() {
			before := all(b, 1000, list)
			got := all(b, 3, func(p gaea.PageRequest) (gaea.Page[string], error) {
				page, err := list(p)
				b.add(more)
				more++
				return page, err
			})
			same(b, name+" in pages while more arrived", got, before)
		}
	},
	"the last page says so, also when it is full": func(b *bench) {
		for n := range 4 {
			b.add(n)
		}
		for name, list := range b.lists() {
			first, err := list(gaea.PageRequest{Limit: 2})
			b.ok(err)
			second, err := list(gaea.PageRequest{Limit: 2, Cursor: first.Next})
			b.ok(err)
			same(b, "the cursor after the last of "+name, second.Next, "")
		}
	},
	"a cursor or limit that is none is refused": func(b *bench) {
		for n := range 3 {
			b.add(n)
		}
		lists := b.lists()
		jobs, err := lists["jobs"](gaea.PageRequest{Limit: 1})
		b.ok(err)
		for name, list := range lists {
			for _, p := range []gaea.PageRequest{{Cursor: "x"}, {Cursor: "eyJ2Ijo5fQ"}, {Limit: -1}, {Limit: 1001}} {
				_, err := list(p)
				b.code(err, gaea.CodeInvalid)
			}
			if name != "jobs" {
				_, err := list(gaea.PageRequest{Cursor: jobs.Next})
				b.code(err, gaea.CodeInvalid)
			}
		}
		_, err = b.store.TargetGroups().List(b.ctx(), gaea.PageRequest{Cursor: jobs.Next})
		b.code(err, gaea.CodeInvalid)
		_, err = b.store.States(b.ctx(), gaea.StateFilter{}, gaea.PageRequest{Cursor: jobs.Next})
		b.code(err, gaea.CodeInvalid)
	},
}
