package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type statsCommand struct {
	remote
	format
}

// Help is printed above the list of arguments.
func (*statsCommand) Help() string {
	return `Rows, bytes with indexes, the oldest, and the growth a day over the last week, for each kind. Contents are distinct bodies of
returns: what many returns have in common is stored once, packed with zstd. The ratio is that of the bodies as they came to what returns and
contents take. In an archive that has not been measured for an hour yet, growth is told by the times of what is there: what was imported counts
where it is of the last week. "In use" is what max_size is about: what is free in the database is used before it grows.

Counting is cheap. How many bytes a kind takes is measured when asked in a small archive and in PostgreSQL, and once a day in a large SQLite file.

Examples:
  jobd archive stats
  jobd archive stats -o json | jq .used_bytes`
}

// Run shows how much the archive holds.
func (c *statsCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	s, err := client.ArchiveStats(w.ctx)
	if err != nil {
		return err
	}
	if c.Output == "table" {
		limit := "no max_size"
		if s.MaxBytes > 0 {
			limit = "max_size " + gaea.Size(s.MaxBytes).String()
		}
		w.printf("%s in use of %s on disk (%s, %s)\n", gaea.Size(s.UsedBytes), gaea.Size(s.DiskBytes), s.Database, limit)
		if s.RawBytes > 0 {
			w.printf("%s of returns came, stored at a ratio of %.1f to 1\n", gaea.Size(s.RawBytes), s.Ratio)
		}
		w.printf("%d holds\n", s.Holds)
		if time.Since(s.Measured) > time.Minute {
			w.printf("The bytes of the kinds were measured at %s and carried on by the number of rows\n", clock(s.Measured))
		}
		w.printf("\n")
	}
	rows := make([][]string, len(s.Kinds))
	for i, k := range s.Kinds {
		bytes, growth := strconv.FormatInt(k.Bytes, 10), strconv.FormatFloat(k.BytesPerDay, 'f', 0, 64)
		if !c.script() {
			bytes, growth = gaea.Size(k.Bytes).String(), gaea.Size(k.BytesPerDay).String()
		}
		rows[i] = []string{k.Kind, strconv.FormatInt(k.Rows, 10), bytes, c.time(k.Oldest), strconv.FormatFloat(k.RowsPerDay, 'f', 0, 64), growth}
	}
	return c.rows(w.Stdout, s, []string{"kind", "rows", "bytes", "oldest", "rows/day", "bytes/day"}, rows)
}

type holdCommand struct {
	remote
	What   string `arg:"" help:"A run's id (run-…), or a job's (20 digits)." name:"run|jid"`
	Reason string `help:"Why, for who reads it later: a case number, who asked." required:"true" placeholder:"TEXT"`
	Master string `help:"The master of the job, where several share the archive; the newest job of that id when absent." placeholder:"NAME"`
}

// Help is printed above the list of arguments.
func (*holdCommand) Help() string {
	return `What is held is not deleted by retention, by age or by size: a run with the runs of its actions, their jobs and returns; a job with its
returns and the jobs that belong to it (of an orchestration, or of Salt's own batches). jobd notes who held it, when and why, and keeps that after
the release. The same may be held several times; it is kept until the last of them is released.

It needs the role admin.

Examples:
  jobd archive hold run-20260301T120000-abc123 --reason "incident 4711, asked for by audit"
  jobd archive hold 20260301120000123456 --reason "case 12/26"`
}

// Run holds a run or a job.
func (c *holdCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	req := gaea.HoldRequest{RunID: c.What, Reason: c.Reason}
	if !strings.HasPrefix(c.What, "run-") {
		req = gaea.HoldRequest{JID: c.What, Master: c.Master, Reason: c.Reason}
	}
	h, err := client.Hold(w.ctx, req)
	if err != nil {
		return err
	}
	w.printf("%s\n", h.ID)
	w.note("%s is held by %s until it is released: jobd archive release %s --reason …\n", harmless(c.What), harmless(h.Holder), h.ID)
	return nil
}

type holdsCommand struct {
	remote
	format
	All bool `help:"Those that were released as well, with who released them, when and why."`
}

// Run lists holds.
func (c *holdsCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Holds(w.ctx, c.All)
	if err != nil {
		return err
	}
	header := []string{"hold", "run", "jid", "since", "by", "reason"}
	if c.All {
		by, reason := "by", "reason"
		if c.script() { // what reads columns by their names wants different ones
			by, reason = "released_by", "release_reason"
		}
		header = append(header, "released", by, reason)
	}
	rows := make([][]string, len(list))
	for i, h := range list {
		rows[i] = []string{h.ID, c.text(h.RunID), c.text(h.JID), c.time(h.Created), c.text(h.Holder), c.text(h.Reason)}
		if c.All {
			rows[i] = append(rows[i], c.time(h.Released), c.text(h.Releaser), c.text(h.ReleaseReason))
		}
	}
	return c.rows(w.Stdout, list, header, rows)
}

type releaseCommand struct {
	remote
	What   string `arg:"" help:"The hold, from jobd archive holds; or the run or job, where it has one hold." name:"hold|run|jid"`
	Reason string `help:"Why, for who reads it later." required:"true" placeholder:"TEXT"`
}

// Help is printed above the list of arguments.
func (*releaseCommand) Help() string {
	return `What is released goes when its age or the archive's size says so, unless another hold keeps it. The record of the hold stays:
jobd archive holds --all. It needs the role admin.

Examples:
  jobd archive release hold-abcd2345 --reason "case closed"
  jobd archive release 20260301120000123456 --reason "case closed"`
}

// Run releases a hold.
func (c *releaseCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Holds(w.ctx, false)
	if err != nil {
		return err
	}
	id, found := c.What, []string{}
	for _, h := range list {
		if h.RunID == c.What || h.JID == c.What {
			found = append(found, h.ID)
		}
	}
	switch len(found) {
	case 0:
	case 1:
		id = found[0]
	default:
		return usageError(fmt.Sprintf("%s has several holds; release one of %s (jobd archive holds tells them apart)", harmless(c.What), strings.Join(found, ", ")))
	}
	h, err := client.ReleaseHold(w.ctx, id, gaea.ReleaseRequest{Reason: c.Reason})
	if err != nil {
		return err
	}
	w.printf("%s\n", h.ID)
	return nil
}
