package saltclient

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The bounds that apply where [Limits] says nothing.
const (
	DefaultDepth  = 512
	DefaultOutput = 128 << 20
)

// Limits bound what one msgpack value may cost. Nothing is allocated for a length that a value only claims to have.
type Limits struct {
	Depth  int // maps and arrays within each other, at least 1; 0 means [DefaultDepth]
	Output int // bytes of JSON made of one value; 0 means [DefaultOutput]
}

func (l Limits) withDefaults() Limits {
	if l.Depth <= 0 {
		l.Depth = DefaultDepth
	}
	if l.Output <= 0 {
		l.Output = DefaultOutput
	}
	return l
}

// What [AppendJSON] and [EventParser.Parse] refuse, besides bytes that are no msgpack.
var (
	ErrDepth  = gaea.Errorf(gaea.CodeTooLarge, "a message from Salt has more maps and lists within each other than the bound on depth allows")
	ErrOutput = gaea.Errorf(gaea.CodeTooLarge, "a message from Salt makes more JSON than the bound on output allows")
)

// errFormat is the cause of every error about bytes that are no msgpack.
func errFormat(cause error) error {
	return gaea.Wrap(cause, gaea.CodeSalt, "a message from Salt is no valid msgpack")
}

// AppendJSON appends the first msgpack value of msg to dst as JSON and returns dst and what follows that value.
//
// The JSON is always valid, also as UTF-8, and is what Salt's own tools would show: strings and bytes are text in which each
// byte that is not UTF-8 is U+FFFD; NaN and the infinities are the strings "NaN", "Infinity" and "-Infinity"; a whole
// floating point number keeps a ".0"; map keys that are no strings are the text of their JSON. Of two keys that become equal
// that way both are kept, and readers of JSON see the last. Salt's extension 78 (a date) is its ISO 8601 text.
//
// Errors are [ErrDepth], [ErrOutput] and a gaea.Error with CodeSalt for what is no msgpack; dst then ends anywhere.
func AppendJSON(dst, msg []byte, lim Limits) (out, rest []byte, err error) {
	bound := lim.withDefaults()
	t := transcoder{out: dst, depth: bound.Depth, limit: len(dst) + bound.Output}
	if rest, err = t.value(msg, 0); err == nil && len(t.out) > t.limit {
		err = ErrOutput
	}
	return t.out, rest, err
}

// transcoder writes JSON behind out. Its methods take the msgpack that is left and return what they leave.
type transcoder struct {
	out   []byte
	depth int // how deep values may nest
	limit int // how long out may become
}

// value writes the next value, which lies within depth maps and arrays.
func (t *transcoder) value(msg []byte, depth int) ([]byte, error) {
	switch msgp.NextType(msg) {
	case msgp.StrType:
		s, rest, err := msgp.ReadStringZC(msg)
		return t.text(s, rest, err)
	case msgp.BinType:
		s, rest, err := msgp.ReadBytesZC(msg)
		return t.text(s, rest, err)
	case msgp.MapType:
		return t.mapping(msg, depth)
	case msgp.ArrayType:
		return t.array(msg, depth)
	case msgp.IntType:
		n, rest, err := msgp.ReadInt64Bytes(msg)
		if err != nil {
			return nil, errFormat(err)
		}
		t.out = strconv.AppendInt(t.out, n, 10)
		return rest, nil
	case msgp.UintType:
		n, rest, err := msgp.ReadUint64Bytes(msg)
		if err != nil {
			return nil, errFormat(err)
		}
		t.out = strconv.AppendUint(t.out, n, 10)
		return rest, nil
	case msgp.Float64Type:
		f, rest, err := msgp.ReadFloat64Bytes(msg)
		return t.float(f, 64, rest, err)
	case msgp.Float32Type:
		f, rest, err := msgp.ReadFloat32Bytes(msg)
		return t.float(float64(f), 32, rest, err)
	case msgp.BoolType:
		b, rest, err := msgp.ReadBoolBytes(msg)
		if err != nil {
			return nil, errFormat(err)
		}
		t.out = strconv.AppendBool(t.out, b)
		return rest, nil
	case msgp.NilType:
		t.out = append(t.out, "null"...)
		return msg[1:], nil
	default:
		return t.extension(msg)
	}
}

func (t *transcoder) mapping(msg []byte, depth int) ([]byte, error) {
	n, rest, err := msgp.ReadMapHeaderBytes(msg)
	if err != nil {
		return nil, errFormat(err)
	}
	if depth >= t.depth {
		return nil, ErrDepth
	}
	t.out = append(t.out, '{')
	for i := range n {
		if i > 0 {
			t.out = append(t.out, ',')
		}
		if rest, err = t.key(rest, depth+1); err != nil {
			return nil, err
		}
		t.out = append(t.out, ':')
		if rest, err = t.value(rest, depth+1); err != nil {
			return nil, err
		}
		if len(t.out) > t.limit {
			return nil, ErrOutput
		}
	}
	t.out = append(t.out, '}')
	return rest, nil
}

