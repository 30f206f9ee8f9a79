package swarm

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// self is what a minion knows of itself when it decides whether a publication means it.
type self struct {
	id     string
	grains map[string]any
	pillar map[string]any
}

// The bounds on a compound expression, which a master has read before.
const (
	maxWords   = 4096
	maxNesting = 64
)

// meant says whether a publication's target means this minion, as salt/matchers decides. A type that minions do not match
// (a nodegroup, a range, a network) means nobody here.
func (s self) meant(kind string, tgt any) bool {
	if kind == "compound" {
		return s.compound(tgt)
	}
	if kind == "list" {
		return s.listed(tgt)
	}
	expr, ok := tgt.(string)
	if !ok {
		return false
	}
	switch kind {
	case "glob", "":
		return glob(expr, s.id)
	case "pcre":
		return pcre(expr, s.id)
	case "grain":
		return subMatch(s.grains, expr, ":", glob)
	case "grain_pcre":
		return subMatch(s.grains, expr, ":", pcre)
	case "pillar":
		return subMatch(s.pillar, expr, ":", glob)
	case "pillar_pcre":
		return subMatch(s.pillar, expr, ":", pcre)
	case "pillar_exact":
		return subMatch(s.pillar, expr, ":", func(pattern, text string) bool { return pattern == text })
	default:
		return false
	}
}

func (s self) listed(tgt any) bool {
	switch ids := tgt.(type) {
	case string:
		return slices.Contains(strings.Split(ids, ","), s.id)
	case []any:
		return slices.Contains(ids, any(s.id))
	default:
		return false
	}
}

// compound reads a compound expression: words that are ANDed, ORed and negated, with parentheses that stand alone. Two terms
// without a word between them are refused, as Salt does, but for "not", before which "and" may be left out.
func (s self) compound(tgt any) bool {
	var words []string
	switch tgt := tgt.(type) {
	case string:
		words = strings.Fields(tgt)
	case []any: // what a nodegroup was expanded to
		for _, word := range tgt {
			w, ok := word.(string)
			if !ok {
				return false
			}
			words = append(words, w)
		}
	}
	if len(words) == 0 || len(words) > maxWords {
		return false
	}
	p := compoundParser{self: s, words: words}
	matched, ok := p.or(0)
	return ok && matched && len(p.words) == 0
}

// compoundParser has the words that are still to be read. Its methods say whether the expression could be read.
type compoundParser struct {
	self  self
	words []string
}

func (p *compoundParser) next() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *compoundParser) or(depth int) (matched, ok bool) {
	if matched, ok = p.and(depth); !ok {
		return false, false
	}
	for p.next() == "or" {
		p.words = p.words[1:]
		right, ok := p.and(depth)
		if !ok {
			return false, false
		}
		matched = matched || right
	}
	return matched, true
}

func (p *compoundParser) and(depth int) (matched, ok bool) {
	if matched, ok = p.term(depth); !ok {
		return false, false
	}
	for p.next() == "and" || p.next() == "not" {
		if p.next() == "and" {
			p.words = p.words[1:]
		}
		right, ok := p.term(depth)
		if !ok {
			return false, false
		}
		matched = matched && right
	}
	return matched, true
}

func (p *compoundParser) term(depth int) (matched, ok bool) {
	if len(p.words) == 0 || depth > maxNesting {
		return false, false
	}
	word := p.words[0]
	p.words = p.words[1:]
	switch word {
	case "and", "or", ")":
		return false, false
	case "not":
		matched, ok = p.term(depth + 1)
		return !matched, ok
	case "(":
		matched, ok = p.or(depth + 1)
		if !ok || p.next() != ")" {
			return false, false
		}
		p.words = p.words[1:]
		return matched, true
	default:
		return p.self.word(word)
	}
}

// engineWord is a term with an engine, such as G@os:Debian or P;@os;(Debian|Ubuntu), where the semicolon takes the colon's place.
var engineWord = regexp.MustCompile(`(?s)^([A-Z])(?:(.))?@(.+)$`)

