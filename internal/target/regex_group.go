package target

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// kind is what a parenthesis opens.
type kind int

const (
	capturing   kind = iota
	grouping         // (?:…), look-arounds, flags for a part
	conditional      // (?(1)…|…)
	empty            // stands for nothing, and is read to its end: a comment, flags for the whole
	closed           // matches something, and is read to its end: (?P=name)
)

// group reads a parenthesis and what is in it. False where it stands for nothing.
func (p *regexParser) group(depth int) bool {
	at, verbose := p.pos, p.verbose
	p.pos++
	opens := capturing
	if p.take('?') {
		opens = p.extension(at)
	}
	switch {
	case p.problem != "" || opens == empty:
		return false
	case opens == closed:
		return true
	case opens == capturing:
		p.groups++
		p.open = append(p.open, p.groups)
	}
	p.alternatives(depth+1, opens == conditional)
	if opens == capturing {
		p.open = p.open[:len(p.open)-1]
	}
	p.verbose = verbose
	if !p.take(')') {
		p.fail(at, "opens a parenthesis that is not closed")
	}
	return true
}

// extension reads what follows "(?".
func (p *regexParser) extension(at int) kind {
	if p.pos >= len(p.src) {
		p.fail(at, "opens a parenthesis that is not closed")
		return empty
	}
	r := p.src[p.pos]
	p.pos++
	switch {
	case r == 'P' && p.take('<'):
		p.name(at, '>')
		return capturing
	case r == 'P' && p.take('='):
		p.reference(at)
		return closed
	case r == '#':
		if _, ok := p.until(')'); !ok {
			p.fail(at, "opens a comment that is not closed")
		}
		return empty
	case strings.ContainsRune(":=!>", r), r == '<' && (p.take('=') || p.take('!')):
		return grouping
	case r == '(':
		p.condition(at)
		return conditional
	case strings.ContainsRune("aiLmsux-", r):
		p.pos--
		if p.flags(at) {
			return empty
		}
		return grouping
	}
	p.fail(at, "opens a group of a kind that Python does not know")
	return empty
}

// until reads up to a character and behind it. What a backslash stands before is not that character, in comments neither.
func (p *regexParser) until(end rune) (string, bool) {
	from := p.pos
	for !p.end() {
		if p.take(end) {
			return string(p.src[from : p.pos-1]), true
		}
		if p.take('\\') && p.end() {
			break
		}
		p.pos++
	}
	return "", false
}

// name reads the name of a group.
func (p *regexParser) name(at int, end rune) {
	name, ok := p.until(end)
	switch _, taken := p.names[name]; {
	case !ok:
		p.fail(at, "opens a group whose name has no end")
	case !identifier(name):
		p.fail(at, fmt.Sprintf("opens a group with the name %q, which is none", name))
	case taken:
		p.fail(at, fmt.Sprintf("opens a group with the name %q, which another has", name))
	default:
		if p.names == nil {
			p.names = map[string]int{}
		}
		p.names[name] = p.groups + 1
	}
}

// reference reads the rest of (?P=name).
func (p *regexParser) reference(at int) {
	name, ok := p.until(')')
	group, known := p.names[name]
	switch {
	case !ok:
		p.fail(at, "opens a parenthesis that is not closed")
	case !known:
		p.fail(at, fmt.Sprintf("refers to the group %q, which there is not", name))
	case p.isOpen(group):
		p.fail(at, fmt.Sprintf("refers to the group %q, which it is in", name))
	}
}

// condition reads the group that a condition asks for.
func (p *regexParser) condition(at int) {
	name, ok := p.until(')')
	if !ok {
		p.fail(at, "opens a condition that is not closed")
		return
	}
	if _, known := p.names[name]; known {
		return
	}
	n, err := strconv.Atoi(name)
	if err != nil || n < 1 {
		p.fail(at, fmt.Sprintf("begins a condition on the group %q, which there is not", name))
		return
	}
	p.conditions = append(p.conditions, groupRef{group: n, pos: at})
}

// flags reads "i)", "i-s:" and the like; true where they are for the whole expression.
func (p *regexParser) flags(at int) (global bool) {
	on, minus := true, false
	for !p.end() {
		r := p.src[p.pos]
		p.pos++
		switch {
		case r == 'x':
			p.verbose = on
		case strings.ContainsRune("aiLmsu", r):
		case r == '-' && !minus:
			on, minus = false, true
		case r == ')' && !minus:
			return true
		case r == ':':
			return false
		default:
			p.fail(at, "opens a group with flags that Python does not know")
		}
	}
	p.fail(at, "opens a parenthesis that is not closed")
	return false
}

func identifier(s string) bool {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r) && !unicode.In(r, unicode.Mn, unicode.Mc)) {
			return false
		}
	}
	return s != ""
}
