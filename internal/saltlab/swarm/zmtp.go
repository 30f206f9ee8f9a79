package swarm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// The frames of ZMTP 3.0 (https://rfc.zeromq.org/spec/23/): a byte of flags, a length of one byte or eight, and a body.
const (
	flagMore    = 0x01
	flagLong    = 0x02
	flagCommand = 0x04

	greetingSize = 64
	shortFrame   = 255
)

// Bounds on what a peer may make a minion take.
const (
	maxCommand     = 4 << 10  // bytes of a command
	maxMessage     = 32 << 20 // bytes of a message; a master publishes less than that, and answers with less
	maxFrames      = 4        // frames of a message
	smallFrame     = 8 << 10  // bytes of a frame that many may read at once
	largeAtOnce    = 4        // messages with larger ones that are read at once in a swarm
	handshakeLimit = 10 * time.Second
	bodyLimit      = 30 * time.Second // for the rest of a message that has begun
)

var (
	errZMTP     = errors.New("the peer does not speak ZMTP 3")
	errTooLarge = errors.New("the peer sends more than a message may have")
)

// greeting is what each side sends first: signature, version 3.0, mechanism NULL, not a server.
func greeting() []byte {
	g := make([]byte, greetingSize)
	g[0], g[9], g[10] = 0xff, 0x7f, 3
	copy(g[12:32], "NULL")
	return g
}

// link is a connection that speaks ZMTP 3.0 with the mechanism NULL. One goroutine reads; sends may come from any. Pings of the
// peer (ZMTP 3.1, which libzmq sends to everybody) are answered while it reads: a master drops who does not for 30 s.
type link struct {
	conn  net.Conn
	large chan struct{} // a slot for each message with a large frame that is read at once; nil: no bound
	held  bool          // this link has one; only its reader knows
	pong  func()        // called by the reader when the peer answers a ping; may be nil

	write sync.Mutex // held while a frame is sent
}

// peers are the types of sockets that one of each type talks to.
var peers = map[string][]string{"REQ": {"ROUTER", "REP"}, "SUB": {"PUB", "XPUB"}}

