package command

import (
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// Control sequences (ECMA-48, and DEC's for the cursor).
const (
	clearLine   = "\x1b[K" // to the end of the line
	clearBelow  = "\x1b[J" // to the end of the screen
	hideCursor  = "\x1b[?25l"
	showCursor  = "\x1b[?25h"
	resetColour = "\x1b[0m"
)

// screen is a block of lines at the bottom of a terminal that is drawn over itself. Each drawing is one write, and nothing
// is cleared before it is written anew, so it does not flicker. It must be ended, which gives the cursor back.
type screen struct {
	w     io.Writer
	size  func() (width, height int)
	lines int // that stand there
	used  bool
}

// draw shows lines in the place of those before. What does not fit is cut off.
func (s *screen) draw(lines []string) {
	columns, rows := s.size()
	lines = lines[:min(len(lines), max(rows-1, 1))]
	var b strings.Builder
	if !s.used {
		b.WriteString(hideCursor)
		s.used = true
	}
	s.home(&b)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(fit(line, columns-1)) // a full line would wrap on some terminals
		b.WriteString(clearLine)
	}
	if s.lines > len(lines) {
		b.WriteString(clearBelow)
	}
	s.lines = len(lines)
	_, _ = io.WriteString(s.w, b.String())
}

// home goes to the block's first column and line.
func (s *screen) home(b *strings.Builder) {
	b.WriteByte('\r')
	for range s.lines - 1 {
		b.WriteString("\x1b[A")
	}
}

// end takes the block away and gives the cursor back.
func (s *screen) end() {
	if !s.used {
		return
	}
	var b strings.Builder
	s.home(&b)
	b.WriteString(clearBelow + showCursor)
	s.lines, s.used = 0, false
	_, _ = io.WriteString(s.w, b.String())
}

// columnsOf is how wide a letter is on a terminal.
func columnsOf(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r < 0x1100:
		return 1
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// fit cuts a line that is wider than so many columns, and ends it with "…". Colours take no room.
func fit(line string, columns int) string {
	if wide(line) <= columns {
		return line
	}
	var b strings.Builder
	at, escape, coloured := 0, false, false
	for _, r := range line {
		if r == '\x1b' {
			escape, coloured = true, true
		}
		if !escape {
			if at+columnsOf(r) > columns-1 {
				break
			}
			at += columnsOf(r)
		}
		escape = escape && r != 'm'
		b.WriteRune(r)
	}
	if coloured {
		b.WriteString(resetColour)
	}
	if columns > 0 {
		b.WriteString("…")
	}
	return b.String()
}

// wide is how many columns a line takes.
func wide(line string) int {
	at, escape := 0, false
	for _, r := range line {
		if r == '\x1b' {
			escape = true
		}
		if !escape {
			at += columnsOf(r)
		}
		escape = escape && r != 'm'
	}
	return at
}

// harmless is a text of somebody else's as one line without control characters: what a minion says must not move the cursor,
// colour the screen, or turn round the direction of writing.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		default:
			return r
		}
	}, s)
}

// palette colours texts, or leaves them as they are.
type palette bool

func (p palette) in(code, s string) string {
	if !p || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + resetColour
}

func (p palette) bold(s string) string   { return p.in("1", s) }
func (p palette) dim(s string) string    { return p.in("2", s) }
func (p palette) red(s string) string    { return p.in("31", s) }
func (p palette) green(s string) string  { return p.in("32", s) }
func (p palette) yellow(s string) string { return p.in("33", s) }
