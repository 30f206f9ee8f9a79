package saltclient

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// decodeReturn reads the data of a return event. Nil where it is none: a minion may send an event of its own with any tag, also
// one that says that another minion returned. A master makes the tag of what is in the return, so one that says otherwise is
// forged, and suspect says how.
func decodeReturn(ev gaea.Event, jid, minion string) (ret *gaea.Return, suspect string) {
	r := &gaea.Return{JID: jid, Minion: minion, Stamp: ev.Stamp, Source: gaea.SourceBus, Truncated: ev.Truncated}
	var returned, sent, own bool
	var meta []byte
	for key, val := range members(ev.Data) {
		if suspect = forged(string(key), val, jid, minion); suspect != "" {
			return nil, suspect
		}
		switch string(key) {
		case "cmd":
			sent = true
		case "tgt":
			own = true
		case "schedule":
			r.Schedule = scalar(val)
		case "fun":
			r.Function = functionName(val)
		case "fun_args":
			r.Args = val
		case "return":
			r.Body, returned = val, true
		case "retcode":
			r.Retcode = retcode(val)
		case "success":
			r.Success = success(val)
		case "metadata":
			meta = val
		}
	}
	if !returned && r.Function == "" {
		return nil, ""
	}
	switch {
	case r.Schedule != "":
		r.Origin = gaea.OriginSchedule
	case own: // nobody told the minion to: it asked the master for a job id
		r.Origin = gaea.OriginSaltCall
	case !sent: // no minion sent it to the master
		r.Origin = gaea.OriginSaltSSH
	}
	r.Metadata = metadata(meta)
	r.RunID = runID(r.Metadata)
	ReturnOutcome(r)
	return r, ""
}

// forged says how a member of a return's data is another one than its tag says; empty where it is not.
func forged(key string, val []byte, jid, minion string) string {
	switch key {
	case "cmd":
		if string(val) == ownEvent {
			return fmt.Sprintf("it has the tag of a return of %s, and is an event that a minion made up", short(minion))
		}
	case "id":
		if told := scalar(val); told != minion && told != Trimmed {
			return fmt.Sprintf("its tag says that %s returned, and its data that %s did", short(minion), short(told))
		}
	case "jid":
		if told := scalar(val); told != jid && told != Trimmed {
			return fmt.Sprintf("its tag says that job %s returned, and its data that job %s did", short(jid), short(told))
		}
	}
	return ""
}

// ownEvent is what stands as the command in an event that a minion sends, where the master tells who it was.
const ownEvent = `"_minion_event"`

// isOwnEvent says whether a minion sent an event, whatever its tag is.
func isOwnEvent(data []byte) bool {
	for key, val := range members(data) {
		if string(key) == "cmd" && string(val) == ownEvent {
			return true
		}
	}
	return false
}

// short is a name in a sentence: what hostile minions call themselves may be long.
func short(name string) string {
	const most = 80
	if len(name) > most {
		name = string(wholeRunes([]byte(name[:most]))) + cutMark
	}
	return strconv.Quote(name)
}

// ParseCachedReturn reads one minion's entry of a job in the master's job cache, {"return", "retcode", "success"}, for the job
// it belongs to. Stamp and Master are the caller's to set.
func ParseCachedReturn(job *gaea.Job, minion string, entry json.RawMessage) gaea.Return {
	if strings.HasPrefix(job.Function, runnerPrefix) {
		if ran := parseCachedRunner(job.JID, entry); ran != nil {
			r := ran.result(job.JID)
			r.Minion, r.Source = minion, gaea.SourceCache
			return r
		}
	}
	r := gaea.Return{
		JID: job.JID, Minion: minion, Function: job.Function, Args: job.Args, Metadata: job.Metadata, RunID: job.RunID,
		Origin: job.Origin, Schedule: job.Schedule, Source: gaea.SourceCache,
	}
	returned := false
	for key, val := range members(entry) {
		switch string(key) {
		case "return":
			r.Body, returned = val, true
		case "retcode":
			r.Retcode = retcode(val)
		case "success":
			r.Success = success(val)
		}
	}
	if !returned { // the form of Salt before 2018: the entry is the return
		r.Body, r.Retcode, r.Success = entry, nil, nil
	}
	ReturnOutcome(&r)
	return r
}

