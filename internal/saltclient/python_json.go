package saltclient

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// PythonJSON makes valid JSON of what Salt's HTTP interfaces send, while it is written to: Python writes NaN and the infinities
// as they are, which are the strings "NaN", "Infinity" and "-Infinity" here as in [AppendJSON], and it puts spaces between
// values, which are left out. The zero value is ready; it is bound by Limit.
type PythonJSON struct {
	Limit int // bytes of JSON; 0 means [DefaultOutput]

	out              []byte
	word             int // where the number or the name that is being read begins in out, and one more; 0 for none
	quoted, escaping bool
}

// Grow makes room for n bytes more.
func (p *PythonJSON) Grow(n int) {
	if n > cap(p.out)-len(p.out) {
		p.out = append(make([]byte, 0, len(p.out)+n), p.out...)
	}
}

// Write takes the next part of the text. The error is [ErrOutput].
func (p *PythonJSON) Write(text []byte) (int, error) {
	limit := p.Limit
	if limit <= 0 {
		limit = DefaultOutput
	}
	for i := 0; i < len(text); {
		if p.quoted {
			i += p.inString(text[i:])
		} else {
			p.outside(text[i])
			i++
		}
		if len(p.out) > limit {
			return i, ErrOutput
		}
	}
	return len(text), nil
}

// inString copies a part of a string and returns how much.
func (p *PythonJSON) inString(text []byte) int {
	if p.escaping {
		p.escaping = false
		p.out = append(p.out, text[0])
		return 1
	}
	end := bytes.IndexAny(text, "\"\\")
	if end < 0 {
		p.out = append(p.out, text...)
		return len(text)
	}
	p.out = append(p.out, text[:end+1]...)
	p.quoted, p.escaping = text[end] != '"', text[end] == '\\'
	return end + 1
}

func (p *PythonJSON) outside(c byte) {
	switch c {
	case ' ', '\t', '\r', '\n':
		if p.word > 0 {
			p.endWord()
			p.out = append(p.out, c) // what comes next may be no comma, and then it is no JSON
		}
	case '{', '}', '[', ']', ',', ':', '"':
		p.endWord()
		if n := len(p.out); n > 0 && isSpace(p.out[n-1]) && c != '"' {
			p.out = p.out[:n-1]
		}
		p.out = append(p.out, c)
		p.quoted = c == '"'
	default:
		if p.word == 0 {
			p.word = len(p.out) + 1
		}
		p.out = append(p.out, c)
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func (p *PythonJSON) endWord() {
	if p.word == 0 {
		return
	}
	start := p.word - 1
	p.word = 0
	switch word := string(p.out[start:min(len(p.out), start+len("-Infinity")+1)]); word {
	case "NaN", "Infinity", "-Infinity":
		p.out = append(append(append(p.out[:start], '"'), word...), '"')
	}
}

// JSON is the text that was written, which has to be whole. CodeSalt where it is no JSON.
func (p *PythonJSON) JSON() (json.RawMessage, error) {
	p.endWord()
	if !json.Valid(p.out) {
		return nil, gaea.Errorf(gaea.CodeSalt, "a message from Salt is no valid JSON")
	}
	if !utf8.Valid(p.out) {
		p.out = bytes.ToValidUTF8(p.out, []byte("\uFFFD"))
	}
	return p.out, nil
}
