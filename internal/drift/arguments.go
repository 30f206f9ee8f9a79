package drift

import (
	"encoding/json"
	"maps"
	"regexp"
	"strings"
)

// arguments are a function's arguments as a minion understands them.
type arguments struct {
	positional []any
	keyword    map[string]any
}

// keywordPattern is salt.utils.args.KWARG_REGEX.
var keywordPattern = regexp.MustCompile(`^([\p{L}_][\p{L}\p{N}_.-]*)=((?:[^=\n].*)?)$`)

// parseArguments reads Salt's argument list: positional values, maps marked with __kwarg__, and strings NAME=VALUE, which
// salt-call and salt-ssh leave as they were typed and which minions read as keyword arguments. It says false where the list
// cannot be understood for certain.
func parseArguments(raw json.RawMessage) (arguments, bool) {
	a := arguments{keyword: map[string]any{}}
	v, err := decode(raw)
	if err != nil {
		return a, false
	}
	list, ok := v.([]any)
	if !ok {
		return a, v == nil
	}
	sure := true
	for _, item := range list {
		switch item := item.(type) {
		case map[string]any:
			if item["__kwarg__"] != true {
				a.positional = append(a.positional, item)
				continue
			}
			maps.Copy(a.keyword, item)
		case string:
			m := keywordPattern.FindStringSubmatch(item)
			if m == nil {
				a.positional = append(a.positional, item)
				continue
			}
			value, ok := typed(m[2])
			a.keyword[m[1]], sure = value, sure && ok
		default:
			a.positional = append(a.positional, item)
		}
	}
	return a, sure
}

// typed reads a value that was typed on a command line. Minions read it as YAML; what is JSON, a bool, a number or plain
// text means the same there. A map or list in YAML's own style is not read: false.
func typed(s string) (any, bool) {
	t := strings.TrimSpace(s)
	switch strings.ToLower(t) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	case "null", "none", "~", "":
		return nil, true
	}
	if v, err := decode(json.RawMessage(t)); err == nil {
		return v, true
	}
	return s, !strings.ContainsAny(t[:1], "{[\"'&*!|>%@`")
}

// bind gives positional arguments their names. False where a minion would refuse the call.
func (a arguments) bind(names ...string) (map[string]any, bool) {
	if len(a.positional) > len(names) {
		return nil, false
	}
	bound := make(map[string]any, len(a.keyword)+len(a.positional))
	maps.Copy(bound, a.keyword)
	for i, v := range a.positional {
		if _, twice := bound[names[i]]; twice {
			return nil, false
		}
		bound[names[i]] = v
	}
	return bound, true
}

// testMode reads the test argument as salt.modules.state does: absent or null means no (a minion that is configured to
// test always is not known here), false means no, and whatever else is given means yes. Another capitalization counts
// where it is true.
func testMode(kwargs map[string]any) bool {
	if v := kwargs["test"]; v != nil {
		return v != false
	}
	for k, v := range kwargs {
		if strings.EqualFold(k, "test") && truth(v) {
			return true
		}
	}
	return false
}

// truth is salt.utils.data.is_true.
func truth(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case json.Number:
		f, err := v.Float64()
		return err == nil && f > 0
	case string:
		return strings.EqualFold(v, "true")
	default:
		return false
	}
}

// empty says whether Python would call v false.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case json.Number:
		f, err := v.Float64()
		return err == nil && f == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	default:
		return false
	}
}