// retcode reads a return code: a number, or where several functions were called at once a map of numbers, of which the first
// that is not 0 counts.
func retcode(val []byte) *int {
	if kind(val) == '{' {
		var code *int
		for _, one := range members(val) {
			if n := retcode(one); n != nil && (code == nil || *code == 0) {
				code = n
			}
		}
		return code
	}
	n, err := strconv.Atoi(text(val))
	if err != nil {
		return nil
	}
	return &n
}

// success reads whether a function succeeded: a truth value, or a map of them that all must be true.
func success(val []byte) *bool {
	switch kind(val) {
	case 't', 'f':
		ok := val[0] == 't'
		return &ok
	case '{':
		good, said := true, false
		for _, one := range members(val) {
			if s := success(one); s != nil {
				good, said = good && *s, true
			}
		}
		if said {
			return &good
		}
	}
	return nil
}

// ReturnOutcome sets the Outcome, Message, States and Test of a return from its Function, Args, Retcode, Success and Body.
//
// A state run that answers with states is failed where one of them is, else would_change where one says null, or in a test
// run has changes, else changed or in_sync. One that answers with words or anything else could not run, and so could a
// function that the minion does not have. Every other function failed where Success is false or Retcode is not 0, and a
// state run is failed by them too. One of which states were left out, because it was too large, is not in sync. A return that was cut until even its function is gone, because it was larger than
// max_event_size, is no_return: nothing can be told from it.
func ReturnOutcome(r *gaea.Return) {
	r.Message, r.States, r.Test = "", nil, false
	bad := (r.Success != nil && !*r.Success) || (r.Retcode != nil && *r.Retcode != 0)
	switch {
	case r.Function == Trimmed:
		r.Function, r.Args, r.Metadata = "", nil, nil
		r.Outcome = gaea.OutcomeNoReturn
		r.Message = "The return is larger than max_event_size and was cut until nothing is left. Raise max_event_size, on the master and on the minion."
	case isStateFunction(r.Function):
		r.Test = testMode(r.Function, r.Args)
		stateOutcome(r, r.Body, bad)
	case orchestrations[r.Function] && kind(r.Body) == '{':
		r.Test = orchestrationTest(r.Args)
		_, steps := orchestrated(r.Body)
		stateOutcome(r, steps, bad)
	case bad && isMissingFunction(r.Body):
		r.Outcome, r.Message = gaea.OutcomeCouldNotRun, messageOf(r.Body)
	case bad:
		r.Outcome, r.Message = gaea.OutcomeFailed, failure(r)
	default:
		r.Outcome = gaea.OutcomeSucceeded
	}
	if r.Truncated != nil && r.Truncated.Dropped > 0 && r.Outcome == gaea.OutcomeInSync {
		r.Outcome = gaea.OutcomeFailed
		r.Message = fmt.Sprintf("%d states are not kept, because the return was too large (%d bytes): how they ended is not known", r.Truncated.Dropped, r.Truncated.Size)
	}
}

// stateOutcome judges the return of a state function by the part of its body that holds the states; bad says what its return
// code does.
func stateOutcome(r *gaea.Return, body []byte, bad bool) {
	states, more := parseStates(body, r.Test)
	r.States = states
	switch {
	case more:
		r.States, r.Outcome = nil, gaea.OutcomeFailed
		r.Message = fmt.Sprintf("The return holds more than %d states, which no state run does; they are kept and not taken apart.", maxStates)
	case len(r.States) > 0 || (kind(body) == '{' && isEmpty(body)):
		sumUp(r, bad)
	case r.Function == "state.low" && kind(body) == '{':
		// One state, without a key that tells which.
		r.Outcome = gaea.OutcomeSucceeded
		if bad {
			r.Outcome, r.Message = gaea.OutcomeFailed, failure(r)
		}
	default:
		r.Outcome, r.Message = gaea.OutcomeCouldNotRun, messageOf(body)
	}
}

