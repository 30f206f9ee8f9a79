package saltclient

import (
	"bytes"
	"iter"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions here walk JSON text without building values of it. The text is a gaea.Event's, which is valid; what is not
// valid all the same ends a walk early and never panics.

// members yields the members of a JSON object in the order of the text: the key unquoted, and the value's text. A text that
// is no object has none.
func members(obj []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, val []byte) bool) {
		i := skipSpace(obj, 0)
		if i >= len(obj) || obj[i] != '{' {
			return
		}
		for i = skipSpace(obj, i+1); i < len(obj) && obj[i] == '"'; {
			end := skipString(obj, i)
			if end < 0 {
				return
			}
			key := obj[i+1 : end-1]
			if bytes.IndexByte(key, '\\') >= 0 {
				key = []byte(text(obj[i:end]))
			}
			i = skipSpace(obj, end)
			if i >= len(obj) || obj[i] != ':' {
				return
			}
			i = skipSpace(obj, i+1)
			if end = skipValue(obj, i); end < 0 || !yield(key, obj[i:end]) {
				return
			}
			i = skipSpace(obj, end)
			if i >= len(obj) || obj[i] != ',' {
				return
			}
			i = skipSpace(obj, i+1)
		}
	}
}

// elements yields the texts of a JSON array's elements. A text that is no array has none.
func elements(arr []byte) iter.Seq[[]byte] {
	return func(yield func(val []byte) bool) {
		i := skipSpace(arr, 0)
		if i >= len(arr) || arr[i] != '[' {
			return
		}
		for i = skipSpace(arr, i+1); i < len(arr) && arr[i] != ']'; {
			end := skipValue(arr, i)
			if end < 0 || !yield(arr[i:end]) {
				return
			}
			i = skipSpace(arr, end)
			if i >= len(arr) || arr[i] != ',' {
				return
			}
			i = skipSpace(arr, i+1)
		}
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index behind the string that opens at i, or -1.
func skipString(b []byte, i int) int {
	for from := i + 1; from < len(b); {
		n := bytes.IndexByte(b[from:], '"')
		if n < 0 {
			return -1
		}
		end := from + n
		escapes := end
		for escapes > from && b[escapes-1] == '\\' {
			escapes--
		}
		from = end + 1
		if (end-escapes)%2 == 0 {
			return from
		}
	}
	return -1
}

// skipValue returns the index behind the value that begins at i, or -1. It keeps no stack: nesting costs nothing.
func skipValue(b []byte, i int) int {
	begin, depth := i, 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = skipString(b, i); i < 0 {
				return -1
			}
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return orFail(i, begin)
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return orFail(i, begin)
			}
		}
		i++
	}
	if depth > 0 {
		return -1
	}
	return orFail(i, begin)
}

// orFail is the end of a literal or number, which is not empty.
func orFail(end, begin int) int {
	if end == begin {
		return -1
	}
	return end
}

// kind is the first byte of a value's text, which tells its type: one of `"{[tfn`, a digit or a minus; 0 for no text.
func kind(val []byte) byte {
	if len(val) == 0 {
		return 0
	}
	return val[0]
}

// isEmpty says whether a value is what Python counts as nothing: no text, null, false, "", {} or [].
func isEmpty(val []byte) bool {
	switch kind(val) {
	case 0, 'n', 'f':
		return true
	case '"':
		return len(val) == 2
	case '{', '[':
		i := skipSpace(val, 1)
		return i < len(val) && (val[i] == '}' || val[i] == ']')
	}
	return false
}

// text is the content of a JSON string, and for any other value its text.
func text(val []byte) string {
	if len(val) < 2 || val[0] != '"' {
		return string(val)
	}
	s := val[1 : len(val)-1]
	first := bytes.IndexByte(s, '\\')
	if first < 0 {
		return string(s)
	}
	out := append(make([]byte, 0, len(s)), s[:first]...)
	for i := first; i < len(s); {
		if s[i] != '\\' || i+1 >= len(s) {
			out = append(out, s[i])
			i++
			continue
		}
		if s[i+1] == 'u' {
			var r rune
			r, i = escapedRune(s, i)
			out = utf8.AppendRune(out, r)
			continue
		}
		out = append(out, unescape(s[i+1]))
		i += 2
	}
	return string(out)
}

// unescape is what a backslash and c stand for.
func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	default:
		return c
	}
}

// escapedRune reads \uXXXX at i, or two of them that are one rune, and returns the index behind.
func escapedRune(s []byte, i int) (rune, int) {
	r, ok := hex4(s, i+2)
	if !ok {
		return utf8.RuneError, min(i+6, len(s))
	}
	i += 6
	if utf16.IsSurrogate(r) {
		if i+1 < len(s) && s[i] == '\\' && s[i+1] == 'u' {
			if low, ok := hex4(s, i+2); ok {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					return pair, i + 6
				}
			}
		}
		return utf8.RuneError, i
	}
	return r, i
}

func hex4(s []byte, i int) (rune, bool) {
	if i+4 > len(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[i:i+4]), 16, 16)
	return rune(n), err == nil
}
