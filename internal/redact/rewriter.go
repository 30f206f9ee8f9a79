package redact

import (
	"bytes"
	"encoding/json"
	"strings"
)

// rewriter copies valid JSON, byte for byte but for secrets.
type rewriter struct {
	in, out []byte
	at      int
	open    []byte // the maps and lists around what is next
	args    bool   // these are arguments: pillar is a secret, and texts may be NAME=VALUE
}

func (w *rewriter) run() {
	key := false // the next text is a key
	for w.at < len(w.in) {
		c := w.in[w.at]
		switch c {
		case '"':
			end := textEnd(w.in, w.at)
			if key {
				key = false
				w.key(end)
			} else {
				w.text(end)
			}
			continue
		case '{', '[':
			w.open = append(w.open, c)
			key = c == '{'
		case '}', ']':
			w.open = w.open[:len(w.open)-1]
			key = false
		case ',':
			key = len(w.open) > 0 && w.open[len(w.open)-1] == '{'
		}
		w.out = append(w.out, c)
		w.at++
	}
}

// key copies a key, and its value where that is no secret.
func (w *rewriter) key(end int) {
	name := plainText(w.in[w.at:end])
	w.copyTo(end)
	if !Secret(name) && (!w.args || !isPillar(name)) {
		return
	}
	for isSpace(w.in[w.at]) || w.in[w.at] == ':' {
		w.copyTo(w.at + 1)
	}
	w.at = valueEnd(w.in, w.at)
	w.out = append(w.out, mark...)
}

// text copies a text that is a value.
func (w *rewriter) text(end int) {
	raw := w.in[w.at:end]
	if w.args && bytes.IndexByte(raw, '=') > 0 {
		if name, _, ok := strings.Cut(plainText(raw), "="); ok && (Secret(name) || isPillar(name)) {
			w.out = append(append(append(w.out, '"'), name...), "="+Mark+`"`...) // such a name needs no escapes
			w.at = end
			return
		}
	}
	w.copyTo(end)
}

func (w *rewriter) copyTo(end int) {
	w.out = append(w.out, w.in[w.at:end]...)
	w.at = end
}

// textEnd is behind the text that opens at i. The JSON is valid, so there is an end.
func textEnd(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd is behind the value that begins at i, or behind a space before it.
func valueEnd(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			i = textEnd(b, i)
		case c == '{' || c == '[':
			depth++
			i++
		case c == '}' || c == ']':
			if depth == 0 {
				return i
			}
			depth--
			i++
		case depth == 0 && (c == ',' || isSpace(c)):
			return i
		default:
			i++
			continue // a number or a word has more than one byte
		}
		if depth == 0 {
			return i
		}
	}
	return len(b)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// plainText is what a JSON text says.
func plainText(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
