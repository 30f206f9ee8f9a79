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

// Splitter takes bodies apart. The zero Splitter is ready, and serves one goroutine. What it returns stays as it is, and is kept
// in memory together: it is for bodies that are needed about as long as each other, those of a batch.
type Splitter struct {
	walker walker
	body   []byte
	room   []byte // what is left for parts of bodies
	holes  []byte
	cuts   []byte
}

// roomSize is how much room is made for the parts of several bodies.
const roomSize = 64 << 10

// Split takes apart the body of a state run, in one pass. A body that is none, or no JSON, is all the same.
func (s *Splitter) Split(body []byte) Body {
	s.body = body
	if !s.walker.walk(body) || len(s.walker.volatile) == 0 {
		return Body{Same: body}
	}
	s.holes, s.cuts = s.holes[:0], s.cuts[:0]
	most := len(body) + len(s.walker.volatile)*(len(hole)+1+binary.MaxVarintLen64)
	if cap(s.room) < most {
		s.room = make([]byte, 0, max(most, roomSize))
	}
	same := s.room[:0]
	from, last := 0, 0
	for i, v := range s.walker.volatile {
		if i > 0 {
			s.cuts = append(s.cuts, '\n')
		}
		s.cuts = append(s.cuts, body[v.from:v.to]...)
		same = append(same, body[from:v.from]...)
		s.holes = binary.AppendUvarint(s.holes, uint64(len(same)-last))
		same = append(same, hole...)
		from, last = v.to, len(same)
	}
	all := append(append(append(same, body[from:]...), s.holes...), s.cuts...)
	s.room = all[len(all):]
	holes, cuts := len(all)-len(s.holes)-len(s.cuts), len(all)-len(s.cuts)
	return Body{Same: all[:holes:holes], Holes: all[holes:cuts:cuts], Cuts: all[cuts:len(all):len(all)]}
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
