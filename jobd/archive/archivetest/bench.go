package archivetest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// bench is where one test works: an empty store, and short words for what tests do with it.
type bench struct {
	*testing.T
	store archive.Store
	open  func(t *testing.T) archive.Store
}

// The master of most tests, and when everything in them happens.
const salt = "salt"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at is so many seconds after noon.
func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

func (b *bench) ctx() context.Context { return b.Context() }

// ok ends the test where err is not nil.
func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("unexpected error: %v", err)
	}
}

// code checks which error came.
func (b *bench) code(err error, want gaea.Code) {
	b.Helper()
	if got := gaea.CodeOf(err); got != want {
		b.Fatalf("the error is %q (%v), want %q", got, err, want)
	}
}

// same checks that two values are deeply equal.
func same[T any](b *bench, what string, got, want T) {
	b.Helper()
	if !reflect.DeepEqual(got, want) {
		b.Fatalf("%s is\n%.10000s\nwant\n%.10000s", what, show(got), show(want))
	}
}

func show(v any) string {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err.Error()
	}
	return buf.String()
}

// write stores a batch of the usual master.
func (b *bench) write(batch archive.Batch) {
	b.Helper()
	b.ok(b.store.WriteBatch(b.ctx(), salt, batch))
}

func (b *bench) writeReturns(returns ...gaea.Return) {
	b.Helper()
	b.write(archive.Batch{Returns: returns})
}

func (b *bench) writeJobs(jobs ...gaea.Job) {
	b.Helper()
	b.write(archive.Batch{Jobs: jobs})
}

func (b *bench) ret(jid, minion string) *gaea.Return {
	b.Helper()
	r, err := b.store.Return(b.ctx(), salt, jid, minion)
	b.ok(err)
	return r
}

// returnsOf are the returns of a job, by minion.
func (b *bench) returnsOf(master, jid string) (list []gaea.Return) {
	b.Helper()
	err := b.store.EachReturn(b.ctx(), master, jid, func(r *gaea.Return) error {
		list = append(list, *r)
		return nil
	})
	if err != nil {
		b.Error(err)
	}
	slices.SortFunc(list, func(x, y gaea.Return) int { return cmp.Compare(x.Minion, y.Minion) })
	return list
}

func (b *bench) job(jid string) *gaea.JobDetail {
	b.Helper()
	j, err := b.store.Job(b.ctx(), salt, jid)
	b.ok(err)
	return j
}

// jids lists the ids of the jobs that a filter finds.
func (b *bench) jids(f gaea.JobFilter) []string {
	b.Helper()
	page, err := b.store.Jobs(b.ctx(), f, gaea.PageRequest{})
	b.ok(err)
	ids := []string{}
	for _, j := range page.Items {
		ids = append(ids, j.JID)
	}
	return ids
}

// all turns the pages of a list to its end.
func all[T any](b *bench, limit int, list func(gaea.PageRequest) (gaea.Page[T], error)) []T {
	b.Helper()
	items := []T{}
	p := gaea.PageRequest{Limit: limit}
	for range 10_000 {
		page, err := list(p)
		b.ok(err)
		if len(page.Items) > limit {
			b.Fatalf("a page has %d items, the limit is %d", len(page.Items), limit)
		}
		items = append(items, page.Items...)
		if page.Next == "" {
			return items
		}
		p.Cursor = page.Next
	}
	b.Fatal("the list does not end")
	return nil
}