func (s self) word(word string) (matched, ok bool) {
	parts := engineWord.FindStringSubmatch(word)
	if parts == nil {
		return glob(word, s.id), true
	}
	delimiter, pattern := ":", parts[3]
	if parts[2] != "" {
		delimiter = parts[2]
	}
	switch parts[1] {
	case "G":
		return subMatch(s.grains, pattern, delimiter, glob), true
	case "P":
		return subMatch(s.grains, pattern, delimiter, pcre), true
	case "I":
		return subMatch(s.pillar, pattern, delimiter, glob), true
	case "J":
		return subMatch(s.pillar, pattern, delimiter, pcre), true
	case "L":
		return s.listed(pattern), true
	case "E":
		return pcre(pattern, s.id), true
	default: // another engine is known to no simulated minion
		return false, false
	}
}

// subMatch looks for a path of keys and a pattern of a value in nested data: "role:web", "locale:lang:de*". Deeper paths are
// tried first, letters' case does not matter, a list matches where one of its values does, a map where it has the key.
func subMatch(data map[string]any, expr, delimiter string, match func(pattern, text string) bool) bool {
	parts := strings.Split(expr, delimiter)
	for i := len(parts) - 1; i > 0; i-- {
		value, found := descend(data, parts[:i])
		if found && valueMatches(value, strings.Join(parts[i:], delimiter), delimiter, match) {
			return true
		}
	}
	return false
}

// descend follows keys, of which several may be one that holds the delimiter.
func descend(data map[string]any, keys []string) (any, bool) {
	var value any = data
	for _, key := range keys {
		m, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = m[key]; !ok {
			return nil, false
		}
	}
	return value, true
}

func valueMatches(value any, pattern, delimiter string, match func(pattern, text string) bool) bool {
	same := func(v any) bool { return match(strings.ToLower(pattern), strings.ToLower(pythonText(v))) }
	switch v := value.(type) {
	case map[string]any:
		if pattern == "*" || subMatch(v, pattern, delimiter, match) {
			return true
		}
		for key := range v {
			if same(key) {
				return true
			}
		}
		return false
	case []any:
		return slices.ContainsFunc(v, func(item any) bool {
			m, ok := item.(map[string]any)
			return same(item) || ok && valueMatches(m, pattern, delimiter, match)
		})
	case []string:
		return slices.ContainsFunc(v, func(item string) bool { return same(item) })
	default:
		return same(v)
	}
}

// pythonText is a value as Python's str writes it.
func pythonText(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	default:
		return fmt.Sprint(v)
	}
}

// pcre matches from the beginning on, as Python's re.match. Go's syntax has no looking around and no references back: what needs
// them matches nothing here.
func pcre(pattern, text string) bool {
	re, err := regexp.Compile(`^(?:` + pattern + `)`)
	return err == nil && re.MatchString(text)
}

// glob matches as Python's fnmatch: *, ?, [abc], [a-z], [!abc]. A bracket that does not close is itself.
func glob(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	pi, ti := 0, 0
	star, resume := -1, 0 // behind the last star; where in the text to go on from
	for ti < len(t) {
		if pi < len(p) && p[pi] == '*' {
			pi++
			star, resume = pi, ti
			continue
		}
		if size, ok := globOne(p[pi:], t[ti]); ok {
			pi, ti = pi+size, ti+1
			continue
		}
		if star < 0 {
			return false
		}
		resume++
		pi, ti = star, resume
	}
	for pi < len(p) && p[pi] == '*' {
		pi++
	}
	return pi == len(p)
}

// globOne matches one character with what the pattern begins with, and says how long that is.
func globOne(p []rune, r rune) (size int, ok bool) {
	if len(p) == 0 {
		return 0, false
	}
	switch p[0] {
	case '?':
		return 1, true
	case '[':
		if size, among, closed := globSet(p, r); closed {
			return size, among
		}
	}
	return 1, p[0] == r
}

// globSet reads a set such as [!a-z]; closed says whether it is one.
func globSet(p []rune, r rune) (size int, among, closed bool) {
	i := 1
	negated := i < len(p) && p[i] == '!'
	if negated {
		i++
	}
	first := i
	for ; i < len(p) && (p[i] != ']' || i == first); i++ {
		low, high := p[i], p[i]
		if i+2 < len(p) && p[i+1] == '-' && p[i+2] != ']' {
			high = p[i+2]
			i += 2
		}
		among = among || low <= r && r <= high
	}
	if i >= len(p) {
		return 0, false, false
	}
	return i + 1, among != negated, true
}
