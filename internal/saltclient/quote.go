package saltclient

import "unicode/utf8"

// plain tells the ASCII bytes that stand for themselves in a JSON string.
var plain = func() (t [utf8.RuneSelf]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

const hexDigits = "0123456789abcdef"

// appendQuoted appends s as a JSON string; each byte that is not UTF-8 becomes U+FFFD. It stops early, with a string that is
// not closed, where escapes make dst longer than limit.
func appendQuoted(dst, s []byte, limit int) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if plain[c] {
				i++
				continue
			}
			dst = appendEscape(append(dst, s[start:i]...), c)
			i++
			start = i
		} else {
			r, size := utf8.DecodeRune(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			dst = utf8.AppendRune(append(dst, s[start:i]...), utf8.RuneError)
			i++
			start = i
		}
		if len(dst) > limit {
			return dst
		}
	}
	return append(append(dst, s[start:]...), '"')
}

// quotable is how many bytes of s, up to the end of a character, make no more than so many bytes of a JSON string without its
// quotes.
func quotable(s []byte, most int) int {
	for i := 0; i < len(s); {
		size, width := 1, 1
		switch c := s[i]; {
		case c < utf8.RuneSelf && plain[c]:
		case c == '"', c == '\\', c == '\n', c == '\r', c == '\t':
			width = 2
		case c < utf8.RuneSelf:
			width = 6
		default:
			var r rune
			if r, size = utf8.DecodeRune(s[i:]); r == utf8.RuneError && size == 1 {
				width = utf8.RuneLen(utf8.RuneError)
			} else {
				width = size
			}
		}
		if most -= width; most < 0 {
			return i
		}
		i += size
	}
	return len(s)
}

// appendEscape appends an ASCII byte that cannot stand for itself.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
}
