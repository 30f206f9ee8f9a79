package command

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// terminal understands what [screen] writes, and fails the test for all else.
type terminal struct {
	t      testing.TB
	lines  [][]rune
	row    int
	col    int
	hidden bool
	writes int
}

var sequence = regexp.MustCompile(`^\x1b\[(\??)([0-9]*)([A-Za-z])`)

func (v *terminal) Write(b []byte) (int, error) {
	v.writes++
	for s := string(b); s != ""; {
		if m := sequence.FindStringSubmatch(s); m != nil {
			v.control(m[1], m[2], m[3])
			s = s[len(m[0]):]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		v.put(r)
	}
	return len(b), nil
}

func (v *terminal) line() *[]rune {
	for len(v.lines) <= v.row {
		v.lines = append(v.lines, nil)
	}
	return &v.lines[v.row]
}

func (v *terminal) put(r rune) {
	switch r {
	case '\r':
		v.col = 0
	case '\n':
		v.row++
		v.line()
	default:
		l := v.line()
		for len(*l) <= v.col {
			*l = append(*l, ' ')
		}
		(*l)[v.col] = r
		v.col++
	}
}

func (v *terminal) control(private, number, what string) {
	switch {
	case private == "?" && number == "25":
		v.hidden = what == "l"
	case what == "m":
	case what == "A":
		v.row--
	case what == "K":
		if l := v.line(); len(*l) > v.col {
			*l = (*l)[:v.col]
		}
	case what == "J":
		if l := v.line(); len(*l) > v.col {
			*l = (*l)[:v.col]
		}
		v.lines = v.lines[:v.row+1]
	default:
		v.t.Errorf("the terminal does not know ESC[%s%s%s", private, number, what)
	}
	if v.row < 0 {
		v.t.Fatalf("the cursor leaves the screen")
	}
}

func (v *terminal) String() string {
	lines := make([]string, len(v.lines))
	for i, l := range v.lines {
		lines[i] = strings.TrimRight(string(l), " ")
	}
	return strings.Join(lines, "\n")
}

func sized(width, height int) func() (int, int) { return func() (int, int) { return width, height } }

func TestABlockIsDrawnOverTheOneBeforeInOneWrite(t *testing.T) {
	t.Parallel()
	v := &terminal{t: t}
	_, _ = v.Write([]byte("$ jobd run\r\n"))
	v.writes = 0
	s := screen{w: v, size: sized(40, 10)}
	s.draw([]string{"one", "two longer", "three"})
	s.draw([]string{"1", "2"})
	if got := v.String(); got != "$ jobd run\n1\n2" || v.writes != 2 {
		t.Errorf("after %d writes the screen shows:\n%s", v.writes, got)
	}
	if !v.hidden {
		t.Error("the cursor jumps about")
	}
	s.end()
	if got := v.String(); got != "$ jobd run\n" || v.hidden || v.col != 0 || v.row != 1 {
		t.Errorf("at the end (hidden %t, column %d) the screen shows:\n%s", v.hidden, v.col, got)
	}
	s.end()
	if v.writes != 3 {
		t.Error("a second end writes again")
	}
}

func TestABlockIsNoLargerThanTheScreen(t *testing.T) {
	t.Parallel()
	v := &terminal{t: t}
	s := screen{w: v, size: sized(10, 3)}
	s.draw([]string{"0123456789", "\x1b[31mabcdefghijk\x1b[0m", "third", "fourth"})
	if got := v.String(); got != "01234567…\nabcdefgh…" {
		t.Errorf("the screen shows:\n%s", got)
	}
}

func TestAPanicGivesTheCursorBack(t *testing.T) {
	t.Parallel()
	v := &terminal{t: t}
	func() {
		defer func() { _ = recover() }()
		d := &liveDisplay{screen: screen{w: v, size: sized(80, 24)}}
		defer d.end()
		d.see(sampleRun())
		panic("a fault")
	}()
	if v.hidden || v.String() != "" {
		t.Errorf("the cursor is hidden: %t; the screen shows:\n%s", v.hidden, v)
	}
}

func TestWhateverIsDrawnFitsAndNothingOfTheLastStays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		v := &terminal{t: t}
		width, height := rapid.IntRange(1, 60).Draw(rt, "width"), rapid.IntRange(1, 8).Draw(rt, "height")
		s := screen{w: v, size: func() (int, int) { return width, height }}
		text := rapid.StringOfN(rapid.SampledFrom([]rune("abcü…")), 0, 90, -1)
		var last []string
		for range 4 {
			last = rapid.SliceOfN(text, 1, 10).Draw(rt, "lines")
			s.draw(last)
		}
		shown := strings.Split(v.String(), "\n")
		if len(shown) > max(height-1, 1) {
			rt.Fatalf("%d lines on a screen of %d", len(shown), height)
		}
		for i, line := range shown {
			if utf8.RuneCountInString(line) > max(width-1, 0) {
				rt.Fatalf("line %d is %q, and the screen has %d columns", i, line, width)
			}
			if wide(last[i]) < width && strings.TrimRight(last[i], " ") != line {
				rt.Fatalf("line %d is %q, not %q", i, line, last[i])
			}
		}
	})
}

func TestWideLettersTakeTwoColumns(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{"abc": 3, "日本": 4, "e\u0301": 1, "\x1b[1mab\x1b[0m": 2, "…█": 2} {
		if got := wide(line); got != want {
			t.Errorf("%q takes %d columns, not %d", line, got, want)
		}
	}
	if got := fit("日本語", 5); got != "日本…" {
		t.Errorf("cut to 5 columns it is %q", got)
	}
}

func TestWhatAMinionSaysCannotTouchTheTerminal(t *testing.T) {
	t.Parallel()
	if got := harmless("a\x1b[2Jb\rc\x9bd\u202ee\tf"); strings.ContainsAny(got, "\x1b\r\t\u009b\u202e") || !strings.HasPrefix(got, "a ") {
		t.Errorf("it becomes %s", strconv.QuoteToASCII(got))
	}
}
