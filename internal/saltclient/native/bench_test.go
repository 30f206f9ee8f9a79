package native_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
)

// endless repeats a stream for ever.
type endless struct {
	stream []byte
	at     int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.stream[e.at:])
	e.at = (e.at + n) % len(e.stream)
	return n, nil
}

// One captured state return of about 1.5 kB, from the bytes of the event socket to what is stored.
func BenchmarkReturnFromFrameToDecoded(b *testing.B) {
	for name, framed := range map[string]func([]byte) []byte{"back to back": func(m []byte) []byte { return m }, "with lengths": prefixed} {
		b.Run(name, func(b *testing.B) {
			var body []byte
			if _, err := native.Frames(bytes.NewReader(capture(b, "3008.3")), native.DefaultMaxFrame, func(m []byte) {
				if body == nil && bytes.Contains(saltclient.Tag(m), []byte("/ret/")) && len(m) > 1300 && len(m) < 2000 {
					body = bytes.Clone(m)
				}
			}); err != io.EOF { //nolint:errorlint // just that
				b.Fatal(err)
			}
			src := io.LimitReader(&endless{stream: framed(message(string(body)))}, int64(b.N)*int64(len(framed(message(string(body))))))
			parser, now, returns := saltclient.EventParser{}, time.Now(), 0
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			b.ResetTimer()
			_, _ = native.Frames(src, native.DefaultMaxFrame, func(m []byte) {
				ev, err := parser.Parse(m, now)
				if err == nil && saltclient.Decode(ev).Return != nil {
					returns++
				}
			})
			if returns != b.N {
				b.Fatalf("%d returns of %d", returns, b.N)
			}
		})
	}
}
