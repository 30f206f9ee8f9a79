package archivetest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// archived is all that WriteBatch put into a store for one master, as texts in an order that does not depend on when they were
// written.
type archived struct {
	Jobs, Returns, Events, States, Evidence []string
	Last                                    string
	Stats                                   archive.Stats // of all masters, without Bytes
}

func snapshot(b *bench, s archive.Store, master string) archived {
	b.Helper()
	var a archived
	asked := map[string][]string{}
	for _, r := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
		return s.Returns(b.ctx(), gaea.JobFilter{Master: master}, p, true)
	}) {
		a.Returns = append(a.Returns, show(r)+r.StateKey)
		asked[r.StateKey] = append(asked[r.StateKey], r.Minion)
	}
	for _, j := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Job], error) {
		return s.Jobs(b.ctx(), gaea.JobFilter{Master: master}, p)
	}) {
		d, err := s.Job(b.ctx(), j.Master, j.JID)
		b.ok(err)
		a.Jobs = append(a.Jobs, show(j)+show(d)+j.StateKey)
	}
	for _, ev := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Event], error) {
		return s.Events(b.ctx(), gaea.EventFilter{Master: master}, p)
	}) {
		a.Events = append(a.Events, show(ev))
	}
	for _, st := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.LatestState], error) {
		return s.States(b.ctx(), gaea.StateFilter{Master: master}, p)
	}) {
		a.States = append(a.States, show(st))
	}
	for key, minions := range asked {
		list, err := s.Evidence(b.ctx(), master, key, minions)
		b.ok(err)
		a.Evidence = append(a.Evidence, key+show(list))
	}
	for _, list := range [][]string{a.Jobs, a.Returns, a.Events, a.States, a.Evidence} {
		slices.Sort(list)
	}
	last, err := s.LastStamp(b.ctx(), master)
	b.ok(err)
	a.Last = last.String()
	a.Stats, err = s.Stats(b.ctx())
	b.ok(err)
	a.Stats.Bytes = 0
	return a
}

// bodyOf makes a body of a text.
func bodyOf(text string) json.RawMessage { return quote(strings.ToValidUTF8(text, "")) }
