package swarm

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// session is what a minion has from its last sign-in.
type session struct {
	turn chan struct{} // one signs in at a time

	mu     sync.Mutex
	in     *signIn // nil: it has to sign in
	serial int64   // of the last publication
}

func (s *session) get() *signIn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in
}

func (s *session) set(in *signIn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in, s.serial = in, 0
}

// forget has the minion sign in again, where its sign-in is still that one; nil means any.
func (s *session) forget(in *signIn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in == nil || s.in == in {
		s.in = nil
	}
}

// inOrder says whether a publication is newer than those before it (salt/crypt.py, Crypticle.loads). Masters of a cluster do not
// number theirs.
func (s *session) inOrder(in *signIn, serial int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if serial == 0 || s.in != in {
		return true
	}
	if serial <= s.serial {
		return false
	}
	s.serial = serial
	return true
}

// signedIn returns the last sign-in, and signs in where there is none.
func (m *minion) signedIn(ctx context.Context) (*signIn, error) {
	select {
	case m.session.turn <- struct{}{}:
		defer func() { <-m.session.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if in := m.session.get(); in != nil {
		return in, nil
	}
	nonce, err := newNonce()
	if err != nil {
		return nil, err
	}
	message, err := signInRequest(m.id, m.who, nonce)
	if err != nil {
		return nil, err
	}
	answer, err := m.swarm.exchange(ctx, message)
	if err != nil {
		return nil, err
	}
	in, err := readSignIn(answer, m.who, nonce, m.swarm.trust)
	if err != nil {
		return nil, err
	}
	m.swarm.stats.signIns.Add(1)
	m.session.set(in)
	return in, nil
}

// ask sends a load to the master and returns the answer. It waits while the minion has no network, and tries again where the
// master does not answer or wants a new sign-in.
func (m *minion) ask(ctx context.Context, load map[string]any) (any, error) {
	return request(ctx, m, load, func(in *signIn, nonce string, answer []byte) (any, error) {
		return openAnswer(in.session, nonce, answer)
	})
}

// request sends a load and opens the answer with open.
func request[V any](ctx context.Context, m *minion, load map[string]any, open func(in *signIn, nonce string, answer []byte) (V, error)) (v V, err error) {
	for try := 1; ; try++ {
		online, end, err := m.network.during(ctx)
		if err != nil {
			return v, err
		}
		v, err = requestOnce(online, m, load, open)
		cut := online.Err() != nil && ctx.Err() == nil
		end()
		switch {
		case err == nil || ctx.Err() != nil:
			return v, err
		case cut:
			try-- // the network went away: it is no answer of the master's
		case try == requestTries:
			return v, fmt.Errorf("after %d tries: %w", try, err)
		}
		if err := pause(ctx, time.Duration(try)*500*time.Millisecond); err != nil {
			return v, err
		}
	}
}

func requestOnce[V any](ctx context.Context, m *minion, load map[string]any, open func(in *signIn, nonce string, answer []byte) (V, error)) (v V, err error) {
	in, err := m.signedIn(ctx)
	if err != nil {
		return v, err
	}
	nonce, err := newNonce()
	if err != nil {
		return v, err
	}
	message, err := sealRequest(in.session, m.id, m.who, nonce, m.clock(), load)
	if err != nil {
		return v, err
	}
	answer, err := m.swarm.exchange(ctx, message)
	if err != nil {
		return v, err
	}
	v, err = open(in, nonce, answer)
	if errors.Is(err, errRefused) {
		m.session.forget(in)
	}
	return v, err
}

// askPillar asks for the minion's pillar. That is also how a master learns a minion's grains, which it keeps for targets.
func (m *minion) askPillar(ctx context.Context) error {
	load := map[string]any{
		"cmd": "_pillar", "id": m.id, "grains": maps.Clone(m.grainsNow()), "saltenv": "base", "pillarenv": nil,
		"pillar_override": map[string]any{}, "extra_minion_data": map[string]any{}, "ver": "2",
	}
	pillar, err := request(ctx, m, load, func(_ *signIn, nonce string, answer []byte) (map[string]any, error) {
		return openPillar(answer, m.who, m.swarm.masterKey(), nonce)
	})
	if err != nil {
		return fmt.Errorf("the request for the pillar: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pillar = pillar
	return nil
}

// fire has the master fire an event of this minion, in the form of a single one: what the bus carries is the whole load.
func (m *minion) fire(ctx context.Context, tag string, data any) error {
	_, err := m.ask(ctx, map[string]any{"cmd": "_minion_event", "id": m.id, "pretag": nil, "tag": tag, "data": data, "tok": m.who.token})
	return err
}

// fireMany is the other form, in which beacons come: what the bus carries is the data.
func (m *minion) fireMany(ctx context.Context, events []any) error {
	_, err := m.ask(ctx, map[string]any{"cmd": "_minion_event", "id": m.id, "pretag": nil, "events": events, "tok": m.who.token})
	return err
}

// trust says whether a public key is the master's: the first that comes is, and no other after it.
func (s *Swarm) trust(text string) (*rsa.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.master == nil {
		key, err := parsePublicKey([]byte(text))
		if err != nil {
			return nil, err
		}
		s.master = key
		s.masterText = text
	}
	if text != s.masterText {
		return nil, errors.New("the master has another key than the one that the swarm met first")
	}
	return s.master, nil
}

// masterKey is the master's key. There is one after the first sign-in.
func (s *Swarm) masterKey() *rsa.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.master
}
