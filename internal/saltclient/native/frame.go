package native

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// DefaultMaxFrame is the size in bytes of the largest message that is taken whole from the event socket, where nothing else is
// set. A master does not send more than its max_event_size, 1 MiB by default, but for events that cannot be made smaller.
const DefaultMaxFrame = 64 << 20

// The reader's buffer: its first size, and how large it may have grown and still be kept.
const (
	firstBuffer = 64 << 10
	keepBuffer  = 1 << 20
)

// A message that was bad and has been passed over: the stream goes on behind it.
var (
	errFrame     = gaea.Errorf(gaea.CodeSalt, "a message on the event socket is not one of Salt's and was passed over")
	errFrameSize = gaea.Errorf(gaea.CodeTooLarge, "a message on the event socket is larger than the bound on frames and was passed over")
)

// errLostSync means that the borders of messages can no longer be told: only a new connection helps.
var errLostSync = gaea.Errorf(gaea.CodeSalt, "the event socket sends something that is not Salt's framing")

// frameReader cuts the stream of an event socket into messages. Both framings are recognized by the first byte: Salt up to
// 3006 writes a 4-byte big-endian length before each message (its first byte is 0 for any that is below 16 MiB), 3007 and
// later write msgpack maps back to back. Each byte is looked at once, and memory is taken only for bytes that have arrived.
type frameReader struct {
	src        io.Reader
	max        int    // bytes of a message that is read whole
	large      int    // bytes of a body from which on it is handed out as it comes
	open       int    // bytes of such a body that were not read
	behind     uint64 // values that follow it in its message, where no length stands before that
	tail       int    // bytes that do, where one does
	buf        []byte
	begin, end int  // buf[begin:end] has been read and not been handed out
	known      bool // the framing has been recognized:
	prefixed   bool // lengths stand before the messages
}

func newFrameReader(src io.Reader, maxFrame, large int) *frameReader {
	return &frameReader{src: src, max: maxFrame, large: min(large, maxFrame), buf: make([]byte, firstBuffer)}
}

// largeBody is the body of a message that is too large to be held. What is not read of it is passed over.
type largeBody struct {
	f    *frameReader
	size int
}

// Read implements [io.Reader].
func (b *largeBody) Read(p []byte) (int, error) {
	f := b.f
	if f.open == 0 {
		return 0, io.EOF
	}
	if f.begin == f.end {
		f.begin, f.end = 0, 0
		if err := f.need(1); err != nil {
			return 0, noEnd(err)
		}
	}
	n := copy(p[:min(len(p), f.open)], f.buf[f.begin:f.end])
	f.begin, f.open = f.begin+n, f.open-n
	return n, nil
}

// tag reads the body's tag, and the line feeds behind it. False where there is none.
func (b *largeBody) tag() (tag []byte, ok bool, err error) {
	n := min(b.size, saltclient.MaxTag+len(tagEnd))
	if err := b.f.need(n); err != nil {
		return nil, false, noEnd(err)
	}
	tag, _, ok = bytes.Cut(b.f.buf[b.f.begin:b.f.begin+n], tagEnd)
	if !ok {
		return nil, false, nil
	}
	n = len(tag) + len(tagEnd)
	b.f.begin, b.f.open = b.f.begin+n, b.f.open-n
	return bytes.Clone(tag), true, nil
}

var tagEnd = []byte("\n\n")

// noEnd says of an end within a message that it is too early.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next returns the body of the next message, a tag and a msgpack map, or where that is large a reader of it. Either is valid
// until the next call. After errFrame and errFrameSize the stream goes on; any other error ends it.
func (f *frameReader) next() ([]byte, *largeBody, error) {
	if err := f.finish(); err != nil {
		return nil, nil, noEnd(err)
	}
	if f.begin == f.end {
		if f.begin, f.end = 0, 0; len(f.buf) > keepBuffer {
			f.buf = make([]byte, firstBuffer)
		}
	}
	if err := f.need(1); err != nil {
		return nil, nil, err // also a clean end between two messages
	}
	if !f.known {
		lead := f.buf[f.begin]
		f.known, f.prefixed = true, lead < 0x80
	}
	frame, err := f.frame()
	if err != nil {
		return nil, nil, noEnd(err)
	}
	if f.open > 0 {
		return nil, &largeBody{f: f, size: f.open}, nil
	}
	body, err := envelope(frame)
	return body, nil, err
}

// finish passes over what was left of a large body, and what follows it in its message.
func (f *frameReader) finish() error {
	n := f.open + f.tail
	f.open, f.tail = 0, 0
	if err := f.discard(n); err != nil {
		return err
	}
	for ; f.behind > 0; f.behind-- {
		if err := f.need(1); err != nil {
			return err
		}
		head, ok := saltclient.HeadLength(f.buf[f.begin])
		if !ok {
			return errLostSync
		}
		if err := f.need(head); err != nil {
			return err
		}
		data, inner := saltclient.Measure(f.take(head))
		if err := f.discard(int(data)); err != nil {
			return err
		}
		f.behind += inner
	}
	return nil
}

// frame reads a message whole, or where its body is large up to that, which is open then.
func (f *frameReader) frame() ([]byte, error) {
	if f.prefixed {
		return f.prefixedFrame()
	}
	return f.bareFrame()
}

// absurdLength is a length that no message of Salt's has: what says so is not a length.
const absurdLength = 1 << 30

