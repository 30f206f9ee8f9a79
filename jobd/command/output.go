package command

import (
	"encoding/json"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// format is how a command prints.
type format struct {
	Output string `short:"o" help:"table for people; json and tsv (with a header line) for scripts." enum:"table,json,tsv" default:"table"`
}

// rows prints a table, or the value that it was made from as JSON.
func (f format) rows(w io.Writer, value any, header []string, rows [][]string) error {
	switch f.Output {
	case "json":
		return printJSON(w, value)
	case "tsv":
		var b strings.Builder
		clean := strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")
		for _, row := range append([][]string{header}, rows...) {
			for i, cell := range row {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(clean.Replace(cell))
			}
			b.WriteByte('\n')
		}
		_, err := io.WriteString(w, b.String())
		return err
	default:
		t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		for i, h := range header {
			header[i] = strings.ToUpper(h)
		}
		for _, row := range append([][]string{header}, rows...) {
			if _, err := io.WriteString(t, strings.TrimRight(strings.Join(row, "\t"), "\t")+"\n"); err != nil {
				return err
			}
		}
		return t.Flush()
	}
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

// firstLine keeps tables to one line a row.
func firstLine(s string) string {
	line, rest, more := strings.Cut(strings.TrimSpace(s), "\n")
	if more && rest != "" {
		line += " …"
	}
	return line
}
