package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// verifyTime is how long one call of Verify compares jobs before it leaves the others to the next.
	verifyTime = 10 * time.Second
	// verifyDifferences is how many differences end a call before.
	verifyDifferences = 1000
	// verifyPause is between two looks at a job whose last word may be on its way through the queue.
	verifyPause = 200 * time.Millisecond
)

// Verify compares the archive with the master's job cache, job by job in the order of their ids: each job, the minions that
// it expects, and each return, as ingest would store it now. What the archive has beyond that is fine. A return that differs
// stays as it was first stored, also with Fix.
//
// It ends after some seconds, or with many differences, and says in Next where to go on. One call works at a time; others
// wait for it. A job that the cache does not have is not compared. CodeUnavailable where the archive or the cache cannot be read, and
// with Fix also where events go on waiting in the spill: what is in there is not missing, and is not to be told as the job cache's.
func (i *Ingester) Verify(ctx context.Context, req gaea.VerifyRequest) (*gaea.VerifyReport, error) {
	select {
	case i.verifying <- struct{}{}:
		defer func() { <-i.verifying }()
	case <-ctx.Done():
		return nil, gaea.Wrap(ctx.Err(), gaea.CodeTimeout, "another verification has not ended in time; try again")
	}
	if req.Fix {
		if err := i.awaitForwarded(ctx); err != nil {
			return nil, err
		}
	}
	jids := []string{req.JID}
	if req.JID == "" {
		var err error
		if jids, err = i.o.Cache.CachedJIDs(ctx, i.kept(ctx, req.Since)); err != nil {
			return nil, err
		}
	}
	v := &verification{Ingester: i, fix: req.Fix, end: i.o.Now().Add(verifyTime), report: &gaea.VerifyReport{Differences: []gaea.Difference{}}}
	first, found := slices.BinarySearch(jids, req.After)
	if found {
		first++
	}
	for k, jid := range jids[first:] {
		if err := v.job(ctx, jid); err != nil {
			return nil, err
		}
		if more := first+k+1 < len(jids); more && (len(v.report.Differences) >= verifyDifferences || !i.o.Now().Before(v.end)) {
			v.report.Next = jid
			break
		}
	}
	v.report.Recovering = i.openGaps() > 0 || i.depth().Records > 0
	return v.report, nil
}

// awaitForwarded waits for the spill to be empty, and is an error where that takes long.
func (i *Ingester) awaitForwarded(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	switch {
	case i.forwarded(waiting):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return gaea.Errorf(gaea.CodeUnavailable, "%d events and returns wait in %s for the archive and are not missing; repeat this when they are stored (/readyz tells), or compare without fixing", i.depth().Records, i.place())
	}
}

// verification is one call of Verify.
type verification struct {
	*Ingester
	fix    bool
	end    time.Time
	report *gaea.VerifyReport
}

// comparison is what one look at a job shows.
type comparison struct {
	differences []gaea.Difference
	returns     int       // of the job cache
	beyond      int       // only in the archive
	newest      time.Time // of what the job cache tells
	unread      error
}

// job compares one job, and adds what it shows to the report.
func (v *verification) job(ctx context.Context, jid string) error {
	c, err := v.compare(ctx, jid)
	// What has just come may be in the queue still.
	for until := v.o.Now().Add(v.o.Settle); err == nil && c != nil && len(c.differences) > 0 && v.o.Now().Sub(c.newest) < gapMargin && v.o.Now().Before(until); {
		if !sleep(ctx, verifyPause) {
			break
		}
		c, err = v.compare(ctx, jid)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil || c == nil {
		return err
	}
	v.report.Jobs++
	v.report.Returns += c.returns
	v.report.Beyond += c.beyond
	if c.unread != nil {
		v.report.Unread = append(v.report.Unread, gaea.UnreadJob{JID: jid, Reason: gaea.MessageOf(c.unread)})
	}
	for _, d := range c.differences {
		v.metrics.differences.WithLabelValues(string(d.Kind)).Inc()
	}
	v.metrics.verified.Inc()
	if v.fix && len(c.differences) > 0 {
		if err := v.repair(ctx, jid, c); err != nil {
			return err
		}
	}
	v.report.Differences = append(v.report.Differences, c.differences...)
	return nil
}

// repair stores what is missing of a job, and marks the differences that are gone after that.
func (v *verification) repair(ctx context.Context, jid string, c *comparison) error {
	if err := v.awaitForwarded(ctx); err != nil { // the archive may have been away since the last job
		return err
	}
	n, err := v.fetchJob(ctx, jid, true)
	v.report.Stored += n
	v.metrics.recovered.Add(float64(n))
	if err != nil && c.unread == nil { // what the cache could not tell is in the report already
		return err
	}
	now, err := v.compare(ctx, jid)
	if err != nil || now == nil {
		return err
	}
	for k := range c.differences {
		c.differences[k].Fixed = !slices.Contains(now.differences, c.differences[k])
	}
	return nil
}

// compare looks at one job once. Nil where the cache has it no more.
func (v *verification) compare(ctx context.Context, jid string) (*comparison, error) {
	have, err := v.o.Store.Job(ctx, jid)
	if err != nil && gaea.CodeOf(err) != gaea.CodeNotFound {
		return nil, err
	}
	l := &look{verification: v, jid: jid, have: have, result: &comparison{}}
	var failed error // of the archive
	err = v.o.Cache.CachedJobParts(ctx, jid, func(part *gaea.CachedJob) error {
		failed = l.take(ctx, part)
		return failed
	})
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		return nil, nil //nolint:nilnil // there is nothing to compare
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case failed != nil:
		return nil, failed
	case !l.told && err == nil:
		err = gaea.Errorf(gaea.CodeSalt, "the job cache answers nothing")
	}
	l.result.unread = err
	if l.told {
		l.result.beyond = max(l.beyond, 0)
	}
	return l.result, nil
}

