package restapi

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/httpclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// pace is how patient the event stream and the polling are.
type pace struct {
	// The pauses between attempts to connect double from the first to the last, each shortened by up to half at random.
	firstPause, lastPause time.Duration
	// refusedPause is the pause where there is no event stream to be had.
	refusedPause time.Duration
	// opening is how long a new stream may take to say its first word, which salt-api says at once.
	opening time.Duration
	// idle is how long a stream may say nothing before it is tried.
	idle time.Duration
	// trial is how long the event of a runner may take to come when a stream is tried.
	trial time.Duration
}

var defaultPace = pace{
	firstPause: 200 * time.Millisecond, lastPause: 10 * time.Second, refusedPause: time.Minute,
	opening: 10 * time.Second, idle: time.Minute, trial: 15 * time.Second,
}

// refusedError is the cause of the errors of an event stream that is not to be had.
type refusedError struct{ error }

// Unwrap returns the cause.
func (e refusedError) Unwrap() error { return e.error }

// EventsRefused says whether an error of [Client.Read] means that there is no event stream to be had here: salt-api or a proxy
// refuses /events, or a proxy keeps back what comes. The job cache does without.
func EventsRefused(err error) bool {
	_, refused := errors.AsType[refusedError](err)
	return refused
}

// Read implements [gaea.Bus] by salt-api's /events.
//
// A connection that ends is told as BusMessage.Err, once, and the next one as Connected: between the two, events were missed.
// While no connection comes about, each new reason is told once as Err; see [EventsRefused]. An event that cannot be read or is
// too large is logged and passed over. A token that expires ends the connection, and the next one has a new token. A stream that
// says nothing for a minute is tried: a runner has to show on it. salt-api itself goes on by itself where the master is started
// anew, and nothing tells that events were missed then.
func (c *Client) Read(ctx context.Context, sink func(gaea.BusMessage)) error {
	pause, told := c.pace.firstPause, ""
	for ctx.Err() == nil {
		events, err := c.stream(ctx, func() {
			told = ""
			sink(gaea.BusMessage{Connected: true})
		}, sink)
		if ctx.Err() != nil {
			break
		}
		if err.Error() != told {
			told = err.Error()
			sink(gaea.BusMessage{Err: err})
		}
		if events {
			pause = c.pace.firstPause
		}
		next := pause
		if EventsRefused(err) {
			next = c.pace.refusedPause
		}
		if !wait(ctx, next-time.Duration(rand.Int64N(int64(next/2)))) { //nolint:gosec // a pause, not a secret
			break
		}
		pause = min(2*pause, c.pace.lastPause)
	}
	return nil //nolint:nilerr // the end of ctx is the end that was asked for
}

// wait waits, and says whether ctx has not ended meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// stream reads one connection to its end. events says whether there was at least one. The error is never nil.
func (c *Client) stream(ctx context.Context, connected func(), sink func(gaea.BusMessage)) (events bool, err error) {
	live, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := &watch{client: c, cancel: cancel, heard: make(chan struct{}, 1)}
	token, err := c.token(live, "")
	if err != nil {
		return false, err
	}
	late := time.AfterFunc(c.cfg.Timeout, func() { cancel(refusedError{errSilent}) })
	body, err := c.openEvents(live, token)
	late.Stop()
	if err != nil {
		return false, watch.reason(live, err)
	}
	defer body.Close()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	watching.Go(func() { watch.run(live) })
	reader := httpclient.NewEventReader(body, c.cfg.MaxEvent, func() {
		if watch.alive() {
			connected()
		}
	})
	for {
		sent, err := reader.Next()
		if errors.Is(err, httpclient.ErrEventSize) {
			c.logger.Warn("an event was larger than the bound and is passed over", "bytes", c.cfg.MaxEvent)
			continue
		}
		if err != nil {
			return events, watch.reason(live, err)
		}
		ev, err := c.event(sent)
		if err != nil {
			c.logger.Debug("an event cannot be read and is passed over", "err", err)
			continue
		}
		events = true
		sink(gaea.BusMessage{Event: &ev})
	}
}

// event reads one event. salt-api's own field tag is in its data as well.
func (c *Client) event(sent *httpclient.Event) (gaea.Event, error) {
	text := saltclient.PythonJSON{Limit: 2 * c.cfg.MaxEvent}
	text.Grow(sent.Data.Len())
	if _, err := text.Write(sent.Data.Bytes()); err != nil {
		return gaea.Event{}, err
	}
	data, err := text.JSON()
	if err != nil {
		return gaea.Event{}, err
	}
	return saltclient.ParseNetapiEvent(data, c.cfg.Now())
}

