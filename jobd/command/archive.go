package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type archiveCommand struct {
	Ledger  ledgerCommand  `cmd:"" help:"Show what jobs expected, what came, and what never did."`
	Verify  verifyCommand  `cmd:"" help:"Compare the archive with the master's job cache."`
	Import  importCommand  `cmd:"" help:"Store what a master's job cache on disk has, without a running jobd."`
	Export  exportCommand  `cmd:"" help:"Write jobs, returns, events and runs as NDJSON."`
	Stats   statsCommand   `cmd:"" help:"Show how much the archive holds, and how fast it grows."`
	Hold    holdCommand    `cmd:"" help:"Keep a run or a job from being deleted by retention."`
	Holds   holdsCommand   `cmd:"" help:"List what is held, with who holds it, since when and why."`
	Release releaseCommand `cmd:"" help:"Release a hold."`
	Backup  backupCommand  `cmd:"" help:"Copy the archive's SQLite file while jobd runs."`
}

type ledgerCommand struct {
	remote
	format
	Since      time.Duration `help:"Only jobs of the last; ${default} when absent, 0 for all." default:"24h" placeholder:"DURATION"`
	Incomplete bool          `help:"Only jobs with an expected minion that has not returned."`
	Limit      int           `short:"n" help:"How many jobs, newest first, up to 1000." default:"20"`
}

// Help is printed above the list of arguments.
func (*ledgerCommand) Help() string {
	return `Each job says how many minions the master expected, how many returns came over the event bus, how many were
recovered from the master's job cache, how many came after their run was settled without them, and how many are missing,
with how Gaea settled those where it published the job. The sums are over all jobs, not only those that are listed.

Examples:
  jobd archive ledger --incomplete
  jobd archive ledger --since 720h -o tsv`
}

// ledgerAnswer is the ledger as JSON.
type ledgerAnswer struct {
	Totals gaea.LedgerTotals `json:"totals"`
	gaea.Page[gaea.JobLedger]
}

// Run shows the ledger.
func (c *ledgerCommand) Run(w *world) error {
	if c.Limit < 1 || c.Limit > 1000 {
		return usageError("--limit must be between 1 and 1000")
	}
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	f := gaea.LedgerFilter{Incomplete: c.Incomplete}
	if c.Since > 0 {
		f.Since = time.Now().Add(-c.Since)
	}
	var out ledgerAnswer
	if out.Totals, err = client.LedgerTotals(w.ctx, f); err != nil {
		return err
	}
	if out.Page, err = client.Ledger(w.ctx, f, gaea.PageRequest{Limit: c.Limit}); err != nil {
		return err
	}
	if c.Output == "table" {
		t := out.Totals
		w.printf("%d jobs, %d of them incomplete: %d returns expected, %d received, %d recovered, %d missing\n",
			t.Jobs, t.Incomplete, t.Expected, t.Received, t.Recovered, t.Missing)
		if len(out.Items) == 0 {
			return nil
		}
		w.printf("\n")
	}
	rows := make([][]string, len(out.Items))
	for i := range out.Items {
		j := &out.Items[i]
		rows[i] = []string{
			j.JID, c.time(j.Started), c.text(j.Function), strconv.Itoa(j.Expected), strconv.Itoa(j.Received), strconv.Itoa(j.Recovered), strconv.Itoa(j.Late),
			strconv.Itoa(j.Missing), c.counts(j.Settled), j.RunID,
		}
	}
	return c.rows(w.Stdout, out, []string{"jid", "started", "function", "expected", "received", "recovered", "late", "missing", "settled", "run"}, rows)
}

type verifyCommand struct {
	remote
	format
	Since  time.Duration `help:"Only jobs that were published, or had a return, in the last; all that the job cache has when absent." placeholder:"DURATION"`
	Fix    bool          `help:"Store what is missing."`
	Master string        `help:"The master whose job cache is meant, by its name in jobd masters: its own jobd compares it; that of the jobd that is asked when absent." placeholder:"MASTER"`
}

