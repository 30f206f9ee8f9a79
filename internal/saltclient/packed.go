package saltclient

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// HeadLength is how many bytes, from the first on, tell how long a msgpack value is. False where no value begins so.
func HeadLength(lead byte) (int, bool) {
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

// Measure reads the head of a msgpack value: how many bytes of its own follow, and how many values it holds.
func Measure(head []byte) (data, inner uint64) {
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

// packedReader reads msgpack as it comes, in constant memory, and takes the digest of a part of it.
type packedReader struct {
	src  *bufio.Reader
	sum  hash.Hash // nil while no digest is taken
	size int64     // bytes read since it is
}

// packedBuffer is the size of the reader's buffer: the longest piece that is looked at as one.
const packedBuffer = 64 << 10

func newPackedReader(src io.Reader) *packedReader {
	return &packedReader{src: bufio.NewReaderSize(src, packedBuffer)}
}

// digest begins to take a digest.
func (p *packedReader) digest() { p.sum, p.size = sha256.New(), 0 }

// digested ends it.
func (p *packedReader) digested() gaea.Truncation {
	t := gaea.Truncation{Size: p.size, SHA256: hex.EncodeToString(p.sum.Sum(nil))}
	p.sum = nil
	return t
}

// take reads n bytes, at most packedBuffer. They are valid until the next call.
func (p *packedReader) take(n int) ([]byte, error) {
	b, err := p.src.Peek(n)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errFormat(msgp.ErrShortBytes)
		}
		return nil, err
	}
	_, err = p.src.Discard(n)
	p.count(b)
	return b, err
}

func (p *packedReader) count(b []byte) {
	if p.sum != nil {
		p.sum.Write(b)
		p.size += int64(len(b))
	}
}

// text reads n bytes, however many, behind dst.
func (p *packedReader) text(dst []byte, n uint64) ([]byte, error) {
	for n > 0 {
		b, err := p.take(int(min(n, packedBuffer)))
		if err != nil {
			return nil, err
		}
		dst, n = append(dst, b...), n-uint64(len(b))
	}
	return dst, nil
}

// skip passes over n bytes.
func (p *packedReader) skip(n uint64) error {
	for n > 0 {
		b, err := p.take(int(min(n, packedBuffer)))
		if err != nil {
			return err
		}
		n -= uint64(len(b))
	}
	return nil
}

// head reads what tells how long the next value is.
func (p *packedReader) head() (head []byte, data, inner uint64, err error) {
	lead, err := p.src.Peek(1)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errFormat(msgp.ErrShortBytes)
		}
		return nil, 0, 0, err
	}
	n, ok := HeadLength(lead[0])
	if !ok {
		return nil, 0, 0, errFormat(msgp.InvalidPrefixError(lead[0]))
	}
	if head, err = p.take(n); err != nil {
		return nil, 0, 0, err
	}
	data, inner = Measure(head)
	return head, data, inner, nil
}

// pass passes over what a value holds: data bytes, and inner values. It counts them instead of nesting, so depth costs nothing.
func (p *packedReader) pass(data, inner uint64) error {
	err := p.skip(data)
	for ; inner > 0 && err == nil; inner-- {
		var more, values uint64
		if _, more, values, err = p.head(); err != nil {
			break
		}
		inner += values
		err = p.skip(more)
	}
	return err
}

// isPackedMap, isPackedArray and isPackedText tell the types that a value's first byte stands for.
func isPackedMap(lead byte) bool   { return lead>>4 == 0x8 || lead == 0xde || lead == 0xdf }
func isPackedArray(lead byte) bool { return lead>>4 == 0x9 || lead == 0xdc || lead == 0xdd }
func isPackedText(lead byte) bool {
	return lead>>5 == 0x5 || (lead >= 0xd9 && lead <= 0xdb) || (lead >= 0xc4 && lead <= 0xc6)
}
