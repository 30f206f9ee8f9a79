package jobdclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// silence is how long a stream may say nothing: jobd sends a sign of life every 15 seconds.
const silence = 45 * time.Second

// errCut is a stream that ended without jobd's last word.
var errCut = errors.New("the stream ended early")

// errSilent is a stream on which not even signs of life came.
var errSilent = errors.New("it has said nothing for 45s")

// errEnough ends the reading of a stream from inside.
var errEnough = errors.New("enough")

// FollowJob calls f for each return of a job: those that the archive has, then each as it comes, every minion once. It
// returns nil when every expected minion has returned, and f's error where f has one. A lost connection is made again; an
// outage of jobd of up to two minutes is waited out.
func (c *Client) FollowJob(ctx context.Context, jid string, f func(gaea.Return) error) error {
	id, err := segment("jid", jid)
	if err != nil {
		return err
	}
	k := &stream{client: c, path: "/v1/jobs/" + id + "/events", seen: map[string]bool{}, f: f}
	var away outage
	for {
		done, err := k.read(ctx)
		if done {
			return err
		}
		if k.heard {
			away = outage{}
		}
		if err := away.wait(ctx, err); err != nil {
			return err
		}
	}
}

// stream is what is kept of a job's stream from one connection to the next.
type stream struct {
	client *Client
	path   string
	seen   map[string]bool // minions whose return was handed on
	f      func(gaea.Return) error
	heard  bool // the last connection brought an event
}

// read reads one connection. done says that the end is for good: the job's, or f's error.
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
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	resp, err := c.http.Do(req)
	if err != nil {
		return false, broken(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || mediaType(resp) != "text/event-stream" {
		body, err := c.readAnswer(resp)
		if err != nil {
			return false, broken(err)
		}
		if err := c.answerError(resp, body); err != nil {
			return false, err
		}
		return true, gaea.Errorf(gaea.CodeUnavailable, "jobd at %s sent no stream of returns; does its version go with this one?", c.endpoint)
	}
	var said error
	err = readEvents(resp.Body, func() { watchdog.Reset(silence) }, func(ev *sseEvent) error {
		s.heard = true
		if done, said = s.deliver(ev); done || said != nil {
			return errEnough
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return done, said
	case err == nil:
		err = errCut
	}
	return false, broken(err)
}

// deliver hands on what one event of the stream says.
func (s *stream) deliver(ev *sseEvent) (done bool, err error) {
	switch ev.name {
	case "return":
		var ret gaea.Return
		if err := json.Unmarshal(ev.data.Bytes(), &ret); err != nil {
			return true, gaea.Wrap(err, gaea.CodeUnavailable, "jobd sent a return that cannot be read; does its version go with this one?")
		}
		if s.seen[ret.Minion] {
			return false, nil
		}
		s.seen[ret.Minion] = true
		if err := s.f(ret); err != nil {
			return true, err
		}
	case "end":
		var end struct {
			Reason string `json:"reason"`
		}
		if err := json.Unmarshal(ev.data.Bytes(), &end); err == nil && end.Reason == "complete" {
			return true, nil
		}
		return false, gaea.Errorf(gaea.CodeUnavailable, "jobd ended the stream of returns (%s)", end.Reason)
	}
	return false, nil
}

// sseEvent gathers the lines of one server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type sseEvent struct {
	name string
	data bytes.Buffer
}

// line takes one line and says whether the event is whole.
func (e *sseEvent) line(b []byte) bool {
	if len(b) == 0 {
		return e.name != "" || e.data.Len() > 0
	}
	field, value, _ := bytes.Cut(b, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "event":
		e.name = string(value)
	case "data":
		if e.data.Len() > 0 {
			e.data.WriteByte('\n')
		}
		e.data.Write(value)
	}
	return false
}

// readEvents calls f with each whole event, and alive with each line. It returns nil at the stream's end, f's error where f
// has one, and else what broke the stream.
func readEvents(r io.Reader, alive func(), f func(*sseEvent) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxAnswer)
	var ev sseEvent
	for lines.Scan() {
		alive()
		if !ev.line(lines.Bytes()) {
			continue
		}
		if err := f(&ev); err != nil {
			return err
		}
		ev = sseEvent{}
	}
	return lines.Err()
}
