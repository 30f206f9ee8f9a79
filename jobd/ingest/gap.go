package ingest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// gapMargin is how far before a gap's known start is looked: the last events before the link broke may not have come
	// through, and their stamps are a little older than their arrival.
	gapMargin = time.Minute
	// longJob is how long before a gap a job may have been published whose returns fell into it.
	longJob = 24 * time.Hour
	// jobAttempts is how often one job is asked for that the cache does not tell, while it tells others.
	jobAttempts = 3
	// sayAgain is how often a failure that goes on is logged.
	sayAgain = time.Minute
)

// origin is since when events may be missing at the start. It is asked of the archive before that is given anything, after which
// nothing shows it any more.
type origin struct {
	mu   sync.Mutex // held by who asks
	from atomic.Pointer[time.Time]
}

// Begin asks the archive since when events may be missing, where [Ingester.Start] could not because that was away. It is done by
// itself before anything is stored; who stores by another way has it done before.
func (i *Ingester) Begin(ctx context.Context) error {
	if i.origin.from.Load() != nil {
		return nil
	}
	i.origin.mu.Lock()
	defer i.origin.mu.Unlock()
	if i.origin.from.Load() != nil {
		return nil
	}
	from, err := i.lastSeen(ctx)
	if err != nil {
		return err
	}
	i.noteGap(from) // before others see that it is known, and store
	i.origin.from.Store(&from)
	i.took(nil)
	return nil
}

// lastSeen finds out since when events may be missing: since the last one stored, or since a gap that was never closed.
func (i *Ingester) lastSeen(ctx context.Context) (time.Time, error) {
	from, err := i.o.Store.LastStamp(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if from.After(i.o.Now().Add(gapMargin)) {
		// The clock was ahead once, so the newest stamp tells nothing about when jobd ended.
		from = time.Time{}
	}
	if !from.IsZero() {
		from = from.Add(-gapMargin)
	}
	open, err := i.o.Store.OpenGaps(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if len(open) == 0 {
		return from, nil
	}
	first := slices.MinFunc(slices.Collect(maps.Values(open)), time.Time.Compare)
	// They stay open until they have been looked at: the master may be away for longer than this jobd lives.
	i.missing.keep(slices.Sorted(maps.Keys(open)), first)
	return earlier(first, from), nil
}

// noteGap notes that events from a time on may be missing.
func (i *Ingester) noteGap(from time.Time) {
	if i.missing.note(from) {
		i.metrics.gaps.Inc()
	}
}

// recordGap has the archive record what may be missing.
func (i *Ingester) recordGap(ctx context.Context) error {
	if err := i.Begin(ctx); err != nil {
		return err
	}
	return i.missing.record(ctx, i.o.Store.OpenGap)
}

func (i *Ingester) recoverGaps(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-i.missing.wake:
			i.closeGap(ctx)
		}
	}
}

// search is one look at what may be missing.
type search struct {
	from      time.Time
	settled   time.Time       // what the job cache tells from then on is final: see closeGap
	done      map[string]bool // jobs that need no further look
	failures  map[string]int  // by job
	recovered int             // returns
	said      time.Time       // when the progress was last logged
}

// closeGap fetches what the job cache has and the archive has not, twice: the master sends an event a moment before it
// writes its cache, so what fell between is seen the second time.
func (i *Ingester) closeGap(ctx context.Context) {
	if !i.persist(ctx, func() error { return i.recordGap(ctx) }) {
		return
	}
	from, ids, ok := i.missing.take()
	if !ok {
		return
	}
	i.looking.Store(true)
	defer i.looking.Store(false)
	now := i.o.Now()
	if from.After(now.Add(gapMargin)) {
		from = time.Time{} // the clock was set back since: what it said when the gap began tells nothing
	}
	s := &search{from: from, settled: now.Add(i.o.Settle), said: now, done: map[string]bool{}, failures: map[string]int{}}
	pass := func() error { return i.fetch(ctx, s) }
	if !i.persist(ctx, pass) || !sleep(ctx, s.settled.Sub(i.o.Now())) || !i.persist(ctx, pass) {
		return // the records stay open, and the next start looks again
	}
	for _, id := range ids {
		if !i.persist(ctx, func() error { return i.o.Store.CloseGap(ctx, id, i.o.Now(), s.recovered) }) {
			return
		}
	}
	if !i.overflow.on.Load() && !i.missing.open() {
		i.overflow.gap.Store(false)
	}
	i.o.Logger.Info("the archive has all that the job cache has", "since", sinceWhen(from), "recovered", s.recovered)
}

