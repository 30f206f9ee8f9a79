package postgres

import (
	"strings"
	"unicode/utf8"
)

// PostgreSQL takes no text with a zero byte, and none that is not UTF-8. Both are written with an escape: the byte 1, which
// so needs one itself. Texts keep their order, but for those that are not UTF-8, and a text that begins another still does.
const (
	escape      = '\x01'
	escapedZero = '\x01'
	escapedOne  = '\x02'
	escapedByte = '\x03' // two hex digits follow
)

const hexDigits = "0123456789abcdef"

// written is a text as the tables have it.
func written(s string) string {
	if strings.IndexByte(s, 0) < 0 && strings.IndexByte(s, escape) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case 0:
			b.Write([]byte{escape, escapedZero})
			i++
		case escape:
			b.Write([]byte{escape, escapedOne})
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b.Write([]byte{escape, escapedByte, hexDigits[c>>4], hexDigits[c&15]})
			} else {
				b.WriteString(s[i : i+size])
			}
			i += size
		}
	}
	return b.String()
}

// read is the text that was written.
func read[T ~string | ~[]byte](text T) T {
	s := string(text)
	if strings.IndexByte(s, escape) < 0 {
		return text
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != escape || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch {
		case s[i] == escapedZero:
			b.WriteByte(0)
		case s[i] == escapedOne:
			b.WriteByte(escape)
		case s[i] == escapedByte && i+2 < len(s):
			b.WriteByte(byte(strings.IndexByte(hexDigits, s[i+1])<<4 | strings.IndexByte(hexDigits, s[i+2])))
			i += 2
		}
	}
	return T(b.String())
}