// openEvents asks for the stream, with a new token where the old one is not taken.
func (c *Client) openEvents(ctx context.Context, token string) (io.ReadCloser, error) {
	for again := false; ; again = true {
		req, err := c.request(ctx, http.MethodGet, "/events", token, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "text/event-stream")
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, c.connectionError(ctx, ctx, call{what: "the event stream"}, false, err)
		}
		if resp.StatusCode == http.StatusOK && httpclient.MediaType(resp) == "text/event-stream" {
			return resp.Body, nil
		}
		a, err := c.read(resp)
		if err != nil {
			return nil, c.connectionError(ctx, ctx, call{what: "the event stream"}, false, err)
		}
		if a.status != http.StatusUnauthorized || again {
			return nil, c.noEvents(a)
		}
		if token, err = c.token(ctx, token); err != nil {
			return nil, err
		}
	}
}

// noEvents is the error for an answer that is no stream.
func (c *Client) noEvents(a *answer) error {
	switch a.status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusInternalServerError:
		return gaea.Wrap(a.cause(), gaea.CodeUnavailable, "salt-api at %s has no event stream now (%s)", c.base, a.words())
	default:
		return gaea.Wrap(refusedError{a.cause()}, gaea.CodeForbidden, "salt-api at %s refuses its event stream /events (%s, %s); jobs are followed in the job cache instead, which is slower", c.base, a.statusText(), a.words())
	}
}

// watch ends a stream that says nothing and that even a runner does not show on.
type watch struct {
	client *Client
	cancel context.CancelCauseFunc
	heard  chan struct{} // something has come since it was last looked at
	open   atomic.Bool   // something has come at all
}

// alive notes that something has come, and says whether it is the first.
func (w *watch) alive() (first bool) {
	select {
	case w.heard <- struct{}{}:
	default:
	}
	return !w.open.Swap(true)
}

// errSilent is a stream on which a runner did not show.
var errSilent = errors.New("nothing came, not even of a runner that has ended")

func (w *watch) run(ctx context.Context) {
	pace := w.client.pace
	if !w.hears(ctx, pace.opening) {
		if ctx.Err() == nil {
			w.cancel(refusedError{errSilent})
		}
		return
	}
	for ctx.Err() == nil {
		if w.hears(ctx, pace.idle) {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		// A look for a job that there is not is the smallest thing that shows on the bus. Who may publish may usually look.
		if _, err := w.client.CachedJob(ctx, idleJID); err != nil && gaea.CodeOf(err) != gaea.CodeNotFound {
			w.cancel(err)
			return
		}
		if !w.hears(ctx, pace.trial) && ctx.Err() == nil {
			w.cancel(errSilent)
			return
		}
	}
}

// idleJID is a job id that no job has.
const idleJID = "20000101000000000000"

// hears waits until something has come. False after d, or when ctx has ended.
func (w *watch) hears(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.heard:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// reason is why a stream has ended, in words.
func (w *watch) reason(live context.Context, err error) error {
	c := w.client
	cause := context.Cause(live)
	known, isKnown := errors.AsType[*gaea.Error](err)
	switch {
	case EventsRefused(cause):
		return gaea.Wrap(cause, gaea.CodeUnavailable, "salt-api's event stream at %s says nothing; a proxy between may keep it back (for nginx: proxy_buffering off). Jobs are followed in the job cache instead, which is slower", c.base)
	case errors.Is(cause, errSilent):
		return gaea.Wrap(cause, gaea.CodeUnavailable, "salt-api's event stream at %s has gone silent and is opened anew", c.base)
	case live.Err() != nil && cause != nil && !errors.Is(cause, context.Canceled):
		return cause
	case isKnown:
		return known
	case errors.Is(err, io.EOF):
		return gaea.Wrap(err, gaea.CodeUnavailable, "salt-api at %s ended its event stream: it was stopped, or the token has expired; events until it is open again are looked up in the job cache", c.base)
	default:
		return gaea.Wrap(err, gaea.CodeUnavailable, "salt-api's event stream at %s broke off (%s); events until it is open again are looked up in the job cache", c.base, httpclient.Innermost(err))
	}
}
