// Package feed hands out returns to those who follow their jobs. What is handed out has been stored before, by an archive or in
// memory: the feed keeps nothing.
package feed

import (
	"maps"
	"slices"
	"sync"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Hub hands out returns after they were stored. It implements [gaea.Feed]; a subscriber that is too slow, or has more than 32 MiB
// waiting, is told that it missed something and never holds up the others.
type Hub struct {
	mu     sync.Mutex
	subs   map[string]map[*subscription]struct{}
	closed bool
}

// NewHub returns a hub without subscribers.
func NewHub() *Hub { return &Hub{subs: map[string]map[*subscription]struct{}{}} }

// subscriptionBuffer is how many returns a subscriber may be behind.
const subscriptionBuffer = 1024

// subscriptionBytes is how many bytes of bodies those may have, but for one that is larger.
const subscriptionBytes = 32 << 20

type subscription struct {
	hub     *Hub
	jid     string
	returns chan gaea.Return
	lost    chan struct{}
	once    sync.Once

	sizes []int // of the returns in the channel, oldest first, and of some that were taken out of it since
	bytes int   // their sum
}

// room says whether a return of so many bytes fits in beside what nobody has taken yet, and counts it.
func (s *subscription) room(size int) bool {
	if gone := len(s.sizes) - len(s.returns); gone > 0 {
		for _, n := range s.sizes[:gone] {
			s.bytes -= n
		}
		s.sizes = append(s.sizes[:0], s.sizes[gone:]...)
	}
	if len(s.sizes) == cap(s.returns) || (len(s.sizes) > 0 && s.bytes+size > subscriptionBytes) {
		return false
	}
	s.sizes, s.bytes = append(s.sizes, size), s.bytes+size
	return true
}

func (s *subscription) send(r *gaea.Return) {
	if s.room(len(r.Body)) {
		s.returns <- *r // there is room, and nobody else sends
		return
	}
	select {
	case s.lost <- struct{}{}:
	default:
	}
}

// Follow implements [gaea.Feed].
func (h *Hub) Follow(jid string) gaea.Subscription {
	s := &subscription{hub: h, jid: jid, returns: make(chan gaea.Return, subscriptionBuffer), lost: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(s.returns)
		return s
	}
	if h.subs[jid] == nil {
		h.subs[jid] = map[*subscription]struct{}{}
	}
	h.subs[jid][s] = struct{}{}
	return s
}

// Send hands returns to whoever follows their jobs. It never waits.
func (h *Hub) Send(returns []gaea.Return) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) == 0 {
		return
	}
	for i := range returns {
		for s := range h.subs[returns[i].JID] {
			s.send(&returns[i])
		}
	}
}

// Followed says whether anybody follows a job.
func (h *Hub) Followed(jid string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs[jid]) > 0
}

// Jobs lists the jobs that somebody follows.
func (h *Hub) Jobs() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.subs))
}

// Close ends every subscription, and those that come later at once.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, subs := range h.subs {
		for s := range subs {
			close(s.returns)
		}
	}
	h.subs = map[string]map[*subscription]struct{}{}
}

func (s *subscription) Returns() <-chan gaea.Return { return s.returns }

func (s *subscription) Lost() <-chan struct{} { return s.lost }

func (s *subscription) Close() {
	s.once.Do(func() {
		h := s.hub
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, live := h.subs[s.jid][s]; !live { // the hub was closed before
			return
		}
		delete(h.subs[s.jid], s)
		if len(h.subs[s.jid]) == 0 {
			delete(h.subs, s.jid)
		}
		close(s.returns)
	})
}
