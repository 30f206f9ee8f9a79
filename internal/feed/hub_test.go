package feed_test

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/feed"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const jid = "20260102030405000000"

func ret(minion string, size int) gaea.Return {
	return gaea.Return{JID: jid, Minion: minion, Body: bytes.Repeat([]byte("1"), size)}
}

// waiting takes what is there, without waiting for more, and says whether something was lost.
func waiting(s gaea.Subscription) (minions []string, lost bool) {
	for {
		select {
		case r := <-s.Returns():
			minions = append(minions, r.Minion)
			continue
		default:
		}
		select {
		case <-s.Lost():
			return minions, true
		default:
			return minions, false
		}
	}
}

func TestWhoFollowsAJobHasItsReturnsInOrderAndNoOthers(t *testing.T) {
	h := feed.NewHub()
	a, b := h.Follow(jid), h.Follow(jid)
	other := h.Follow("20260102030405000001")
	h.Send([]gaea.Return{ret("web1", 1), {JID: "20260102030405000009", Minion: "x"}, ret("web2", 1)})
	for _, s := range []gaea.Subscription{a, b} {
		if got, lost := waiting(s); lost || !slices.Equal(got, []string{"web1", "web2"}) {
			t.Errorf("got %q, lost %v", got, lost)
		}
	}
	if got, lost := waiting(other); lost || len(got) != 0 {
		t.Errorf("the follower of another job got %q, lost %v", got, lost)
	}
	if !h.Followed(jid) || !slices.Equal(h.Jobs(), []string{jid, "20260102030405000001"}) {
		t.Errorf("followed are %q", h.Jobs())
	}
}

func TestAFollowerThatTakesNothingIsToldThatItMissedSomethingAndHoldsUpNobody(t *testing.T) {
	h := feed.NewHub()
	slow, quick := h.Follow(jid), h.Follow(jid)
	for n := range 3000 {
		h.Send([]gaea.Return{ret(fmt.Sprint(n), 1)})
		if got, lost := waiting(quick); lost || !slices.Equal(got, []string{fmt.Sprint(n)}) {
			t.Fatalf("the quick one got %q, lost %v", got, lost)
		}
	}
	got, lost := waiting(slow)
	if !lost || len(got) != 1024 || got[1023] != "1023" {
		t.Errorf("%d wait for the slow one, lost %v", len(got), lost)
	}
	h.Send([]gaea.Return{ret("again", 1)})
	if got, lost := waiting(slow); lost || !slices.Equal(got, []string{"again"}) {
		t.Errorf("after that it got %q, lost %v", got, lost)
	}
}

func TestLargeReturnsWaitUpToABoundInBytesAndOneAlwaysDoes(t *testing.T) {
	h := feed.NewHub()
	s := h.Follow(jid)
	h.Send([]gaea.Return{ret("huge", 40<<20), ret("small", 1)})
	if got, lost := waiting(s); !lost || !slices.Equal(got, []string{"huge"}) {
		t.Errorf("got %q, lost %v", got, lost)
	}
	large := ret("large", 10<<20)
	h.Send([]gaea.Return{large, large, large, large})
	if got, lost := waiting(s); !lost || len(got) != 3 {
		t.Errorf("%d wait, lost %v", len(got), lost)
	}
	h.Send([]gaea.Return{large, large, large})
	if got, lost := waiting(s); lost || len(got) != 3 {
		t.Errorf("when those were taken %d wait, lost %v", len(got), lost)
	}
}

func TestASubscriptionEndsWithItselfAndWithTheHub(t *testing.T) {
	h := feed.NewHub()
	one, two := h.Follow(jid), h.Follow(jid)
	one.Close()
	one.Close()
	if _, open := <-one.Returns(); open || !h.Followed(jid) {
		t.Error("the closed one gives returns, or the other is gone too")
	}
	h.Send([]gaea.Return{ret("web1", 1)})
	h.Close()
	if r, open := <-two.Returns(); !open || r.Minion != "web1" {
		t.Error("what was there is gone")
	}
	if _, open := <-two.Returns(); open {
		t.Error("it goes on after the hub was closed")
	}
	two.Close()
	if _, open := <-h.Follow(jid).Returns(); open || h.Followed(jid) {
		t.Error("a closed hub is followed")
	}
}

func TestFollowersComeAndGoWhileReturnsAreSent(t *testing.T) {
	h := feed.NewHub()
	large := ret("web1", 9<<20)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 200 {
				s := h.Follow(jid)
				h.Send([]gaea.Return{large})
				select {
				case <-s.Returns():
				case <-s.Lost():
				}
				s.Close()
			}
		})
	}
	work.Wait()
	if len(h.Jobs()) != 0 {
		t.Errorf("still followed are %q", h.Jobs())
	}
}