// Help is printed above the list of arguments.
func (*verifyCommand) Help() string {
	return `jobd compares each job that the master's job cache still has with the archive: that it is there, the minions that the
master expects, and each return with its body, return code and success. Secrets are redacted before bodies are compared.
What only the archive has is fine, and so is a minion that has not returned yet.

A return that differs stays as it was first stored, with --fix too: the archive does not rewrite history.

It needs the role plan. Exit codes: 0 nothing is missing or different, or --fix has stored all that was; 1 something is;
4 it could not be verified, or not all of it.

Examples:
  jobd archive verify --since 24h
  jobd archive verify --since 24h --fix
  jobd archive verify --master eu1              # whichever jobd is asked`
}

// Run verifies, part by part, and prints what it finds.
func (c *verifyCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return unverified(w, err)
	}
	defer client.Close()
	req := gaea.VerifyRequest{Master: c.Master, Fix: c.Fix}
	if c.Since > 0 {
		req.Since = time.Now().Add(-c.Since)
	}
	all := gaea.VerifyReport{Differences: []gaea.Difference{}}
	for {
		report, err := client.VerifyArchive(w.ctx, req)
		if err != nil {
			return unverified(w, err)
		}
		all.Jobs, all.Returns, all.Beyond, all.Stored = all.Jobs+report.Jobs, all.Returns+report.Returns, all.Beyond+report.Beyond, all.Stored+report.Stored
		all.Differences, all.Unread, all.Recovering = append(all.Differences, report.Differences...), append(all.Unread, report.Unread...), report.Recovering
		if report.Next == "" {
			break
		}
		if req.After = report.Next; w.OnTerminal && c.Output == "table" {
			w.note("%d jobs compared, up to %s …\n", all.Jobs, harmless(report.Next))
		}
	}
	return c.show(w, &all)
}

// show prints what was found, and says with the exit code whether all is well.
func (c *verifyCommand) show(w *world, all *gaea.VerifyReport) error {
	left := 0
	rows := make([][]string, len(all.Differences))
	for i, d := range all.Differences {
		fixed := ""
		if d.Fixed {
			fixed = "stored now"
		} else {
			left++
		}
		rows[i] = []string{c.text(d.JID), c.text(d.Minion), word(c.format, d.Kind), fixed}
	}
	if c.Output != "table" || len(rows) > 0 {
		if err := c.rows(w.Stdout, all, []string{"jid", "minion", "what", "fixed"}, rows); err != nil {
			return err
		}
	}
	for _, u := range all.Unread {
		w.note("Job %s could not be compared: %s\n", harmless(u.JID), harmless(u.Reason))
	}
	if c.Output == "table" {
		w.printf("%s\n", verdict(all, left))
	}
	switch {
	case left > 0:
		return exitError(ExitFailed)
	case len(all.Unread) > 0:
		return exitError(ExitAway)
	default:
		return nil
	}
}

// verdict is the last line for people.
func verdict(all *gaea.VerifyReport, left int) string {
	if all.Jobs == 0 {
		return "The master's job cache has no such jobs: nothing was compared."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d jobs and %d returns of the master's job cache compared: ", all.Jobs, all.Returns)
	switch fixed := len(all.Differences) - left; {
	case len(all.Differences) == 0:
		b.WriteString("the archive has them all.")
	case fixed == 0:
		fmt.Fprintf(&b, "%d missing or different.", left)
	default:
		fmt.Fprintf(&b, "%d missing or different, %d of them stored now.", len(all.Differences), fixed)
	}
	if left > 0 && all.Recovering {
		b.WriteString(" jobd is fetching what it missed: verify again in a moment.")
	}
	return b.String()
}

// unverified prints an error, and ends with an exit code that does not stand for a difference.
func unverified(w *world, err error) error {
	if code := w.fail(err); code != ExitFailed {
		return exitError(code)
	}
	return exitError(ExitAway)
}
