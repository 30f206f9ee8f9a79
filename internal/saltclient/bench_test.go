package saltclient_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// stateReturn is the body of a captured return of four states, about 1.5 kB.
func stateReturn(b *testing.B) []byte {
	b.Helper()
	for _, body := range bodies(b, "3008.3") {
		if strings.Contains(string(saltclient.Tag(body)), "/ret/") && len(body) > 1300 && len(body) < 2000 {
			return body
		}
	}
	b.Fatal("no such return in the capture")
	return nil
}

func BenchmarkReturnFromBodyToDecoded(b *testing.B) {
	body := stateReturn(b)
	var parser saltclient.EventParser
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		ev, err := parser.Parse(body, time.Time{})
		if err != nil {
			b.Fatal(err)
		}
		if saltclient.Decode(ev).Return == nil {
			b.Fatal("no return")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	body := stateReturn(b)
	var parser saltclient.EventParser
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parser.Parse(body, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}
