package archive

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The bounds of a page: see [gaea.PageRequest].
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// cursorVersion changes when the meaning of a cursor's keys does; older ones are refused then.
const cursorVersion = 1

// maxCursor bounds what is decoded: the longest key is the name of a definition or a run.
const maxCursor = 2048

// Cursor is a place in a list: the sort keys of the last item that was shown. Numbers come first in every order that the
// archive has (a time, then ids), then texts.
type Cursor struct {
	Numbers []int64
	Texts   []string
}

// cursorWire is how a cursor travels: base64url of this as JSON. Nobody but the archive reads it.
type cursorWire struct {
	Version int      `json:"v"`
	List    string   `json:"l"` // the list it belongs to, so that it is not used with another
	Numbers []int64  `json:"n,omitempty"`
	Texts   []string `json:"t,omitempty"`
}

// Encode writes the cursor for one list.
func (c Cursor) Encode(list string) string {
	b, err := json.Marshal(cursorWire{Version: cursorVersion, List: list, Numbers: c.Numbers, Texts: c.Texts})
	if err != nil {
		panic(err) // numbers and texts always marshal
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParsePage reads a page request for one list, whose cursors have so many numbers and texts. It returns the place to go on
// from (nil for the first page) and the number of items to return. Errors are CodeInvalid and name "cursor" or "limit".
func ParsePage(p gaea.PageRequest, list string, numbers, texts int) (*Cursor, int, error) {
	limit := p.Limit
	switch {
	case limit == 0:
		limit = DefaultLimit
	case limit < 0 || limit > MaxLimit:
		return nil, 0, gaea.Invalid("limit", "%d is not a page size; use 1 to %d, or leave it out for %d", limit, MaxLimit, DefaultLimit)
	}
	if p.Cursor == "" {
		return nil, limit, nil
	}
	c, err := parseCursor(p.Cursor, list, numbers, texts)
	return c, limit, err
}

func parseCursor(s, list string, numbers, texts int) (*Cursor, error) {
	bad := func() error {
		return gaea.Invalid("cursor", "this is not a cursor of this list; pass \"next\" of the page before, or nothing for the first page")
	}
	if len(s) > maxCursor {
		return nil, bad()
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, bad()
	}
	var w cursorWire
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil || dec.More() {
		return nil, bad()
	}
	if w.Version != cursorVersion || w.List != list || len(w.Numbers) != numbers || len(w.Texts) != texts {
		return nil, bad()
	}
	return &Cursor{Numbers: w.Numbers, Texts: w.Texts}, nil
}
