package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

var errNoStates = errors.New("the body holds no states")

// States reads the states out of the body of a state run, in the order of their run numbers, each without its outcome. It
// covers what states usually look like; [Splitter.Follows] says whether a given list is what it makes of a body, and a list
// that is not has to be kept beside the body.
func States(body []byte) ([]gaea.StateResult, error) {
	var w walker
	if !w.walk(body) {
		return nil, errNoStates
	}
	w.sort()
	list := make([]gaea.StateResult, len(w.entries))
	for i := range w.entries {
		list[i] = w.entries[i].state(body)
	}
	return list, nil
}

// Follows says whether [States] of the body that was split last gives these states, up to their outcomes. It reads the
// body's parts and no more than they need.
func (s *Splitter) Follows(states []gaea.StateResult) bool {
	if len(states) != len(s.walker.entries) {
		return false
	}
	s.walker.sort()
	for i := range states {
		if !s.walker.entries[i].equal(s.body, &states[i]) {
			return false
		}
	}
	return true
}

func (w *walker) sort() {
	byRunNum := func(a, b entry) int { return number(a.runNum.of(w.b)) - number(b.runNum.of(w.b)) }
	if !slices.IsSortedFunc(w.entries, byRunNum) {
		slices.SortStableFunc(w.entries, byRunNum)
	}
}

func (e *entry) state(b []byte) gaea.StateResult {
	key := text(e.key.of(b))
	module, function := parts(key)
	s := gaea.StateResult{
		Key:      key,
		Module:   module,
		Function: function,
		ID:       text(e.id.of(b)),
		Name:     text(e.name.of(b)),
		SLS:      text(e.sls.of(b)),
		RunNum:   number(e.runNum.of(b)),
		Result:   result(e.result.of(b)),
		Comment:  text(e.comment.of(b)),
		Diff:     diff(e.diff.of(b)),
		Duration: float(e.duration.of(b)),
	}
	if changes := e.changes.of(b); !void(changes) {
		s.Changes = slices.Clone(changes)
	}
	return s
}

func (e *entry) equal(b []byte, s *gaea.StateResult) bool {
	module, function := parts(s.Key)
	changes := e.changes.of(b)
	if void(changes) {
		changes = nil
	}
	r := result(e.result.of(b))
	return textIs(e.key.of(b), s.Key) && module == s.Module && function == s.Function &&
		textIs(e.id.of(b), s.ID) && textIs(e.name.of(b), s.Name) && textIs(e.sls.of(b), s.SLS) &&
		number(e.runNum.of(b)) == s.RunNum && textIs(e.comment.of(b), s.Comment) && diffIs(e.diff.of(b), s.Diff) &&
		float(e.duration.of(b)) == s.Duration && bytes.Equal(changes, s.Changes) &&
		(r == nil) == (s.Result == nil) && (r == nil || *r == *s.Result)
}

// parts are the module and the function in a state's key: before its first separator, and after its last.
func parts(key string) (module, function string) {
	k := []byte(key)
	first, last := bytes.Index(k, []byte(keySeparator)), bytes.LastIndex(k, []byte(keySeparator))
	if first < 0 {
		return "", ""
	}
	return key[:first], key[last+len(keySeparator):]
}

// text reads a JSON text; "" for any other value.
func text(raw []byte) string {
	if plain(raw) {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func textIs(raw []byte, s string) bool {
	if plain(raw) {
		return string(raw[1:len(raw)-1]) == s
	}
	return text(raw) == s
}

// hunk is in every unified diff. Salt writes other things under "diff" as well, "New file" for one.
const hunk = "@@ -"

func diff(raw []byte) string {
	if !bytes.Contains(raw, []byte(hunk)) {
		return ""
	}
	return text(raw)
}

func diffIs(raw []byte, s string) bool {
	if !bytes.Contains(raw, []byte(hunk)) {
		return s == ""
	}
	return textIs(raw, s)
}

// plain says whether a JSON text stands for itself.
func plain(raw []byte) bool {
	return len(raw) >= 2 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0
}

func number(raw []byte) int {
	n, err := strconv.Atoi(string(raw))
	if err != nil {
		return 0
	}
	return n
}

func float(raw []byte) float64 {
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0
	}
	return f
}

func result(raw []byte) *bool {
	switch string(raw) {
	case "true":
		return new(true)
	case "false":
		return new(false)
	default:
		return nil
	}
}

// void says whether changes are none: an object without members, or no object.
func void(changes []byte) bool {
	if len(changes) == 0 || changes[0] != '{' {
		return true
	}
	return len(bytes.TrimSpace(changes[1:len(changes)-1])) == 0
}
