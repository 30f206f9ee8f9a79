package archivetest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// archived is all that WriteBatch put into a store, as texts in an order that does not depend on when they were written.
type archived struct {
	Jobs, Returns, Events, States, Evidence []string
	Last                                    map[string]string
	Jobs0, Returns0, Events0, Contents0     int64 // as Stats counts them
}

func snapshot(b *bench, s archive.Store) archived {
	b.Helper()
	a := archived{Last: map[string]string{}}
	type question struct{ master, key string }
	asked := map[question][]string{}
	for _, r := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
		return s.Returns(b.ctx(), gaea.JobFilter{}, p, true)
	}) {
		a.Returns = append(a.Returns, show(r)+r.StateKey)
		q := question{r.Master, r.StateKey}
		asked[q] = append(asked[q], r.Minion)
	}
	for _, j := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Job], error) { return s.Jobs(b.ctx(), gaea.JobFilter{}, p) }) {
		d, err := s.Job(b.ctx(), j.Master, j.JID)
		b.ok(err)
		a.Jobs = append(a.Jobs, show(j)+show(d)+j.StateKey)
		last, err := s.LastStamp(b.ctx(), j.Master)
		b.ok(err)
		a.Last[j.Master] = last.String()
	}
	for _, ev := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Event], error) {
		return s.Events(b.ctx(), gaea.EventFilter{}, p)
	}) {
		a.Events = append(a.Events, show(ev))
	}
	for _, st := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[archive.LatestState], error) {
		return s.States(b.ctx(), archive.StateFilter{}, p)
	}) {
		a.States = append(a.States, show(st))
	}
	for q, minions := range asked {
		list, err := s.Evidence(b.ctx(), q.master, q.key, minions)
		b.ok(err)
		a.Evidence = append(a.Evidence, q.master+q.key+show(list))
	}
	for _, list := range [][]string{a.Jobs, a.Returns, a.Events, a.States, a.Evidence} {
		slices.Sort(list)
	}
	stats, err := s.Stats(b.ctx())
	b.ok(err)
	a.Jobs0, a.Returns0, a.Events0, a.Contents0 = stats.Jobs, stats.Returns, stats.Events, stats.Contents
	return a
}

// bodyOf makes a body of a text.
func bodyOf(text string) json.RawMessage { return quote(strings.ToValidUTF8(text, "")) }
