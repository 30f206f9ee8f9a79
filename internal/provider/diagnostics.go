package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Bounds on what a diagnostic quotes: it is read in a terminal, often at night.
const (
	maxQuotedMinions = 10
	maxQuotedText    = 1000 // bytes of one minion's words
)

// words is what a user may read of an error: for gaea's own the message, for an ended context what ended it.
func words(err error) string {
	var e *gaea.Error
	switch {
	case errors.As(err, &e):
		return gaea.MessageOf(err)
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		return "the time that the timeouts attribute allows has passed"
	default:
		return err.Error()
	}
}

// addError adds an error diagnostic for a failed request to jobd, in jobd's words.
func addError(diags *diag.Diagnostics, summary string, err error) {
	diags.AddError(summary, sentence(words(err)))
}

// sentence closes a text with a full stop where it has no closing mark.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?:") {
		return s
	}
	return s + "."
}

// addInvalid adds an error at the attribute that a validation error of the domain names, or at the one that is given where
// it names none.
func addInvalid(diags *diag.Diagnostics, at path.Path, err error) {
	if err == nil {
		return
	}
	var e *gaea.Error
	if !errors.As(err, &e) {
		diags.AddAttributeError(at, "Invalid value", sentence(err.Error()))
		return
	}
	if e.Field != "" {
		at = fieldPath(e.Field)
	}
	diags.AddAttributeError(at, "Invalid "+at.String(), sentence(e.Message))
}

// quoted is what one minion said, or what became of it.
type quoted struct{ minion, text string }

// quote lists the first minions with their words, indented, and counts the rest.
func quote(list []quoted) string {
	var b strings.Builder
	for i, q := range list {
		if i == maxQuotedMinions {
			fmt.Fprintf(&b, "\n  and %d more", len(list)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s: %s", q.minion, strings.ReplaceAll(cut(q.text, maxQuotedText), "\n", "\n    "))
	}
	return b.String()
}

// listNames joins the first names with commas and counts the rest.
func listNames(names []string) string {
	if len(names) <= maxQuotedMinions {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxQuotedMinions], ", "), len(names)-maxQuotedMinions)
}

// cut shortens a text to at most limit bytes, at a character's border, and says so.
func cut(s string, limit int) string {
	s = strings.TrimSpace(s)
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + " … (cut)"
}

// countMinions is "1 minion", "2 minions".
func countMinions(n int) string {
	if n == 1 {
		return "1 minion"
	}
	return fmt.Sprintf("%d minions", n)
}
