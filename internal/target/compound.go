package target

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Salt's compound expressions are words with spaces between them: "and", "or", "not", "(" and ")", and terms, each a
// matcher's letter with "@" and its pattern, or a bare glob. Where two terms have no operator between them Salt fails to
// evaluate the expression and matches nobody, without an error; only before "not" does it put the "and" in by itself.
// (salt.utils.minions, salt.matchers.compound_match)

// engines are the letters of Salt's matchers; T and M are known from 3008 on.
const engines = "GPIJLNSERTM"

// delimited are the engines that take another delimiter than the colon: "G|@key|value".
const delimited = "GPIJ"

// word is one word of a compound expression.
type word struct {
	text      string
	engine    byte   // 0 for a bare glob
	delimiter string // of keys and values
	pattern   string
}

// readWord reads a term as salt.utils.minions.TARGET_REX does.
func readWord(s string) word {
	w := word{text: s, delimiter: ":", pattern: s}
	if s == "" || !strings.ContainsRune(engines, rune(s[0])) {
		return w
	}
	rest := s[1:]
	if r, n := utf8.DecodeRuneInString(rest); strings.IndexByte(delimited, s[0]) >= 0 && n > 0 && len(rest) > n+1 && rest[n] == '@' {
		w.engine, w.delimiter, w.pattern = s[0], string(r), rest[n+1:]
		return w
	}
	if len(rest) > 1 && rest[0] == '@' {
		w.engine, w.pattern = s[0], rest[1:]
	}
	return w
}

// compound checks a compound expression.
func compound(expr string) string {
	words := strings.FieldsFunc(expr, func(r rune) bool { return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f) })
	var open []int // the words that are parentheses not yet closed
	before := ""   // the word before, where a term must follow it; at the beginning too
	wantTerm := true
	for i, w := range words {
		at := fmt.Sprintf("word %d, %q", i+1, w)
		switch w {
		case "and", "or":
			if wantTerm {
				return at + ", has no term before it"
			}
			wantTerm = true
		case "not":
			if before == "not" {
				return at + ", follows another \"not\", which Salt does not take"
			}
			wantTerm = true
		case "(":
			if !wantTerm {
				return at + fmt.Sprintf(": there is no operator between %q and the parenthesis", words[i-1])
			}
			open = append(open, i)
		case ")":
			switch {
			case len(open) == 0:
				return at + ", closes no parenthesis"
			case wantTerm:
				return at + fmt.Sprintf(", follows %q, and a term is missing between them", words[i-1])
			}
			open = open[:len(open)-1]
		default:
			if p := term(w); p != "" {
				return at + ": " + p
			}
			if !wantTerm {
				return at + fmt.Sprintf(": there is no operator between %q and %q", words[i-1], w)
			}
			wantTerm = false
		}
		before = w
	}
	switch {
	case wantTerm:
		return fmt.Sprintf("the expression ends with %q, and a term is missing behind it", before)
	case len(open) > 0:
		return fmt.Sprintf("the parenthesis that is word %d is not closed", open[len(open)-1]+1)
	}
	return ""
}

// mistaken are words that people take for operators.
var mistaken = []string{"&", "&&", "|", "||", "!", ",", "and,", "or,"}

// term checks one term of a compound expression; "" where it is right.
func term(s string) string {
	if slices.Contains(mistaken, s) || slices.Contains([]string{"and", "or", "not"}, strings.ToLower(s)) {
		return "the operators are \"and\", \"or\" and \"not\", in lower case"
	}
	w := readWord(s)
	if w.engine == 0 {
		return bare(s)
	}
	var p string
	switch w.engine {
	case 'G', 'I':
		p = keyValue(w.pattern, w.delimiter)
	case 'P', 'J':
		p = keyRegex(w.pattern, w.delimiter)
	case 'E':
		p = regex(w.pattern)
	case 'S':
		p = ipcidr(w.pattern)
	case 'L':
		p = list(w.pattern)
	}
	// A parenthesis that sticks to a term is part of its pattern for Salt.
	if shorter := strings.TrimRight(s, ")"); shorter != s && strings.Count(s, "(") < strings.Count(s, ")") {
		return fmt.Sprintf("write parentheses as words of their own, with spaces around them: %q", shorter+" )")
	}
	return p
}

// bare checks a word without a matcher's letter: a glob of minion ids.
func bare(s string) string {
	letter, at := rune(s[0]), strings.IndexByte(s, '@')
	switch {
	case at == 1 && strings.ContainsRune(engines, letter):
		return "nothing follows the \"@\""
	case at == 1 && strings.ContainsRune(engines, unicode.ToUpper(letter)):
		return fmt.Sprintf("the letter before \"@\" is a capital: %q", strings.ToUpper(s[:1])+s[1:])
	case at == 1 && unicode.IsUpper(letter):
		return fmt.Sprintf("there is no matcher %q; Salt has %s", s[:2], strings.Join(strings.Split("GPIJLSENR", ""), "@, ")+"@")
	case at == 2 && strings.ContainsRune(engines, letter) && strings.IndexByte("|:;,.!#%&+-/=~^$", s[1]) >= 0:
		return fmt.Sprintf("only G@, P@, I@ and J@ take another delimiter, not %c@", letter)
	case strings.HasPrefix(s, "(") || strings.HasSuffix(s, "("):
		return fmt.Sprintf("write parentheses as words of their own, with spaces around them: %q", strings.TrimSpace(strings.ReplaceAll(s, "(", " ( ")))
	case strings.HasPrefix(s, ")") || strings.HasSuffix(s, ")"):
		return fmt.Sprintf("write parentheses as words of their own, with spaces around them: %q", strings.TrimSpace(strings.ReplaceAll(s, ")", " ) ")))
	}
	if p := glob(s); p != "" {
		return p
	}
	if strings.Contains(outsideBrackets(s), ",") {
		return fmt.Sprintf("a glob has no commas; write %q", "L@"+strings.Trim(s, ","))
	}
	return ""
}

// list checks minion ids with commas between them.
func list(s string) string {
	ids := 0
	for id := range strings.SplitSeq(s, ",") {
		if id == "" { // Salt passes over these
			continue
		}
		if err := gaea.ValidateMinionID(id); err != nil {
			return gaea.MessageOf(err)
		}
		ids++
	}
	if ids == 0 {
		return "the list has no minion id"
	}
	return ""
}
