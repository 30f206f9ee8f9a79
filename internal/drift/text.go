package drift

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// MaxText is the longest text of one state in a report, in bytes, the mark that says it was cut included.
const MaxText = 64 << 10

// maxSentence bounds what is said of a state in one line, in bytes.
const maxSentence = 1 << 10

// NamesOnly is the text of a state where an assignment asks for names only.
const NamesOnly = "differs"

// Text is what a state that is not clean says of itself: the unified diff where Salt gives one, else a short sentence such
// as "would start" or "would change: mode: 0644". A state that failed says so: "would fail" in a test run, "failed" in a
// real one. It is at most [MaxText] long and valid UTF-8.
func Text(s *gaea.StateResult, test bool, detail gaea.CheckDetail) string {
	if detail == gaea.DetailNames {
		return NamesOnly
	}
	if s.Outcome == gaea.OutcomeFailed {
		return cut(failure(s, test))
	}
	return cut(difference(s))
}

func failure(s *gaea.StateResult, test bool) string {
	words := []string{"failed"}
	if test {
		words[0] = "would fail"
	}
	if c := firstLine(s.Comment); c != "" {
		words = append(words, c)
	}
	// A command's comment says only that it was run; why it failed is in the changes.
	changes, _ := decode(s.Changes)
	if m, ok := changes.(map[string]any); ok && s.Module == "cmd" {
		if code, ok := m["retcode"].(json.Number); ok {
			words = append(words, "exit code "+code.String())
		}
		if stderr, ok := m["stderr"].(string); ok && firstLine(stderr) != "" {
			words = append(words, firstLine(stderr))
		}
	}
	return shorten(strings.Join(words, ": "))
}

func difference(s *gaea.StateResult) string {
	changes, err := decode(s.Changes)
	if err != nil {
		changes = string(s.Changes)
	}
	blocks := map[string]string{}
	rest := withoutDiffs("", changes, blocks)
	if s.Diff != "" { // it may be put together from several of the changes
		maps.DeleteFunc(blocks, func(_, d string) bool { return strings.Contains(s.Diff, strings.TrimSuffix(d, "\n")) })
		blocks[""] = s.Diff
		if m, ok := rest.(map[string]any); ok && m["diff"] == s.Diff {
			delete(m, "diff")
		}
	}
	if len(blocks) == 0 {
		return sentence(s, rest)
	}
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(blocks)) {
		if path != "" {
			b.WriteString(path + "\n")
		}
		b.WriteString(strings.TrimSuffix(blocks[path], "\n") + "\n")
	}
	if also := compact(rest); also != "" {
		b.WriteString("and " + also + "\n")
	}
	return b.String()
}

var hunkPattern = regexp.MustCompile(`(?m)^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@`)

// withoutDiffs takes the unified diffs out of changes, at any depth, and files them under what they are a diff of: "" for
// the state's own.
func withoutDiffs(path string, v any, diffs map[string]string) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	rest := map[string]any{}
	for k, e := range m {
		if d, ok := e.(string); ok && hunkPattern.MatchString(d) {
			if k != "diff" {
				diffs[join(path, k)] = d
			} else {
				diffs[path] = d
			}
			continue
		}
		if below := withoutDiffs(join(path, k), e, diffs); !gone(below, e) {
			rest[k] = below
		}
	}
	return rest
}

// gone says whether taking the diffs out of a map left nothing of it.
func gone(after, before any) bool {
	a, isMap := after.(map[string]any)
	b, wasMap := before.(map[string]any)
	return isMap && wasMap && len(a) == 0 && len(b) > 0
}

var (
	setToPattern = regexp.MustCompile(`\b(?:(?:is|are) set to (?:be )?|set to be )(.+?)\.?$`)
	wouldPattern = regexp.MustCompile(`(?i)\bwould\b`)
	passive      = regexp.MustCompile(`(?:is|are)? ?set to be `)
)

// sentence says in one line what a state would change, from its changes or where there are none from its comment.
func sentence(s *gaea.StateResult, changes any) string {
	comment := firstLine(s.Comment)
	if m, ok := changes.(map[string]any); ok && len(m) == 1 {
		for k, v := range m {
			value, ok := v.(string)
			switch {
			case !ok || value == "":
			case k == "newfile":
				return shorten("would create " + firstLine(value))
			case k == "removed":
				return shorten("would remove " + firstLine(value))
			case k == "cmd" && s.Module == "cmd":
				return shorten("would run: " + firstLine(value))
			}
		}
	}
	if c := compact(changes); c != "" {
		return "would change: " + c
	}
	if m := setToPattern.FindStringSubmatch(comment); m != nil {
		verb := "would "
		if passive.MatchString(m[0]) {
			verb = "would be "
		}
		return shorten(verb + m[1])
	}
	switch {
	case comment == "":
		return "would change"
	case wouldPattern.MatchString(comment):
		return shorten(comment)
	default:
		return shorten("would change: " + comment)
	}
}

// compact writes changes in one line, keys sorted: "mode: 0644; user: root -> web". Empty for no changes.
func compact(changes any) string {
	var parts []string
	flatten("", changes, &parts)
	return shorten(strings.Join(parts, "; "))
}

func flatten(path string, v any, parts *[]string) {
	m, ok := v.(map[string]any)
	if !ok {
		if path != "" || !empty(v) {
			*parts = append(*parts, labelled(path, scalar(v)))
		}
		return
	}
	before, hasOld := m["old"]
	after, hasNew := m["new"]
	if hasOld && hasNew && len(m) == 2 && flat(before) && flat(after) {
		*parts = append(*parts, labelled(path, scalar(before)+" -> "+scalar(after)))
		return
	}
	if len(m) == 0 && path != "" {
		*parts = append(*parts, labelled(path, "{}"))
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		flatten(join(path, k), m[k], parts)
	}
}

func flat(v any) bool {
	_, isMap := v.(map[string]any)
	return !isMap
}

func labelled(path, value string) string {
	if path == "" {
		return value
	}
	return path + ": " + value
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + " " + key
}

func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return "(none)"
	case string:
		if v == "" {
			return "(none)"
		}
		if lines := strings.Count(strings.TrimSpace(v), "\n"); lines > 0 {
			return fmt.Sprintf("%s (and %d more lines)", firstLine(v), lines)
		}
		return strings.TrimSpace(v)
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(b)
	}
}

// firstLine is the first line of s that is not blank.
func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

// text is s as valid UTF-8.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func shorten(s string) string {
	const mark = " …"
	if len(s) <= maxSentence {
		return s
	}
	return wholeRunes(s, maxSentence-len(mark)) + mark
}

// wholeRunes is the longest start of s that is at most n bytes and does not end within a character.
func wholeRunes(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// cut bounds a text to [MaxText], after a whole line where there is one, and says at its end that it was cut.
func cut(s string) string {
	s = text(s)
	if len(s) <= MaxText {
		return s
	}
	const room = 80 // for the mark
	head := wholeRunes(s, MaxText-room)
	if i := strings.LastIndexByte(head, '\n'); i >= 0 {
		head = head[:i+1]
	} else {
		head += "\n"
	}
	rest := s[min(len(head), len(s)):]
	return fmt.Sprintf("%s… cut here: %d more lines, %d bytes\n", head, strings.Count(rest, "\n")+1, len(rest))
}
