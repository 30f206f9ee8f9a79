package ingest

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/redact"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// records are decoded events, ready to be stored.
type records struct {
	jobs    []gaea.Job
	returns []gaea.Return
	events  []gaea.Event
}

func (r *records) size() int { return len(r.jobs) + len(r.returns) + len(r.events) }

// name says what the first record is, for the log.
func (r *records) name() string {
	switch {
	case len(r.jobs) > 0:
		return "job " + r.jobs[0].JID
	case len(r.returns) > 0:
		return "return of " + r.returns[0].Minion + " for job " + r.returns[0].JID
	default:
		return "event " + r.events[0].Tag
	}
}

// write stores what is in the queue, in order, until the queue is drained after the end of reading, or ctx ends.
func (i *Ingester) write(ctx context.Context) {
	var last time.Time // the last commit
	busy := false      // the batch before was a large one
	for {
		select {
		case <-i.queue.ready:
		case <-ctx.Done():
			return
		case <-i.drain:
			for events := i.queue.take(i.o.BatchEvents, i.o.BatchBytes); events != nil; events = i.queue.take(i.o.BatchEvents, i.o.BatchBytes) {
				if !i.store(ctx, i.decode(events)) {
					i.queue.restore(events)
					return
				}
			}
			return
		}
		// A quiet bus is stored event by event, at once. A busy one fills batches, so that a transaction pays.
		if busy {
			i.linger(ctx, last.Add(i.o.Linger))
		}
		events := i.queue.take(i.o.BatchEvents, i.o.BatchBytes)
		if events == nil {
			busy = false
			continue
		}
		n, stored := i.storeAhead(ctx, events)
		if !stored {
			return
		}
		last, busy = i.o.Now(), n >= busyBatch
	}
}

// storeAhead stores events, and while the archive takes them decodes those that come next, as long as there are whole batches
// of them: a database on another core, or machine, need not wait for that. It returns how many were in the last batch. What
// could not be stored before ctx ended is in the queue again, and it returns false.
func (i *Ingester) storeAhead(ctx context.Context, events []gaea.Event) (last int, stored bool) {
	r := i.decode(events)
	for {
		ended := make(chan bool, 1)
		go func() { ended <- i.store(ctx, r) }()
		var next []gaea.Event
		var ahead *records
		if i.wholeBatch() {
			next = i.queue.take(i.o.BatchEvents, i.o.BatchBytes)
			ahead = i.decode(next)
		}
		if !<-ended {
			i.queue.restore(next)
			i.queue.restore(events)
			return 0, false
		}
		i.relax()
		if next == nil {
			return len(events), true
		}
		events, r = next, ahead
	}
}

// wholeBatch says whether enough waits for a transaction.
func (i *Ingester) wholeBatch() bool {
	n, bytes := i.queue.depth()
	return n >= i.o.BatchEvents || bytes >= i.o.BatchBytes
}

// busyBatch is the size of a batch from which on the next one is given time to fill.
const busyBatch = 4

func (i *Ingester) linger(ctx context.Context, until time.Time) {
	if i.wholeBatch() {
		return
	}
	wait := until.Sub(i.o.Now())
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-i.drain:
	}
}

func (i *Ingester) decode(events []gaea.Event) *records {
	r := &records{}
	for _, e := range events {
		d := saltclient.Decode(e)
		kind := kindIgnored
		if e.Truncated != nil {
			i.metrics.truncated.Inc()
		}
		switch {
		case d.Job != nil:
			kind = kindJob
			i.addJob(r, *d.Job, gaea.SourceBus)
		case d.Publication != nil:
			kind = kindPublication
			i.addJob(r, *d.Publication, gaea.SourceBus)
		case d.Return != nil:
			kind = kindReturn
			if d.Return.Minion == "" { // a runner ran on the master
				d.Return.Minion = i.o.MasterID
			}
			if d.Trimmed {
				i.postpone(*d.Return)
			} else {
				i.addReturn(r, *d.Return, gaea.SourceBus)
			}
		case d.Other:
			kind = kindEvent
			if d.Suspect != "" {
				i.suspect(&e, d.Suspect)
			}
			redact.Event(&e)
			r.events = append(r.events, e)
		}
		i.metrics.events.WithLabelValues(kind).Inc()
	}
	return r
}

