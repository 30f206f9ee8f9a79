package native_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
)

// versions are those of which there is a capture of the event socket.
var versions = []string{"3006.27", "3008.3"}

// capture is what a subscriber read from the event socket.
func capture(tb testing.TB, version string) []byte {
	tb.Helper()
	f, err := os.Open("../testdata/bus-" + version + ".bin.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	stream, err := io.ReadAll(unzipped)
	if err != nil {
		tb.Fatal(err)
	}
	return stream
}

// message is one message of the event socket, as msgpack.
func message(body string) []byte {
	b := msgp.AppendMapHeader(nil, 2)
	b = msgp.AppendMapHeader(msgp.AppendString(b, "head"), 0)
	return msgp.AppendBytes(msgp.AppendString(b, "body"), []byte(body))
}

// prefixed puts the length before a message, as Salt up to 3006 does.
func prefixed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
}

// read reads a stream to its end.
func read(src io.Reader, maxFrame int) (bodies []string, passed int, err error) {
	passed, err = native.Frames(src, maxFrame, func(body []byte) { bodies = append(bodies, string(body)) })
	return bodies, passed, err
}

func TestBothFramingsAreRecognized(t *testing.T) {
	counts := map[string]int{"3006.27": 156, "3008.3": 210}
	for _, version := range versions {
		stream := capture(t, version)
		for name, src := range map[string]io.Reader{
			"at once": bytes.NewReader(stream), "in halves": iotest.HalfReader(bytes.NewReader(stream)),
			"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)), "with the end": iotest.DataErrReader(bytes.NewReader(stream)),
		} {
			t.Run(version+" "+name, func(t *testing.T) {
				bodies, passed, err := read(src, native.DefaultMaxFrame)
				if !errors.Is(err, io.EOF) || passed != 0 || len(bodies) != counts[version] {
					t.Errorf("%d bodies, %d passed over, error %v", len(bodies), passed, err)
				}
				for _, body := range bodies {
					if !strings.Contains(body, "\n\n") {
						t.Errorf("a body without a tag: %.60q", body)
					}
				}
			})
		}
	}
}

func TestAStreamThatIsCutOffEndsWithAnError(t *testing.T) {
	for name, stream := range map[string][]byte{
		"back to back":        message("a\n\n\x80"),
		"with lengths before": prefixed(message("a\n\n\x80")),
	} {
		for cut := 1; cut < len(stream); cut++ {
			if bodies, _, err := read(bytes.NewReader(stream[:cut]), 1000); !errors.Is(err, io.ErrUnexpectedEOF) || len(bodies) != 0 {
				t.Errorf("%s, cut after %d: %q, %v", name, cut, bodies, err)
			}
		}
	}
}

func TestEveryKindOfValueIsSteppedOver(t *testing.T) {
	var rest []byte
	values := 0
	add := func(b ...byte) { rest, values = append(rest, b...), values+1 }
	add(0x7f)
	add(0xe0)
	add(0xc0)
	add(0xc2)
	add(0xc3)
	add(append([]byte{0xca}, make([]byte, 4)...)...)
	add(append([]byte{0xcb}, make([]byte, 8)...)...)
	for i, lead := range []byte{0xcc, 0xcd, 0xce, 0xcf} {
		add(append([]byte{lead}, make([]byte, 1<<i)...)...)
		add(append([]byte{lead + 4}, make([]byte, 1<<i)...)...)
	}
	for i, lead := range []byte{0xd4, 0xd5, 0xd6, 0xd7, 0xd8} {
		add(append([]byte{lead}, make([]byte, 1+1<<i)...)...)
	}
	add(append([]byte{0xc7, 3}, make([]byte, 4)...)...)
	add(append([]byte{0xc8, 0, 3}, make([]byte, 4)...)...)
	add(append([]byte{0xc9, 0, 0, 0, 3}, make([]byte, 4)...)...)
	add(msgp.AppendBytes(nil, make([]byte, 3))...)
	add(msgp.AppendBytes(nil, make([]byte, 300))...)
	add(msgp.AppendBytes(nil, make([]byte, 70_000))...)
	add(msgp.AppendString(nil, "short")...)
	add(msgp.AppendString(nil, strings.Repeat("x", 40))...)
	add(msgp.AppendString(nil, strings.Repeat("x", 400))...)
	add(msgp.AppendString(nil, strings.Repeat("x", 70_000))...)
	add(0x92, 0x01, 0x91, 0xc0)
	add(0xdc, 0, 1, 0xc0)
	add(0xdd, 0, 0, 0, 1, 0xc0)
	add(0x81, 0x01, 0x81, 0xc0, 0xc0)
	add(0xde, 0, 1, 0x01, 0xc0)
	add(0xdf, 0, 0, 0, 1, 0x01, 0xc0)

	head := append(msgp.AppendArrayHeader(nil, uint32(values)), rest...)
	first := append(msgp.AppendString(msgp.AppendMapHeader(nil, 2), "head"), head...)
	first = msgp.AppendBytes(msgp.AppendString(first, "body"), []byte("one"))
	stream := append(first, message("two")...)
	bodies, passed, err := read(iotest.OneByteReader(bytes.NewReader(stream)), 1<<20)
	if !errors.Is(err, io.EOF) || passed != 0 || !slices.Equal(bodies, []string{"one", "two"}) {
		t.Errorf("%q, %d passed over, error %v", bodies, passed, err)
	}
}

