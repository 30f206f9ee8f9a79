package saltclient

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// NetapiReturn takes the one thing that salt-api was asked for out of its answer, {"return": [IT]}. It is a part of answer, which
// is valid JSON. False where the answer has another form.
func NetapiReturn(answer json.RawMessage) (json.RawMessage, bool) {
	for key, val := range members(answer) {
		if string(key) != "return" {
			continue
		}
		for first := range elements(val) {
			return first, true
		}
	}
	return nil, false
}

// NetapiWords is what salt-api says where it failed: {"status": 500, "return": WORDS}. Empty where it says nothing.
func NetapiWords(answer json.RawMessage) string {
	for key, val := range members(answer) {
		if string(key) == "return" && kind(val) == '"' {
			return text(val)
		}
	}
	return ""
}

// ParseNetapiPublished reads what salt-api's client local_async answers: {"jid", "minions"}. False where it is empty: nothing
// matched the target.
func ParseNetapiPublished(ret json.RawMessage) (gaea.Published, bool) {
	var p gaea.Published
	for key, val := range members(ret) {
		switch string(key) {
		case "jid":
			p.JID = scalar(val)
		case "minions":
			p.Minions = slices.Compact(sortedTexts(val))
		}
	}
	return p, p.JID != "" && len(p.Minions) > 0
}

// ParseNetapiRunner reads what salt-api's client runner answers with full_return: the event {"tag", "data"} that tells how the
// runner ended. Its Return is a part of ret. False where it is no such event.
func ParseNetapiRunner(ret json.RawMessage) (gaea.RunnerReturn, bool) {
	var tag string
	var data json.RawMessage
	for key, val := range members(ret) {
		switch string(key) {
		case "tag":
			tag = scalar(val)
		case "data":
			data = val
		}
	}
	r := gaea.RunnerReturn{JID: strings.TrimSuffix(strings.TrimPrefix(tag, "salt/run/"), "/ret"), Success: true, Return: json.RawMessage("null")}
	if kind(data) != '{' || r.JID == tag {
		return gaea.RunnerReturn{}, false
	}
	for key, val := range members(data) {
		switch string(key) {
		case "return":
			r.Return = val
		case "success":
			if ok := success(val); ok != nil {
				r.Success = *ok
			}
		}
	}
	return r, true
}

// ParseNetapiEvent reads the data of one server-sent event of salt-api, {"tag", "data"}, which is valid JSON. The event's stamp
// is the data's _stamp, or now where there is none that can be read. Data is a part of text. CodeSalt where it is no event.
func ParseNetapiEvent(ev json.RawMessage, now time.Time) (gaea.Event, error) {
	out := gaea.Event{Stamp: now.UTC()}
	for key, val := range members(ev) {
		switch string(key) {
		case "tag":
			out.Tag = scalar(val)
		case "data":
			out.Data = json.RawMessage(val)
		}
	}
	switch {
	case out.Tag == "":
		return gaea.Event{}, gaea.Errorf(gaea.CodeSalt, "an event from Salt has no tag")
	case len(out.Tag) > MaxTag:
		return gaea.Event{}, gaea.Errorf(gaea.CodeTooLarge, "the tag of an event from Salt is %d bytes long, the bound is %d", len(out.Tag), MaxTag)
	case kind(out.Data) != '{':
		return gaea.Event{}, gaea.Errorf(gaea.CodeSalt, "an event from Salt has no map for its data")
	}
	for key, val := range members(out.Data) {
		if string(key) == "_stamp" {
			if stamp := ParseStamp(text(val)); !stamp.IsZero() {
				out.Stamp = stamp
			}
		}
	}
	return out, nil
}

// JSONTexts are the elements of a JSON array, strings as they are and all others as JSON. Nil where list is no array.
func JSONTexts(list json.RawMessage) []string {
	var all []string
	for item := range elements(list) {
		all = append(all, text(item))
	}
	return all
}
