package command

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

type exportCommand struct {
	remote
	Since  string   `help:"What happened at or after: a time (2026-11-01, 2026-11-01T08:30:00Z; UTC) or how long ago (24h). From the beginning when absent." placeholder:"TIME"`
	Until  string   `help:"And before. Now when absent." placeholder:"TIME"`
	Kind   []string `help:"Only these, with commas between: jobs, returns, events, runs. All when absent." placeholder:"KIND"`
	Master string   `help:"Only what belongs to this master, by its name in the archive." placeholder:"NAME"`
	Output string   `short:"o" help:"File that is written, whole or not at all; - is standard output." default:"-" placeholder:"FILE"`
}

// Help is printed above the list of arguments.
func (*exportCommand) Help() string {
	return `One JSON value a line, {"type": …, "data": …}: first a header with the schema (1), then jobs, returns, events and runs,
kind by kind, newest first, as the API has them, and at last "end" with the number of each. What comes while it is written
is not in it. An export without its "end" is not whole. docs/guides/export.md names the fields.

An export is read again from its beginning when it breaks off: take a large archive day by day.

Exit codes: 0 the export is whole; 1 or 4 it is not, as the error says, and a file is as it was before.

Examples:
  jobd archive export --since 2026-11-01 --until 2026-11-02 --output 2026-11-01.ndjson
  jobd archive export --since 24h --kind returns | jq -c 'select(.type == "return") | .data | select(.outcome == "failed") | [.jid, .minion]'`
}

// Run exports.
func (c *exportCommand) Run(w *world) error {
	req, err := c.request(time.Now())
	if err != nil {
		return err
	}
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.Output == "-" {
		_, err := exportTo(w, client, req, w.Stdout)
		return err
	}
	end, err := c.toFile(w, client, req)
	if err == nil {
		w.note("%d jobs, %d returns, %d events and %d runs are in %s.\n", end.Jobs, end.Returns, end.Events, end.Runs, c.Output)
	}
	return err
}

func (c *exportCommand) request(now time.Time) (gaea.ExportRequest, error) {
	req := gaea.ExportRequest{Master: c.Master}
	for name, t := range map[string]struct {
		text string
		into *time.Time
	}{"--since": {c.Since, &req.Since}, "--until": {c.Until, &req.Until}} {
		var ok bool
		if *t.into, ok = moment(t.text, now); !ok {
			return req, usageError(name + ": " + t.text + " is no time; write 2026-11-01, 2026-11-01T08:30:00Z, or how long ago, as 24h")
		}
	}
	if !req.Until.IsZero() && !req.Since.Before(req.Until) {
		return req, usageError("--until: nothing is before it and after --since")
	}
	for _, k := range c.Kind {
		kind := gaea.ExportKind(k)
		if !slices.Contains(gaea.ExportKinds(), kind) {
			return req, usageError("--kind: " + k + " is none of " + strings.ReplaceAll(joined(gaea.ExportKinds()), ",", ", "))
		}
		req.Kinds = append(req.Kinds, kind)
	}
	return req, nil
}

// moment is a time as people write it: a day or a time in UTC, or how long ago; the zero time for nothing.
func moment(text string, now time.Time) (t time.Time, ok bool) {
	if text == "" {
		return time.Time{}, true
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), ago >= 0
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// exportTo writes an export. A reader that wants no more of it is no error.
func exportTo(w *world, client *jobdclient.Client, req gaea.ExportRequest, to io.Writer) (*gaea.ExportEnd, error) {
	out := bufio.NewWriterSize(to, 64<<10)
	end, err := client.ExportArchive(w.ctx, req, out)
	return end, errors.Join(err, out.Flush())
}

// toFile writes the export beside the file, and puts it in the file's place when it is whole.
func (c *exportCommand) toFile(w *world, client *jobdclient.Client, req gaea.ExportRequest) (end *gaea.ExportEnd, err error) {
	f, err := os.CreateTemp(filepath.Dir(c.Output), "."+filepath.Base(c.Output)+".*") // for its owner alone
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "the file %s cannot be written; give --output a file in a directory that you may write in", c.Output)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if end, err = exportTo(w, client, req, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err = errors.Join(f.Sync(), f.Close()); err != nil {
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the file %s cannot be written", c.Output)
	}
	return end, os.Rename(f.Name(), c.Output)
}
