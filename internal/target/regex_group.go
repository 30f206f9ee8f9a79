package target

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// group reads a parenthesis and what is in it. False where it stands for nothing: a comment, or flags for the whole.
func (p *regexParser) group(depth int) bool {
	at := p.pos
	p.pos++
	capture, condition, verbose := true, false, p.verbose
	if p.take('?') {
		capture = false
		if p.pos >= len(p.src) {
			p.fail(at, "opens a parenthesis that is not closed")
			return false
		}
		kind := p.src[p.pos]
		p.pos++
		switch {
		case kind == 'P' && p.take('<'):
			capture = true
			p.name(at, '>')
		case kind == 'P' && p.take('='):
			p.reference(at)
			return true
		case kind == '#':
			if _, closed := p.until(')'); !closed {
				p.fail(at, "opens a comment that is not closed")
			}
			return false
		case kind == ':' || kind == '=' || kind == '!' || kind == '>':
		case kind == '<' && (p.take('=') || p.take('!')):
		case kind == '(':
			condition = true
			p.condition(at)
		case strings.ContainsRune("aiLmsux-", kind):
			p.pos--
			if p.flags(at) {
				return false
			}
		default:
			p.fail(at, "opens a group of a kind that Python does not know")
		}
	}
	if p.problem != "" {
		return false
	}
	number := 0
	if capture {
		p.groups++
		number = p.groups
		p.open = append(p.open, number)
	}
	p.alternatives(depth+1, condition)
	if capture {
		p.open = p.open[:len(p.open)-1]
	}
	p.verbose = verbose
	if !p.take(')') {
		p.fail(at, "opens a parenthesis that is not closed")
	}
	return true
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
