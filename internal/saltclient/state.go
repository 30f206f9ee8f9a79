package saltclient

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// stateSeparator stands between the parts of a state's key (salt.state).
const stateSeparator = "_|-"

// ParseStateKey takes the key of a state in a state run's return apart: MODULE_|-ID_|-NAME_|-FUNCTION. An id or a name may
// hold the separator itself: the module is before the first and the function after the last one, and what is between is cut
// where id and name come out equal, as they are for a state that is not given a name, or else at the first. Only the state's
// own __id__ and name tell for sure. All four are empty where key is no state's.
func ParseStateKey(key string) (module, id, name, function string) {
	module, rest, ok := strings.Cut(key, stateSeparator)
	last := strings.LastIndex(rest, stateSeparator)
	if !ok || last < 0 {
		return "", "", "", ""
	}
	middle, function := rest[:last], rest[last+len(stateSeparator):]
	if half := (len(middle) - len(stateSeparator)) / 2; half >= 0 && len(middle) == 2*half+len(stateSeparator) &&
		middle[:half] == middle[half+len(stateSeparator):] && middle[half:half+len(stateSeparator)] == stateSeparator {
		return module, middle[:half], middle[:half], function
	}
	id, name, ok = strings.Cut(middle, stateSeparator)
	if !ok {
		return "", "", "", ""
	}
	return module, id, name, function
}

// Room is made for as many states as a return of its length usually has, but for no more than enoughStates at first.
const (
	usualState   = 350 // bytes
	enoughStates = 256
)

// maxStates is how many states a return may hold: a large highstate has 3,000, and a hostile return room for a million.
const maxStates = 50_000

// parseStates reads the states of a state run's return in the order they ran; none where body holds none. test says that the
// run was told to be a test, so that changes are what would change. more says that there are more than maxStates.
func parseStates(body []byte, test bool) (states []gaea.StateResult, more bool) {
	for key, val := range members(body) {
		if !bytes.Contains(key, []byte(stateSeparator)) {
			continue
		}
		name := string(key)
		module, id, own, function := ParseStateKey(name)
		if function == "" {
			continue
		}
		if len(states) == maxStates {
			return nil, true
		}
		if states == nil {
			states = make([]gaea.StateResult, 0, min(1+len(body)/usualState, enoughStates))
		}
		states = append(states, gaea.StateResult{Key: name, Module: module, ID: id, Name: own, Function: function})
		parseState(&states[len(states)-1], val, test)
	}
	if !slices.IsSortedFunc(states, byRunNum) {
		slices.SortStableFunc(states, byRunNum)
	}
	return states, false
}

func byRunNum(a, b gaea.StateResult) int { return cmp.Compare(a.RunNum, b.RunNum) }

// parseState reads what a state answered into s.
func parseState(s *gaea.StateResult, val []byte, test bool) {
	if kind(val) != '{' {
		s.Outcome, s.Comment = gaea.OutcomeFailed, messageOf(val)
		s.Result = new(bool)
		return
	}
	var result []byte
	for key, field := range members(val) {
		switch string(key) {
		case "result":
			result = field
		case "changes":
			if !isEmpty(field) {
				s.Changes = field
			}
		case "comment":
			s.Comment = comment(field)
		case "name":
			s.Name = own(s.Name, field)
		case "__id__":
			s.ID = own(s.ID, field)
		case "__sls__":
			s.SLS = scalar(field)
		case "__run_num__":
			s.RunNum, _ = strconv.Atoi(text(field))
		case "duration":
			s.Duration = duration(field)
		}
	}
	s.Diff = diff(s.Changes)
	s.Result, s.Outcome = judge(result, len(s.Changes) > 0, test)
}

// judge makes an outcome of a state's result. A state without a result has not said that it is well.
func judge(result []byte, changes, test bool) (*bool, gaea.Outcome) {
	switch {
	case string(result) == "null":
		return nil, gaea.OutcomeWouldChange
	case string(result) != "true":
		return new(bool), gaea.OutcomeFailed
	}
	good := true
	switch {
	case changes && test:
		return &good, gaea.OutcomeWouldChange
	case changes:
		return &good, gaea.OutcomeChanged
	default:
		return &good, gaea.OutcomeInSync
	}
}

// own is the text of val, without a copy where that is what was guessed from the key.
func own(guess string, val []byte) string {
	if kind(val) == '"' && len(val) == len(guess)+2 && string(val[1:len(val)-1]) == guess {
		return guess
	}
	return scalar(val)
}

// comment reads a state's comment, which some modules make a list of.
func comment(val []byte) string {
	if kind(val) != '[' {
		return scalar(val)
	}
	var lines []string
	for line := range elements(val) {
		lines = append(lines, text(line))
	}
	return strings.Join(lines, "\n")
}

// duration reads milliseconds: a number, or in old versions a text such as "12.5 ms".
func duration(val []byte) float64 {
	s, _, _ := strings.Cut(text(val), " ")
	ms, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(ms) || ms < 0 || ms > 1e15 {
		return 0
	}
	return ms
}

// diff is the unified diff in a state's changes: its diff, or those of the files that it names (file.recurse), each below a
// line with the file's name. Empty where there is none; other things that stand under "diff" are no diff.
func diff(changes json.RawMessage) string {
	var parts []string
	for key, val := range members(changes) {
		if string(key) == "diff" {
			if s := unified(val); s != "" {
				return s
			}
			continue
		}
		for inner, val := range members(val) {
			if string(inner) != "diff" {
				continue
			}
			if s := unified(val); s != "" {
				parts = append(parts, string(key)+"\n"+strings.TrimSuffix(s, "\n"))
			}
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

// unified is the text of val where that is a unified diff.
func unified(val []byte) string {
	if kind(val) != '"' || !bytes.Contains(val, []byte("@@ -")) {
		return ""
	}
	return text(val)
}
