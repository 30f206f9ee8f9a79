package archivetest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

var besideTests = map[string]func(*bench){
	"ingest and ten readers go on while retention deletes": func(b *bench) {
		const old, readers = 400, 10
		for n := range old {
			b.write(archive.Batch{Jobs: []gaea.Job{newJob(n, "web1", "web2")}, Returns: []gaea.Return{heldReturn(n, "web1"), heldReturn(n, "web2")}})
		}
		held := b.hold(gaea.HoldRequest{JID: jid(old / 2)})
		ctx, stop := context.WithCancel(b.ctx())
		defer stop()
		var beside sync.WaitGroup
		var reads atomic.Int64
		for range readers {
			beside.Go(func() {
				for ctx.Err() == nil {
					if _, err := b.store.Returns(b.ctx(), gaea.JobFilter{Minion: "web1"}, gaea.PageRequest{Limit: 50}, true); err != nil {
						b.Errorf("a reader: %v", err)
						return
					}
					reads.Add(1)
				}
			})
		}
		began, written := time.Now().UTC(), 0
		var slowest time.Duration
		beside.Go(func() {
			for ; ctx.Err() == nil; written++ {
				before := time.Now()
				r := newReturn(10_000+written, "web1")
				r.Stamp = began
				j := newJob(10_000+written, "web1")
				j.Started = began
				if err := b.store.WriteBatch(b.ctx(), salt, archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{r}}); err != nil {
					b.Errorf("ingest: %v", err)
					return
				}
				slowest = max(slowest, time.Since(before))
			}
		})
		steps := 0
		for n := 1; n > 0; steps++ {
			var err error
			n, err = b.store.Prune(b.ctx(), gaea.ExpireAll(noon.Add(time.Hour)), 20)
			b.ok(err)
		}
		stop()
		beside.Wait()
		b.Logf("%d steps of retention, beside %d batches of which the slowest took %s, and %d pages", steps, written, slowest, reads.Load())
		if steps < 20 || written < steps/4 || reads.Load() < readers {
			b.Errorf("beside %d steps of retention %d batches were written and %d pages read", steps, written, reads.Load())
		}
		for n := range written {
			b.ret(jid(10_000+n), "web1")
		}
		st, err := b.store.Stats(b.ctx())
		b.ok(err)
		same(b, "what is left", [2]int64{st.Jobs, st.Returns}, [2]int64{int64(written) + 1, int64(written) + 2})
		same(b, "the held job", held.JID, b.job(jid(old/2)).JID)
		b.ret(jid(old/2), "web2")
		_, err = b.store.Job(b.ctx(), salt, jid(1))
		b.code(err, gaea.CodeNotFound)
	},
}
