package jobdclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// silence is how long a stream may say nothing: jobd sends a sign of life every 15 seconds.
const silence = 45 * time.Second

// errCut is a stream that ended without jobd's last word.
var errCut = errors.New("the stream ended early")

// FollowJob calls f for each return of a job: those that the archive has, then each as it comes, every minion once. It
// returns nil when every expected minion has returned, and f's error where f has one. A lost connection is made again; an
// outage of jobd of up to two minutes is waited out.
func (c *Client) FollowJob(ctx context.Context, jid string, f func(gaea.Return) error) error {
	s, err := segment("jid", jid)
	if err != nil {
		return err
	}
	var (
		away outage
		seen = map[string]bool{}
	)
	for {
		before := len(seen)
		done, err := c.stream(ctx, "/v1/jobs/"+s+"/events", seen, f)
		if done {
			return err
		}
		if len(seen) > before {
			away = outage{}
		}
		if err := away.wait(ctx, err); err != nil {
			return err
		}
	}
}

// stream reads one connection. done says that the end is for good: the job's, or f's error.
func (c *Client) stream(ctx context.Context, path string, seen map[string]bool, f func(gaea.Return) error) (done bool, err error) {
	live, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := c.request(live, call{method: http.MethodGet, path: path})
	if err != nil {
		return true, err
	}
	req.Header.Set("Accept", "text/event-stream, application/problem+json")
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	resp, err := c.http.Do(req)
	if err != nil {
		return false, c.connectionError(ctx, ctx, c.timeout, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || mediaType(resp) != "text/event-stream" {
		body, err := readAnswer(resp)
		if err != nil {
			return false, c.connectionError(ctx, ctx, c.timeout, err)
		}
		if err := c.answerError(resp, body); err != nil {
			return false, err
		}
		return true, gaea.Errorf(gaea.CodeUnavailable, "what answers at %s is not jobd's API", c.endpoint)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxAnswer)
	var ev sseEvent
	for lines.Scan() {
		watchdog.Reset(silence)
		if !ev.line(lines.Bytes()) {
			continue
		}
		done, err := deliver(&ev, seen, f)
		if done || err != nil {
			return done, err
		}
		ev = sseEvent{}
	}
	err = lines.Err()
	if err == nil || live.Err() != nil && ctx.Err() == nil {
		err = errCut
	}
	return false, c.connectionError(ctx, ctx, c.timeout, err)
}

// deliver hands on what one event of the stream says.
func deliver(ev *sseEvent, seen map[string]bool, f func(gaea.Return) error) (done bool, err error) {
	switch ev.name {
	case "return":
		var ret gaea.Return
		if err := json.Unmarshal(ev.data.Bytes(), &ret); err != nil {
			return true, gaea.Wrap(err, gaea.CodeUnavailable, "jobd sent a return that cannot be read; does its version go with this one?")
		}
		if seen[ret.Minion] {
			return false, nil
		}
		seen[ret.Minion] = true
		if err := f(ret); err != nil {
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
