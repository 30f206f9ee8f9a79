package apitest

import (
	"sync"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Feed hands out returns, and loses them when a test says so.
type Feed struct {
	mu   sync.Mutex
	subs map[*subscription]bool
	all  int
}

type subscription struct {
	feed    *Feed
	jid     string
	returns chan gaea.Return
	lost    chan struct{}
}

// Follow implements gaea.Feed.
func (f *Feed) Follow(jid string) gaea.Subscription {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &subscription{feed: f, jid: jid, returns: make(chan gaea.Return, 1024), lost: make(chan struct{}, 1)}
	f.subs[s] = true
	f.all++
	return s
}

// Followers says how many follow a job now, and how many subscriptions there were in all.
func (f *Feed) Followers() (now, ever int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.subs), f.all
}

// Send hands out a return.
func (f *Feed) Send(r gaea.Return) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subs {
		if s.jid == r.JID {
			s.returns <- r
		}
	}
}

// Lose tells every follower that something is missing.
func (f *Feed) Lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subs {
		select {
		case s.lost <- struct{}{}:
		default:
		}
	}
}

// CloseFeed ends every subscription.
func (f *Feed) CloseFeed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subs {
		close(s.returns)
		delete(f.subs, s)
	}
}

func (s *subscription) Returns() <-chan gaea.Return { return s.returns }

func (s *subscription) Lost() <-chan struct{} { return s.lost }

func (s *subscription) Close() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	if s.feed.subs[s] {
		close(s.returns)
		delete(s.feed.subs, s)
	}
}
