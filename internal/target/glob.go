package target

import (
	"fmt"
	"strings"
)

// globType checks an expression of the type glob, in which people also write what belongs to other types.
func globType(s string) string {
	if p := glob(s); p != "" {
		return p
	}
	switch w := readWord(s); {
	case len(strings.Fields(s)) != 1 || strings.TrimSpace(s) != s:
		return fmt.Sprintf("%q has a space, and no minion id has one; for several globs use the type \"compound\" with \"or\" between them", s)
	case w.engine != 0:
		return fmt.Sprintf("%q is a compound target; use the type \"compound\"", s)
	case strings.Contains(outsideBrackets(s), ","):
		return fmt.Sprintf("%q has a comma, and no minion id has one; use the type \"list\", or \"compound\" with \"or\" between globs", s)
	}
	return ""
}

// glob checks a glob for minion ids, as Python's fnmatch reads it. fnmatch takes an open bracket for itself, but no minion
// id has one.
func glob(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] != '[' {
			continue
		}
		end := bracketEnd(s, i)
		if end < 0 {
			return fmt.Sprintf("the bracket at character %d of the glob %q is not closed", position(s, i), s)
		}
		i = end
	}
	return ""
}

// bracketEnd is where the bracket expression that begins at i ends, or -1. A closing bracket right at the beginning is part
// of it: "[]a]", "[!]a]".
func bracketEnd(s string, i int) int {
	from := i + 1
	if from < len(s) && s[from] == '!' {
		from++
	}
	if from < len(s) && s[from] == ']' {
		from++
	}
	if n := strings.IndexByte(s[min(from, len(s)):], ']'); n >= 0 {
		return from + n
	}
	return -1
}

// outsideBrackets is a well-formed glob without its bracket expressions.
func outsideBrackets(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '[' {
			i = bracketEnd(s, i)
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// position counts the characters up to and with the one at byte i.
func position(s string, i int) int { return len([]rune(s[:i])) + 1 }