func TestABodyMayBeTextAsWellAsBytes(t *testing.T) {
	stream := msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "body"), "a\n\n\x80")
	if bodies, _, _ := read(bytes.NewReader(stream), 1000); !slices.Equal(bodies, []string{"a\n\n\x80"}) {
		t.Errorf("got %q", bodies)
	}
}

func TestABadMessageWithALengthBeforeItIsPassedOver(t *testing.T) {
	for name, bad := range map[string][]byte{
		"too large":           make([]byte, 2000),
		"very much too large": make([]byte, 300_000),
		"no map":              {0x93, 1, 2, 3},
		"no body":             msgp.AppendNil(msgp.AppendString([]byte{0x81}, "head")),
		"a number for a body": msgp.AppendInt(msgp.AppendString([]byte{0x81}, "body"), 7),
		"a key that is none":  {0x81, 0xc0, 0xc0},
		"cut off":             {0x82, 0xa4, 'h'},
		"nothing":             {},
	} {
		t.Run(name, func(t *testing.T) {
			stream := slices.Concat(prefixed(message("one")), prefixed(bad), prefixed(message("two")))
			bodies, passed, err := read(iotest.HalfReader(bytes.NewReader(stream)), 1000)
			if !errors.Is(err, io.EOF) || passed != 1 || !slices.Equal(bodies, []string{"one", "two"}) {
				t.Errorf("%q, %d passed over, error %v", bodies, passed, err)
			}
		})
	}
}

func TestABadMessageBackToBackIsPassedOverWhereItsEndIsKnown(t *testing.T) {
	stream := slices.Concat(message("one"), []byte{0x81, 0xa1, 'x', 0xc0}, message("two"))
	bodies, passed, err := read(bytes.NewReader(stream), 1000)
	if !errors.Is(err, io.EOF) || passed != 1 || !slices.Equal(bodies, []string{"one", "two"}) {
		t.Errorf("%q, %d passed over, error %v", bodies, passed, err)
	}
}

func TestAStreamWithoutBordersIsGivenUp(t *testing.T) {
	for name, stream := range map[string][]byte{
		"no map":                  append(message("one"), 0x93, 1, 2, 3),
		"a byte that is no value": append(message("one"), 0x82, 0xc1),
		"a length over the bound": append(message("one"), 0x81, 0xa4, 'b', 'o', 'd', 'y', 0xc6, 0x7f, 0xff, 0xff, 0xff),
		"too many small values":   slices.Concat(message("one"), []byte{0xdf, 0xff, 0xff, 0xff, 0xff}, make([]byte, 2000)),
		"an absurd length":        slices.Concat(prefixed(message("one")), []byte{0xff, 0xff, 0xff, 0xff}, make([]byte, 2000)),
	} {
		t.Run(name, func(t *testing.T) {
			bodies, _, err := read(bytes.NewReader(stream), 1000)
			if !errors.Is(err, native.ErrLostSync) || !slices.Equal(bodies, []string{"one"}) {
				t.Errorf("%q, error %v", bodies, err)
			}
		})
	}
}

