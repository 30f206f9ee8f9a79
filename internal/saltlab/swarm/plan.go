package swarm

import (
	"context"
	"math/rand/v2"
)

// plan starts what a minion's behaviours do by themselves, in the place of what it had planned before.
func (m *minion) plan(ctx context.Context) {
	m.planning.Lock()
	defer m.planning.Unlock()
	m.unplan()
	inner, cancel := context.WithCancel(ctx)
	m.planned = cancel
	m.mu.Lock()
	behaviours := m.behaviours
	m.mu.Unlock()
	for i, b := range behaviours {
		if b.Flaps != nil {
			m.plans.Go(func() { m.flap(inner, *b.Flaps, m.planChance(streamFlaps, i, 0)) })
		}
		for n, drifts := range b.Drifts {
			m.plans.Go(func() { m.driftAway(inner, drifts, m.planChance(streamDrifts, i, n)) })
		}
	}
}

// endPlan ends what was planned.
func (m *minion) endPlan() {
	m.planning.Lock()
	defer m.planning.Unlock()
	m.unplan()
}

// unplan does so for who holds planning.
func (m *minion) unplan() {
	if m.planned != nil {
		m.planned()
		m.plans.Wait()
	}
}

func (m *minion) planChance(stream uint64, behaviour, part int) *rand.Rand {
	return chance(m.swarm.opts.Seed, m.id, stream+uint64(behaviour)<<8+uint64(part)<<24)
}

// firstAccepted waits until the minion was accepted. The error is ctx's.
func (m *minion) firstAccepted(ctx context.Context) error {
	select {
	case <-m.accepted:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flap takes the minion off the network and puts it back, until ctx ends; then it is on.
func (m *minion) flap(ctx context.Context, f Flaps, r *rand.Rand) {
	defer m.network.switchOn()
	if m.firstAccepted(ctx) != nil {
		return
	}
	for pause(ctx, f.Up.draw(r)) == nil {
		m.network.switchOff(0)
		if pause(ctx, f.Down.draw(r)) != nil {
			return
		}
		m.network.switchOn()
	}
}

// driftAway changes the minion behind Salt's back when it is time, until ctx ends.
func (m *minion) driftAway(ctx context.Context, d Drifts, r *rand.Rand) {
	known := m.swarm.stateIDs()
	if len(known) == 0 || m.firstAccepted(ctx) != nil {
		return
	}
	wait := d.After
	for pause(ctx, wait.draw(r)) == nil {
		states := d.States
		if len(states) == 0 {
			states = []string{known[r.IntN(len(known))]}
		}
		for _, state := range states {
			m.drift.add(state)
		}
		if d.Every.isZero() {
			return
		}
		wait = d.Every
	}
}
