package archivetest

import (
	"encoding/json"
	"fmt"
	"strings"

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
	"what is known of a suspect and truncated event comes back, and finds it": func(b *bench) {
		suspect := gaea.Event{
			Tag: "salt/job/" + jid(1) + "/ret/web2", Stamp: at(1), Data: json.RawMessage(`{"id":"web1"}`),
			Suspect:   "its tag says that \"web2\" returned, and its data that \"web1\" did\x00\x01",
			Truncated: &gaea.Truncation{Size: 1 << 40, SHA256: strings.Repeat("ab", 32), Dropped: 7},
		}
		b.write(archive.Batch{Events: []gaea.Event{suspect, {Tag: "my/tag", Stamp: at(2), Data: json.RawMessage(`{}`)}}})
		page, err := b.store.Events(b.ctx(), gaea.EventFilter{Suspect: true}, gaea.PageRequest{})
		b.ok(err)
		suspect.Master = salt
		same(b, "the suspect events", page.Items, []gaea.Event{suspect})
		page, err = b.store.Events(b.ctx(), gaea.EventFilter{}, gaea.PageRequest{})
		b.ok(err)
		same(b, "the number of events", len(page.Items), 2)
	},
	"a page of large events ends early and loses none": func(b *bench) {
		var events []gaea.Event
		for i := range 5 {
			events = append(events, gaea.Event{Tag: "large", Stamp: at(i), Data: json.RawMessage(`"` + strings.Repeat("x", 7<<20) + `"`)})
		}
		b.write(archive.Batch{Events: events})
		found, p := 0, gaea.PageRequest{}
		for {
			page, err := b.store.Events(b.ctx(), gaea.EventFilter{}, p)
			b.ok(err)
			if found += len(page.Items); len(page.Items) > 2 {
				b.Errorf("%d events of 7 MiB are in one page", len(page.Items))
			}
			if page.Next == "" {
				break
			}
			p.Cursor = page.Next
		}
		same(b, "the number of events", found, 5)
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
			{gaea.EventFilter{Tag: "*"}, []int{5, 4, 3, 2, 1}},
			{gaea.EventFilter{Tag: "salt/beacon/*/inotify/*"}, []int{1}},
			{gaea.EventFilter{Tag: "*/start"}, []int{2}},
			{gaea.EventFilter{Tag: "*/START"}, []int{}},
			{gaea.EventFilter{Tag: "salt/*/pres*t"}, []int{3}},
			{gaea.EventFilter{Tag: "s?lt/*/start"}, []int{}},
			{gaea.EventFilter{Tag: "*[a-z]*2"}, []int{}},
			{gaea.EventFilter{Tag: "*_tag*2"}, []int{}},
			{gaea.EventFilter{Tag: "my%*2"}, []int{}},
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
