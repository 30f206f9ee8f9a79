package archivetest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

func (b *bench) usage() (gaea.ArchiveStats, map[string]gaea.KindStats) {
	b.Helper()
	u, err := b.store.Usage(b.ctx())
	b.ok(err)
	byKind := map[string]gaea.KindStats{}
	for _, k := range u.Kinds {
		byKind[k.Kind] = k
	}
	return u, byKind
}

var usageTests = map[string]func(*bench){
	"the usage tells rows, bytes, how old and how much of what came is stored, and follows what is deleted": func(b *bench) {
		empty, _ := b.usage()
		raw := 0
		for n := range 40 {
			r := StateReturn(jid(n), "web1", 20, n/10, n, at(n))
			raw += len(r.Body)
			b.write(archive.Batch{
				Jobs: []gaea.Job{newJob(n, "web1")}, Returns: []gaea.Return{r},
				Events: []gaea.Event{{Tag: "t", Stamp: at(100 + n), Data: json.RawMessage(fmt.Sprint(n))}},
			})
		}
		r := newRun(5)
		r.Status, r.CheckState, r.Assignment = gaea.RunSucceeded, "", ""
		b.create(r, "", "")
		b.hold(gaea.HoldRequest{JID: jid(39)})
		u, kinds := b.usage()
		for kind, want := range map[string]gaea.KindStats{
			gaea.KindJobs: {Rows: 40, Oldest: newJob(0).Started}, gaea.KindReturns: {Rows: 40, Oldest: at(0)}, gaea.KindContents: {Rows: 4},
			gaea.KindEvents: {Rows: 40, Oldest: at(100)}, gaea.KindRuns: {Rows: 1, Oldest: r.Created}, gaea.KindOther: {},
		} {
			got := kinds[kind]
			if got.Bytes <= 0 || got.Bytes > u.DiskBytes {
				b.Errorf("%s take %d bytes of %d", kind, got.Bytes, u.DiskBytes)
			}
			same(b, kind, gaea.KindStats{Rows: got.Rows, Oldest: got.Oldest}, want)
		}
		same(b, "the bytes as they came", u.RawBytes, int64(raw))
		same(b, "the holds", u.Holds, 1)
		if u.UsedBytes <= 0 || u.UsedBytes > u.DiskBytes || u.Ratio <= 0 || empty.RawBytes != 0 || empty.Ratio != 0 {
			b.Errorf("the usage is %+v, was %+v", u, empty)
		}
		b.ok(b.store.Measure(b.ctx()))
		b.prune(at(20), 7)
		u, kinds = b.usage()
		same(b, "returns that are left", kinds[gaea.KindReturns].Rows, 20)
		left := 0
		for n := 20; n < 40; n++ {
			left += len(StateBody("web1", 20, n/10, n))
		}
		same(b, "bytes of what is left", u.RawBytes, int64(left))
		b.prune(time.Now().Add(-time.Hour), 7)
		u, _ = b.usage()
		same(b, "bytes of what is held", u.RawBytes, int64(len(StateBody("web1", 20, 3, 39))))
	},
	"growth is what comes a day lately, however old what was imported is": func(b *bench) {
		const days, aDay = 4, 6
		now := time.Now()
		for n := range days * aDay { // up to now, of the last four days
			r := heldReturn(n, "web1")
			r.Stamp = now.Add(-time.Duration(n) * 24 * time.Hour / aDay)
			j := newJob(n, "web1")
			j.Started = r.Stamp
			b.write(archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{r}})
		}
		// The oldest is not quite four days old.
		const most = float64(days*aDay*aDay)/(days*aDay-1) + 0.01
		grows := func(what string) {
			b.Helper()
			_, kinds := b.usage()
			for _, kind := range []string{gaea.KindJobs, gaea.KindReturns, gaea.KindContents} {
				if k := kinds[kind]; k.RowsPerDay < aDay || k.RowsPerDay > most || k.BytesPerDay <= 0 || k.BytesPerDay > float64(k.Bytes) {
					b.Errorf("%s: %s grow by %v rows and %v of %d bytes a day, want %v to %v rows", what, kind, k.RowsPerDay, k.BytesPerDay, k.Bytes, aDay, most)
				}
			}
		}
		grows("before an import")
		const old = 200
		for n := range old {
			j := newJob(1000+n, "web1")
			j.Started = now.AddDate(-2, 0, n)
			r := heldReturn(1000+n, "web1")
			r.Stamp = j.Started
			b.write(archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{r}})
		}
		grows("after an import")
	},
	"the oldest thing after a time is found among jobs, events and runs": func(b *bench) {
		oldest := func(after time.Time) time.Time {
			b.Helper()
			t, err := b.store.Oldest(b.ctx(), after)
			b.ok(err)
			return t
		}
		same(b, "the oldest of nothing", oldest(time.Time{}), time.Time{})
		b.write(archive.Batch{Jobs: []gaea.Job{newJob(5, "web1")}, Events: []gaea.Event{{Tag: "t", Stamp: at(3), Data: json.RawMessage(`1`)}}})
		same(b, "the oldest", oldest(time.Time{}), at(3))
		same(b, "the oldest after the event", oldest(at(4)), newJob(5).Started)
		same(b, "the oldest after all", oldest(at(1000)), time.Time{})
	},
	"bytes in use fall when much is deleted, and what is free is given back or used again": func(b *bench) {
		used := func() int64 {
			b.Helper()
			n, err := b.store.UsedBytes(b.ctx())
			b.ok(err)
			return n
		}
		const jobs, minions = 100, 60
		for n := range jobs {
			returns := make([]gaea.Return, minions)
			for m := range returns {
				returns[m] = StateReturn(jid(n), fmt.Sprintf("web%d", m), 4, n, n, at(n))
			}
			b.writeReturns(returns...)
		}
		full := used()
		b.prune(time.Now().Add(-time.Hour), 500)
		if now := used(); now > full*3/4 {
			b.Errorf("%d bytes are in use of %d after all was deleted", now, full)
		}
		before, err := b.store.Usage(b.ctx())
		b.ok(err)
		for more := true; more; {
			more, err = b.store.GiveBack(b.ctx())
			b.ok(err)
		}
		after, err := b.store.Usage(b.ctx())
		b.ok(err)
		if after.DiskBytes > before.DiskBytes+8<<20 { // the log of what moved
			b.Errorf("the database grew from %d to %d bytes when it gave back what was free", before.DiskBytes, after.DiskBytes)
		}
		b.writeReturns(heldReturn(1, "web1"))
		b.ret(jid(1), "web1")
	},
}