// persist tries a step of the recovery until it works, with growing pauses. False where ctx ended before.
func (i *Ingester) persist(ctx context.Context, step func() error) bool {
	var said time.Time
	for pause := firstPause; ; pause = min(pause*2, lastPause) {
		err := step()
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			return true
		}
		i.metrics.errors.WithLabelValues("recovery").Inc()
		if now := i.o.Now(); now.Sub(said) >= sayAgain {
			said = now
			i.o.Logger.Warn("could not fetch what was missed from the job cache; trying again until it works", "error", err)
		}
		if !sleep(ctx, pause) {
			return false
		}
	}
}

// fetch looks at every job that may have returns in the gap. Jobs that are done are not looked at again, so that a pass which
// failed half-way goes on where it was.
func (i *Ingester) fetch(ctx context.Context, s *search) error {
	touched, jids, err := i.candidates(ctx, s.from)
	if err != nil {
		return err
	}
	for k, jid := range slices.Backward(jids) { // what happened last is what people wait for
		if s.done[jid] {
			continue
		}
		if !i.forwarded(ctx) {
			return ctx.Err()
		}
		if now := i.o.Now(); now.Sub(s.said) >= sayAgain {
			s.said = now
			i.o.Logger.Info("fetching what was missed from the job cache", "jobs_left", k+1, "recovered", s.recovered)
		}
		settled := !i.o.Now().Before(s.settled)
		n, err := i.fetchJob(ctx, jid, touched[jid])
		s.recovered += n
		i.metrics.recovered.Add(float64(n))
		if err == nil {
			s.done[jid] = settled
			continue
		}
		if s.failures[jid]++; ctx.Err() != nil || mayPass(err, s.failures[jid]) {
			return err
		}
		i.metrics.errors.WithLabelValues("recovery").Inc()
		i.o.Logger.Error("a job could not be fetched from the job cache; what was missed of it stays missing", "jid", jid, "error", err)
		s.done[jid] = true
	}
	return nil
}

// forwarded waits until the spill is empty: what is in there is not missing. False where ctx ended before.
func (i *Ingester) forwarded(ctx context.Context) bool {
	for i.depth().Records > 0 {
		if !sleep(ctx, firstPause) {
			return false
		}
	}
	return true
}

// mayPass says whether a job that could not be fetched is worth another try.
func mayPass(err error, failures int) bool {
	switch gaea.CodeOf(err) {
	case gaea.CodeUnavailable: // the master or the archive is away: no job can be fetched
		return true
	case gaea.CodeTooLarge, gaea.CodeInvalid:
		return false
	default:
		return failures < jobAttempts
	}
}

// candidates lists the jobs that may have returns in a gap, oldest first, and says which of them are sure to have been active
// in it.
func (i *Ingester) candidates(ctx context.Context, from time.Time) (touched map[string]bool, jids []string, err error) {
	if from.IsZero() { // an empty archive is filled, perhaps in several attempts
		jids, err = i.o.Cache.CachedJIDs(ctx, i.kept(ctx, from))
		return nil, jids, err
	}
	active, err := i.o.Cache.CachedJIDs(ctx, i.kept(ctx, from))
	if err != nil {
		return nil, nil, err
	}
	touched = make(map[string]bool, len(active))
	for _, jid := range active {
		touched[jid] = true
	}
	jids, err = i.o.Cache.CachedJIDs(ctx, i.kept(ctx, from.Add(-longJob)))
	return touched, jids, err
}