// look is one look at a job, whose parts come one after the other.
type look struct {
	*verification
	jid    string
	have   *gaea.JobDetail // nil where the archive has nothing
	told   bool
	beyond int // returns that the archive has, less those that the cache has told
	result *comparison
}

func (l *look) differ(minion string, kind gaea.DifferenceKind) {
	l.result.differences = append(l.result.differences, gaea.Difference{JID: l.jid, Minion: minion, Kind: kind})
}

// begin compares the job itself.
func (l *look) begin(job gaea.Job) {
	l.told, l.result.newest = true, job.Started
	r := &records{} // what would be stored
	l.addJob(r, job, gaea.SourceCache)
	if l.have == nil {
		l.differ("", gaea.JobMissing)
		l.have = &gaea.JobDetail{}
	} else {
		compareHeads(l.have, &r.jobs[0], l.differ)
	}
	for _, h := range l.have.Returns {
		if h.Outcome.Heard() {
			l.beyond++
		}
	}
}

// take compares the returns of a part.
func (l *look) take(ctx context.Context, part *gaea.CachedJob) error {
	if !l.told {
		l.begin(part.Job)
	}
	for k := range part.Returns {
		if part.Returns[k].Stamp.After(l.result.newest) {
			l.result.newest = part.Returns[k].Stamp
		}
		minion := part.Returns[k].Minion
		l.result.returns++
		if !l.have.Returns[minion].Outcome.Heard() {
			l.differ(minion, gaea.ReturnMissing)
			continue
		}
		l.beyond--
		r := &records{}
		l.addReturn(r, part.Returns[k], gaea.SourceCache)
		stored, err := l.o.Store.Return(ctx, l.jid, minion)
		if err != nil {
			return err
		}
		for _, kind := range unlike(stored, &r.returns[0]) {
			l.differ(minion, kind)
		}
	}
	return nil
}

// compareHeads tells in what a stored job differs from how the cache says that it was published, which it may not know.
func compareHeads(have *gaea.JobDetail, want *gaea.Job, differ func(minion string, kind gaea.DifferenceKind)) {
	switch {
	case want.Function == "":
		return
	case !have.Known && want.Known:
		differ("", gaea.HeadMissing)
		return
	case have.Function != want.Function:
		differ("", gaea.FunctionDiffers)
	}
	for _, m := range want.Minions {
		if _, found := slices.BinarySearch(have.Minions, m); !found {
			differ(m, gaea.MinionMissing)
		}
	}
}

// unlike says in what a stored return differs from what the job cache tells. What the cache does not tell is not compared: a
// runner tells of most returns no more than the body.
func unlike(stored, cached *gaea.Return) (kinds []gaea.DifferenceKind) {
	if !sameBody(stored, cached) {
		kinds = append(kinds, gaea.BodyDiffers)
	}
	if cached.Retcode != nil && (stored.Retcode == nil || *stored.Retcode != *cached.Retcode) {
		kinds = append(kinds, gaea.RetcodeDiffers)
	}
	if cached.Success != nil && (stored.Success == nil || *stored.Success != *cached.Success) {
		kinds = append(kinds, gaea.SuccessDiffers)
	}
	return kinds
}

// sameBody compares what was returned. Of what was cut one has to know as much as the other; where only one was, another bound was
// in force, and nothing can be told, nor where Salt's own form of it was not seen.
func sameBody(stored, cached *gaea.Return) bool {
	switch {
	case stored.Truncated != nil && stored.Truncated.SHA256 == "", cached.Truncated != nil && cached.Truncated.SHA256 == "":
		return true
	case stored.Truncated != nil && cached.Truncated != nil:
		return stored.Truncated.Size == cached.Truncated.Size && stored.Truncated.SHA256 == cached.Truncated.SHA256
	case stored.Truncated != nil || cached.Truncated != nil:
		return true
	default:
		return sameJSON(stored.Body, cached.Body)
	}
}

// sameJSON compares values, for the order of keys may differ between bus and cache.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, err := canonical(a)
	if err != nil {
		return false
	}
	y, err := canonical(b)
	return err == nil && bytes.Equal(x, y)
}

// canonical writes a value with its keys sorted and its numbers as they are.
func canonical(raw json.RawMessage) ([]byte, error) {
	if len(raw) == 0 {
		return []byte("null"), nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