// newLink shakes hands as a socket of this type, REQ or SUB.
func newLink(conn net.Conn, socket string, large chan struct{}) (l *link, err error) {
	l = &link{conn: conn, large: large}
	if err := conn.SetDeadline(time.Now().Add(handshakeLimit)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(greeting()); err != nil {
		return nil, err
	}
	var theirs [greetingSize]byte
	if _, err := io.ReadFull(conn, theirs[:]); err != nil {
		return nil, err
	}
	if theirs[0] != 0xff || theirs[9]&1 == 0 || theirs[10] < 3 || !bytes.Equal(theirs[12:32], greeting()[12:32]) {
		return nil, errZMTP
	}
	if err := l.send(flagCommand, readyCommand(socket)); err != nil {
		return nil, err
	}
	flags, body, err := l.frame(maxCommand)
	if err != nil {
		return nil, err
	}
	if flags&flagCommand == 0 {
		return nil, errZMTP
	}
	peer, err := parseReady(body)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(peers[socket], peer) {
		return nil, fmt.Errorf("the peer is a %.20q, which no %s talks to", peer, socket)
	}
	return l, conn.SetDeadline(time.Time{})
}

func readyCommand(socket string) []byte {
	body := append([]byte{5}, "READY"...)
	body = append(append(body, 11), "Socket-Type"...)
	body = binary.BigEndian.AppendUint32(body, uint32(len(socket)))
	return append(body, socket...)
}

// parseReady reads the type of the peer's socket out of its READY command.
func parseReady(body []byte) (socket string, err error) {
	name, rest, ok := cutCommand(body)
	switch {
	case ok && name == "ERROR":
		return "", fmt.Errorf("the peer refuses the link: %q", rest)
	case !ok || name != "READY":
		return "", errZMTP
	}
	for len(rest) > 0 {
		size := int(rest[0])
		if len(rest) < 1+size+4 {
			return "", errZMTP
		}
		property := rest[1 : 1+size]
		length := binary.BigEndian.Uint32(rest[1+size:])
		rest = rest[1+size+4:]
		if uint64(length) > uint64(len(rest)) {
			return "", errZMTP
		}
		if bytes.EqualFold(property, []byte("Socket-Type")) {
			socket = string(rest[:length])
		}
		rest = rest[length:]
	}
	return socket, nil
}

// cutCommand splits a command into its name and its data.
func cutCommand(body []byte) (name string, data []byte, ok bool) {
	if len(body) == 0 || len(body) < 1+int(body[0]) {
		return "", nil, false
	}
	end := 1 + int(body[0])
	return string(body[1:end]), body[end:], true
}

// send writes one frame.
func (l *link) send(flags byte, body []byte) error {
	head := []byte{flags, byte(len(body))}
	if len(body) > shortFrame {
		head = binary.BigEndian.AppendUint64([]byte{flags | flagLong}, uint64(len(body)))
	}
	l.write.Lock()
	defer l.write.Unlock()
	buffers := net.Buffers{head, body}
	_, err := buffers.WriteTo(l.conn)
	return err
}

// request sends a message of a REQ socket: an empty frame before the body.
func (l *link) request(body []byte) error {
	if err := l.send(flagMore, nil); err != nil {
		return err
	}
	return l.send(0, body)
}

// subscribe asks a PUB socket for what begins with a topic.
func (l *link) subscribe(topic string) error { return l.send(0, append([]byte{1}, topic...)) }

// receive reads the next message and hands all of its frames to take. It waits for its beginning without an end. While a large
// message is read and taken, it has one of the slots for those: so a large publication is not held by all of a swarm at once.
func (l *link) receive(take func(frames [][]byte) error) error {
	defer l.release()
	var frames [][]byte
	left := maxMessage
	for len(frames) < maxFrames {
		flags, body, err := l.frame(left)
		if err != nil {
			return err
		}
		if flags&flagCommand != 0 {
			if err := l.command(body); err != nil {
				return err
			}
			continue
		}
		left -= len(body)
		frames = append(frames, body)
		if flags&flagMore == 0 {
			return take(frames)
		}
	}
	return errTooLarge
}

// release gives back the slot that the last message may have taken.
func (l *link) release() {
	if l.held {
		<-l.large
		l.held = false
	}
}

// command answers a ping and passes over what else a peer may command.
func (l *link) command(body []byte) error {
	name, data, ok := cutCommand(body)
	if !ok {
		return errZMTP
	}
	const ttl = 2 // bytes before a ping's context
	switch {
	case name == "PONG" && l.pong != nil:
		l.pong()
	case name == "PING" && len(data) >= ttl:
		return l.send(flagCommand, append(append([]byte{4}, "PONG"...), data[ttl:]...))
	}
	return nil
}

// ping asks the peer for a sign of life, which comes behind what it has read by then.
func (l *link) ping() error { return l.send(flagCommand, append([]byte{4}, "PING\x00\x00"...)) }

// frame reads one frame, whose body may have most bytes.
func (l *link) frame(most int) (flags byte, body []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(l.conn, head[:2]); err != nil {
		return 0, nil, err
	}
	flags, size := head[0], uint64(head[1])
	if flags&^(flagMore|flagLong|flagCommand) != 0 {
		return 0, nil, errZMTP
	}
	if flags&flagLong != 0 {
		if _, err := io.ReadFull(l.conn, head[2:]); err != nil {
			return 0, nil, noEnd(err)
		}
		size = binary.BigEndian.Uint64(head[1:])
	}
	if flags&flagCommand != 0 {
		most = maxCommand
	}
	if size > uint64(most) {
		return 0, nil, errTooLarge
	}
	body, err = l.body(int(size))
	return flags, body, err
}

// body reads the body of a frame.
func (l *link) body(size int) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	if size > smallFrame {
		if l.large != nil && !l.held {
			l.large <- struct{}{}
			l.held = true
		}
		// Who holds a slot must not wait for a peer that has gone to sleep.
		if err := l.conn.SetReadDeadline(time.Now().Add(bodyLimit)); err != nil {
			return nil, err
		}
		defer func() { _ = l.conn.SetReadDeadline(time.Time{}) }()
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(l.conn, body); err != nil {
		return nil, noEnd(err)
	}
	return body, nil
}

// noEnd says that the stream broke off within a frame.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
