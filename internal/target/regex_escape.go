package target

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// escape reads a backslash and what belongs to it, outside of sets.
func (p *regexParser) escape() atom {
	at := p.pos
	p.pos++
	if p.pos >= len(p.src) {
		p.fail(at, "is a backslash with nothing behind it")
		return something
	}
	r := p.src[p.pos]
	switch {
	case strings.ContainsRune("AbBZz", r):
		p.pos++
		return anchor
	case strings.ContainsRune("dDsSwWafnrtv", r):
		p.pos++
	case r >= '1' && r <= '9':
		p.backreference(at)
	default:
		p.character(at)
	}
	return something
}

// backreference reads \1 to \99, or three octal digits, which are a character.
func (p *regexParser) backreference(at int) {
	first := p.src[p.pos]
	p.pos++
	number := string(first)
	if next := p.peek(); next >= '0' && next <= '9' {
		p.pos++
		number += string(next)
		if third := p.peek(); octal(first) && octal(next) && octal(third) {
			p.pos++
			if first > '3' {
				p.fail(at, "begins an octal number over 377")
			}
			return
		}
	}
	group, _ := strconv.Atoi(number)
	switch {
	case group > p.groups:
		p.fail(at, fmt.Sprintf("refers to the group %d, which there is not", group))
	case p.isOpen(group):
		p.fail(at, fmt.Sprintf("refers to the group %d, which it is in", group))
	}
}

// setEscape reads a backslash and what belongs to it, in a set.
func (p *regexParser) setEscape() (r rune, one bool) {
	at := p.pos
	p.pos++
	if p.pos >= len(p.src) {
		p.fail(at, "is a backslash with nothing behind it")
		return 0, true
	}
	r = p.src[p.pos]
	switch {
	case strings.ContainsRune("dDsSwW", r):
		p.pos++
		return 0, false
	case strings.ContainsRune("abfnrtv", r):
		p.pos++
		return rune("\a\b\f\n\r\t\v"[strings.IndexRune("abfnrtv", r)]), true
	default:
		return p.character(at), true
	}
}

// named stands for a character given by its name: which one it is only a table of names knows.
const named = rune(-1)

// character reads what stands for one character behind a backslash at an index: a number, a name, or the character itself.
func (p *regexParser) character(at int) rune {
	r := p.src[p.pos]
	p.pos++
	switch {
	case r == 'x':
		return p.hex(at, 2)
	case r == 'u':
		return p.hex(at, 4)
	case r == 'U':
		return p.hex(at, 8)
	case r == 'N':
		if p.take('{') {
			if name, ok := p.until('}'); ok && name != "" {
				return named
			}
		}
		p.fail(at, "begins a character's name that is not in braces")
	case octal(r):
		n := int(r - '0')
		for digits := 1; digits < 3 && octal(p.peek()); digits++ {
			n = n*8 + int(p.src[p.pos]-'0')
			p.pos++
		}
		if n > 0o377 {
			p.fail(at, "begins an octal number over 377")
		}
		return rune(n)
	case r == '8' || r == '9' || (r < unicode.MaxASCII && unicode.IsLetter(r)):
		p.fail(at, fmt.Sprintf("and the %q behind it are no escape that Python knows", r))
	}
	return r
}

func (p *regexParser) hex(at, digits int) rune {
	n := rune(0)
	for range digits {
		i := strings.IndexRune("0123456789abcdef", unicode.ToLower(p.peek()))
		if p.end() || i < 0 {
			p.fail(at, fmt.Sprintf("begins a character's number that has not %d hexadecimal digits", digits))
			return 0
		}
		if n = n<<4 | rune(i); n > unicode.MaxRune {
			p.fail(at, "begins a number that no character has")
			return 0
		}
		p.pos++
	}
	return n
}

func octal(r rune) bool { return r >= '0' && r <= '7' }
