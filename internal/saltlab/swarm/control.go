package swarm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Down takes a minion's power: what it runs is gone, and nothing is sent.
func (s *Swarm) Down(id string) error { return s.with(id, func(m *minion) { m.power.switchOff(0) }) }

// Up gives a minion its power, also one that was down or has died by its behaviour. It signs in as one that has just started.
func (s *Swarm) Up(id string) error { return s.with(id, (*minion).comeBack) }

// Unplug takes a minion off the network: what it runs goes on, and what it wants to send waits.
func (s *Swarm) Unplug(id string) error {
	return s.with(id, func(m *minion) { m.network.switchOff(0) })
}

// Plug puts it back.
func (s *Swarm) Plug(id string) error { return s.with(id, func(m *minion) { m.network.switchOn() }) }

// Behave has a minion behave in another way from now on; without any behaviour it answers everything at once. Jobs that it runs
// already are not changed.
func (s *Swarm) Behave(id string, behaviours ...Behaviour) error {
	for i, b := range behaviours {
		if err := b.validate(fmt.Sprintf("behaviours[%d]", i)); err != nil {
			return err
		}
	}
	m, err := s.minion(id)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.behaviours = slices.Clone(behaviours)
	m.mu.Unlock()
	m.plan(s.ctx)
	m.goAway()
	return nil
}

// Drift makes states of a minion not what they should be.
func (s *Swarm) Drift(id string, states ...string) error {
	known := s.stateIDs()
	for _, state := range states {
		if !slices.Contains(known, state) {
			return fmt.Errorf("swarm: there is no state %q, only %q", state, known)
		}
	}
	return s.with(id, func(m *minion) {
		for _, state := range states {
			m.drift.add(state)
		}
	})
}

// Drifted are the ids of the states of a minion that are not what they should be.
func (s *Swarm) Drifted(id string) ([]string, error) {
	m, err := s.minion(id)
	if err != nil {
		return nil, err
	}
	return m.drift.list(), nil
}

// SetGrains changes grains of a minion, and tells the master. A grain that is nil is taken away.
func (s *Swarm) SetGrains(ctx context.Context, id string, change map[string]any) error {
	if _, err := pack(change); err != nil {
		return fmt.Errorf("swarm: the grains of %s: %w", id, err)
	}
	return s.ask(ctx, id, func(ctx context.Context, m *minion) error {
		m.setGrains(change)
		return m.askPillar(ctx)
	})
}

// Fire has a minion fire an event, as event.send does: the bus carries the data within the minion's load.
func (s *Swarm) Fire(ctx context.Context, id, tag string, data map[string]any) error {
	return s.ask(ctx, id, func(ctx context.Context, m *minion) error { return m.fire(ctx, tag, data) })
}

// FireMany sends an event of a minion's own in the form in which it sends several at once. The master then hands on the data as
// they are, without a word on who sent them.
func (s *Swarm) FireMany(ctx context.Context, id, tag string, data map[string]any) error {
	return s.ask(ctx, id, func(ctx context.Context, m *minion) error {
		return m.fireMany(ctx, []any{map[string]any{"tag": tag, "data": data}})
	})
}

// HugeText is what minions return whose Behaviour.Huge is size.
func (s *Swarm) HugeText(size int) string { return s.hugeText(size) }

// Beacon has a beacon of a minion fire, with the tag salt/beacon/ID/NAME/.
func (s *Swarm) Beacon(ctx context.Context, id, name string, data map[string]any) error {
	full := map[string]any{"id": id}
	maps.Copy(full, data)
	event := map[string]any{"tag": "salt/beacon/" + id + "/" + name + "/", "data": full}
	return s.ask(ctx, id, func(ctx context.Context, m *minion) error { return m.fireMany(ctx, []any{event}) })
}

// Call has a minion call a function by itself and tell the master, as salt-call does: there is a return, without anything
// published before it and without a word on success. It returns the job's id.
func (s *Swarm) Call(ctx context.Context, id, fun string, args ...any) (jid string, err error) {
	if args == nil {
		args = []any{}
	}
	err = s.ask(ctx, id, func(ctx context.Context, m *minion) error {
		jid = strings.Replace(m.clock().Format("20060102150405.000000"), ".", "", 1)
		j := &job{told: told{jid: jid, fun: fun, args: args}, began: m.clock(), cancel: func() {}, chance: chance(s.opts.Seed, id, streamCalls)}
		answer := m.call(ctx, j, fun, args)
		_, err := m.ask(ctx, map[string]any{
			"cmd": "_return", "id": id, "jid": jid, "fun": fun, "fun_args": args, "arg": args, "tgt": id, "tgt_type": "glob",
			"return": answer.Return, "retcode": answer.Code,
		})
		return err
	})
	return jid, err
}

func (s *Swarm) with(id string, do func(*minion)) error {
	m, err := s.minion(id)
	if err == nil {
		do(m)
	}
	return err
}

// ask does something with a minion that ends when ctx ends, and when the swarm does.
func (s *Swarm) ask(ctx context.Context, id string, do func(context.Context, *minion) error) error {
	m, err := s.minion(id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return errStopped
	}
	s.lives.Add(1)
	s.mu.Unlock()
	defer s.lives.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	return do(ctx, m)
}

func (s *Swarm) stateIDs() []string {
	var ids []string
	for _, sls := range s.opts.States {
		for _, state := range sls {
			ids = append(ids, state.ID)
		}
	}
	slices.Sort(ids)
	return ids
}
