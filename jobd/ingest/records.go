package ingest

import (
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/redact"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// records are decoded events, without secrets, ready to be stored.
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

// halves are the first and the second half of records, in their order.
func (r *records) halves() (first, second *records) {
	first, second = &records{}, &records{}
	left := r.size() / 2
	first.jobs, second.jobs, left = divide(r.jobs, left)
	first.returns, second.returns, left = divide(r.returns, left)
	first.events, second.events, _ = divide(r.events, left)
	return first, second
}

// divide takes the first n of a list, and tells how many of n there were not.
func divide[T any](list []T, n int) (first, second []T, missing int) {
	cut := min(n, len(list))
	return list[:cut:cut], list[cut:], n - cut
}

// and are the records of both.
func (r *records) and(other *records) *records {
	switch {
	case other.size() == 0:
		return r
	case r.size() == 0:
		return other
	}
	return &records{jobs: slices.Concat(r.jobs, other.jobs), returns: slices.Concat(r.returns, other.returns), events: slices.Concat(r.events, other.events)}
}

// batch is what one transaction stores.
type batch struct {
	cached records // the master's job cache has them too
	others records
	events []gaea.Event // from which they were decoded, for what is left at a stop; nil for what was in the spill
	size   int          // of the events
}

func (b *batch) all() *records { return b.cached.and(&b.others) }

func (i *Ingester) decode(events []gaea.Event) *batch {
	b := &batch{events: events, size: len(events)}
	for k := range events {
		i.metrics.events.WithLabelValues(i.decodeOne(b, events[k])).Inc()
	}
	return b
}

// decodeOne adds what an event tells, and returns what it is.
func (i *Ingester) decodeOne(b *batch, e gaea.Event) (kind string) {
	if e.Truncated != nil {
		i.metrics.truncated.Inc()
	}
	r := &b.others
	if isJob(e.Tag) {
		r = &b.cached
	}
	d := saltclient.Decode(e)
	switch {
	case d.Job != nil:
		i.addJob(r, *d.Job, gaea.SourceBus)
		return kindJob
	case d.Publication != nil:
		i.addJob(r, *d.Publication, gaea.SourceBus)
		return kindPublication
	case d.Return != nil:
		if d.Return.Minion == "" { // a runner ran on the master
			d.Return.Minion = i.o.MasterID
		}
		if d.Trimmed {
			i.postpone(*d.Return)
		} else {
			i.addReturn(r, *d.Return, gaea.SourceBus)
		}
		return kindReturn
	case d.Other:
		if d.Suspect != "" {
			i.suspect(&e, d.Suspect)
		}
		redact.Event(&e)
		b.others.events = append(b.others.events, e) // also where a minion gave it the tag of a job: no cache has it
		return kindEvent
	default:
		return kindIgnored
	}
}

// suspect notes that an event is not what its tag says.
func (i *Ingester) suspect(e *gaea.Event, why string) {
	e.Suspect = why
	i.metrics.suspect.Inc()
	if ok, others := i.suspicion.Pass(i.o.Now()); ok {
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
	bound(&ret, i.o.MaxReturn)
	r.returns = append(r.returns, ret)
}
