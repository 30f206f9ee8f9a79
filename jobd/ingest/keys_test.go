package ingest_test

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

// keys notes what it is told of the master's keys.
type keys struct {
	mu   sync.Mutex
	told []string
}

func (k *keys) note(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.told = append(k.told, what)
}

func (k *keys) KeysChanged() { k.note("changed") }

func (k *keys) Authenticated(minion string) { k.note("authenticated " + minion) }

func (k *keys) take() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	told := k.told
	k.told = nil
	return told
}

func TestWhatTheBusSaysOfTheMastersKeysIsToldAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &keys{}
		r := start(t, newCache(), func(o *ingest.Options) { o.Keys = k })
		r.connect()
		elapse(time.Second)
		if got := k.take(); !slices.Equal(got, []string{"changed"}) {
			t.Errorf("when the bus is there: %v", got)
		}
		for _, row := range []struct{ tag, data, told string }{
			{"salt/key", `{"result": true, "act": "accept", "id": "web1"}`, "changed"},
			{"salt/key", `{"id": 7}`, "changed"},
			{"salt/auth", `{"result": true, "act": "accept", "id": "web1", "pub": "KEY"}`, "authenticated web1"},
			{"salt/auth", `{"result": true, "act": "pend", "id": "web1", "pub": "KEY"}`, ""},
			{"salt/auth", `{"result": false, "act": "denied", "id": "web1", "pub": "KEY"}`, "changed"},
			{"salt/job/20260101000000000000/ret/web1", `{"act": "accept", "id": "web1"}`, ""},
		} {
			r.bus <- gaea.BusMessage{Event: &gaea.Event{Tag: row.tag, Stamp: time.Now(), Data: json.RawMessage(row.data)}}
			elapse(time.Second)
			if got := k.take(); len(got) > 1 || (row.told != "") != slices.Equal(got, []string{row.told}) {
				t.Errorf("%s %s tells %v", row.tag, row.data, got)
			}
		}
		r.bus <- gaea.BusMessage{PassedOver: true}
		elapse(time.Second)
		if got := k.take(); !slices.Equal(got, []string{"changed"}) {
			t.Errorf("when a message could not be read: %v", got)
		}
		r.disconnect()
		elapse(time.Second)
		if got := k.take(); !slices.Equal(got, []string{"changed"}) {
			t.Errorf("when the bus is gone: %v", got)
		}
		r.stop(t)
	})
}