// suspect notes that an event is not what its tag says.
func (i *Ingester) suspect(e *gaea.Event, why string) {
	e.Suspect = why
	i.metrics.suspect.Inc()
	if ok, others := i.suspicion.pass(i.o.Now()); ok {
		i.o.Logger.Warn("a minion made up an event, or another program that writes to the master's bus; it is stored as an event and counts as nothing else",
			"tag", e.Tag, "why", why, "others_since_last_log", others)
	}
}

func (i *Ingester) addJob(r *records, job gaea.Job, source gaea.Source) {
	job.Master, job.Source = i.o.Master, source
	key, test := i.o.Fingerprint(job.Function, job.Args)
	job.StateKey, job.Test = key, job.Test || test
	if saltclient.IsMasterFunction(job.Function) && len(job.Minions) == 0 {
		job.Minions = []string{i.o.MasterID}
		job.Target = gaea.ListTarget(job.Minions)
	}
	redact.Job(&job)
	r.jobs = append(r.jobs, job)
}

func (i *Ingester) addReturn(r *records, ret gaea.Return, source gaea.Source) {
	ret.Master, ret.Source = i.o.Master, source
	key, test := i.o.Fingerprint(ret.Function, ret.Args)
	if ret.Truncated != nil && ret.Truncated.Dropped > 0 {
		key = "" // with states left out it is evidence of nothing
	}
	ret.StateKey, ret.Test = key, ret.Test || test
	for _, child := range saltclient.Children(&ret) {
		r.jobs = append(r.jobs, gaea.Job{Master: i.o.Master, JID: child, Parent: ret.JID, Started: ret.Stamp, Source: source})
	}
	redact.Return(&ret)
	r.returns = append(r.returns, ret)
}

// store writes until the archive has taken the records, with growing pauses. It returns false when ctx ended before.
func (i *Ingester) store(ctx context.Context, r *records) bool {
	if r.size() == 0 {
		return true
	}
	pause := firstPause
	for {
		start := i.o.Now()
		// A gap is recorded before what came after it is stored.
		err, refused := i.missing.record(ctx, i.o.Store.OpenGap), false
		if err == nil {
			err = i.o.Store.Write(ctx, r.jobs, r.returns, r.events)
			refused = gaea.CodeOf(err) == gaea.CodeInvalid || gaea.CodeOf(err) == gaea.CodeTooLarge
		}
		if err == nil {
			i.metrics.write.Observe(i.o.Now().Sub(start).Seconds())
			break
		}
		if ctx.Err() != nil {
			return false
		}
		if refused { // the archive will never take it
			return i.storeEach(ctx, r, err)
		}
		i.metrics.errors.WithLabelValues("store").Inc()
		if i.failing.Swap(&err) == nil {
			i.o.Logger.Error("the archive does not take events; trying again until it does", "error", err)
		}
		if !sleep(ctx, pause) {
			return false
		}
		pause = min(pause*2, lastPause)
	}
	if i.failing.Swap(nil) != nil {
		i.o.Logger.Info("the archive takes events again")
	}
	now := i.o.Now()
	for k := range r.returns {
		if r.returns[k].Source == gaea.SourceBus {
			i.metrics.lag.Observe(max(now.Sub(r.returns[k].Stamp), 0).Seconds())
		}
	}
	i.metrics.batch.Observe(float64(r.size()))
	i.metrics.returns.Add(float64(len(r.returns)))
	i.o.Hub.Send(r.returns)
	if i.o.OnStored != nil && len(r.returns) > 0 {
		i.o.OnStored(r.returns)
	}
	return true
}

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// storeEach finds the one record that the archive refuses, so that it takes no other with it.
func (i *Ingester) storeEach(ctx context.Context, r *records, cause error) bool {
	if r.size() == 1 {
		i.metrics.errors.WithLabelValues("refused").Inc()
		i.o.Logger.Error("the archive refuses a record; it is skipped", "record", r.name(), "error", cause)
		return true
	}
	for k := range r.jobs {
		if !i.store(ctx, &records{jobs: r.jobs[k : k+1]}) {
			return false
		}
	}
	for k := range r.returns {
		if !i.store(ctx, &records{returns: r.returns[k : k+1]}) {
			return false
		}
	}
	for k := range r.events {
		if !i.store(ctx, &records{events: r.events[k : k+1]}) {
			return false
		}
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
