package httpclient_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gaea-salt/terraform-provider-gaea/internal/httpclient"
)

// read reads a stream to its end: each event as NAME|ID|DATA, and "large" for one that is over the bound.
func read(t *testing.T, r io.Reader, maxBytes int) (events []string, alive int) {
	t.Helper()
	reader := httpclient.NewEventReader(r, maxBytes, func() { alive++ })
	for {
		ev, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return events, alive
		case errors.Is(err, httpclient.ErrEventSize):
			events = append(events, "large")
		case err != nil:
			t.Fatal(err)
		default:
			events = append(events, ev.Name+"|"+ev.ID+"|"+ev.Data.String())
		}
	}
}

func TestServerSentEventsAreReadAsTheStandardSays(t *testing.T) {
	for name, row := range map[string]struct {
		stream string
		want   []string
	}{
		"name, id and data":        {"event: a\nid: 1\ndata: x\n\n", []string{"a|1|x"}},
		"several lines of data":    {"data: x\ndata:y\ndata\n\n", []string{"||x\ny\n"}},
		"carriage returns":         {"data: x\r\rdata: y\r\r", []string{"||x", "||y"}},
		"both":                     {"data: x\r\n\r\ndata: y\r\n\r\n", []string{"||x", "||y"}},
		"comments and other words": {": hello\nretry: 400\ntag: a/b\ndata: x\n\n: bye\n\n", []string{"||x"}},
		"a byte order mark":        {"\uFEFFdata: x\n\n", []string{"||x"}},
		"an end in between":        {"data: x\n\ndata: y\n", []string{"||x"}},
		"an id with a null":        {"id: a\x00b\ndata: x\n\n", []string{"||x"}},
		"no events":                {"\n\n\r\n: c\n\n", nil},
		"one that is too large":    {"data: " + strings.Repeat("x", 200) + "\n\ndata: y\n\n", []string{"large", "||y"}},
		"many lines, too large":    {strings.Repeat("data: x\n", 40) + "\ndata: y\n\n", []string{"large", "||y"}},
		"many comments":            {strings.Repeat(": comment\n", 40) + "data: y\n\n", []string{"||y"}},
	} {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{"at once": strings.NewReader(row.stream), "byte by byte": iotest.OneByteReader(strings.NewReader(row.stream))} {
				if got, alive := read(t, r, 100); !slices.Equal(got, row.want) || alive == 0 {
					t.Errorf("%s: read %q, want %q; %d signs of life", how, got, row.want, alive)
				}
			}
		})
	}
}

func TestABrokenStreamIsAnError(t *testing.T) {
	broken := errors.New("broken")
	reader := httpclient.NewEventReader(io.MultiReader(strings.NewReader("data: x\n\nda"), iotest.ErrReader(broken)), 100, nil)
	if ev, err := reader.Next(); err != nil || ev.Data.String() != "x" {
		t.Fatalf("%v, %v", ev, err)
	}
	if _, err := reader.Next(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// FuzzEvents reads any stream: it never fails but for its bound, and what it reads has no line breaks that it did not join.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{"event: return\ndata: {}\n\n", ": alive\n\n", "data: a\ndata: b\n\n", "event\n\n", "data\r\n\r\n", "\n\n\n", "id: x\nretry: 5\nevent: end\ndata:{}\r\r", "event: a"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		at := func(r io.Reader) []string {
			events, _ := read(t, r, 64)
			return events
		}
		events := at(bytes.NewReader(b))
		if again := at(iotest.OneByteReader(bytes.NewReader(b))); !slices.Equal(events, again) {
			t.Errorf("at once %q, byte by byte %q", events, again)
		}
		for _, ev := range events {
			name, rest, _ := strings.Cut(ev, "|")
			id, data, _ := strings.Cut(rest, "|")
			if strings.ContainsAny(name, "\r\n") || strings.ContainsAny(id, "\r\n\x00") || strings.Contains(data, "\r") || len(ev) > 80 {
				t.Errorf("read %q", ev)
			}
		}
	})
}
