package jobdclient

import (
	"bufio"
	"bytes"
	"io"
)

// sseEvent gathers the lines of one server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type sseEvent struct {
	name string
	id   string
	data bytes.Buffer
}

// line takes one line and says whether the event is whole.
func (e *sseEvent) line(b []byte) bool {
	if len(b) == 0 {
		return e.name != "" || e.data.Len() > 0
	}
	field, value, _ := bytes.Cut(b, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "event":
		e.name = string(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			e.id = string(value)
		}
	case "data":
		if e.data.Len() > 0 {
			e.data.WriteByte('\n')
		}
		e.data.Write(value)
	}
	return false
}

// readEvents calls f with each whole event, and alive with each line. It returns nil at the stream's end, f's error where f
// has one, and else what broke the stream.
func readEvents(r io.Reader, alive func(), f func(*sseEvent) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxAnswer)
	var ev sseEvent
	for lines.Scan() {
		alive()
		if !ev.line(lines.Bytes()) {
			continue
		}
		if err := f(&ev); err != nil {
			return err
		}
		ev = sseEvent{}
	}
	return lines.Err()
}
