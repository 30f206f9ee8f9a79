package postgres

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// What PostgreSQL refuses comes back as it went in, and texts stand in the order in which they stood.
func FuzzTextsComeBackAsTheyWentIn(f *testing.F) {
	for _, s := range []string{"", "web1", "\x00", "a\x00b", "\x01", "\x01\x01\x00\x02\x03ff", "\xff", "é\xc3", "\U0010FFFF\x00", "\ufffd"} {
		f.Add(s, "web1")
		f.Add(s, s+"\x00")
		f.Add(s, s+"\x01")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, s := range []string{a, b} {
			w := written(s)
			if !utf8.ValidString(w) || strings.IndexByte(w, 0) >= 0 {
				t.Fatalf("%q is written as %q, which PostgreSQL refuses", s, w)
			}
			if got := read(w); got != s {
				t.Fatalf("%q comes back as %q", s, got)
			}
		}
		if utf8.ValidString(a) && utf8.ValidString(b) && strings.Compare(a, b) != strings.Compare(written(a), written(b)) {
			t.Fatalf("%q and %q change their order", a, b)
		}
		if utf8.ValidString(a) && strings.HasPrefix(b, a) && !strings.HasPrefix(written(b), written(a)) {
			t.Fatalf("%q does not begin %q any more", a, b)
		}
	})
}
