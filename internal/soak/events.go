package soak

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// playEvents has every fifth minion start again, fire a beacon and an event, and call a function, and looks for each.
func playEvents(ctx context.Context, s *stage) error {
	since := time.Now()      // after the starts of all, which are in the archive too
	want := map[string]int{} // events by tag and minion
	calls := map[string]string{}
	for i, id := range s.ids {
		if i%5 > 0 {
			continue
		}
		for tag, do := range map[string]func() error{
			"salt/beacon/" + id + "/load/": func() error { return s.swarm.Beacon(ctx, id, "load", map[string]any{"1m": 4.5}) },
			"soak/" + id:                   func() error { return s.swarm.Fire(ctx, id, "soak/"+id, map[string]any{"word": "grüße"}) },
			"salt/minion/" + id + "/start": func() error { return s.again(ctx, id) },
		} {
			if err := do(); err != nil {
				return err
			}
			want[tag] = 1
		}
		jid, err := s.swarm.Call(ctx, id, work, "by itself")
		if err != nil {
			return err
		}
		calls[id] = jid
	}
	if err := s.connected(ctx, len(s.ids)); err != nil {
		return err
	}
	if err := s.settles(ctx, func() error { return s.eventsAre(ctx, since, want) }); err != nil {
		return err
	}
	for id, jid := range calls {
		if err := s.settles(ctx, func() error { return s.called(ctx, id, jid) }); err != nil {
			return err
		}
	}
	s.saw("%d events and %d calls are in the archive", len(want), len(calls))
	return nil
}

// again has a minion lose its power and get it back.
func (s *stage) again(ctx context.Context, id string) error {
	if err := s.swarm.Down(id); err != nil {
		return err
	}
	if err := s.connected(ctx, len(s.ids)-1); err != nil {
		return err
	}
	if err := s.swarm.Up(id); err != nil {
		return err
	}
	return s.connected(ctx, len(s.ids))
}

// eventsAre checks that the archive has each of these events so often since then.
func (s *stage) eventsAre(ctx context.Context, since time.Time, want map[string]int) error {
	got := map[string]int{}
	for event, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Event], error) {
		return s.Client.Events(ctx, gaea.EventFilter{Since: since}, p)
	}) {
		if err != nil {
			return err
		}
		got[event.Tag]++
	}
	for tag, n := range want {
		if got[tag] != n {
			return violation("the archive has the event %s %d times, not %d", tag, got[tag], n)
		}
	}
	return nil
}

// called checks that a minion's own call is in the archive as one.
func (s *stage) called(ctx context.Context, id, jid string) error {
	if err := s.kept(ctx, jid); err != nil {
		return err
	}
	job, err := s.Client.Job(ctx, jid)
	if err != nil {
		return err
	}
	if job.Origin != gaea.OriginSaltCall || job.Function != work || job.Returns[id].Outcome != gaea.OutcomeSucceeded || len(job.Returns) != 1 {
		return violation("the archive has the call %s of %s as %+v", jid, id, job)
	}
	return nil
}
