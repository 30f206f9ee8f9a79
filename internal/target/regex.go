package target

import (
	"fmt"
	"slices"
	"strings"
)

// regex checks a regular expression of Python's re module, which is what Salt matches with. It finds what the module's
// parser (re._parser) would refuse whatever the version: open parentheses and brackets, nothing to repeat, unknown escapes
// and groups. It does not compute the width of look-behinds, and takes what only newer versions know.
func regex(s string) string {
	p := &regexParser{src: []rune(s), text: s}
	p.alternatives(0, false)
	if p.problem == "" && !p.end() {
		p.fail(p.pos, "closes no parenthesis")
	}
	if p.problem == "" {
		for _, ref := range p.conditions {
			if ref.group > p.groups {
				p.fail(ref.pos, fmt.Sprintf("refers to the group %d, which there is not", ref.group))
			}
		}
	}
	return p.problem
}

// maxNesting is how deep groups may be nested; Python's own limit is lower.
const maxNesting = 500

// regexParser goes through an expression once. After the first problem nothing more is read.
type regexParser struct {
	src        []rune
	text       string
	pos        int
	problem    string
	groups     int // capturing groups so far
	open       []int
	names      map[string]int
	conditions []groupRef
	verbose    bool
}

type groupRef struct{ group, pos int }

// atom is what the last thing read is, as far as a repetition after it cares.
type atom int

const (
	nothing atom = iota
	anchor       // matches no text: ^, $, \b
	something
	repeated
)

func (p *regexParser) end() bool { return p.pos >= len(p.src) || p.problem != "" }

func (p *regexParser) peek() rune {
	if p.end() {
		return 0
	}
	return p.src[p.pos]
}

// take reads the next character if it is r.
func (p *regexParser) take(r rune) bool {
	if !p.end() && p.src[p.pos] == r {
		p.pos++
		return true
	}
	return false
}

// fail notes a problem with the character at an index.
func (p *regexParser) fail(at int, what string) {
	if p.problem != "" {
		return
	}
	if at >= len(p.src) {
		p.problem = fmt.Sprintf("the regular expression %q ends too early: it %s", p.text, what)
		return
	}
	p.problem = fmt.Sprintf("in the regular expression %q the %q at character %d %s", p.text, p.src[at], at+1, what)
}

// alternatives reads up to a closing parenthesis or the end.
func (p *regexParser) alternatives(depth int, inCondition bool) {
	if depth > maxNesting {
		p.fail(p.pos, "is nested too deep")
		return
	}
	verbose := p.verbose
	for n := 0; ; n++ {
		p.sequence(depth)
		at := p.pos
		if !p.take('|') {
			break
		}
		if inCondition && n == 1 {
			p.fail(at, "begins a third branch of a condition, which has two at most")
		}
	}
	p.verbose = verbose
}

// sequence reads one alternative.
func (p *regexParser) sequence(depth int) {
	last := nothing
	for !p.end() {
		if p.verbose && p.blank() {
			continue
		}
		switch p.src[p.pos] {
		case '|', ')':
			return
		case '[':
			p.set()
			last = something
		case '*', '+', '?', '{':
			last = p.repetition(last)
		case '(':
			if p.group(depth) {
				last = something
			}
		case '^', '$':
			p.pos++
			last = anchor
		case '\\':
			last = p.escape()
		default:
			p.pos++
			last = something
		}
	}
}

// blank passes over a space or a comment, as verbose expressions have them.
func (p *regexParser) blank() bool {
	r := p.src[p.pos]
	if r == '#' {
		p.until('\n')
		return true
	}
	if !strings.ContainsRune(" \t\n\r\v\f", r) {
		return false
	}
	p.pos++
	return true
}

// repetition reads *, +, ? or {m,n} and what says how greedy it is, or a brace that stands for itself.
func (p *regexParser) repetition(of atom) atom {
	at := p.pos
	switch {
	case !p.operator():
		return something
	case of == nothing || of == anchor:
		p.fail(at, "has nothing to repeat before it")
	case of == repeated:
		p.fail(at, "repeats what is repeated already")
	}
	if !p.take('?') {
		p.take('+')
	}
	return repeated
}

// operator reads *, +, ? or {m,n}; false for a brace that is none, of which it reads the first character.
func (p *regexParser) operator() bool {
	at := p.pos
	if p.src[p.pos] != '{' {
		p.pos++
		return true
	}
	p.pos++
	if p.peek() == '}' {
		return false
	}
	low := p.digits()
	high := low
	if p.take(',') {
		high = p.digits()
	}
	if !p.take('}') {
		p.pos = at + 1
		return false
	}
	if low != "" && high != "" && less(high, low) {
		p.fail(at, "asks for at most fewer repetitions than at least")
	}
	return true
}

func (p *regexParser) digits() string {
	from := p.pos
	for !p.end() && p.src[p.pos] >= '0' && p.src[p.pos] <= '9' {
		p.pos++
	}
	return string(p.src[from:p.pos])
}

// less compares two numbers of any length.
func less(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// set reads a bracket expression.
func (p *regexParser) set() {
	at := p.pos
	p.pos++
	p.take('^')
	for first := true; ; first = false {
		if p.pos >= len(p.src) {
			p.fail(at, "opens a set that is not closed")
		}
		if p.end() || (!first && p.take(']')) {
			return
		}
		from := p.pos
		low, lowOne := p.member()
		if p.peek() != '-' {
			continue
		}
		p.pos++
		if p.pos >= len(p.src) {
			p.fail(at, "opens a set that is not closed")
			return
		}
		if p.take(']') {
			return
		}
		if high, highOne := p.member(); !lowOne || !highOne || (high < low && high != named && low != named) {
			p.fail(from, "begins a range that is none")
		}
	}
}

// member reads one member of a set: a character, or a class of them, which cannot begin or end a range.
func (p *regexParser) member() (r rune, one bool) {
	if p.peek() != '\\' {
		r = p.peek()
		p.pos++
		return r, true
	}
	return p.setEscape()
}

func (p *regexParser) isOpen(group int) bool { return slices.Contains(p.open, group) }