func (f *frameReader) prefixedFrame() ([]byte, error) {
	if err := f.need(4); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(f.buf[f.begin:])
	if length > absurdLength {
		return nil, errLostSync
	}
	f.begin += 4
	size := int(length)
	if size > f.large {
		if err := f.openLarge(size); err != nil || f.open > 0 {
			return nil, err
		}
	}
	if err := f.need(size); err != nil {
		return nil, err
	}
	return f.take(size), nil
}

// headBytes is how many bytes of a message tell where its body begins.
const headBytes = 64

// openLarge opens the body of a message of so many bytes where that is large. A message that is over the bound, and has none that
// can be told, is passed over.
func (f *frameReader) openLarge(size int) error {
	n := min(size, headBytes)
	if err := f.need(n); err != nil {
		return err
	}
	if at, length, ok := bodyIn(f.buf[f.begin : f.begin+n]); ok && length > f.large && at+length <= size {
		f.begin += at
		f.open, f.tail = length, size-at-length
		return nil
	}
	if size <= f.max {
		return nil
	}
	if err := f.discard(size); err != nil {
		return err
	}
	return errFrameSize
}

// bareFrame finds the end of one msgpack map. It counts the values that are still to come instead of nesting, so it needs no
// stack: a map or array adds what it holds, every value takes one away.
func (f *frameReader) bareFrame() ([]byte, error) {
	if lead := f.buf[f.begin]; lead>>4 != 0x8 && lead != 0xde && lead != 0xdf {
		return nil, errLostSync
	}
	size, values := 0, uint64(1)
	for values > 0 {
		if err := f.need(size + 1); err != nil {
			return nil, err
		}
		head, ok := saltclient.HeadLength(f.buf[f.begin+size])
		if !ok {
			return nil, errLostSync
		}
		if err := f.need(size + head); err != nil {
			return nil, err
		}
		data, inner := saltclient.Measure(f.buf[f.begin+size : f.begin+size+head])
		if data > uint64(f.large) && data <= absurdLength {
			if at, _, ok := bodyIn(f.buf[f.begin : f.begin+size+head]); ok && at == size+head {
				f.begin += at
				f.open, f.behind = int(data), values-1
				return nil, nil
			}
		}
		size += head
		if data > uint64(f.max) || size+int(data) > f.max {
			return nil, errLostSync
		}
		size += int(data)
		values += inner - 1
	}
	if err := f.need(size); err != nil {
		return nil, err
	}
	return f.take(size), nil
}

// bodyIn finds the body in the beginning of a message: at which byte its text begins, and how long that is.
func bodyIn(frame []byte) (at, length int, ok bool) {
	n, rest, err := msgp.ReadMapHeaderBytes(frame)
	if err != nil {
		return 0, 0, false
	}
	for range n {
		var key []byte
		if key, rest, err = msgp.ReadMapKeyZC(rest); err != nil || len(rest) == 0 {
			return 0, 0, false
		}
		if string(key) != "body" {
			if rest, err = msgp.Skip(rest); err != nil {
				return 0, 0, false
			}
			continue
		}
		head, known := saltclient.HeadLength(rest[0])
		if !known || head > len(rest) {
			return 0, 0, false
		}
		data, inner := saltclient.Measure(rest[:head])
		return len(frame) - len(rest) + head, int(min(data, math.MaxInt32)), inner == 0
	}
	return 0, 0, false
}

// envelope takes the body out of a message, {"head": {}, "body": bytes} (salt.transport.frame).
func envelope(frame []byte) ([]byte, error) {
	n, rest, err := msgp.ReadMapHeaderBytes(frame)
	if err != nil {
		return nil, errFrame
	}
	for range n {
		var key []byte
		if key, rest, err = msgp.ReadMapKeyZC(rest); err != nil {
			return nil, errFrame
		}
		if string(key) != "body" {
			if rest, err = msgp.Skip(rest); err != nil {
				return nil, errFrame
			}
			continue
		}
		var body []byte
		if msgp.NextType(rest) == msgp.StrType {
			body, _, err = msgp.ReadStringZC(rest)
		} else {
			body, _, err = msgp.ReadBytesZC(rest)
		}
		if err != nil {
			return nil, errFrame
		}
		return body, nil
	}
	return nil, errFrame
}

// take hands out n bytes that are there.
func (f *frameReader) take(n int) []byte {
	b := f.buf[f.begin : f.begin+n]
	f.begin += n
	return b
}

// need reads until n bytes are there. The buffer grows with what arrives, not with what is announced.
func (f *frameReader) need(n int) error {
	for f.end-f.begin < n {
		if f.end == len(f.buf) {
			f.room(n)
		}
		read, err := f.src.Read(f.buf[f.end:])
		f.end += read
		if err != nil && f.end-f.begin < n {
			return err
		}
	}
	return nil
}

// room makes room behind what has been read: by moving it to the front, or by doubling the buffer.
func (f *frameReader) room(n int) {
	have := f.end - f.begin
	target := f.buf
	if n > len(f.buf) && have > len(f.buf)/2 {
		target = make([]byte, min(2*len(f.buf), f.max+firstBuffer))
	}
	copy(target, f.buf[f.begin:f.end])
	f.buf, f.begin, f.end = target, 0, have
}

// discard passes over n bytes.
func (f *frameReader) discard(n int) error {
	for n > 0 {
		if f.begin == f.end {
			f.begin, f.end = 0, 0
			if err := f.need(1); err != nil {
				return err
			}
		}
		gone := min(n, f.end-f.begin)
		f.begin += gone
		n -= gone
	}
	return nil
}
