package saltclient_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// versions are those of which testdata has what a subscriber read from the master's event socket.
var versions = []string{"3006.27", "3008.3"}

// bodies returns the bodies of the messages in a capture.
func bodies(tb testing.TB, version string) [][]byte {
	tb.Helper()
	f, err := os.Open("testdata/bus-" + version + ".bin.gz")
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
	var all [][]byte
	for len(stream) > 0 {
		frame := stream
		if stream[0] == 0 {
			size := binary.BigEndian.Uint32(stream)
			frame, stream = stream[4:4+size], stream[4+size:]
		} else if stream, err = msgp.Skip(stream); err != nil {
			tb.Fatal(err)
		}
		n, rest, err := msgp.ReadMapHeaderBytes(frame)
		for ; n > 0 && err == nil; n-- {
			var key, body []byte
			key, rest, err = msgp.ReadMapKeyZC(rest)
			if err == nil && string(key) == "body" {
				body, rest, err = msgp.ReadBytesZC(rest)
				all = append(all, body)
			} else if err == nil {
				rest, err = msgp.Skip(rest)
			}
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

// captured returns the events of a capture.
func captured(tb testing.TB, version string) []gaea.Event {
	tb.Helper()
	var events []gaea.Event
	var parser saltclient.EventParser
	for _, body := range bodies(tb, version) {
		ev, err := parser.Parse(body, time.Time{})
		if err != nil {
			tb.Fatalf("%s: %v", saltclient.Tag(body), err)
		}
		events = append(events, ev)
	}
	return events
}

// told is what Salt's own library read of the same bytes.
type told struct {
	Tag  string         `json:"tag"`
	Data map[string]any `json:"data"`
}

func toldBySalt(tb testing.TB, version string) []told {
	tb.Helper()
	content, err := os.ReadFile("testdata/bus-" + version + ".ndjson")
	if err != nil {
		tb.Fatal(err)
	}
	var all []told
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one told
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			tb.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}
