package native

import (
	"context"
	"io"
	"time"
)

// A master writes each message to the event socket by itself, so that a reader that reads at once wakes for each: at thousands a
// second that costs as much as to take them apart. On a busy bus some are let come together.
const (
	gatherFor = 4 * time.Millisecond
	// busyGap is how soon after each other reads have to bring something for the bus to count as busy.
	busyGap = 2 * gatherFor
	// gatherBelow is how much one read may bring where the next one waits: less than a socket holds, and so much that what comes
	// within gatherFor is behind no master.
	gatherBelow = 48 << 10
)

// gatherer waits a little before it reads from a socket that gives a little again and again. It never waits where the socket may
// hold more than was read, nor on a quiet bus.
type gatherer struct {
	ctx  context.Context //nolint:containedctx // it is of one connection, and io.Reader takes none
	src  io.Reader
	last time.Time // when a read has brought something
	wait bool
}

// Read implements [io.Reader].
func (g *gatherer) Read(p []byte) (int, error) {
	if g.wait {
		wait(g.ctx, gatherFor) // where it ends, so does the connection
	}
	n, err := g.src.Read(p)
	now := time.Now()
	g.wait = n < min(len(p), gatherBelow) && now.Sub(g.last) < busyGap
	g.last = now
	return n, err
}
