package ingest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest/spill"
)

// Spill is where events wait on disk, in order, while the archive is away or slower than the bus. [spill.Spill] is one.
type Spill interface {
	// Add takes the rows of a batch, sets their ids, and says what it let go. An error says that nothing has changed.
	Add(ctx context.Context, rows []spill.Row) (spill.LetGo, error)
	// Oldest returns rows in their order: at least one where there is any, and no more records than so many.
	Oldest(ctx context.Context, records int) ([]spill.Row, error)
	// Remove removes rows that the archive has taken.
	Remove(ctx context.Context, rows []spill.Row) error
	// Depth is how much waits. It does not wait for the disk.
	Depth() spill.Depth
	// Bound is how many bytes may wait.
	Bound() int64
	// Path is where that is, for people.
	Path() string
}

// spilled is how records are written down: as the API does, and with what the API does not tell.
type spilled struct {
	Jobs    []spilledJob    `json:"jobs,omitempty"`
	Returns []spilledReturn `json:"returns,omitempty"`
	Events  []gaea.Event    `json:"events,omitempty"`
}

type spilledJob struct {
	gaea.Job
	Key string `json:"state_key,omitempty"`
}

type spilledReturn struct {
	gaea.Return
	Key         string      `json:"state_key,omitempty"`
	JobOrigin   gaea.Origin `json:"job_origin,omitempty"`
	JobSchedule string      `json:"job_schedule,omitempty"`
}

// rowOf writes records down. False where there are none.
func rowOf(r *records, cached bool) (row spill.Row, some bool, err error) {
	if r.size() == 0 {
		return spill.Row{}, false, nil
	}
	row = spill.Row{Records: r.size(), Cached: cached, From: oldest(r)}
	var s spilled
	for k := range r.jobs {
		s.Jobs = append(s.Jobs, spilledJob{r.jobs[k], r.jobs[k].StateKey})
	}
	for k := range r.returns {
		s.Returns = append(s.Returns, spilledReturn{r.returns[k], r.returns[k].StateKey, r.returns[k].Origin, r.returns[k].Schedule})
	}
	s.Events = r.events
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // bodies stay as they are, and so do their digests
	err = enc.Encode(s)
	row.Body = out.Bytes()
	return row, true, err
}

// oldest is the oldest stamp of records.
func oldest(r *records) time.Time {
	first := time.Now()
	note := func(stamp time.Time) {
		if !stamp.IsZero() {
			first = earlier(first, stamp)
		}
	}
	for k := range r.jobs {
		note(r.jobs[k].Started)
	}
	for k := range r.returns {
		note(r.returns[k].Stamp)
	}
	for k := range r.events {
		note(r.events[k].Stamp)
	}
	return first
}

// recordsOf reads what was written down.
func recordsOf(rows []spill.Row) (*records, error) {
	r := &records{}
	for k := range rows {
		var s spilled
		if err := json.Unmarshal(rows[k].Body, &s); err != nil {
			return nil, err
		}
		for _, j := range s.Jobs {
			j.StateKey = j.Key
			r.jobs = append(r.jobs, j.Job)
		}
		for _, x := range s.Returns {
			x.StateKey, x.Origin, x.Schedule = x.Key, x.JobOrigin, x.JobSchedule
			r.returns = append(r.returns, x.Return)
		}
		r.events = append(r.events, s.Events...)
	}
	return r, nil
}

// depth is how much waits on disk.
func (i *Ingester) depth() spill.Depth {
	if i.o.Spill == nil {
		return spill.Depth{}
	}
	return i.o.Spill.Depth()
}

// spillBound is how many bytes may wait on disk.
func (i *Ingester) spillBound() int64 {
	if i.o.Spill == nil {
		return 0
	}
	return i.o.Spill.Bound()
}

// place is where events wait, for people.
func (i *Ingester) place() string {
	if i.o.Spill == nil {
		return "memory"
	}
	return i.o.Spill.Path()
}

// keep puts a batch into the spill and returns its rows.
func (i *Ingester) keep(ctx context.Context, b *batch) ([]spill.Row, error) {
	var rows []spill.Row
	for _, part := range []struct {
		r      *records
		cached bool
	}{{&b.cached, true}, {&b.others, false}} {
		row, some, err := rowOf(part.r, part.cached)
		if err != nil {
			return nil, gaea.Wrap(err, gaea.CodeInternal, "events cannot be written down for the spill")
		}
		if some {
			rows = append(rows, row)
		}
	}
	gone, err := i.o.Spill.Add(ctx, rows)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r spill.Row) bool { return r.ID == 0 })
	for k := range rows {
		i.metrics.spilled.Add(float64(rows[k].Records))
		i.metrics.spilledBytes.Add(float64(len(rows[k].Body)))
		rows[k].Body = nil
	}
	if gone.Records > 0 {
		i.metrics.letGo.Add(float64(gone.Records))
		i.overflow.letGo.Add(int64(gone.Records))
		i.noteGap(earlier(gone.From, i.o.Now()).Add(-gapMargin))
		i.overflows("the spill, or its disk")
	}
	return rows, nil
}

// backlog says in sentences what waits and what was let go, for who asks whether jobd is ready.
func (i *Ingester) backlog() (p []string) {
	since := i.behind.Load()
	if d := i.depth(); d.Records > 0 && since != nil && (i.failing.Load() != nil || time.Since(*since) > behindFor) {
		p = append(p, fmt.Sprintf("%d events and returns (%d MiB) wait in %s for the archive; they are forwarded in order when it takes them", d.Records, cmp.Or(d.Bytes>>20, 1), i.o.Spill.Path()))
	}
	if i.overflow.gap.Load() {
		p = append(p, "there was no room for all returns while the archive was away or slow: a gap is on record, and is closed from the master's job cache when the archive has caught up")
	}
	return p
}

// behindFor is how long events may wait in the spill before jobd calls itself not ready.
const behindFor = 10 * time.Second
