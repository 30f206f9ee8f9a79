package native

import (
	"strings"
	"sync/atomic"
	"time"
)

// Stats counts what a client has read from the event bus since it was made.
type Stats struct {
	Connected   bool      // the event socket is open now
	Connections uint64    // how often it was opened
	Events      uint64    // events handed on
	Bytes       uint64    // of their bodies, as msgpack
	BadEvents   uint64    // events that could not be read, or were over a bound, and were passed over
	BadFrames   uint64    // messages of the socket that were none of Salt's, or over the bound, and were passed over
	LastEvent   time.Time // when the last event was read; zero before the first
}

// counters are Stats while they count. Several readers may share them.
type counters struct {
	open                       atomic.Int64
	connections, events, bytes atomic.Uint64
	badEvents, badFrames       atomic.Uint64
	lastEvent                  atomic.Int64 // nanoseconds since 1970
}

func (s *counters) connected(yes bool) {
	if !yes {
		s.open.Add(-1)
		return
	}
	s.open.Add(1)
	s.connections.Add(1)
}

func (s *counters) event(size int, now time.Time) {
	s.events.Add(1)
	s.bytes.Add(uint64(size))
	s.lastEvent.Store(now.UnixNano())
}

// Stats returns the counts as they stand.
func (c *Client) Stats() Stats {
	s := Stats{
		Connected:   c.stats.open.Load() > 0,
		Connections: c.stats.connections.Load(),
		Events:      c.stats.events.Load(),
		Bytes:       c.stats.bytes.Load(),
		BadEvents:   c.stats.badEvents.Load(),
		BadFrames:   c.stats.badFrames.Load(),
	}
	if last := c.stats.lastEvent.Load(); last != 0 {
		s.LastEvent = time.Unix(0, last)
	}
	return s
}

// badMessage logs a message that was passed over, with its tag where it had one.
func (c *Client) badMessage(tag string, err error) {
	if ok, skipped := c.noise.Pass(c.opts.Now()); ok {
		c.logger.Warn("an event of the Salt master was passed over", "tag", strings.ToValidUTF8(tag, "\uFFFD"), "error", err, "others_since_last_log", skipped)
	}
}
