package archivetest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

var togetherTests = map[string]func(*bench){
	"readers see whole batches while writers write": func(b *bench) {
		const writers, batches, size = 3, 20, 10
		ctx, stop := context.WithCancel(b.ctx())
		var writing, reading sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for n := range batches {
					var batch archive.Batch
					for i := range size {
						batch.Returns = append(batch.Returns, stateReturn(n, fmt.Sprintf("w%d-%d", w, i), "key", gaea.OutcomeInSync))
					}
					if err := b.store.WriteBatch(b.ctx(), fmt.Sprintf("master%d", w), batch); err != nil {
						b.Error(err)
					}
				}
			})
		}
		for range 4 {
			reading.Go(func() {
				for ctx.Err() == nil {
					for w := range writers {
						if n := len(b.returnsOf(fmt.Sprintf("master%d", w), jid(batches/2))); n != 0 && n != size {
							b.Errorf("a reader saw %d of %d returns of a batch", n, size)
						}
					}
					if _, err := b.store.Returns(b.ctx(), gaea.JobFilter{Minion: "w1-1"}, gaea.PageRequest{}, true); err != nil {
						b.Error(err)
					}
				}
			})
		}
		writing.Wait()
		stop()
		reading.Wait()
		stats, err := b.store.Stats(b.ctx())
		b.ok(err)
		same(b, "the number of returns", stats.Returns, writers*batches*size)
	},
	"pruning while batches come loses nothing that is new": func(b *bench) {
		var pruning sync.WaitGroup
		ctx, stop := context.WithCancel(b.ctx())
		pruning.Go(func() {
			for ctx.Err() == nil {
				if _, err := b.store.Prune(b.ctx(), gaea.ExpireAll(at(0)), 5); err != nil {
					b.Error(err)
				}
			}
		})
		for n := range 60 {
			b.writeReturns(StateReturn(jid(n), "web1", 2, n%3, n, at(n-30)))
		}
		stop()
		pruning.Wait()
		b.prune(at(0), 5)
		for n := range 60 {
			got, err := b.store.Return(b.ctx(), salt, jid(n), "web1")
			if n < 30 {
				b.code(err, gaea.CodeNotFound)
				continue
			}
			b.ok(err)
			want := StateReturn(jid(n), "web1", 2, n%3, n, at(n-30))
			want.Master = salt
			same(b, "the return", *got, want)
		}
	},
	"more than a store can remember is still stored once": func(b *bench) {
		var batch archive.Batch
		for n := range 5000 {
			r := newReturn(n, "web1")
			r.Args, r.StateKey = json.RawMessage(fmt.Sprintf("[%d]", n)), fmt.Sprint(n)
			batch.Returns = append(batch.Returns, r)
		}
		for range 2 {
			b.write(batch)
		}
		b.write(archive.Batch{Jobs: []gaea.Job{newJob(0, "web1")}})
		stats, err := b.store.Stats(b.ctx())
		b.ok(err)
		same(b, "the number of jobs and returns", [2]int64{stats.Jobs, stats.Returns}, [2]int64{5000, 5000})
		same(b, "whether the first job is known", b.job(jid(0)).Known, true)
		same(b, "the evidence", b.evidence("4999", "web1"), []string{"web1 succeeded 1h23m20s"})
	},
	"a caller that does not wait is let go while others write": func(b *bench) {
		ctx, cancel := context.WithTimeout(b.ctx(), time.Millisecond)
		defer cancel()
		var writing sync.WaitGroup
		writing.Go(func() {
			var batch archive.Batch
			for n := range 500 {
				batch.Returns = append(batch.Returns, StateReturn(jid(n), "web1", 3, n, n, at(n)))
			}
			if err := b.store.WriteBatch(b.ctx(), salt, batch); err != nil {
				b.Error(err)
			}
		})
		<-ctx.Done()
		if err := b.store.WriteBatch(ctx, salt, archive.Batch{Returns: []gaea.Return{newReturn(900, "web1")}}); err == nil {
			b.Error("a caller whose time is over has written")
		}
		writing.Wait()
	},
	"batches in any order, in any pieces and any number of times make the same archive": func(b *bench) {
		plain, shuffled := b.store, b.open(b.T)
		tries := 0
		rapid.Check(b.T, func(t *rapid.T) {
			tries++
			master := fmt.Sprintf("master%d", tries) // an archive of its own, without opening one
			whole := randomBatch(t)
			b.ok(plain.WriteBatch(b.ctx(), master, whole))
			for _, batch := range pieces(t, whole) {
				b.ok(shuffled.WriteBatch(b.ctx(), master, batch))
			}
			want, got := snapshot(b, plain, master), snapshot(b, shuffled, master)
			if show(got) != show(want) {
				t.Fatalf("the archive is\n%s\nwant\n%s", show(got), show(want))
			}
		})
	},
}

