package saltclient

import (
	"bytes"
	"strings"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// MaxTag is the length in bytes of the longest event tag that is accepted.
const MaxTag = 1024

// EventParser reads the bodies of bus messages. It keeps a buffer between them, so one goroutine uses it at a time.
type EventParser struct {
	Limits Limits
	// MaxReturn is how many bytes a return, or another event that a minion may send, may have, as msgpack or as JSON, before only
	// its beginning is kept; 0 means [DefaultMaxReturn].
	MaxReturn int
	buf       []byte
}

func (p *EventParser) maxReturn() int {
	if p.MaxReturn <= 0 {
		return DefaultMaxReturn
	}
	return p.MaxReturn
}

// keepBuffer is how large a buffer may have grown and still be kept for the next message.
const keepBuffer = 1 << 20

// Tag returns the tag of a message's body as the bytes that stand there, without looking at the rest.
func Tag(body []byte) []byte {
	tag, _, _ := bytes.Cut(body, []byte("\n\n"))
	return tag
}

// Parse reads one body: a tag, two line feeds and a msgpack map (salt.utils.event). The event holds nothing of body. Its
// stamp is the map's _stamp, or now where there is none that can be read. An event that is too large or too deep is cut where
// that may be done (see [Cuttable] and [EventParser.Cut]). The error is a gaea.Error with CodeSalt or, over a bound, CodeTooLarge.
func (p *EventParser) Parse(body []byte, now time.Time) (gaea.Event, error) {
	tag, msg, found := bytes.Cut(body, []byte("\n\n"))
	if !found || len(tag) == 0 {
		return gaea.Event{}, gaea.Errorf(gaea.CodeSalt, "an event from Salt has no tag")
	}
	if len(tag) > MaxTag {
		return gaea.Event{}, gaea.Errorf(gaea.CodeTooLarge, "the tag of an event from Salt is %d bytes long, the bound is %d", len(tag), MaxTag)
	}
	if msgp.NextType(msg) != msgp.MapType {
		return gaea.Event{}, gaea.Errorf(gaea.CodeSalt, "an event from Salt has no map for its data")
	}
	cuttable := Cuttable(tag)
	stamp, err := p.data(msg, cuttable)
	if cuttable && gaea.CodeOf(err) == gaea.CodeTooLarge {
		p.buf = nil
		return p.Cut(tag, bytes.NewReader(msg), now)
	}
	if err != nil {
		return gaea.Event{}, err
	}
	ev := gaea.Event{Tag: strings.ToValidUTF8(string(tag), "\uFFFD"), Stamp: stamp}
	if cap(p.buf) > keepBuffer { // it is not kept, so the event may have it
		ev.Data, p.buf = p.buf, nil
	} else {
		ev.Data = bytes.Clone(p.buf)
	}
	if stamp.IsZero() {
		ev.Stamp = now.UTC()
	}
	return ev, nil
}

// data makes JSON of an event's map in p.buf, and returns its _stamp or the zero time.
func (p *EventParser) data(msg []byte, cuttable bool) (stamp time.Time, err error) {
	lim := p.Limits.withDefaults()
	if cuttable {
		lim.Output = min(lim.Output, p.maxReturn())
		if len(msg) > lim.Output {
			return stamp, ErrOutput
		}
	}
	if len(msg) > keepBuffer { // of such lengths a buffer that grows leaves much behind
		p.buf = make([]byte, 0, min(len(msg)+len(msg)/8, lim.Output))
	}
	t := transcoder{out: p.buf[:0], depth: lim.Depth, limit: lim.Output}
	defer func() { p.buf = t.out }()
	n, rest, err := msgp.ReadMapHeaderBytes(msg)
	if err != nil {
		return stamp, errFormat(err)
	}
	t.out = append(t.out, '{')
	for i := range n {
		if i > 0 {
			t.out = append(t.out, ',')
		}
		start := len(t.out)
		if rest, err = t.key(rest, 1); err != nil {
			return stamp, err
		}
		isStamp := string(t.out[start:]) == `"_stamp"`
		t.out = append(t.out, ':')
		start = len(t.out)
		if rest, err = t.value(rest, 1); err != nil {
			return stamp, err
		}
		if len(t.out) > t.limit {
			return stamp, ErrOutput
		}
		if isStamp {
			stamp = ParseStamp(text(t.out[start:]))
		}
	}
	t.out = append(t.out, '}')
	return stamp, nil
}

// ParseStamp reads an event's _stamp, which is UTC: 3008 writes the offset, 3006 leaves it out, and Python leaves out a
// fraction that is zero. The zero time where s is no stamp.
func ParseStamp(s string) time.Time {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC()
	}
	if t, err := time.Parse("2006-01-02T15:04:05", s); err == nil {
		return t
	}
	return time.Time{}
}
