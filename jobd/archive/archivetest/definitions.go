package archivetest

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func group(name, expr string) gaea.TargetGroup {
	return gaea.TargetGroup{Name: name, Target: gaea.Target{Type: gaea.TargetCompound, Expr: expr}}
}

// versions writes versions as texts: number, what it says, owner, author, whether it was deleted.
func versions(list []gaea.Version[gaea.TargetGroup]) []string {
	got := []string{}
	for _, v := range list {
		s := fmt.Sprintf("%d %s %s %s", v.Number, v.Definition.Target.Expr, v.Owner, v.Author)
		if v.Deleted {
			s += " deleted"
		}
		got = append(got, s)
	}
	return got
}

var definitionTests = map[string]func(*bench){
	"each kind of definition comes back as it went in": func(b *bench) {
		batch, err := gaea.ParseAmount("10%")
		b.ok(err)
		template := gaea.JobTemplate{
			Name: "rolling", Description: "a <b> & é", Function: "cmd.run", Args: []any{"x", json.Number("12345678901234567890"), json.Number("1.0"), nil}, Kwargs: map[string]any{"b": true, "a": map[string]any{"z": "\u2028"}},
			Batch: gaea.Batch{Size: batch}, Timeouts: gaea.Timeouts{Job: gaea.Duration(90e9)},
		}
		tv, err := b.store.JobTemplates().Put(b.ctx(), template, "ann")
		b.ok(err)
		same(b, "the template", tv.Definition, template)
		same(b, "its ref", tv.Ref, gaea.RefOf(template))
		assignment := gaea.Assignment{
			Name: "motd", TargetGroup: "web", JobTemplate: tv.Ref, States: []string{"motd"}, Pillar: json.RawMessage(`{"a":"<b>","z":[1,12345678901234567890]}`),
			SecretVersion: "1", Remediate: true, DriftCheck: gaea.DriftCheck{Ignore: []string{"cmd.run:*"}},
		}
		av, err := b.store.Assignments().Put(b.ctx(), assignment, "ann")
		b.ok(err)
		same(b, "the assignment", av.Definition, assignment)
		same(b, "its ref", av.Ref, gaea.RefOf(assignment))
		got, err := b.store.Assignments().Get(b.ctx(), gaea.Ref{Name: "motd"})
		b.ok(err)
		same(b, "the assignment read again", got, av)
		_, err = b.store.TargetGroups().Get(b.ctx(), gaea.Ref{Name: "motd"})
		b.code(err, gaea.CodeNotFound) // kinds have names of their own
	},
	"every version stays, and an equal one is no new version": func(b *bench) {
		groups := b.store.TargetGroups()
		var refs []string
		for _, expr := range []string{"A", "A", "B", "A", "A"} {
			v, err := groups.Put(b.ctx(), group("web", expr), "ann")
			b.ok(err)
			refs = append(refs, v.Ref)
		}
		same(b, "whether equal versions are one", refs[0] == refs[1] && refs[1] == refs[3] && refs[0] != refs[2], true)
		list, err := groups.History(b.ctx(), "web")
		b.ok(err)
		same(b, "the history", versions(list), []string{"3 A ann ann", "2 B ann ann", "1 A ann ann"})
		for i, want := range map[int]int{0: 3, 2: 2} {
			ref, err := gaea.ParseRef(refs[i])
			b.ok(err)
			v, err := groups.Get(b.ctx(), ref)
			b.ok(err)
			same(b, "the number of "+refs[i], v.Number, want)
			same(b, "the ref", v.Ref, refs[i])
		}
		latest, err := groups.Get(b.ctx(), gaea.Ref{Name: "web"})
		b.ok(err)
		same(b, "the latest", latest, list[0])
		if latest.Created.IsZero() {
			b.Error("a version has no time")
		}
		_, err = groups.Get(b.ctx(), gaea.Ref{Name: "web", Digest: "0123456789abcdef"})
		b.code(err, gaea.CodeNotFound)
		_, err = groups.History(b.ctx(), "db")
		b.code(err, gaea.CodeNotFound)
	},
	"a definition belongs to who made it": func(b *bench) {
		groups := b.store.TargetGroups()
		_, err := groups.Put(b.ctx(), group("web", "A"), "ann")
		b.ok(err)
		for _, expr := range []string{"A", "B"} {
			_, err = groups.Put(b.ctx(), group("web", expr), "bob")
			b.code(err, gaea.CodeConflict)
		}
		b.code(groups.Delete(b.ctx(), "web", "bob"), gaea.CodeConflict)
		b.ok(groups.Delete(b.ctx(), "web", "ann"))
	},
	"a deleted definition keeps its versions, and its name is free": func(b *bench) {
		groups := b.store.TargetGroups()
		first, err := groups.Put(b.ctx(), group("web", "A"), "ann")
		b.ok(err)
		b.ok(groups.Delete(b.ctx(), "web", "ann"))
		b.code(groups.Delete(b.ctx(), "web", "ann"), gaea.CodeNotFound)
		b.code(groups.Delete(b.ctx(), "db", "ann"), gaea.CodeNotFound)
		_, err = groups.Get(b.ctx(), gaea.Ref{Name: "web"})
		b.code(err, gaea.CodeNotFound)
		ref, err := gaea.ParseRef(first.Ref)
		b.ok(err)
		pinned, err := groups.Get(b.ctx(), ref)
		b.ok(err)
		same(b, "the pinned version", versions([]gaea.Version[gaea.TargetGroup]{pinned}), []string{"1 A ann ann deleted"})
		page, err := groups.List(b.ctx(), gaea.PageRequest{})
		b.ok(err)
		same(b, "the list", versions(page.Items), []string{})

		again, err := groups.Put(b.ctx(), group("web", "A"), "bob")
		b.ok(err)
		same(b, "the version made again", versions([]gaea.Version[gaea.TargetGroup]{again}), []string{"2 A bob bob"})
		list, err := groups.History(b.ctx(), "web")
		b.ok(err)
		same(b, "the history", versions(list), []string{"2 A bob bob", "1 A ann ann deleted"})
	},
	"the list has the latest versions, by name, in pages": func(b *bench) {
		groups := b.store.TargetGroups()
		var want []string
		for i := range 7 {
			name := fmt.Sprintf("g%d", (i*3)%7)
			for _, expr := range []string{"old", name} {
				_, err := groups.Put(b.ctx(), group(name, expr), "ann")
				b.ok(err)
			}
			want = append(want, fmt.Sprintf("2 g%d ann ann", i))
		}
		for _, limit := range []int{1, 3, 7, 100} {
			got := all(b, limit, func(p gaea.PageRequest) (gaea.Page[gaea.Version[gaea.TargetGroup]], error) {
				return groups.List(b.ctx(), p)
			})
			same(b, "the list", versions(got), want)
		}
	},
	"a definition that is not valid is refused": func(b *bench) {
		_, err := b.store.TargetGroups().Put(b.ctx(), group("not a name", "A"), "ann")
		b.code(err, gaea.CodeInvalid)
	},
	"versions that are put at once get a number each": func(b *bench) {
		groups := b.store.TargetGroups()
		var wait sync.WaitGroup
		for i := range 20 {
			wait.Go(func() {
				if _, err := groups.Put(b.ctx(), group("web", fmt.Sprint(i)), "ann"); err != nil {
					b.Error(err)
				}
			})
		}
		wait.Wait()
		list, err := groups.History(b.ctx(), "web")
		b.ok(err)
		for i, v := range list {
			same(b, "the number", v.Number, 20-i)
		}
		same(b, "how many there are", len(list), 20)
	},
}