func (t *transcoder) array(msg []byte, depth int) ([]byte, error) {
	n, rest, err := msgp.ReadArrayHeaderBytes(msg)
	if err != nil {
		return nil, errFormat(err)
	}
	if depth >= t.depth {
		return nil, ErrDepth
	}
	t.out = append(t.out, '[')
	for i := range n {
		if i > 0 {
			t.out = append(t.out, ',')
		}
		if rest, err = t.value(rest, depth+1); err != nil {
			return nil, err
		}
		if len(t.out) > t.limit {
			return nil, ErrOutput
		}
	}
	t.out = append(t.out, ']')
	return rest, nil
}

// key writes a map's key: strings as they are, everything else (Python's keys may be numbers, None, tuples) as the text of
// its JSON.
func (t *transcoder) key(msg []byte, depth int) ([]byte, error) {
	start := len(t.out)
	rest, err := t.value(msg, depth)
	if err != nil {
		return nil, err
	}
	if written := t.out[start:]; written[0] != '"' {
		// The text is appended behind itself and then moved to its place, so that no other buffer is needed.
		end := len(t.out)
		if t.out = appendQuoted(t.out, written, t.limit); len(t.out) > t.limit {
			return nil, ErrOutput
		}
		t.out = append(t.out[:start], t.out[end:]...)
	}
	return rest, nil
}

func (t *transcoder) text(s, rest []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, errFormat(err)
	}
	if len(t.out)+len(s) > t.limit {
		return nil, ErrOutput
	}
	if t.out = appendQuoted(t.out, s, t.limit); len(t.out) > t.limit {
		return nil, ErrOutput
	}
	return rest, nil
}

func (t *transcoder) float(f float64, bits int, rest []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, errFormat(err)
	}
	switch {
	case math.IsNaN(f):
		t.out = append(t.out, `"NaN"`...)
	case math.IsInf(f, 1):
		t.out = append(t.out, `"Infinity"`...)
	case math.IsInf(f, -1):
		t.out = append(t.out, `"-Infinity"`...)
	default:
		start := len(t.out)
		format := byte('f')
		if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
			format = 'e'
		}
		t.out = strconv.AppendFloat(t.out, f, format, -1, bits)
		if format == 'f' && !bytes.Contains(t.out[start:], []byte{'.'}) {
			t.out = append(t.out, ".0"...)
		}
	}
	return rest, nil
}

// Salt's own extension types (salt.payload): what its dates and named constants are on the wire.
const (
	extensionDate     = 78 // the text 20260131T23:59:59.000001
	extensionConstant = 79 // msgpack of [name, value]
)

// extension writes what is no plain msgpack type.
func (t *transcoder) extension(msg []byte) ([]byte, error) {
	kind, data, rest, err := cutExtension(msg)
	if err != nil {
		return nil, err
	}
	if len(t.out)+len(data) > t.limit {
		return nil, ErrOutput
	}
	switch kind {
	case extensionDate:
		if len(data) >= 17 && data[8] == 'T' {
			iso := fmt.Appendf(nil, "%s-%s-%s", data[:4], data[4:6], data[6:])
			t.out = appendQuoted(t.out, iso, t.limit)
			return rest, nil
		}
	case extensionConstant:
		if n, name, err := msgp.ReadArrayHeaderBytes(data); err == nil && n == 2 {
			if s, _, err := msgp.ReadStringZC(name); err == nil {
				t.out = appendQuoted(t.out, s, t.limit)
				return rest, nil
			}
		}
	}
	if len(t.out)+2*len(data) > t.limit {
		return nil, ErrOutput
	}
	t.out = append(t.out, '"')
	t.out = hex.AppendEncode(t.out, data)
	t.out = append(t.out, '"')
	return rest, nil
}

// cutExtension splits off one extension value: its type, its data, and what follows.
func cutExtension(msg []byte) (kind int8, data, rest []byte, err error) {
	if len(msg) == 0 {
		return 0, nil, nil, errFormat(msgp.ErrShortBytes)
	}
	var head int    // bytes before the type
	var size uint64 // bytes of data
	switch lead := msg[0]; lead {
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // fixext 1, 2, 4, 8, 16
		head, size = 1, 1<<(lead-0xd4)
	case 0xc7, 0xc8, 0xc9: // ext 8, 16, 32
		width := 1 << (lead - 0xc7)
		head = 1 + width
		if len(msg) < head {
			return 0, nil, nil, errFormat(msgp.ErrShortBytes)
		}
		var wide [8]byte
		copy(wide[8-width:], msg[1:head])
		size = binary.BigEndian.Uint64(wide[:])
	default:
		return 0, nil, nil, errFormat(msgp.InvalidPrefixError(lead))
	}
	if uint64(len(msg)) < uint64(head)+1+size {
		return 0, nil, nil, errFormat(msgp.ErrShortBytes)
	}
	end := head + 1 + int(size)
	return int8(msg[head]), msg[head+1 : end], msg[end:], nil
}
