package jobdclient

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/httpclient"
)

// silence is how long a stream may say nothing: jobd sends a sign of life every 15 seconds.
const silence = 45 * time.Second

// errCut is a stream that ended without jobd's last word.
var errCut = errors.New("the stream ended early")

// errSilent is a stream on which not even signs of life came.
var errSilent = errors.New("it has said nothing for 45s")

// FollowJob calls f for each return of a job: those that the archive has, then each as it comes, every minion once. It
// returns nil when every expected minion has returned, and f's error where f has one. A lost connection is made again; an
// outage of jobd of up to two minutes is waited out.
func (c *Client) FollowJob(ctx context.Context, jid string, f func(gaea.Return) error) error {
	id, err := segment("jid", jid)
	if err != nil {
		return err
	}
	k := &jobStream{seen: map[string]bool{}, f: f}
	s := &stream{client: c, path: "/v1/jobs/" + id + "/events", what: "returns", deliver: k.deliver}
	return s.follow(ctx)
}

// jobStream is what is kept of a job's stream from one connection to the next.
type jobStream struct {
	seen map[string]bool // minions whose return was handed on
	f    func(gaea.Return) error
}

func (k *jobStream) deliver(ev *httpclient.Event) (done bool, err error) {
	if ev.Name != "return" {
		return false, nil
	}
	var ret gaea.Return
	if err := json.Unmarshal(ev.Data.Bytes(), &ret); err != nil {
		return true, gaea.Wrap(err, gaea.CodeUnavailable, "jobd sent a return that cannot be read; does its version go with this one?")
	}
	if k.seen[ret.Minion] {
		return false, nil
	}
	k.seen[ret.Minion] = true
	if err := k.f(ret); err != nil {
		return true, err
	}
	return false, nil
}

// stream is one of jobd's streams, over one connection after the other.
type stream struct {
	client *Client
	path   string
	what   string // what it is a stream of, for people
	// deliver takes in one event that is not the last. done says that the end is for good, with err or without; an err
	// without done has the connection made again.
	deliver func(ev *httpclient.Event) (done bool, err error)
	last    string // the id of the last event, with which the next connection begins; empty: at the beginning
	heard   bool   // the connection brought an event
}

// follow reads the stream to its end, over as many connections as it takes.
func (s *stream) follow(ctx context.Context) error {
	var away outage
	for {
		done, err := s.read(ctx)
		if done {
			return err
		}
		if s.heard {
			away = outage{}
		}
		if err := away.wait(ctx, err); err != nil {
			return err
		}
	}
}

// read reads one connection. done says that the end is for good.
func (s *stream) read(ctx context.Context) (done bool, err error) {
	s.heard = false
	c := s.client
	live, cancel := context.WithCancel(ctx)
	defer cancel()
	broken := func(err error) *gaea.Error {
		if live.Err() != nil && ctx.Err() == nil { // the watchdog
			err = errSilent
		}
		return c.connectionError(ctx, ctx, c.timeout, err)
	}
	req, err := c.request(live, call{method: http.MethodGet, path: s.path})
	if err != nil {
		return true, err
	}
	req.Header.Set("Accept", "text/event-stream, application/problem+json")
	if s.last != "" {
		req.Header.Set("Last-Event-ID", s.last)
	}
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	resp, err := c.http.Do(req)
	if err != nil {
		return false, broken(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || httpclient.MediaType(resp) != "text/event-stream" {
		body, err := c.readAnswer(resp)
		if err != nil {
			return false, broken(err)
		}
		if err := c.answerError(resp, body); err != nil {
			return false, err
		}
		return true, gaea.Errorf(gaea.CodeUnavailable, "jobd at %s sent no stream of %s; does its version go with this one?", c.endpoint, s.what)
	}
	events := httpclient.NewEventReader(resp.Body, maxAnswer, func() { watchdog.Reset(silence) })
	for {
		ev, err := events.Next()
		if errors.Is(err, io.EOF) {
			err = errCut
		}
		if err != nil {
			return false, broken(err)
		}
		s.heard = true
		if done, err := s.take(ev); done || err != nil {
			return done, err
		}
	}
}

// take hands an event on, and understands the last one.
func (s *stream) take(ev *httpclient.Event) (done bool, err error) {
	if ev.Name != "end" {
		return s.deliver(ev)
	}
	var end struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(ev.Data.Bytes(), &end); err == nil && end.Reason == "complete" {
		return true, nil
	}
	return false, gaea.Errorf(gaea.CodeUnavailable, "jobd ended the stream of %s (%s)", s.what, end.Reason)
}
