package ingest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

// disguised puts the n-th event of a minion's own on the bus, with a tag of jobs: no job cache has it.
func (r *rig) disguised(n int) {
	tag := fmt.Sprintf("salt/job/%020d/ret/web1", n)
	if n%2 == 0 {
		tag = fmt.Sprintf("salt/job/deploy/step/%d", n)
	}
	data, _ := json.Marshal(map[string]any{"cmd": "_minion_event", "id": "web1", "tag": tag, "fun": "test.ping", "return": true, "data": n})
	r.bus <- gaea.BusMessage{Event: &gaea.Event{Tag: tag, Stamp: time.Now(), Data: data}}
}

func TestEventsOfMinionsWithTheTagsOfJobsHaveTheReserveOfWhatIsInNoCache(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *ingest.Options){
		"of the spill": func(t *testing.T, o *ingest.Options) {
			o.Spill = openSpill(t, filepath.Join(t.TempDir(), "spill.db"), 200_000)
		},
		"of the queue in memory": func(_ *testing.T, o *ingest.Options) { o.QueueBytes, o.BatchEvents = 50_000, 10 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCache()
				r := start(t, c, func(o *ingest.Options) { change(t, o) })
				r.connect()
				elapse(time.Minute)
				r.store.setFail(errors.New("away"))
				const returns, events = 600, 100
				for n := range returns { // more than there is room for
					x := ret(n)
					c.add(x)
					r.send(x)
					elapse(100 * time.Millisecond)
				}
				if r.metric(t, "gaea_ingest_let_go_total") == 0 {
					t.Fatal("there was room for all returns")
				}
				for n := range events {
					r.disguised(n)
					elapse(100 * time.Millisecond)
				}
				r.store.setFail(nil)
				elapse(2 * time.Minute)
				r.stop(t)
				kept := 0
				for _, e := range r.store.events {
					if strings.HasPrefix(e.Tag, "salt/job/") {
						kept++
					}
				}
				if n, _ := r.store.count(); kept != events || n != returns {
					t.Errorf("of %d events %d are stored, and of %d returns %d", events, kept, returns, n)
				}
			})
		})
	}
}