// randomBatch makes jobs, returns and events that belong together, as a master would send them.
func randomBatch(t *rapid.T) archive.Batch {
	var batch archive.Batch
	outcomes := rapid.SampledFrom([]gaea.Outcome{gaea.OutcomeInSync, gaea.OutcomeChanged, gaea.OutcomeWouldChange, gaea.OutcomeFailed})
	minions := []string{"a", "b", "c"}
	for n := range rapid.IntRange(1, 4).Draw(t, "jobs") {
		for part := range rapid.IntRange(0, 2).Draw(t, "publications") {
			j := newJob(n, rapid.SliceOfDistinct(rapid.SampledFrom(minions), rapid.ID[string]).Draw(t, "minions")...)
			j.Started = at(n).Add(time.Duration(part) * time.Millisecond)
			j.Source = rapid.SampledFrom([]gaea.Source{gaea.SourceBus, gaea.SourceCache}).Draw(t, "source")
			j.Target = gaea.ListTarget(j.Minions)
			batch.Jobs = append(batch.Jobs, j)
		}
		key := rapid.SampledFrom([]string{"", "k1", "k2"}).Draw(t, "key")
		for _, m := range minions {
			if !rapid.Bool().Draw(t, "returned") {
				continue
			}
			r := stateReturn(n, m, key, outcomes.Draw(t, "outcome"))
			r.Stamp = at(rapid.IntRange(0, 5).Draw(t, "stamp"))
			batch.Returns = append(batch.Returns, r)
			if rapid.Bool().Draw(t, "trimmed") {
				word := newReturn(n, m)
				word.Function, word.Args, word.Outcome, word.Body, word.Stamp = "", nil, gaea.OutcomeNoReturn, nil, r.Stamp
				batch.Returns = append(batch.Returns, word)
			}
		}
		batch.Events = append(batch.Events, gaea.Event{Tag: "t", Stamp: at(n), Data: json.RawMessage(fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "event")))})
	}
	return batch
}

// pieces cuts a batch, in another order and with repetitions, so that each part of it comes at least once.
func pieces(t *rapid.T, whole archive.Batch) []archive.Batch {
	n := rapid.IntRange(1, 4).Draw(t, "pieces")
	batches := make([]archive.Batch, n)
	place := rapid.IntRange(0, n-1)
	for range rapid.IntRange(1, 2).Draw(t, "times") {
		for _, j := range rapid.Permutation(whole.Jobs).Draw(t, "order of jobs") {
			at := &batches[place.Draw(t, "piece")]
			at.Jobs = append(at.Jobs, j)
		}
		for _, r := range rapid.Permutation(whole.Returns).Draw(t, "order of returns") {
			at := &batches[place.Draw(t, "piece")]
			at.Returns = append(at.Returns, r)
		}
		for _, ev := range rapid.Permutation(whole.Events).Draw(t, "order of events") {
			at := &batches[place.Draw(t, "piece")]
			at.Events = append(at.Events, ev)
		}
	}
	return batches
}

// KillSafe checks what a store promises of a process that dies: that all batches it has acknowledged are there. open opens
// what the dead process wrote; acknowledged are the numbers that it printed after each batch of [KillBatch].
func KillSafe(t *testing.T, store archive.Store, acknowledged []int) {
	t.Helper()
	for _, n := range acknowledged {
		got := map[string]string{}
		err := store.EachReturn(t.Context(), salt, jid(n), func(r *gaea.Return) error {
			got[r.Minion] = string(r.Body)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range KillBatch(n).Returns {
			if got[want.Minion] != string(want.Body) {
				t.Fatalf("batch %d was acknowledged, and its return of %s is %q", n, want.Minion, got[want.Minion])
			}
		}
	}
}

// KillBatch is the n-th batch that a process writes until it is killed.
func KillBatch(n int) archive.Batch {
	var b archive.Batch
	for i := range 20 {
		b.Returns = append(b.Returns, StateReturn(jid(n), fmt.Sprintf("m%d", i), 3, n, n, at(n)))
	}
	return b
}
