package native

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// maxArgumentDepth bounds how deep an argument may nest, before a value that holds itself overflows the stack.
const maxArgumentDepth = 512

// appendValue appends a JSON value as msgpack. A number is packed as the kind of number that Salt's user would have written: a
// whole one as an integer, also where JSON made a float64 of it; map keys are sorted, so that equal values are equal bytes.
func appendValue(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxArgumentDepth {
		return nil, gaea.Errorf(gaea.CodeInvalid, "an argument nests deeper than %d lists and maps", maxArgumentDepth)
	}
	switch v := v.(type) {
	case nil:
		return msgp.AppendNil(b), nil
	case bool:
		return msgp.AppendBool(b, v), nil
	case string:
		return msgp.AppendString(b, v), nil
	case float64:
		return appendFloat(b, v), nil
	case float32:
		return appendFloat(b, float64(v)), nil
	case json.Number:
		return appendNumber(b, string(v))
	case json.RawMessage:
		return appendRaw(b, v, depth)
	case []any:
		b = msgp.AppendArrayHeader(b, uint32(len(v)))
		var err error
		for _, item := range v {
			if b, err = appendValue(b, item, depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	case map[string]any:
		b = msgp.AppendMapHeader(b, uint32(len(v)))
		var err error
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if b, err = appendValue(msgp.AppendString(b, key), v[key], depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	default:
		return appendOther(b, v, depth)
	}
}

// exactInteger is the bound below which every whole float64 is just that whole number.
const exactInteger = 1 << 53

func appendFloat(b []byte, f float64) []byte {
	if f == math.Trunc(f) && math.Abs(f) <= exactInteger {
		return msgp.AppendInt64(b, int64(f))
	}
	return msgp.AppendFloat64(b, f)
}

// appendNumber appends a number by its text: one written as an integer stays one, and one with a point or an exponent a float.
func appendNumber(b []byte, text string) ([]byte, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return msgp.AppendInt64(b, n), nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return msgp.AppendUint64(b, n), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, gaea.Errorf(gaea.CodeInvalid, "%q in the arguments is not a number that Salt can be told", text)
	}
	return msgp.AppendFloat64(b, f), nil
}

func appendRaw(b []byte, raw json.RawMessage, depth int) ([]byte, error) {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "an argument is no valid JSON")
	}
	return appendValue(b, v, depth)
}

// appendOther appends the integer types, and slices and maps of one type.
func appendOther(b []byte, v any, depth int) ([]byte, error) {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return msgp.AppendInt64(b, r.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return msgp.AppendUint64(b, r.Uint()), nil
	case reflect.String:
		return msgp.AppendString(b, r.String()), nil
	case reflect.Slice, reflect.Array, reflect.Map:
		text, err := json.Marshal(v)
		if err != nil {
			return nil, gaea.Wrap(err, gaea.CodeInvalid, "an argument of type %T cannot be told to Salt", v)
		}
		return appendRaw(b, text, depth)
	default:
		return nil, gaea.Errorf(gaea.CodeInvalid, "an argument of type %T cannot be told to Salt; use JSON values", v)
	}
}
