package enginetest

import (
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// subscription is a live list of one job's returns.
type subscription struct {
	salt    *Salt
	jid     string
	returns chan gaea.Return
	lost    chan struct{}
}

// Follow implements [gaea.Feed].
func (s *Salt) Follow(jid string) gaea.Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := &subscription{salt: s, jid: jid, returns: make(chan gaea.Return, s.channel), lost: make(chan struct{}, 1)}
	s.subs[jid] = append(s.subs[jid], sub)
	return sub
}

// Returns implements [gaea.Subscription].
func (sub *subscription) Returns() <-chan gaea.Return { return sub.returns }

// Lost implements [gaea.Subscription].
func (sub *subscription) Lost() <-chan struct{} { return sub.lost }

// Close implements [gaea.Subscription].
func (sub *subscription) Close() {
	s := sub.salt
	s.mu.Lock()
	defer s.mu.Unlock()
	left := slices.DeleteFunc(s.subs[sub.jid], func(other *subscription) bool { return other == sub })
	if len(left) == 0 {
		delete(s.subs, sub.jid)
		return
	}
	s.subs[sub.jid] = left
}

// Followed counts the subscriptions that are not closed.
func (s *Salt) Followed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, subs := range s.subs {
		n += len(subs)
	}
	return n
}

// store puts a return into the archive and tells those who follow its job. The lock is held.
func (s *Salt) store(ret gaea.Return) {
	if s.archive[ret.JID] == nil {
		s.archive[ret.JID] = map[string]gaea.Return{}
	}
	if _, ok := s.archive[ret.JID][ret.Minion]; !ok {
		s.archive[ret.JID][ret.Minion] = ret
		if s.onStore != nil {
			go s.onStore(ret) // the callee may call back
		}
	}
	for _, sub := range s.subs[ret.JID] {
		select {
		case sub.returns <- ret:
		default:
			select {
			case sub.lost <- struct{}{}:
			default:
			}
		}
	}
}

// EachReturn implements [gaea.ReturnStore].
func (s *Salt) EachReturn(_ context.Context, _, jid string, take func(*gaea.Return) error) error {
	s.mu.Lock()
	var returns []gaea.Return
	for _, name := range slices.Sorted(mapKeys(s.archive[jid])) {
		returns = append(returns, s.archive[jid][name])
	}
	s.mu.Unlock()
	for i := range returns {
		if err := take(&returns[i]); err != nil {
			return err
		}
	}
	return nil
}

func mapKeys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
