package command

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

type checkCommand struct {
	remote
	format
	Assignment string        `arg:"" help:"The assignment's name."`
	Minions    []string      `short:"m" help:"Only these minions, with commas between." placeholder:"ID"`
	Master     string        `help:"The master whose minions are meant, by its name in jobd masters; that of the jobd that is asked when absent." placeholder:"MASTER"`
	MaxAge     gaea.Duration `help:"Keep evidence that is at most this old; every minion is looked at again when absent." placeholder:"10m"`
}

// Help is printed above the list of arguments.
func (*checkCommand) Help() string {
	return "Nothing is changed on the minions. The exit code is 0 where every minion is in sync, and 3 where one drifted, could not run the " +
		"states, or did not answer."
}

// Run makes the test run and shows what differs.
func (c *checkCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	status := newWaiting(w, "checking "+c.Assignment)
	report, err := client.Check(w.ctx, c.Assignment, gaea.CheckRequest{Master: c.Master, MaxAge: c.MaxAge, Minions: c.Minions})
	status.end()
	if err != nil {
		if w.ctx.Err() != nil {
			w.note("The check goes on if it has begun. See what it finds with: jobd drift %s\n", c.Assignment)
			return exitError(ExitFailed)
		}
		return err
	}
	return showDrift(w, []*gaea.DriftReport{report}, c.format)
}

type driftCommand struct {
	remote
	format
	Assignments []string `arg:"" optional:"" help:"Names of assignments; all when absent."`
	Master      string   `help:"The master whose minions are meant, by its name in jobd masters; that of the jobd that is asked when absent." placeholder:"MASTER"`
}

// Help is printed above the list of arguments.
func (*driftCommand) Help() string {
	return "No minion is asked: jobd check does that. The exit code is 0 where every minion is in sync, and 3 where one drifted, could not run " +
		"the states, did not answer, or was never looked at."
}

// Run shows drift by the archive alone: no minion is asked.
func (c *driftCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	names := c.Assignments
	if len(names) == 0 {
		for v, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Version[gaea.Assignment]], error) {
			return client.Assignments(w.ctx, p)
		}) {
			if err != nil {
				return err
			}
			names = append(names, v.Definition.Name)
		}
	}
	if len(names) == 0 && c.Output == "table" {
		w.note("There are no assignments.\n")
		return nil
	}
	reports := make([]*gaea.DriftReport, len(names))
	for i, name := range names {
		if reports[i], err = client.DriftOf(w.ctx, c.Master, name); err != nil {
			return err
		}
	}
	return showDrift(w, reports, c.format)
}

// showDrift prints reports; drift ends jobd with [ExitNotOK], and so does an assignment of which nothing is known.
func showDrift(w *world, reports []*gaea.DriftReport, f format) error {
	bad := false
	for _, r := range reports {
		bad = bad || r.Summary.Minions == 0 || r.Summary.InSync != r.Summary.Minions
	}
	if f.Output == "table" {
		for _, r := range reports {
			printReport(w, r)
		}
	} else if err := f.rows(w.Stdout, reports, []string{"assignment", "minion", "status", "state", "difference", "seen"}, driftRows(reports, f)); err != nil {
		return err
	}
	if bad {
		return exitError(ExitNotOK)
	}
	return nil
}

// driftRows has a line for each state that differs, and one for each minion without such states, also those in sync.
func driftRows(reports []*gaea.DriftReport, f format) (rows [][]string) {
	for _, r := range reports {
		for _, id := range slices.Sorted(maps.Keys(r.Minions)) {
			m := r.Minions[id]
			if len(m.States) == 0 {
				rows = append(rows, []string{r.Assignment, id, word(f, m.Status), "", f.text(m.Message), f.time(m.At)})
			}
			for _, label := range slices.Sorted(maps.Keys(m.States)) {
				rows = append(rows, []string{r.Assignment, id, word(f, m.Status), label, f.text(m.States[label]), f.time(m.At)})
			}
		}
	}
	return rows
}

func printReport(w *world, r *gaea.DriftReport) {
	w.printf("%s: %s\n", r.Assignment, summary(r.Summary))
	for _, id := range slices.Sorted(maps.Keys(r.Minions)) {
		m := r.Minions[id]
		if m.Status == gaea.EvidenceInSync {
			continue
		}
		w.printf("  %s: %s (%s)\n", harmless(id), words(m.Status), clock(m.At))
		if m.Message != "" {
			w.printf("%s\n", indent(harmlessBlock(m.Message), "    "))
		}
		for _, label := range slices.Sorted(maps.Keys(m.States)) {
			w.printf("    %s\n%s\n", harmless(label), indent(harmlessBlock(m.States[label]), "      "))
		}
	}
	if len(r.Unsettled) > 0 {
		w.printf("  never settles, not counted as drift: %s\n", harmless(strings.Join(r.Unsettled, ", ")))
	}
}

func summary(s gaea.DriftSummary) string {
	if s.Minions == 0 {
		return "no minion was looked at yet; make a test run with jobd check"
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{s.InSync, "in sync"}, {s.Drifted, "drifted"}, {s.CouldNotRun, "could not run"},
		{s.Unreachable, "unreachable"}, {s.Unknown, "unknown"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}
