package enforce

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	lookEvery    = 10 * time.Second // how soon a new or changed assignment is noticed
	tryAgain     = time.Minute      // after a check that could not be made
	checksAtOnce = 4                // interval checks that go on at the same time; the next ones wait their turn
	spreadShare  = 10               // checks are spread over this part of their interval
	spreadMost   = time.Minute      // and over no more than this
)

// patrol checks the assignments that have an interval. When an assignment is due follows from its newest run over the whole
// target, whoever asked for that, so nothing more has to be kept.
type patrol struct {
	s     *Service
	slots chan struct{} // one element for each check under way
	ended chan checked

	beats map[string]beat // by assignment
}

// checked tells that an assignment's check has ended, or could not be made.
type checked struct {
	name string
	made bool
}

// beat is when an assignment is due.
type beat struct {
	ref string // the version that this was worked out for
	due time.Time
	on  bool // a check is under way or waits for a slot
}

func newPatrol(s *Service) *patrol {
	return &patrol{s: s, slots: make(chan struct{}, checksAtOnce), ended: make(chan checked), beats: map[string]beat{}}
}

// loop goes on until ctx ends, and returns when its checks have let go.
func (p *patrol) loop(ctx context.Context) {
	var checks sync.WaitGroup
	defer checks.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-p.ended:
			if c.made {
				delete(p.beats, c.name) // when it is due next the runs tell
			} else {
				p.beats[c.name] = beat{ref: p.beats[c.name].ref, due: p.s.now().Add(tryAgain)}
			}
			timer.Reset(0)
		case <-timer.C:
			next, err := p.round(ctx, func(name string) {
				checks.Go(func() { p.check(ctx, name) })
			})
			if err != nil && ctx.Err() == nil {
				p.s.deps.Logger.Warn("could not see which assignments are due for a check; trying again", "err", err)
			}
			timer.Reset(min(max(next.Sub(p.s.now()), 0), lookEvery))
		}
	}
}

// round starts the checks that are due, and tells when the next one is.
func (p *patrol) round(ctx context.Context, start func(name string)) (next time.Time, err error) {
	now := p.s.now()
	next = now.Add(lookEvery)
	seen := map[string]bool{}
	page := gaea.PageRequest{Limit: 1000}
	for {
		found, err := p.s.deps.Assignments.List(ctx, page)
		if err != nil {
			return next, err
		}
		for i := range found.Items {
			v := &found.Items[i]
			settings := v.Definition.DriftCheck.WithDefaults()
			if v.Deleted || settings.Interval == 0 || settings.Mode == gaea.CheckOff {
				continue
			}
			seen[v.Definition.Name] = true
			if due := p.consider(ctx, v, now, start); due.Before(next) {
				next = due
			}
		}
		if found.Next == "" {
			break
		}
		page.Cursor = found.Next
	}
	for name, b := range p.beats {
		if !seen[name] && !b.on {
			delete(p.beats, name)
		}
	}
	return next, nil
}

// consider starts an assignment's check if it is due, and says when to look at it again. Each assignment has its own place
// in time, so that not all come at once.
func (p *patrol) consider(ctx context.Context, v *gaea.Version[gaea.Assignment], now time.Time, start func(name string)) time.Time {
	name, interval := v.Definition.Name, v.Definition.DriftCheck.Interval.Std()
	b, known := p.beats[name]
	if b.on {
		return now.Add(lookEvery)
	}
	if !known || b.ref != v.Ref {
		b = beat{ref: v.Ref, due: now.Add(spread(name, interval))}
	}
	// Somebody may have looked at it since, or before this process began. Where that cannot be told, the check says why.
	if !b.due.After(now) {
		if last, err := p.lastLook(ctx, name); err == nil && last.Add(interval).After(now) {
			b.due = last.Add(interval + spread(name, interval))
		}
	}
	if b.on = !b.due.After(now); b.on {
		start(name)
		b.due = now.Add(lookEvery)
	}
	p.beats[name] = b
	return b.due
}

// spread is an assignment's own delay, from nothing up to a part of its interval.
func spread(name string, interval time.Duration) time.Duration {
	most := min(interval/spreadShare, spreadMost)
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return time.Duration(h.Sum64() % uint64(max(most, 1)))
}

// lastLook is when the newest run over an assignment's whole target was asked for, well ended or not; the zero time for none.
func (p *patrol) lastLook(ctx context.Context, name string) (time.Time, error) {
	sub, err := p.s.subject(ctx, name)
	if err != nil {
		return time.Time{}, err
	}
	run, err := p.s.newestWhole(ctx, sub, func(*gaea.Run) bool { return true })
	if err != nil || run == nil {
		return time.Time{}, err
	}
	return run.Created, nil
}

// check makes one interval check and waits for its end.
func (p *patrol) check(ctx context.Context, name string) {
	made := false
	defer func() {
		select {
		case p.ended <- checked{name, made}:
		case <-ctx.Done():
		}
	}()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return
	}
	run, err := p.s.Check(ctx, name, gaea.CheckRequest{})
	if made = err == nil; made && run != nil {
		run, err = p.s.deps.Engine.WaitComplete(ctx, run.ID)
	}
	log := p.s.deps.Logger.With("assignment", name)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.Warn("the interval check could not be made", "err", err)
	case run != nil:
		log.Info("interval check ended", "run", run.ID, "status", run.Status, "counts", run.Tally())
	}
}
