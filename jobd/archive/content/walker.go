package content

import (
	"bytes"
)

// span is a part of a body.
type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }

// entry is one state of a state run's body: where its key and those of its values are that matter.
type entry struct {
	key, id, name, sls, runNum, result, comment, changes, diff, duration span
}

// keySeparator stands between the parts of a state's key.
const keySeparator = "_|-"

// walker goes through the body of a state run once, and notes the states and the values that differ each time. It reads
// what encoders write, refuses (rather than misreads) what is no JSON, and never goes deeper by recursion.
type walker struct {
	b        []byte
	i        int
	entries  []entry
	volatile []span // ascending
}

// walk says whether b is an object; its members are states where the key says so.
func (w *walker) walk(b []byte) bool {
	w.b, w.i = b, 0
	w.entries, w.volatile = w.entries[:0], w.volatile[:0]
	ok := w.object(func(key span) bool {
		if !w.at('{') || !bytes.Contains(key.of(b), []byte(keySeparator)) {
			return w.skip()
		}
		return w.state(key)
	})
	w.space()
	return ok && w.i == len(b)
}

func (w *walker) state(key span) bool {
	e := entry{key: key}
	ok := w.object(func(member span) bool {
		var into *span
		switch string(member.of(w.b)) {
		case `"duration"`:
			return w.note(&e.duration, true)
		case `"start_time"`:
			return w.note(&span{}, true)
		case `"changes"`:
			return w.changes(&e)
		case `"__id__"`:
			into = &e.id
		case `"name"`:
			into = &e.name
		case `"__sls__"`:
			into = &e.sls
		case `"__run_num__"`:
			into = &e.runNum
		case `"result"`:
			into = &e.result
		case `"comment"`:
			into = &e.comment
		default:
			return w.skip()
		}
		return w.note(into, false)
	})
	w.entries = append(w.entries, e)
	return ok
}

func (w *walker) changes(e *entry) bool {
	w.space()
	from := w.i
	e.diff = span{}
	var ok bool
	if w.at('{') {
		ok = w.object(func(member span) bool {
			switch string(member.of(w.b)) {
			case `"pid"`:
				return w.note(&span{}, true)
			case `"diff"`:
				return w.note(&e.diff, false)
			default:
				return w.skip()
			}
		})
	} else {
		ok = w.skip()
	}
	e.changes = span{from, w.i}
	return ok
}

// note skips a value and remembers where it is. A volatile one is cut out where it is no object or list.
func (w *walker) note(into *span, volatile bool) bool {
	w.space()
	from := w.i
	scalar := !w.at('{') && !w.at('[')
	if !w.skip() {
		return false
	}
	*into = span{from, w.i}
	if volatile && scalar {
		w.volatile = append(w.volatile, *into)
	}
	return true
}

// object goes through the members of the object at w.i; member is called before each value, with its key in quotes.
func (w *walker) object(member func(key span) bool) bool {
	w.space()
	if !w.eat('{') {
		return false
	}
	w.space()
	if w.eat('}') {
		return true
	}
	for {
		w.space()
		from := w.i
		if !w.text() {
			return false
		}
		key := span{from, w.i}
		w.space()
		if !w.eat(':') {
			return false
		}
		w.space()
		if !member(key) {
			return false
		}
		w.space()
		if w.eat('}') {
			return true
		}
		if !w.eat(',') {
			return false
		}
	}
}

// skip goes over one value. Of objects and lists it checks that the brackets and texts end, no more.
func (w *walker) skip() bool {
	w.space()
	depth := 0
	for w.i < len(w.b) {
		switch c := w.b[w.i]; c {
		case '"':
			if !w.text() {
				return false
			}
		case '{', '[':
			depth++
			w.i++
		case '}', ']':
			if depth == 0 {
				return false
			}
			depth--
			w.i++
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return false
			}
			w.i++
			continue
		default:
			if !w.word() {
				return false
			}
		}
		if depth == 0 {
			return true
		}
	}
	return false
}

// word goes over a number, true, false or null.
func (w *walker) word() bool {
	from := w.i
	for w.i < len(w.b) {
		c := w.b[w.i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' && c != '+' && c != '.' && c != 'E' {
			break
		}
		w.i++
	}
	return w.i > from
}

// text goes over a text in quotes.
func (w *walker) text() bool {
	if !w.eat('"') {
		return false
	}
	for {
		n := bytes.IndexByte(w.b[w.i:], '"')
		if n < 0 {
			return false
		}
		part := w.b[w.i : w.i+n]
		w.i += n + 1
		// A quote ends the text unless it is escaped: behind an odd number of backslashes.
		escapes := 0
		for escapes < len(part) && part[len(part)-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return true
		}
	}
}

func (w *walker) space() {
	for w.i < len(w.b) {
		switch w.b[w.i] {
		case ' ', '\t', '\n', '\r':
			w.i++
		default:
			return
		}
	}
}

func (w *walker) at(c byte) bool { return w.i < len(w.b) && w.b[w.i] == c }

func (w *walker) eat(c byte) bool {
	if !w.at(c) {
		return false
	}
	w.i++
	return true
}
