package swarm

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/tinylib/msgp/msgp"
)

// Bounds on what a master sends, and on what is sent to it.
const (
	maxDepth  = 128     // maps and lists within each other
	maxValues = 1 << 18 // values in one message, each of which takes more memory here than on the wire
)

var (
	errDepth  = errors.New("a message nests too deep")
	errValues = errors.New("a message holds too many values")
	errFormat = errors.New("a message is no valid msgpack")
)

// packed is a value that is msgpack already, and is sent as it is: what a script made up, or what was received.
type packed []byte

// pack makes msgpack of a value as Salt would: maps by their sorted keys, so that equal values are equal bytes.
func pack(v any) ([]byte, error) { return appendPacked(nil, v, 0) }

func appendPacked(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	switch v := v.(type) {
	case nil:
		return msgp.AppendNil(b), nil
	case bool:
		return msgp.AppendBool(b, v), nil
	case int:
		return msgp.AppendInt(b, v), nil
	case int64:
		return msgp.AppendInt64(b, v), nil
	case uint64:
		return msgp.AppendUint64(b, v), nil
	case float64:
		return msgp.AppendFloat64(b, v), nil
	case string:
		return msgp.AppendString(b, v), nil
	case []byte:
		return msgp.AppendBytes(b, v), nil
	case packed:
		return append(b, v...), nil
	case []string:
		return appendList(b, v, depth)
	case []any:
		return appendList(b, v, depth)
	case map[string]any:
		return appendMap(b, v, depth)
	case map[string]string:
		return appendMap(b, v, depth)
	case map[any]any:
		return appendKeyed(b, v, depth)
	default:
		return nil, fmt.Errorf("a value of type %T cannot be packed", v)
	}
}

func appendList[V any](b []byte, list []V, depth int) ([]byte, error) {
	b = msgp.AppendArrayHeader(b, uint32(len(list)))
	for _, item := range list {
		var err error
		if b, err = appendPacked(b, item, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendMap[V any](b []byte, m map[string]V, depth int) ([]byte, error) {
	b = msgp.AppendMapHeader(b, uint32(len(m)))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		var err error
		if b, err = appendPacked(msgp.AppendString(b, key), m[key], depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// appendKeyed packs a map whose keys are not all text, such as YAML can say; those that are equal as text keep no order.
func appendKeyed(b []byte, m map[any]any, depth int) ([]byte, error) {
	b = msgp.AppendMapHeader(b, uint32(len(m)))
	keys := slices.SortedFunc(maps.Keys(m), func(x, y any) int {
		return slices.Compare([]byte(fmt.Sprint(x)), []byte(fmt.Sprint(y)))
	})
	for _, key := range keys {
		var err error
		if b, err = appendPacked(b, key, depth+1); err != nil {
			return nil, err
		}
		if b, err = appendPacked(b, m[key], depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// unpack reads one msgpack value and nothing behind it. Texts and bytes are both strings, because Salt packs them alike, and may
// hold what is no UTF-8; whole numbers are int64, or uint64 where they are larger; maps are map[string]any, whose keys that are
// no text are written as one. Memory is taken for what is there, not for what a length announces.
func unpack(b []byte) (any, error) {
	r := reader{left: maxValues}
	v, rest, err := r.value(b, 0)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, errFormat
	}
	return v, nil
}

// unpackMap reads one msgpack map.
func unpackMap(b []byte) (map[string]any, error) {
	v, err := unpack(b)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errFormat
	}
	return m, nil
}

// reader reads msgpack and counts.
type reader struct{ left int } // values that may still come

func (r *reader) value(b []byte, depth int) (v any, rest []byte, err error) {
	if depth > maxDepth {
		return nil, nil, errDepth
	}
	if r.left--; r.left < 0 {
		return nil, nil, errValues
	}
	switch msgp.NextType(b) {
	case msgp.StrType, msgp.BinType:
		return readText(b)
	case msgp.MapType:
		return r.mapping(b, depth)
	case msgp.ArrayType:
		return r.list(b, depth)
	case msgp.IntType:
		n, rest, err := msgp.ReadInt64Bytes(b)
		return n, rest, malformed(err)
	case msgp.UintType:
		n, rest, err := msgp.ReadUint64Bytes(b)
		if err == nil && n <= math.MaxInt64 {
			return int64(n), rest, nil
		}
		return n, rest, malformed(err)
	case msgp.Float64Type:
		f, rest, err := msgp.ReadFloat64Bytes(b)
		return f, rest, malformed(err)
	case msgp.Float32Type:
		f, rest, err := msgp.ReadFloat32Bytes(b)
		return float64(f), rest, malformed(err)
	case msgp.BoolType:
		t, rest, err := msgp.ReadBoolBytes(b)
		return t, rest, malformed(err)
	case msgp.NilType:
		return nil, b[1:], nil
	case msgp.InvalidType:
		return nil, nil, errFormat
	default: // an extension: Salt's dates and constants, which nothing here looks at
		rest, err := msgp.Skip(b)
		if err != nil {
			return nil, nil, errFormat
		}
		return packed(b[:len(b)-len(rest)]), rest, nil
	}
}

func readText(b []byte) (v any, rest []byte, err error) {
	var text []byte
	if msgp.NextType(b) == msgp.StrType {
		text, rest, err = msgp.ReadStringZC(b)
	} else {
		text, rest, err = msgp.ReadBytesZC(b)
	}
	if err != nil {
		return nil, nil, errFormat
	}
	return string(text), rest, nil
}

func (r *reader) list(b []byte, depth int) (v any, rest []byte, err error) {
	n, rest, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil || uint64(n) > uint64(len(rest)) { // each value has a byte at least
		return nil, nil, errFormat
	}
	list := []any{}
	for range n {
		var item any
		if item, rest, err = r.value(rest, depth+1); err != nil {
			return nil, nil, err
		}
		list = append(list, item)
	}
	return list, rest, nil
}

func (r *reader) mapping(b []byte, depth int) (v any, rest []byte, err error) {
	n, rest, err := msgp.ReadMapHeaderBytes(b)
	if err != nil || 2*uint64(n) > uint64(len(rest)) {
		return nil, nil, errFormat
	}
	m := map[string]any{}
	for range n {
		var key, val any
		if key, rest, err = r.value(rest, depth+1); err != nil {
			return nil, nil, err
		}
		if val, rest, err = r.value(rest, depth+1); err != nil {
			return nil, nil, err
		}
		name, ok := key.(string)
		if !ok {
			name = fmt.Sprint(key)
		}
		m[name] = val
	}
	return m, rest, nil
}

func malformed(err error) error {
	if err != nil {
		return errFormat
	}
	return nil
}

// text returns a field of a map that is text; it is empty where there is none.
func text(m map[string]any, field string) string {
	s, _ := m[field].(string)
	return s
}
