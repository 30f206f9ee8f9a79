package command

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// format is how a command prints: a table for people, JSON as the API has it, CSV or TSV. All but the first are for scripts, so
// they hold everything, with the API's own words and times in UTC.
type format struct {
	Output string `short:"o" help:"table for people; json, and csv or tsv (with a header line), for scripts." enum:"table,json,csv,tsv" default:"table"`
	line   bool   // JSON on one line
}

// script says whether cells are for programs.
func (f format) script() bool { return f.Output == "tsv" || f.Output == "csv" }

// word is one of the API's words: "in_sync" for scripts, "in sync" for people.
func word[T ~string](f format, s T) string {
	if f.script() {
		return string(s)
	}
	return words(s)
}

// text is a text that may have many lines, of which a table shows the first.
func (f format) text(s string) string {
	if f.script() {
		return s
	}
	return firstLine(s)
}

// time is empty, or "-" in a table, for no time.
func (f format) time(t time.Time) string {
	switch {
	case !f.script():
		return clock(t)
	case t.IsZero():
		return ""
	default:
		return t.UTC().Format(time.RFC3339)
	}
}

// target is a target expression. A table shows no more of a long list than tells it apart.
func (f format) target(t gaea.Target) string {
	if f.script() {
		return t.String()
	}
	return shortTarget(t)
}

// counts writes "succeeded=3,unreachable=1" for scripts, "3 succeeded, 1 unreachable" for people.
func (f format) counts(c map[gaea.Outcome]int) string {
	if !f.script() {
		return counts(c)
	}
	var parts []string
	for _, o := range gaea.Outcomes() {
		if c[o] > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", o, c[o]))
		}
	}
	return strings.Join(parts, ",")
}

// escape keeps a TSV cell on its line, in the way that can be undone: \t, \n, \r and \\.
var escape = strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

// escaped is a TSV cell: what else would move a terminal's cursor, or turn round the direction of writing, is \uXXXX.
func escaped(cell string) string {
	cell = escape.Replace(cell)
	if !strings.ContainsFunc(cell, moves) {
		return cell
	}
	var b strings.Builder
	for _, r := range cell {
		if moves(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// moves says whether a character does something to a terminal. All such are below U+10000, but for tags that nothing shows.
func moves(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// rows prints a table, or the value that it was made from as JSON.
func (f format) rows(w io.Writer, value any, header []string, rows [][]string) error {
	switch f.Output {
	case "json":
		if f.line {
			return json.NewEncoder(w).Encode(value)
		}
		return printJSON(w, value)
	case "csv":
		c := csv.NewWriter(w)
		return c.WriteAll(append([][]string{header}, rows...))
	case "tsv":
		var b strings.Builder
		for _, row := range append([][]string{header}, rows...) {
			for i, cell := range row {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(escaped(cell))
			}
			b.WriteByte('\n')
		}
		_, err := io.WriteString(w, b.String())
		return err
	default:
		return table(w, header, rows)
	}
}

func table(w io.Writer, header []string, rows [][]string) error {
	var aligned bytes.Buffer
	t := tabwriter.NewWriter(&aligned, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, strings.ToUpper(strings.Join(header, "\t"))) // a buffer takes everything
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = harmless(cell) // whatever it is, and wherever it comes from
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	_ = t.Flush()
	for line := range strings.Lines(aligned.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func words[T ~string](s T) string { return strings.ReplaceAll(string(s), "_", " ") }

// counts writes "3 succeeded, 1 unreachable", or "-" where there are no minions yet.
func counts(c map[gaea.Outcome]int) string {
	var parts []string
	for _, o := range gaea.Outcomes() {
		if c[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c[o], words(o)))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// shortTarget is a target on less than a line.
func shortTarget(t gaea.Target) string {
	const ids, letters = 3, 60
	if len(t.Minions) > ids+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(t.Minions[:ids], ","), len(t.Minions)-ids)
	}
	expr := []rune(t.String())
	if len(expr) > letters {
		return string(expr[:letters-1]) + "…"
	}
	return string(expr)
}

// firstLine keeps tables to one line a row.
func firstLine(s string) string {
	line, rest, more := strings.Cut(strings.TrimSpace(s), "\n")
	if more && rest != "" {
		line += " …"
	}
	return harmless(line)
}

func indent(s, by string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = by + line
		}
	}
	return strings.Join(lines, "\n")
}
