package jobdclient_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// cutting answers with what a handler says, cuts each stream off when it is told to, and notes where each began.
type cutting struct {
	inner transport
	mu    sync.Mutex
	open  io.Closer
	from  []string // Last-Event-ID of each request for a stream
}

func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.inner(r)
	if err == nil && strings.HasSuffix(r.URL.Path, "/events") {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.from = append(c.from, r.Header.Get("Last-Event-ID"))
		c.open = resp.Body
	}
	return resp, err
}

func (c *cutting) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open.Close()
}

func (c *cutting) began() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.from)
}

// crowd starts a run with so many minions.
func crowd(j *jobd, minions int) *gaea.Run {
	run := j.Runs.Start(gaea.Run{Kind: gaea.RunJob})
	j.Runs.Change(run.ID, func(r *gaea.Run) {
		r.Minions = map[string]gaea.RunMinion{}
		for i := range minions {
			r.Minions[fmt.Sprintf("web%d", i)] = gaea.RunMinion{Outcome: gaea.OutcomePending}
		}
	})
	return run
}

func returns(j *jobd, id, minion string) {
	j.Runs.Change(id, func(r *gaea.Run) { r.Minions[minion] = gaea.RunMinion{Outcome: gaea.OutcomeSucceeded} })
}

func TestAFollowedRunIsAlwaysWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJobd(t)
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Token: j.admin, Transport: streamed(j)})
		run := crowd(j, 50)
		for i := range 3 {
			time.AfterFunc(time.Duration(i+1)*time.Second, func() { returns(j, run.ID, fmt.Sprintf("web%d", i)) })
		}
		time.AfterFunc(5*time.Second, func() { j.Runs.Change(run.ID, func(r *gaea.Run) { r.Status = gaea.RunSucceeded }) })
		var ok []int
		ended, err := c.FollowRun(t.Context(), run.ID, func(r *gaea.Run) error {
			if len(r.Minions) != 50 {
				t.Errorf("%d minions", len(r.Minions))
			}
			ok = append(ok, r.Tally()[gaea.OutcomeSucceeded])
			return nil
		})
		if err != nil || ended.Status != gaea.RunSucceeded || !slices.Equal(ok, []int{0, 1, 2, 3, 3}) {
			t.Errorf("saw %v, and %+v, %v", ok, ended, err)
		}
		if n := len(j.requests()); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestACutStreamOfARunIsTakenUpWhereItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJobd(t)
		net := &cutting{inner: streamed(j)}
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Token: j.admin, Transport: net})
		run := crowd(j, 10)
		time.AfterFunc(1*time.Second, func() { returns(j, run.ID, "web1") })
		time.AfterFunc(2*time.Second, func() {
			net.cut()
			returns(j, run.ID, "web2")
		})
		time.AfterFunc(10*time.Second, func() {
			returns(j, run.ID, "web3")
			j.Runs.Change(run.ID, func(r *gaea.Run) { r.Status = gaea.RunSucceeded })
		})
		ended, err := c.FollowRun(t.Context(), run.ID, func(*gaea.Run) error { return nil })
		if err != nil || ended.Tally()[gaea.OutcomeSucceeded] != 3 || len(ended.Minions) != 10 {
			t.Errorf("got %+v, %v", ended, err)
		}
		if from := net.began(); !slices.Equal(from, []string{"", "3"}) {
			t.Errorf("began at %q", from)
		}
	})
}

func TestAGapInTheChangesOfARunIsFilledWithTheWholeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJobd(t)
		net := &cutting{inner: streamed(j)}
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Token: j.admin, Transport: net})
		run := crowd(j, 10)
		time.AfterFunc(time.Second, func() {
			net.cut()
			j.Runs.Change(run.ID, func(r *gaea.Run) { delete(r.Minions, "web9") })
		})
		time.AfterFunc(10*time.Second, func() { j.Runs.Change(run.ID, func(r *gaea.Run) { r.Status = gaea.RunSucceeded }) })
		ended, err := c.FollowRun(t.Context(), run.ID, func(*gaea.Run) error { return nil })
		if err != nil || len(ended.Minions) != 9 {
			t.Errorf("got %+v, %v", ended, err)
		}
		if from := net.began(); !slices.Equal(from, []string{"", "2", ""}) {
			t.Errorf("began at %q", from)
		}
	})
}

func TestFollowingARunEndsWithTheCallersError(t *testing.T) {
	j, c := connect(t)
	run := crowd(j, 2)
	enough := errors.New("enough")
	last, err := c.FollowRun(t.Context(), run.ID, func(*gaea.Run) error { return enough })
	if !errors.Is(err, enough) || last == nil || len(last.Minions) != 2 {
		t.Errorf("got %+v, %v", last, err)
	}
	eventually(t, "the stream is closed", func() bool { return j.Runs.Watched(run.ID) == 0 })
	_, err = c.FollowRun(t.Context(), "none", nil)
	wantError(t, err, gaea.CodeNotFound)
	_, err = c.FollowRun(t.Context(), "..", nil)
	wantError(t, err, gaea.CodeInvalid)
}

func TestAStreamOfARunThatCannotBeReadIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for what, body := range map[string]string{
			"no run":    "event: run\nid: 1\ndata: []\n\n",
			"no change": "event: run\nid: 1\ndata: {\"id\":\"run-1\"}\n\nevent: change\nid: 2\ndata: 5\n\n",
			"nothing":   "event: end\ndata: {\"reason\":\"complete\"}\n\n",
		} {
			c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: streams(text(body))})
			if _, err := c.FollowRun(t.Context(), "run-1", func(*gaea.Run) error { return nil }); gaea.CodeOf(err) != gaea.CodeUnavailable {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
