package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// Digest identifies what is the same: SHA-256 over [Body].Same and [Body].Holes.
type Digest [sha256.Size]byte

// Body is the body of a return taken apart.
type Body struct {
	// Same is the body as JSON with null in the place of each value that differs.
	Same []byte
	// Holes says where those nulls are: for each the number of bytes since the end of the one before, as a uvarint. It
	// belongs to Same, so bodies that were taken apart by another version of this package join as well. Empty where Same is
	// the body.
	Holes []byte
	// Cuts are the values that were taken out, as they were written, with line feeds between.
	Cuts []byte
}

// Digest identifies what is the same in bodies.
func (b Body) Digest() Digest {
	h := sha256.New()
	var n [binary.MaxVarintLen64]byte
	h.Write(n[:binary.PutUvarint(n[:], uint64(len(b.Holes)))])
	h.Write(b.Holes)
	h.Write(b.Same)
	var d Digest
	h.Sum(d[:0])
	return d
}

const hole = "null"

// Splitter takes bodies apart. The zero Splitter is ready; it keeps its buffers, so what it returns holds until the next
// call, and it serves one goroutine.
type Splitter struct {
	walker walker
	body   []byte
	same   []byte
	holes  []byte
	cuts   []byte
}

// Split takes apart the body of a state run, in one pass. A body that is none, or no JSON, is all the same.
func (s *Splitter) Split(body []byte) Body {
	s.body = body
	if !s.walker.walk(body) || len(s.walker.volatile) == 0 {
		return Body{Same: body}
	}
	s.same, s.holes, s.cuts = s.same[:0], s.holes[:0], s.cuts[:0]
	from, last := 0, 0
	for i, v := range s.walker.volatile {
		if i > 0 {
			s.cuts = append(s.cuts, '\n')
		}
		s.cuts = append(s.cuts, body[v.from:v.to]...)
		s.same = append(s.same, body[from:v.from]...)
		s.holes = binary.AppendUvarint(s.holes, uint64(len(s.same)-last))
		s.same = append(s.same, hole...)
		from, last = v.to, len(s.same)
	}
	s.same = append(s.same, body[from:]...)
	return Body{Same: s.same, Holes: s.holes, Cuts: s.cuts}
}

var errParts = errors.New("the parts of a body do not fit together")

// Join puts a body together again. It fails where the parts are not of one body.
func Join(b Body) ([]byte, error) {
	if len(b.Holes) == 0 {
		return b.Same, nil
	}
	body := make([]byte, 0, len(b.Same)+len(b.Cuts))
	same, holes, cuts, more := b.Same, b.Holes, b.Cuts, true
	for len(holes) > 0 {
		gap, n := binary.Uvarint(holes)
		if n <= 0 || !more || gap > uint64(len(same)) || !bytes.HasPrefix(same[gap:], []byte(hole)) {
			return nil, errParts
		}
		var cut []byte
		cut, cuts, more = bytes.Cut(cuts, []byte{'\n'})
		body = append(body, same[:gap]...)
		body = append(body, cut...)
		same, holes = same[int(gap)+len(hole):], holes[n:]
	}
	if more {
		return nil, errParts
	}
	return append(body, same...), nil
}