// sumUp makes one outcome of the states'.
func sumUp(r *gaea.Return, bad bool) {
	var failed []string
	var would, changed bool
	size := 0 // of what is said of those that failed
	for i := range r.States {
		switch s := &r.States[i]; s.Outcome {
		case gaea.OutcomeFailed:
			if size <= maxMessage {
				failed = append(failed, fmt.Sprintf("%s.%s %s: %s", s.Module, s.Function, s.ID, firstLine(s.Comment)))
				size += len(failed[len(failed)-1])
			}
		case gaea.OutcomeWouldChange:
			would = true
			r.Test = r.Test || s.Result == nil
		case gaea.OutcomeChanged:
			changed = true
		default: // in sync
		}
	}
	switch {
	case len(failed) > 0:
		r.Outcome, r.Message = gaea.OutcomeFailed, cutMessage(strings.Join(failed, "\n"))
	case bad:
		r.Outcome, r.Message = gaea.OutcomeFailed, failure(r)
	case would:
		r.Outcome = gaea.OutcomeWouldChange
	case changed:
		r.Outcome = gaea.OutcomeChanged
	default:
		r.Outcome = gaea.OutcomeInSync
	}
}

// isMissingFunction recognizes how a minion says that it has no such function, or cannot call it like that
// (salt.loader.lazy.missing_fun_string and salt.minion, in every version).
func isMissingFunction(body []byte) bool {
	if kind(body) != '"' {
		return false
	}
	return bytes.HasPrefix(body, []byte(`"'`)) && (bytes.HasSuffix(body, []byte(`' is not available."`)) ||
		bytes.Contains(body, []byte(`' __virtual__ returned False`))) ||
		bytes.HasPrefix(body, []byte(`"Passed invalid arguments`))
}

// maxMessage is the length in bytes of the longest message; longer ones are cut.
const maxMessage = 8 << 10

// messageOf makes lines for people of what came instead of states: the words themselves where they are words.
func messageOf(body []byte) string {
	words := strings.TrimSpace(wordsOf(body))
	switch {
	case words != "":
		return cutMessage(words)
	case len(body) == 0:
		return "Salt returned nothing"
	default:
		return cutMessage("Salt returned " + string(body[:min(len(body), maxMessage)]))
	}
}

// wordsOf is the text in a value: a text, the lines of a list, or what the remote shell wrote where salt-ssh could not start
// Salt over there. Empty where there is none.
func wordsOf(body []byte) string {
	switch kind(body) {
	case '"':
		return text(body)
	case '[':
		var lines []string
		size := 0
		for item := range elements(body) {
			line := strings.TrimSpace(text(item))
			lines = append(lines, line)
			if size += len(line) + 1; size > maxMessage {
				break
			}
		}
		return strings.Join(lines, "\n")
	case '{':
		found := map[string]string{"stderr": "", "stdout": "", "return": "", "comment": ""}
		for key, val := range members(body) {
			if _, wanted := found[string(key)]; wanted && kind(val) == '"' {
				found[string(key)] = text(val)
			}
		}
		return cmp.Or(found["stderr"], found["stdout"], found["return"], found["comment"])
	default:
		return ""
	}
}

// failure says in one line why a function failed: the return code, and the last line of what it answered, which is where
// programs and tracebacks say it.
func failure(r *gaea.Return) string {
	what := "Salt reports a failure"
	if r.Retcode != nil {
		what = "return code " + strconv.Itoa(*r.Retcode)
	}
	if kind(r.Body) != '"' {
		return what
	}
	words := strings.TrimSpace(text(r.Body))
	if words == "" {
		return what
	}
	return cutMessage(what + ": " + strings.TrimSpace(words[strings.LastIndexByte(words, '\n')+1:]))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// cutMessage bounds a message, at the end of a rune.
func cutMessage(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	end := maxMessage
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + " …"
}