func TestALargeMessageComesThroughAndItsBufferIsLetGo(t *testing.T) {
	large := strings.Repeat("x", 20<<20)
	for name, stream := range map[string][]byte{
		"back to back":        slices.Concat(message("one"), message(large), message("two")),
		"with lengths before": slices.Concat(prefixed(message("one")), prefixed(message(large)), prefixed(message("two"))),
	} {
		t.Run(name, func(t *testing.T) {
			bodies, _, err := read(bytes.NewReader(stream), native.DefaultMaxFrame)
			if !errors.Is(err, io.EOF) || len(bodies) != 3 || bodies[1] != large {
				t.Errorf("%d bodies, error %v", len(bodies), err)
			}
		})
	}
}

// A reader that looks at a message again for each piece that arrives would need hours for this.
func TestAMessageThatTricklesInIsReadInLinearTime(t *testing.T) {
	body := strings.Repeat("x", 2<<20)
	many := msgp.AppendArrayHeader(msgp.AppendString(msgp.AppendMapHeader(nil, 2), "head"), 2<<20)
	many = append(many, bytes.Repeat([]byte{0xc0}, 2<<20)...)
	many = msgp.AppendBytes(msgp.AppendString(many, "body"), []byte("many"))
	for name, stream := range map[string][]byte{
		"one large value": message(body), "many small values": many, "with a length before": prefixed(message(body)),
	} {
		t.Run(name, func(t *testing.T) {
			if bodies, _, err := read(iotest.OneByteReader(bytes.NewReader(stream)), native.DefaultMaxFrame); !errors.Is(err, io.EOF) || len(bodies) != 1 {
				t.Errorf("%d bodies, error %v", len(bodies), err)
			}
		})
	}
}

func TestAnAnnouncedLengthTakesNoMemoryBeforeItsBytesArrive(t *testing.T) {
	for name, stream := range map[string][]byte{
		"back to back":         {0x82, 0xa4, 'h', 'e', 'a', 'd', 0xc6, 0x03, 0xff, 0xff, 0xff, 'x'},
		"many values":          {0xdf, 0xff, 0xff, 0xff, 0xff, 'x'},
		"with a length before": {0x03, 0xff, 0xff, 0xff, 'x'},
		"over the bound":       {0x3f, 0xff, 0xff, 0xff, 'x'},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, _, err := read(bytes.NewReader(stream), native.DefaultMaxFrame); err == nil {
				t.Error("it was taken")
			}
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 256<<10 {
				t.Errorf("%d bytes were allocated", got)
			}
		})
	}
}

func TestReadingAllocatesNothingForEachMessage(t *testing.T) {
	stream := bytes.Repeat(message(strings.Repeat("x", 1500)), 1000)
	allocs := testing.AllocsPerRun(5, func() {
		if _, err := native.Frames(bytes.NewReader(stream), native.DefaultMaxFrame, func([]byte) {}); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	})
	if allocs > 20 {
		t.Errorf("%v allocations for 1000 messages", allocs)
	}
}

// Whatever arrives, the reader ends, and takes no more memory than the bound; what it finds back to back is what a decoder finds.
func FuzzFrames(f *testing.F) {
	for _, version := range versions {
		stream := capture(f, version)
		f.Add(stream[:700], false)
		f.Add(stream[:700], true)
	}
	f.Add(slices.Concat(prefixed(message("one")), prefixed(make([]byte, 5000)), prefixed(message("two"))), true)
	const bound = 4096
	f.Fuzz(func(t *testing.T, stream []byte, trickle bool) {
		var src io.Reader = bytes.NewReader(stream)
		if trickle {
			src = iotest.OneByteReader(src)
		}
		bodies, passed, err := read(src, bound)
		if err == nil || len(bodies)+passed > len(stream) {
			t.Fatalf("%d bodies, %d passed over, error %v", len(bodies), passed, err)
		}
		total := 0
		for _, body := range bodies {
			if len(body) > bound {
				t.Errorf("a body of %d bytes", len(body))
			}
			total += len(body)
		}
		if total > len(stream) {
			t.Errorf("%d bytes of bodies in a stream of %d", total, len(stream))
		}
		if len(stream) == 0 || stream[0] < 0x80 {
			return
		}
		found := 0
		for rest := stream; len(rest) > 0; {
			next, err := msgp.Skip(rest)
			if err != nil || msgp.NextType(rest) != msgp.MapType || len(rest)-len(next) > bound {
				break
			}
			rest = next
			found++
		}
		if got := len(bodies) + passed; got < found {
			t.Errorf("%d messages, a decoder finds %d", got, found)
		}
	})
}
