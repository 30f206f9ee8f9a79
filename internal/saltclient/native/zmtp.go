package native

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// exchange dials a ZeroMQ REP or ROUTER socket, sends one request and returns the answer. The link lives for one request,
// because a master drops idle peers that do not answer its pings. sent says whether the whole request has left: only where it
// has not can the master not have acted on it.
//
// A function allowed that is not nil is asked right before the request leaves; its error comes as a keptError.
func exchange(ctx context.Context, addr string, request []byte, maxAnswer int, allowed func() error) (answer []byte, sent bool, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, false, err
	}
	defer conn.Close()
	// The library knows no contexts: the end of this one is a deadline in the past, which ends every read and write.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	watched := &guard{Conn: conn, src: bufio.NewReader(conn), budget: uint64(maxAnswer)}
	link, err := zmq4.Open(watched, null.Security(), zmq4.Req, nil, false, nil)
	if err != nil {
		return nil, false, err
	}
	if until, ok := ctx.Deadline(); ok && !time.Now().Before(until) {
		// A process that was stopped and goes on must not send what it may send no more: timers come later than this.
		return nil, false, context.DeadlineExceeded
	}
	if allowed != nil {
		if err := allowed(); err != nil {
			return nil, false, keptError{err}
		}
	}
	if err := link.SendMsg(zmq4.NewMsgFrom(nil, request)); err != nil {
		return nil, false, err
	}
	for {
		msg, err := link.RecvMsg() // answers pings by itself and returns them
		if err != nil {
			return nil, true, err
		}
		if msg.Type != zmq4.CmdMsg && len(msg.Frames) > 0 {
			return msg.Frames[len(msg.Frames)-1], true, nil
		}
	}
}

// keptError is why a request was kept from leaving.
type keptError struct{ error }

// Unwrap is the reason.
func (e keptError) Unwrap() error { return e.error }

// errAnswerSize is what reading an answer over the bound fails with.
var errAnswerSize = gaea.Errorf(gaea.CodeTooLarge, "the master's answer is larger than the bound on frames")

// greetingLength is how many bytes come before the first frame (ZMTP 3.0, 2.1).
const greetingLength = 64

// guard watches the lengths of the ZMTP frames that are read through it. The library allocates what a frame announces before
// it reads it; guard fails the read that brings such a length first.
type guard struct {
	net.Conn
	src    *bufio.Reader
	budget uint64 // bytes that frames may still have
	seen   int    // bytes of the greeting
	left   uint64 // bytes of the current frame's body
	header [9]byte
	have   int // bytes of the current frame's header
}

// Read reads as the connection does, and fails where the frames are over the bound.
func (g *guard) Read(p []byte) (int, error) {
	n, err := g.src.Read(p)
	if bad := g.watch(p[:n]); bad != nil {
		// Nothing is handed over: a reader that has all it wants would overlook the error.
		return 0, bad
	}
	return n, err
}

func (g *guard) watch(b []byte) error {
	skip := min(greetingLength-g.seen, len(b))
	g.seen += skip
	for rest := b[skip:]; len(rest) > 0; {
		if g.left > 0 {
			body := min(g.left, uint64(len(rest)))
			g.left -= body
			rest = rest[body:]
			continue
		}
		g.header[g.have] = rest[0]
		g.have++
		rest = rest[1:]
		const long = 0x02 // the flag of a length of 8 bytes
		switch {
		case g.have == 2 && g.header[0]&long == 0:
			g.left = uint64(g.header[1])
		case g.have == 9:
			g.left = binary.BigEndian.Uint64(g.header[1:])
		default:
			continue
		}
		g.have = 0
		if g.left > g.budget {
			return errAnswerSize
		}
		g.budget -= g.left
	}
	return nil
}