// kept is a time, or a later one from which on retention has taken nothing: what it took must not come back.
func (i *Ingester) kept(ctx context.Context, from time.Time) time.Time {
	if i.o.Keep > 0 {
		if oldest := i.o.Now().Add(-i.o.Keep); from.Before(oldest) {
			from = oldest
		}
	}
	if i.o.Horizon == nil {
		return from
	}
	horizon, err := i.o.Horizon(ctx)
	if err != nil {
		i.o.Logger.WarnContext(ctx, "could not see before when jobs were deleted: what is older than that may come back from the job cache", "err", err)
	}
	if from.Before(horizon) {
		return horizon
	}
	return from
}

// tells says whether the job cache knows more of a job itself than the archive, which has nothing where have is nil.
func tells(cached *gaea.Job, have *gaea.JobDetail) bool {
	return cached.Function != "" && (have == nil || !have.Known || lacks(have.Minions, cached.Minions) || stands(have.Batch, cached.Batch))
}

// fetchJob stores what the cache has of one job and the archive has not, and returns how many returns that was.
func (i *Ingester) fetchJob(ctx context.Context, jid string, touched bool) (int, error) {
	have, err := i.o.Store.Job(ctx, jid)
	if err != nil && gaea.CodeOf(err) != gaea.CodeNotFound {
		return 0, err
	}
	if have != nil && complete(have) && !touched {
		return 0, nil
	}
	f := &fetching{Ingester: i, ctx: ctx, have: have, rows: &records{}}
	err = i.o.Cache.CachedJobParts(ctx, jid, f.take)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound: // cleaned up meanwhile
		return f.stored, nil
	case !f.told && err == nil:
		return 0, errors.New("the job cache answers nothing")
	case ctx.Err() != nil:
		return f.stored, ctx.Err()
	}
	if stopped := f.flush(); stopped != nil {
		return f.stored, stopped
	}
	return f.stored, err // an error beside a job says that not all of it could be told
}

// fetching stores a job from the job cache as its parts come.
type fetching struct {
	*Ingester
	ctx    context.Context //nolint:containedctx // it lives as long as one call
	have   *gaea.JobDetail // nil where the archive has nothing
	told   bool
	rows   *records
	size   int
	stored int // returns
}

func (f *fetching) take(part *gaea.CachedJob) error {
	if !f.told && tells(&part.Job, f.have) {
		f.addJob(f.rows, part.Job, gaea.SourceCache)
	}
	f.told = true
	for k := range part.Returns {
		ret := &part.Returns[k]
		if f.have == nil || !f.have.Returns[ret.Minion].Outcome.Heard() {
			f.addReturn(f.rows, *ret, gaea.SourceCache)
			f.size += sizeOfReturn(ret)
		}
		if f.size < f.o.BatchBytes && len(f.rows.returns) < f.o.BatchEvents {
			continue
		}
		if err := f.flush(); err != nil {
			return err
		}
	}
	return nil
}

// flush stores what was taken since. An error says that the context has ended.
func (f *fetching) flush() error {
	if !f.store(f.ctx, f.rows) {
		return f.ctx.Err()
	}
	f.stored, f.size, f.rows = f.stored+len(f.rows.returns), 0, &records{}
	return nil
}

// lacks says whether some of want is not in have, which is sorted.
func lacks(have, want []string) bool {
	return slices.ContainsFunc(want, func(id string) bool {
		_, found := slices.BinarySearch(have, id)
		return !found
	})
}

// stands says whether the job cache may tell better than the archive how a batch of Salt's own stands.
func stands(have, cached *gaea.JobBatch) bool {
	return cached != nil && (have == nil || !have.Status.Ended())
}

// complete says whether every minion that the job expects has returned, but for those that its batch never told; a
// batch has to have ended.
func complete(j *gaea.JobDetail) bool {
	for _, r := range j.Returns {
		if !r.Outcome.Heard() && r.Outcome != gaea.OutcomeSkipped {
			return false
		}
	}
	return j.Known && (j.Batch == nil || j.Batch.Status.Ended())
}
