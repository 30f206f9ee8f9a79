package expect

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/cel-go/cel"
)

var (
	undeclared   = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	noOverload   = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '([^']*)'`)
	unexpected   = regexp.MustCompile(`(?:mismatched|extraneous|no viable alternative at) input '((?:[^'\\]|\\.|'[^ ])*)'`)
	operatorName = regexp.MustCompile(`^(?:_(.+)_|([!-])_)$`)
	unreadable   = regexp.MustCompile(`^token recognition error at: '(.*)'`)
	noKey        = regexp.MustCompile(`no such key: (.*)$`)
	noOverloadAt = regexp.MustCompile(`^no such overload(?:: (.*))?$`)
)

// words says what is wrong with an expression, and where: of several troubles the first, which mostly causes the others.
func words(issues *cel.Issues, expr string) string {
	errors := issues.Errors()
	if len(errors) == 0 {
		return "the expression cannot be read"
	}
	first := errors[0]
	for _, e := range errors {
		if at, than := e.Location, first.Location; at.Line() > 0 &&
			(than.Line() <= 0 || at.Line() < than.Line() || (at.Line() == than.Line() && at.Column() < than.Column())) {
			first = e
		}
	}
	line, column := max(first.Location.Line(), 1), max(first.Location.Column(), 0)+1
	return fmt.Sprintf("line %d, column %d: %s", line, column, compileWords(first.Message, expr))
}

// compileWords says in plain words what CEL says of an expression.
func compileWords(message, expr string) string {
	message = firstLine(message)
	if m := undeclared.FindStringSubmatch(message); m != nil {
		if m[1] == "" {
			return "a name is missing"
		}
		if strings.Contains(expr, m[1]+"(") {
			return fmt.Sprintf("there is no function %q", m[1])
		}
		return fmt.Sprintf("there is no variable %q; use %s", m[1], variables)
	}
	if m := noOverload.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("%s does not go with %s", function(m[1]), typesOf(m[2]))
	}
	syntax, ok := strings.CutPrefix(message, "Syntax error: ")
	if !ok {
		return message
	}
	if m := unexpected.FindStringSubmatch(syntax); m != nil {
		if m[1] == "<EOF>" {
			return "the expression ends too early; something is missing here"
		}
		return fmt.Sprintf("%q is not expected here", m[1])
	}
	if m := unreadable.FindStringSubmatch(syntax); m != nil {
		switch text := strings.TrimSpace(m[1]); {
		case strings.HasPrefix(text, "="):
			return "a single = is not understood; to compare write =="
		case strings.HasPrefix(text, `"`), strings.HasPrefix(text, "'"):
			return "a text begins here and is not closed"
		default:
			return fmt.Sprintf("%q is not understood", text)
		}
	}
	return syntax
}

// evaluationWords says in plain words why an expression could not be evaluated.
func evaluationWords(message string) string {
	message = firstLine(message)
	if m := noKey.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("there is no key %q; where it may be missing, ask with has(…) or with in", strings.Trim(m[1], `"`))
	}
	if m := noOverloadAt.FindStringSubmatch(message); m != nil {
		if m[1] == "" {
			return "a value is of another type than the expression takes it for"
		}
		return fmt.Sprintf("a value is of another type than the expression takes it for (%s)", m[1])
	}
	switch {
	case strings.Contains(message, "cost limit"):
		return "it takes too much work on what was returned; look at less of it"
	case strings.Contains(message, "no such overload"), strings.Contains(message, "unsupported index type"):
		return "a value is of another type than the expression takes it for (" + message + ")"
	default:
		return message
	}
}

// function names an operator or a function of CEL as it is written.
func function(name string) string {
	switch name {
	case "_[_]":
		return "[…]"
	case "_?_:_":
		return "? :"
	case "@in":
		return "in"
	}
	if m := operatorName.FindStringSubmatch(name); m != nil {
		return m[1] + m[2]
	}
	return name + "()"
}

// typesOf writes the types that a function was given: "(int, string)".
func typesOf(list string) string {
	list = strings.Trim(list, "()")
	parts := strings.Split(list, ", ")
	return strings.Join(parts, " and ")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
