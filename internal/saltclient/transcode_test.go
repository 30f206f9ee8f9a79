package saltclient_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

func TestValuesBecomeTheJSONThatSaltsToolsShow(t *testing.T) {
	text := func(s string) []byte { return msgp.AppendString(nil, s) }
	extension := func(lead ...byte) []byte { return lead }
	for name, row := range map[string]struct {
		msg  []byte
		want string
	}{
		"null":                         {msgp.AppendNil(nil), `null`},
		"truth":                        {msgp.AppendBool(nil, true), `true`},
		"a negative integer":           {msgp.AppendInt(nil, -7), `-7`},
		"the smallest integer":         {msgp.AppendInt64(nil, math.MinInt64), `-9223372036854775808`},
		"the largest integer":          {msgp.AppendUint64(nil, math.MaxUint64), `18446744073709551615`},
		"a float":                      {msgp.AppendFloat64(nil, 21.171), `21.171`},
		"a whole float":                {msgp.AppendFloat64(nil, 26), `26.0`},
		"a short float":                {msgp.AppendFloat32(nil, 1.5), `1.5`},
		"a large float":                {msgp.AppendFloat64(nil, 1e300), `1e+300`},
		"NaN":                          {msgp.AppendFloat64(nil, math.NaN()), `"NaN"`},
		"infinity":                     {msgp.AppendFloat64(nil, math.Inf(1)), `"Infinity"`},
		"negative infinity":            {msgp.AppendFloat32(nil, float32(math.Inf(-1))), `"-Infinity"`},
		"text":                         {text("h\u00e9llo \u2013 \u4e16\u754c"), `"héllo – 世界"`},
		"text with markup":             {text("<a href=\"x\">&${y}\\"), `"<a href=\"x\">&${y}\\"`},
		"control characters":           {text("a\x00\x1f\n\r\t\x7f"), "\"a\\u0000\\u001f\\n\\r\\t\x7f\""},
		"text that is no UTF-8":        {text("\xff\xfebin"), "\"\uFFFD\uFFFDbin\""},
		"bytes":                        {msgp.AppendBytes(nil, []byte("raw\x80")), "\"raw\uFFFD\""},
		"an empty map":                 {[]byte{0x80}, `{}`},
		"an empty list":                {[]byte{0x90}, `[]`},
		"a list":                       {msgp.AppendInt(msgp.AppendNil([]byte{0x92}), 1), `[null,1]`},
		"a map with an integer key":    {msgp.AppendNil(msgp.AppendInt([]byte{0x81}, 80)), `{"80":null}`},
		"a map with a negative key":    {msgp.AppendNil(msgp.AppendInt([]byte{0x81}, -1)), `{"-1":null}`},
		"a map with a float key":       {msgp.AppendNil(msgp.AppendFloat64([]byte{0x81}, 1.5)), `{"1.5":null}`},
		"a map with a truth key":       {msgp.AppendNil(msgp.AppendBool([]byte{0x81}, true)), `{"true":null}`},
		"a map with a null key":        {msgp.AppendNil(msgp.AppendNil([]byte{0x81})), `{"null":null}`},
		"a map with a key of bytes":    {msgp.AppendNil(msgp.AppendBytes([]byte{0x81}, []byte("k"))), `{"k":null}`},
		"a map with a tuple for a key": {append([]byte{0x81, 0x92}, msgp.AppendNil(append(text("a"), 1))...), `{"[\"a\",1]":null}`},
		"keys that become equal":       {append([]byte{0x82, 0x01, 0xc2}, append(text("1"), 0xc3)...), `{"1":false,"1":true}`},
		"a date":                       {extension(append([]byte{0xc7, 24, 78}, "20261122T23:12:45.877039"...)...), `"2026-11-22T23:12:45.877039"`},
		"a constant of Salt's": {extension(append([]byte{0xc7, 6, 79}, append([]byte{0x92}, append(text("abc"), 1)...)...)...),
			`"abc"`},
		"an unknown extension": {extension(0xd5, 7, 0xab, 0xcd), `"abcd"`},
		"a date that is none":  {extension(0xd4, 78, 0x41), `"41"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, rest, err := saltclient.AppendJSON([]byte("before "), append(row.msg, "after"...), saltclient.Limits{})
			if err != nil || string(got) != "before "+row.want || string(rest) != "after" {
				t.Errorf("got %s, rest %q, error %v; want %s", got, rest, err, row.want)
			}
		})
	}
}

func TestBytesThatAreNoMsgpackAreRefused(t *testing.T) {
	for name, msg := range map[string][]byte{
		"nothing":                     {},
		"the byte that is never used": {0xc1},
		"a text cut off":              {0xa5, 'a'},
		"a map cut off":               {0x81, 0xa1, 'k'},
		"a list cut off":              {0x92, 0x01},
		"a number cut off":            {0xcf, 0, 0},
		"a float cut off":             {0xcb, 0, 0},
		"an extension cut off":        {0xc8, 0},
		"an extension without data":   {0xd8, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := saltclient.AppendJSON(nil, msg, saltclient.Limits{}); gaea.CodeOf(err) != gaea.CodeSalt {
				t.Errorf("got %v, want an error with code salt", err)
			}
		})
	}
}

func TestNestingIsAllowedUpToTheBound(t *testing.T) {
	nested := func(n int) []byte { return append([]byte(strings.Repeat("\x91", n)), 0xc0) }
	maps := append([]byte(strings.Repeat("\x81\xa1k", 4)), 0xc0)
	lim := saltclient.Limits{Depth: 3}
	if _, _, err := saltclient.AppendJSON(nil, nested(3), lim); err != nil {
		t.Errorf("three lists: %v", err)
	}
	if _, _, err := saltclient.AppendJSON(nil, nested(4), lim); !errors.Is(err, saltclient.ErrDepth) {
		t.Errorf("four lists: got %v, want ErrDepth", err)
	}
	if _, _, err := saltclient.AppendJSON(nil, maps, lim); !errors.Is(err, saltclient.ErrDepth) {
		t.Errorf("four maps: got %v, want ErrDepth", err)
	}
	if _, _, err := saltclient.AppendJSON(nil, nested(1<<20), saltclient.Limits{}); !errors.Is(err, saltclient.ErrDepth) {
		t.Errorf("a million lists: got %v, want ErrDepth", err)
	}
	inKeys := append([]byte(strings.Repeat("\x81", 1<<20)), 0xc0)
	if _, _, err := saltclient.AppendJSON(nil, inKeys, saltclient.Limits{}); !errors.Is(err, saltclient.ErrDepth) {
		t.Errorf("a million maps as keys of one another: got %v, want ErrDepth", err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	const bound = 1000
	lim := saltclient.Limits{Output: bound}
	list := func(n int, item ...byte) []byte {
		msg := msgp.AppendArrayHeader(nil, uint32(n))
		for range n {
			msg = append(msg, item...)
		}
		return msg
	}
	for name, msg := range map[string][]byte{
		"many nulls":                list(1000, 0xc0),
		"a long text":               msgp.AppendString(nil, strings.Repeat("x", 2000)),
		"a text of escapes":         msgp.AppendString(nil, strings.Repeat("\x00", 500)),
		"an extension":              append([]byte{0xc8, 0x03, 0x00, 1}, make([]byte, 768)...),
		"keys":                      append(msgp.AppendMapHeader(nil, 1), msgp.AppendNil(msgp.AppendString(nil, strings.Repeat("\x00", 200)))...),
		"a key that has to be text": append(append([]byte{0x81}, list(200, 0xa1, '"')...), 0xc0),
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := saltclient.AppendJSON(nil, msg, lim)
			if !errors.Is(err, saltclient.ErrOutput) {
				t.Errorf("got %v, want ErrOutput", err)
			}
			if len(out) > 3*bound {
				t.Errorf("%d bytes were written before it stopped", len(out))
			}
		})
	}
}

// A length that is only claimed must not be believed: the vmihailenco decoder makes 32 GiB of five such bytes.
func TestAHostileLengthCostsNothing(t *testing.T) {
	hostile := map[string][]byte{
		"text":      {0xdb, 0xff, 0xff, 0xff, 0xff},
		"bytes":     {0xc6, 0xff, 0xff, 0xff, 0xff},
		"list":      {0xdd, 0xff, 0xff, 0xff, 0xff},
		"map":       {0xdf, 0xff, 0xff, 0xff, 0xff},
		"extension": {0xc9, 0xff, 0xff, 0xff, 0xff, 78},
		"in a map":  {0x81, 0xa1, 'k', 0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0},
		"as a key":  {0x81, 0xdb, 0xff, 0xff, 0xff, 0xff},
	}
	buf := make([]byte, 0, 256)
	var parser saltclient.EventParser
	for name, msg := range hostile {
		t.Run(name, func(t *testing.T) {
			body := append([]byte("tag\n\n\x81\xa1k"), msg...)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 100 {
				if _, _, err := saltclient.AppendJSON(buf, msg, saltclient.Limits{}); err == nil {
					t.Fatal("it was taken")
				}
				if _, err := parser.Parse(body, time.Time{}); err == nil {
					t.Fatal("it was taken as an event")
				}
			}
			runtime.ReadMemStats(&after)
			if each := (after.TotalAlloc - before.TotalAlloc) / 200; each > 2048 {
				t.Errorf("%d bytes were allocated each time", each)
			}
		})
	}
}

func TestTranscodingAllocatesNothingIntoABufferThatIsLargeEnough(t *testing.T) {
	_, msg, _ := strings.Cut(string(bodies(t, "3008.3")[23]), "\n\n")
	packed := []byte(msg)
	buf := make([]byte, 0, 8<<10)
	allocs := testing.AllocsPerRun(100, func() {
		if _, _, err := saltclient.AppendJSON(buf, packed, saltclient.Limits{}); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// genValue makes values that JSON can hold, as encoding/json reads them, with at most depth lists and maps within each other.
func genValue(depth int) *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.Map(rapid.Int32(), func(n int32) any { return float64(n) }),
	)
	if depth == 0 {
		return scalar
	}
	inner := genValue(depth - 1)
	return rapid.OneOf(scalar,
		rapid.Map(rapid.SliceOfN(inner, 0, 4), func(s []any) any { return s }),
		rapid.Map(rapid.MapOfN(rapid.String(), inner, 0, 4), func(m map[string]any) any { return m }))
}

func pack(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return msgp.AppendNil(b)
	case bool:
		return msgp.AppendBool(b, v)
	case string:
		return msgp.AppendString(b, v)
	case float64:
		return msgp.AppendFloat64(b, v)
	case int:
		return msgp.AppendInt(b, v)
	case []any:
		out := msgp.AppendArrayHeader(b, uint32(len(v)))
		for _, item := range v {
			out = pack(out, item)
		}
		return out
	case map[string]any:
		out := msgp.AppendMapHeader(b, uint32(len(v)))
		for key, item := range v {
			out = pack(msgp.AppendString(out, key), item)
		}
		return out
	default:
		panic("a value that the tests do not use")
	}
}

func TestEveryValueComesThroughWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genValue(3).Draw(t, "value")
		out, rest, err := saltclient.AppendJSON(nil, pack(nil, want), saltclient.Limits{})
		if err != nil || len(rest) != 0 {
			t.Fatalf("error %v, rest %q", err, rest)
		}
		if !utf8.Valid(out) {
			t.Fatalf("%q is no UTF-8", out)
		}
		var got any
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if !reflect.DeepEqual(got, replaced(want)) {
			t.Fatalf("got %s for %v", out, want)
		}
	})
}

// replaced is what JSON readers make of a value: bytes that are no UTF-8 are U+FFFD.
func replaced(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}
