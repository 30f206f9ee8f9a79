package native

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// The pauses between attempts to connect double from the first to the last, each shortened by up to half at random.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Read implements [gaea.Bus]: it reads the event socket and hands each event to sink in the order of the bus. It does nothing
// else meanwhile, so the socket is drained as fast as sink takes events; a sink that blocks is what gets a reader cut off.
//
// A connection that ends is told as BusMessage.Err, once, and the next one as Connected: between the two, events were missed.
// While no connection comes about, each new reason is told once as Err. An event or a message that cannot be read is counted
// (see [Client.Stats]), logged at most once a minute, and passed over. The master's configuration is read again before each
// attempt after the first.
func (c *Client) Read(ctx context.Context, sink func(gaea.BusMessage)) error {
	pause, told := firstPause, ""
	for again := false; ctx.Err() == nil; again = true {
		if again {
			if !wait(ctx, pause-time.Duration(rand.Int64N(int64(pause/2)))) { //nolint:gosec // a pause, not a secret
				break
			}
			pause = min(2*pause, lastPause)
			c.reload()
		}
		conn, err := c.dialBus(ctx)
		if err == nil {
			told = ""
			c.stats.connected(true)
			sink(gaea.BusMessage{Connected: true})
			var events bool
			if events, err = c.drain(ctx, conn, sink); events {
				pause = firstPause
			}
			c.stats.connected(false)
		}
		if ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			sink(gaea.BusMessage{Err: err})
		}
	}
	return nil
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

// dialBus connects to the event socket.
func (c *Client) dialBus(ctx context.Context) (net.Conn, error) {
	config := c.Config()
	network, addr := config.EventSocket()
	dialer := net.Dialer{Timeout: c.opts.RequestTimeout}
	conn, err := dialer.DialContext(ctx, network, addr)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, gaea.Wrap(err, gaea.CodeForbidden, "user %s may not read the Salt master's event socket %s, which is for its owner and its group; make %s a member of that group, or let the user in with: setfacl -m u:%s:rx %s && setfacl -m u:%s:rw %s", currentUser(), addr, currentUser(), currentUser(), config.SockDir, currentUser(), addr)
	case errors.Is(err, fs.ErrNotExist):
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the Salt master's event socket %s does not exist; start salt-master, or correct sock_dir and root_dir in %s", addr, config.Dir)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "nobody listens on the Salt master's event socket %s; start salt-master", addr)
	default:
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the Salt master's event socket %s cannot be reached", addr)
	}
}

// drain reads a connection to its end, and closes it. events says whether there was at least one. The error is never nil.
func (c *Client) drain(ctx context.Context, conn net.Conn, sink func(gaea.BusMessage)) (events bool, err error) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	frames := newFrameReader(&gatherer{ctx: ctx, src: conn}, c.opts.MaxFrame, min(c.opts.MaxReturn, keepBuffer))
	parser := saltclient.EventParser{Limits: c.opts.Limits, MaxReturn: c.opts.MaxReturn}
	for {
		body, large, err := frames.next()
		if errors.Is(err, errFrame) || errors.Is(err, errFrameSize) {
			c.stats.badFrames.Add(1)
			c.badMessage("", err)
			sink(gaea.BusMessage{PassedOver: true})
			continue
		}
		if err != nil {
			return events, closedError(err)
		}
		now := c.opts.Now()
		var ev gaea.Event
		var tag string
		size := len(body)
		if large != nil {
			size = large.size
			ev, tag, err = c.largeEvent(&parser, large, now)
			if err != nil && gaea.CodeOf(err) != gaea.CodeSalt && gaea.CodeOf(err) != gaea.CodeTooLarge {
				return events, closedError(err)
			}
		} else if ev, err = parser.Parse(body, now); err != nil {
			tag = string(saltclient.Tag(body[:min(len(body), saltclient.MaxTag)]))
		}
		if err != nil {
			c.stats.badEvents.Add(1)
			c.badMessage(tag, err)
			if !saltclient.Cuttable([]byte(tag)) { // what a master tells of its jobs is in its job cache, too
				sink(gaea.BusMessage{PassedOver: true})
			}
			continue
		}
		events = true
		c.stats.event(size, now)
		sink(gaea.BusMessage{Event: &ev})
	}
}

func closedError(err error) error {
	return gaea.Wrap(err, gaea.CodeUnavailable, "the Salt master's event socket was closed; events until it is open again are fetched from the job cache")
}

// largeEvent reads an event that is larger than the reader's buffer: whole up to the bound on returns, beyond that of a return its
// beginning, and what a master tells of its jobs up to the bound on frames.
func (c *Client) largeEvent(parser *saltclient.EventParser, body *largeBody, now time.Time) (ev gaea.Event, tag string, err error) {
	name, ok, err := body.tag()
	switch {
	case err != nil:
		return ev, "", err
	case !ok:
		return ev, "", gaea.Errorf(gaea.CodeSalt, "an event from Salt has no tag, or one that is longer than %d bytes", saltclient.MaxTag)
	case body.size <= c.opts.MaxReturn:
		whole := append(append(make([]byte, 0, body.size), name...), tagEnd...)
		if _, err = io.ReadFull(body, whole[len(whole):body.size]); err == nil {
			ev, err = parser.Parse(whole[:body.size], now)
		}
		return ev, string(name), err
	case saltclient.Cuttable(name):
		ev, err = parser.Cut(name, body, now)
		return ev, string(name), err
	case body.size > c.opts.MaxFrame:
		return ev, string(name), errFrameSize
	}
	whole := bytes.NewBuffer(append(name, tagEnd...))
	if _, err = whole.ReadFrom(body); err == nil {
		ev, err = parser.Parse(whole.Bytes(), now)
	}
	return ev, string(name), err
}
