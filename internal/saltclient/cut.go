package saltclient

import (
	"bytes"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// DefaultMaxReturn is the size in bytes from which on a return is cut, where nothing else is set.
const DefaultMaxReturn = 16 << 20

// What is kept of an event that is over the bound.
const (
	cutReturn  = 1 << 20   // bytes of JSON of what was returned, or of the data of an event of another kind
	cutText    = 16 << 10  // bytes of one text in it; a return that is nothing but a text has cutReturn
	cutMember  = 64 << 10  // bytes of JSON of each other member of the event
	cutMembers = 256 << 10 // and of all of them together
	cutScalar  = 1 << 10   // bytes of what is no text, map or list
	cutSlack   = 8 << 10   // bytes by which the end of a value may pass its bound: a last scalar, marks, brackets
)

// What stands in the place of what was left out.
const (
	cutMark  = "…"
	deepMark = "[nested too deep]"
)

// Cuttable says whether an event is cut where it is larger than the bound on returns. The others are what masters tell of
// themselves: a job's new event lists all its minions, and half of a list is no list.
func Cuttable(tag []byte) bool {
	rest, ours := bytes.CutPrefix(tag, []byte("salt/"))
	if !ours {
		return !gaea.ValidJID(string(tag))
	}
	switch {
	case bytes.HasPrefix(rest, []byte("run/")), bytes.HasPrefix(rest, []byte("batch/")), bytes.HasPrefix(rest, []byte("presence/")):
		return false
	case bytes.HasPrefix(rest, []byte("job/")):
		return isReturnTag(tag)
	}
	return true
}

// isReturnTag says whether a tag is salt/job/JID/ret/MINION.
func isReturnTag(tag []byte) bool {
	parts := bytes.SplitN(tag, []byte{'/'}, 5)
	return len(parts) == 5 && string(parts[0]) == "salt" && string(parts[1]) == "job" && string(parts[3]) == "ret"
}

// cutter makes JSON of a msgpack map that is over a bound on size or depth: each member where there is room for it, and of what
// is too large its beginning. It reads as the bytes come, and holds no more than what it keeps.
type cutter struct {
	transcoder
	in       *packedReader
	maxDepth int
	longest  int // bytes of a text
	until    int // how long out may become by the member that is being read
	members  int // the depth at which a member that does not fit is left out whole, where it is a state
	full     bool
	dropped  int
	scratch  []byte
}

// Cut reads an event of any size whose tag, with the line feeds behind it, has been read, and keeps its beginning. The event's
// Truncated tells what was there. The error is one of src, or a gaea.Error with CodeSalt for what is no msgpack.
func (p *EventParser) Cut(tag []byte, src io.Reader, now time.Time) (gaea.Event, error) {
	c := newCutter(src, p.Limits, p.maxReturn())
	digested := "" // a map's member, or the map
	if isReturnTag(tag) {
		digested = "return"
	}
	stamp, t, err := c.event(digested)
	if err != nil {
		return gaea.Event{}, err
	}
	ev := gaea.Event{Tag: strings.ToValidUTF8(string(tag), "\uFFFD"), Stamp: stamp, Data: c.out, Truncated: &t}
	if stamp.IsZero() {
		ev.Stamp = now.UTC()
	}
	return ev, nil
}

// CutEntry reads a minion's entry in the master's job cache, {"return", "retcode", "success"}, as [EventParser.Cut] reads an event.
func CutEntry(src io.Reader, lim Limits, maxReturn int) ([]byte, *gaea.Truncation, error) {
	if maxReturn <= 0 {
		maxReturn = DefaultMaxReturn
	}
	c := newCutter(src, lim, maxReturn)
	_, t, err := c.event("return")
	if err != nil {
		return nil, nil, err
	}
	return c.out, &t, nil
}

func newCutter(src io.Reader, lim Limits, maxReturn int) *cutter {
	return &cutter{
		transcoder: transcoder{limit: math.MaxInt, depth: 1}, in: newPackedReader(src), maxDepth: lim.withDefaults().Depth, longest: min(cutReturn, maxReturn),
	}
}

// event reads the map of an event. The digest is of one of its members, or where none is named of the map.
func (c *cutter) event(digested string) (stamp time.Time, t gaea.Truncation, err error) {
	if digested == "" {
		c.in.digest()
	}
	head, _, inner, err := c.in.head()
	if err != nil {
		return stamp, t, err
	}
	if !isPackedMap(head[0]) {
		return stamp, t, gaea.Errorf(gaea.CodeSalt, "an event from Salt has no map for its data")
	}
	whole, bodies, others := c.longest, 0, 0
	c.out = append(c.out, '{')
	for comma := []byte(nil); inner > 0; inner -= 2 {
		mark := len(c.out)
		c.out = append(c.out, comma...)
		begin := len(c.out)
		fits, err := c.key()
		if err != nil {
			return stamp, t, err
		}
		name := string(c.out[begin:])
		body := name == `"return"` || name == `"data"`
		if !fits || noRoom(body, bodies, others, whole) {
			c.out = c.out[:mark]
			if err := c.passValue(); err != nil {
				return stamp, t, err
			}
			continue
		}
		comma = []byte{','}
		c.out = append(c.out, ':')
		begin = len(c.out)
		c.bound(begin, min(cutMember, whole), false)
		if body {
			c.bound(begin, whole-bodies, true)
		}
		if digested != "" && name == `"`+digested+`"` {
			c.in.digest()
		}
		if err := c.value(1); err != nil {
			return stamp, t, err
		}
		switch {
		case digested != "" && name == `"`+digested+`"`:
			t = c.in.digested()
			t.Dropped = c.dropped
		case name == `"_stamp"`:
			stamp = ParseStamp(text(c.out[begin:]))
		}
		if body { // a hostile map has more than one
			bodies += len(c.out) - mark
		} else {
			others += len(c.out) - mark
		}
	}
	c.out = append(c.out, '}')
	if digested == "" {
		t = c.in.digested()
		t.Dropped = c.dropped
	}
	return stamp, t, nil
}

// noRoom is whether those members that hold what was returned, or all others, have what is theirs of the whole.
func noRoom(body bool, bodies, others, whole int) bool {
	if body {
		return bodies >= whole
	}
	return others >= cutMembers
}

// bound sets how much JSON a member may take that begins at a byte. One that holds what was returned is cut last.
func (c *cutter) bound(begin, room int, body bool) {
	c.longest, c.members = cutText, math.MaxInt
	if body {
		c.longest, c.members = room, 1
	}
	c.until = begin + room - min(cutSlack, room/2)
}

// value writes the next value, which lies within depth maps and lists, or what there is room for.
func (c *cutter) value(depth int) error {
	head, data, inner, err := c.in.head()
	if err != nil {
		return err
	}
	lead := head[0]
	switch {
	case isPackedText(lead):
		return c.words(data, depth)
	case isPackedMap(lead) && depth < c.maxDepth:
		return c.mapping(inner, depth)
	case isPackedArray(lead) && depth < c.maxDepth:
		return c.list(inner, depth)
	case inner > 0:
		c.out = appendQuoted(c.out, []byte(deepMark), math.MaxInt)
		return c.in.pass(data, inner)
	case isPackedMap(lead):
		c.out = append(c.out, "{}"...)
		return nil
	case isPackedArray(lead):
		c.out = append(c.out, "[]"...)
		return nil
	case data > cutScalar:
		c.out = appendQuoted(c.out, []byte(cutMark), math.MaxInt)
		return c.in.pass(data, 0)
	default:
		c.scratch = append(c.scratch[:0], head...)
		if c.scratch, err = c.in.text(c.scratch, data); err != nil {
			return err
		}
		_, err = c.transcoder.value(c.scratch, 0)
		return err
	}
}

// room says whether there is any left; where there is none, something is left out.
func (c *cutter) room() bool {
	if len(c.out) < c.until {
		return true
	}
	c.full = true
	return false
}

// words writes a text, or its beginning.
func (c *cutter) words(size uint64, depth int) error {
	longest := c.longest
	if depth > 1 {
		longest = min(longest, cutText)
	}
	if left := max(c.until-len(c.out), 0); left < longest {
		longest = left
		c.full = c.full || size > uint64(left)
	}
	keep := min(size, uint64(longest))
	var err error
	if c.scratch, err = c.in.text(c.scratch[:0], keep); err != nil {
		return err
	}
	if fit := quotable(c.scratch, longest); fit < len(c.scratch) { // escapes make it longer
		c.full = c.full || longest < cutText
		c.scratch = append(c.scratch[:fit], cutMark...)
	} else if keep < size {
		c.scratch = append(wholeRunes(c.scratch), cutMark...)
	}
	c.out = appendQuoted(c.out, c.scratch, math.MaxInt)
	return c.in.skip(size - keep)
}

// wholeRunes takes a rune off the end that was cut in the middle.
func wholeRunes(s []byte) []byte {
	for back := 1; back < utf8.UTFMax && back <= len(s); back++ {
		if b := s[len(s)-back]; utf8.RuneStart(b) {
			if !utf8.FullRune(s[len(s)-back:]) {
				return s[:len(s)-back]
			}
			break
		}
	}
	return s
}

// key writes a map's key where it is a text or a number of a size that keys have. It reads any.
func (c *cutter) key() (fits bool, err error) {
	head, data, inner, err := c.in.head()
	if err != nil {
		return false, err
	}
	if inner > 0 || data > cutScalar {
		return false, c.in.pass(data, inner)
	}
	c.scratch = append(c.scratch[:0], head...)
	if c.scratch, err = c.in.text(c.scratch, data); err != nil {
		return false, err
	}
	_, err = c.transcoder.key(c.scratch, 0)
	return true, err
}

func (c *cutter) passValue() error {
	_, data, inner, err := c.in.head()
	if err != nil {
		return err
	}
	return c.in.pass(data, inner)
}

func (c *cutter) mapping(inner uint64, depth int) error {
	c.out = append(c.out, '{')
	for first := true; inner > 0; inner -= 2 {
		if !c.room() {
			c.leave(inner/2, depth)
			if err := c.in.pass(0, inner); err != nil {
				return err
			}
			break
		}
		mark := len(c.out)
		if !first {
			c.out = append(c.out, ',')
		}
		begin := len(c.out)
		fits, err := c.key()
		if err != nil {
			return err
		}
		if !fits || !c.room() {
			c.out = c.out[:mark]
			c.leave(1, depth)
			if err := c.passValue(); err != nil {
				return err
			}
			continue
		}
		state := depth == c.members && bytes.Contains(c.out[begin:], []byte(stateSeparator))
		c.out = append(c.out, ':')
		c.full = c.full && !state
		if err := c.value(depth + 1); err != nil {
			return err
		}
		if state && c.full { // half a state would be taken for one that failed
			c.out = c.out[:mark]
			c.leave(1, depth)
			continue
		}
		first = false
	}
	c.out = append(c.out, '}')
	return nil
}

// leave counts members that are left out.
func (c *cutter) leave(members uint64, depth int) {
	if depth == c.members {
		c.dropped += int(min(members, math.MaxInt32))
	}
}

func (c *cutter) list(inner uint64, depth int) error {
	c.out = append(c.out, '[')
	for first := true; inner > 0; inner-- {
		if !c.room() {
			c.leave(inner, depth)
			if err := c.in.pass(0, inner); err != nil {
				return err
			}
			break
		}
		if !first {
			c.out = append(c.out, ',')
		}
		first = false
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
	c.out = append(c.out, ']')
	return nil
}
