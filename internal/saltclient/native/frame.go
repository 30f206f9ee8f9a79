package native

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// DefaultMaxFrame is the size in bytes of the largest message that is taken from the event socket, where nothing else is set.
// A master does not send more than its max_event_size, 1 MiB by default, but for events that cannot be made smaller.
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
	max        int
	buf        []byte
	begin, end int  // buf[begin:end] has been read and not been handed out
	known      bool // the framing has been recognized:
	prefixed   bool // lengths stand before the messages
}

func newFrameReader(src io.Reader, maxFrame int) *frameReader {
	return &frameReader{src: src, max: maxFrame, buf: make([]byte, firstBuffer)}
}

// next returns the body of the next message: a tag and a msgpack map. It is valid until the next call. After errFrame
// and errFrameSize the stream goes on; any other error ends it.
func (f *frameReader) next() ([]byte, error) {
	if f.begin == f.end && len(f.buf) > keepBuffer {
		f.buf, f.begin, f.end = make([]byte, firstBuffer), 0, 0
	}
	if err := f.need(1); err != nil {
		return nil, err // also a clean end between two messages
	}
	if !f.known {
		lead := f.buf[f.begin]
		f.known, f.prefixed = true, lead < 0x80
	}
	frame, err := f.frame()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return envelope(frame)
}

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
	if size > f.max {
		if err := f.discard(size); err != nil {
			return nil, err
		}
		return nil, errFrameSize
	}
	if err := f.need(size); err != nil {
		return nil, err
	}
	return f.take(size), nil
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
		head, ok := headLength(f.buf[f.begin+size])
		if !ok {
			return nil, errLostSync
		}
		if err := f.need(size + head); err != nil {
			return nil, err
		}
		data, inner := measure(f.buf[f.begin+size : f.begin+size+head])
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

// headLength is how many bytes, from the first on, tell how long a msgpack value is.
func headLength(lead byte) (int, bool) {
	switch lead {
	case 0xc1:
		return 0, false
	case 0xc4, 0xc7, 0xd9: // bin 8, ext 8, str 8
		return 2, true
	case 0xc5, 0xc8, 0xda, 0xdc, 0xde: // bin, ext, str, array, map 16
		return 3, true
	case 0xc6, 0xc9, 0xdb, 0xdd, 0xdf: // bin, ext, str, array, map 32
		return 5, true
	default:
		return 1, true
	}
}

// measure reads the head of a msgpack value: how many bytes of its own follow, and how many values it holds.
func measure(head []byte) (data, inner uint64) {
	lead := head[0]
	switch {
	case lead < 0x80 || lead >= 0xe0: // small numbers
		return 0, 0
	case lead < 0x90:
		return 0, 2 * uint64(lead&0x0f)
	case lead < 0xa0:
		return 0, uint64(lead & 0x0f)
	case lead < 0xc0:
		return uint64(lead & 0x1f), 0
	}
	var n uint64
	for _, b := range head[1:] {
		n = n<<8 | uint64(b)
	}
	switch lead {
	case 0xdc, 0xdd: // arrays
		return 0, n
	case 0xde, 0xdf: // maps
		return 0, 2 * n
	case 0xc7, 0xc8, 0xc9: // extensions have their type before their data
		return n + 1, 0
	case 0xcc, 0xd0: // 8 bits
		return 1, 0
	case 0xcd, 0xd1, 0xd4: // 16 bits, and the smallest extension
		return 2, 0
	case 0xca, 0xce, 0xd2: // 32 bits
		return 4, 0
	case 0xcb, 0xcf, 0xd3: // 64 bits
		return 8, 0
	case 0xd5, 0xd6, 0xd7, 0xd8: // extensions of 2, 4, 8 and 16 bytes
		return 1 + 2<<(lead-0xd5), 0
	default: // nil, false, true; and the texts, whose length n is
		return n, 0
	}
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
