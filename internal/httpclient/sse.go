package httpclient

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// ErrEventSize is an event that is larger than the bound. It was passed over; the next one can be read.
var ErrEventSize = errors.New("a server-sent event is larger than the bound")

// Event is one server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type Event struct {
	Name string       // the field event
	ID   string       // the field id
	Data bytes.Buffer // the fields data, with line feeds between them
}

// EventReader reads server-sent events, whichever of the three ends a line has. One event costs at most its bound in memory.
type EventReader struct {
	in    *bufio.Reader
	max   int
	alive func()
	line  []byte // what has come of a line
	first bool   // nothing was read yet
	cr    bool   // the last line ended with CR: an LF that follows belongs to it
}

// NewEventReader reads events of at most maxBytes each. alive is called whenever something has come, be it a comment; it may be
// nil.
func NewEventReader(r io.Reader, maxBytes int, alive func()) *EventReader {
	if alive == nil {
		alive = func() {}
	}
	return &EventReader{in: bufio.NewReaderSize(r, 64<<10), max: maxBytes, alive: alive, first: true}
}

// Next returns the next event. io.EOF at the end of the stream, where an event that is not whole is dropped; [ErrEventSize]
// instead of an event that is too large; any other error is the reader's.
func (r *EventReader) Next() (*Event, error) {
	var ev Event
	size, large := 0, false
	for {
		line, n, err := r.next(r.max - size)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			switch {
			case large:
				return nil, ErrEventSize
			case ev.Name != "" || ev.Data.Len() > 0:
				return &ev, nil
			}
			size = 0
			continue
		}
		if size += n; size > r.max || large {
			large, size = true, r.max
			ev = Event{}
			continue
		}
		ev.take(line)
		if line[0] == ':' {
			size -= n // comments may come for ever
		}
	}
}

// next reads one line without its end, and its length; of a line that is longer than most, the beginning.
func (r *EventReader) next(most int) (line []byte, n int, err error) {
	r.line = r.line[:0]
	for {
		if _, err := r.in.Peek(1); err != nil {
			return nil, 0, err
		}
		r.alive()
		chunk, _ := r.in.Peek(r.in.Buffered())
		if r.cr {
			r.cr = false
			if chunk[0] == '\n' {
				_, _ = r.in.Discard(1)
				continue
			}
		}
		end := bytes.IndexAny(chunk, "\r\n")
		part := chunk
		if end >= 0 {
			part = chunk[:end]
		}
		n += len(part)
		r.line = append(r.line, part[:min(len(part), max(0, most+1-len(r.line)))]...)
		if end < 0 {
			_, _ = r.in.Discard(len(chunk))
			continue
		}
		r.cr = chunk[end] == '\r'
		_, _ = r.in.Discard(end + 1)
		if r.first {
			r.first = false
			if trimmed := bytes.TrimPrefix(r.line, []byte("\uFEFF")); len(trimmed) < len(r.line) {
				r.line, n = trimmed, n-3
			}
		}
		return r.line, n, nil
	}
}

// take adds one line to an event.
func (e *Event) take(line []byte) {
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "event":
		e.Name = string(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			e.ID = string(value)
		}
	case "data":
		if e.Data.Len() > 0 {
			e.Data.WriteByte('\n')
		}
		e.Data.Write(value)
	}
}
