package ingest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// doubtAfter is how often in a row a write has to fail for no known reason until what it writes is doubted, and not the
	// archive: after some six seconds.
	doubtAfter = 8
	// doubtsKept bounds the writes whose failures are counted. Few are on their way at a time.
	doubtsKept = 64
	// asideMost bounds how much is set aside in asideWithin. More is no odd record but a fault of the archive, say of one of its
	// tables: what comes then waits until that is mended.
	asideMost   = 16
	asideWithin = time.Hour
	// doubtedName is how much of a record's name goes into the event that says nothing but that it was set aside.
	doubtedName = 200
)

// doubts counts, by the first record of a write, how often in a row it has failed for no known reason, and what was set aside.
type doubts struct {
	mu     sync.Mutex
	failed map[string]int
	aside  []time.Time // when the last ones were, asideMost at most
}

// fails counts a failure, and says whether what was written is to be doubted.
func (d *doubts) fails(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil || len(d.failed) >= doubtsKept {
		d.failed = map[string]int{name: d.failed[name]}
	}
	d.failed[name]++
	return d.failed[name] > doubtAfter
}

func (d *doubts) passed(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.failed, name)
}

// exhausted says whether as much was set aside lately as may be.
func (d *doubts) exhausted(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.aside) == asideMost && now.Sub(d.aside[0]) < asideWithin
}

// setAside notes that a record was set aside.
func (d *doubts) setAside(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.aside) == asideMost {
		d.aside = d.aside[1:]
	}
	d.aside = append(d.aside, now)
}

// unknown says whether an error tells neither that the archive is away nor that it refuses what it was given.
func unknown(err error) bool {
	return gaea.CodeOf(err) == gaea.CodeInternal && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

// setAside is the event that is stored where the archive fails with all that is known of a record: nothing in it can be the
// reason. If the archive does not take this either, then it takes nothing.
func (i *Ingester) setAside(r *records) gaea.Event {
	name := strconv.QuoteToASCII(r.name()) // and this one twice, since it goes into JSON
	name = strconv.QuoteToASCII(name[:min(len(name), doubtedName)])
	return gaea.Event{
		Tag: "gaea/refused", Stamp: i.o.Now().UTC(), Data: []byte(`{"record":` + name + `}`),
		Suspect: "it stands for a record with which the archive failed again and again",
	}
}
