package archivetest

import (
	"encoding/json"
	"fmt"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

var eventTests = map[string]func(*bench){
	"events come back as they went in, newest first, each once": func(b *bench) {
		events := []gaea.Event{
			{Tag: "my/tag", Stamp: at(3), Data: json.RawMessage(`{"id": "web1", "a": [1, "<b>"]}`)},
			{Tag: "my/tag", Stamp: at(2), Data: json.RawMessage(`{"id": "web2"}`)},
			{Tag: "my/tag", Stamp: at(1)},
		}
		b.write(archive.Batch{Events: events})
		b.write(archive.Batch{Events: events})
		page, err := b.store.Events(b.ctx(), gaea.EventFilter{}, gaea.PageRequest{})
		b.ok(err)
		for i := range events {
			events[i].Master = salt
		}
		same(b, "the events", page.Items, events)
	},
	"events of one time and tag differ by their data": func(b *bench) {
		b.write(archive.Batch{Events: []gaea.Event{
			{Tag: "t", Stamp: at(1), Data: json.RawMessage(`{"n":1}`)}, {Tag: "t", Stamp: at(1), Data: json.RawMessage(`{"n":2}`)},
		}})
		b.ok(b.store.WriteBatch(b.ctx(), "other", archive.Batch{Events: []gaea.Event{{Tag: "t", Stamp: at(1), Data: json.RawMessage(`{"n":1}`)}}}))
		page, err := b.store.Events(b.ctx(), gaea.EventFilter{}, gaea.PageRequest{})
		b.ok(err)
		same(b, "the number of events", len(page.Items), 3)
	},
	"events are found by what a filter says": func(b *bench) {
		b.write(archive.Batch{Events: []gaea.Event{
			{Tag: "salt/beacon/web1/inotify//etc", Stamp: at(1), Data: json.RawMessage(`{"change": "IN_MODIFY"}`)},
			{Tag: "salt/minion/web2/start", Stamp: at(2), Data: json.RawMessage(`{}`)},
			{Tag: "salt/presence/present", Stamp: at(3), Data: json.RawMessage(`{"present": ["web1"]}`)},
			{Tag: "my/tag", Stamp: at(4), Data: json.RawMessage(`{"id": "web1"}`)},
			{Tag: "my/tag/2", Stamp: at(5), Data: json.RawMessage(`{"id": 7}`)},
		}})
		for _, row := range []struct {
			f    gaea.EventFilter
			want []int
		}{
			{gaea.EventFilter{}, []int{5, 4, 3, 2, 1}},
			{gaea.EventFilter{Master: salt}, []int{5, 4, 3, 2, 1}},
			{gaea.EventFilter{Master: "other"}, []int{}},
			{gaea.EventFilter{Minion: "web1"}, []int{4, 1}},
			{gaea.EventFilter{Minion: "web2"}, []int{2}},
			{gaea.EventFilter{Tag: "my/tag"}, []int{4}},
			{gaea.EventFilter{Tag: "my/tag*"}, []int{5, 4}},
			{gaea.EventFilter{Tag: "salt/*", Minion: "web1"}, []int{1}},
			{gaea.EventFilter{Since: at(2), Until: at(4)}, []int{3, 2}},
		} {
			page, err := b.store.Events(b.ctx(), row.f, gaea.PageRequest{})
			b.ok(err)
			got := []int{}
			for _, ev := range page.Items {
				got = append(got, int(ev.Stamp.Sub(noon).Seconds()))
			}
			same(b, fmt.Sprintf("what %+v finds", row.f), got, row.want)
		}
	},
}
