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
	MaxAge     gaea.Duration `help:"Keep evidence that is at most this old; every minion is looked at again when absent." placeholder:"10m"`
}

// Run makes the test run and shows what differs.
func (c *checkCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	report, err := client.Check(w.ctx, c.Assignment, gaea.CheckRequest{MaxAge: c.MaxAge, Minions: c.Minions})
	if err != nil {
		return err
	}
	return showDrift(w, []*gaea.DriftReport{report}, c.format)
}

type driftCommand struct {
	remote
	format
	Assignments []string `arg:"" optional:"" help:"Names of assignments; all when absent."`
}

// Run shows drift by the archive alone: no minion is asked.
func (c *driftCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
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
	reports := make([]*gaea.DriftReport, len(names))
	for i, name := range names {
		if reports[i], err = client.Drift(w.ctx, name); err != nil {
			return err
		}
	}
	return showDrift(w, reports, c.format)
}

// showDrift prints reports; drift ends jobd with [ExitNotOK].
func showDrift(w *world, reports []*gaea.DriftReport, f format) error {
	bad := false
	var rows [][]string
	for _, r := range reports {
		bad = bad || r.Summary.InSync != r.Summary.Minions
		for _, id := range slices.Sorted(maps.Keys(r.Minions)) {
			m := r.Minions[id]
			if len(m.States) == 0 {
				rows = append(rows, []string{r.Assignment, id, words(m.Status), "", firstLine(m.Message), clock(m.At)})
			}
			for _, label := range slices.Sorted(maps.Keys(m.States)) {
				rows = append(rows, []string{r.Assignment, id, words(m.Status), label, firstLine(m.States[label]), clock(m.At)})
			}
		}
	}
	if f.Output == "table" {
		for _, r := range reports {
			printReport(w, r)
		}
	} else if err := f.rows(w.stdout, reports, []string{"assignment", "minion", "status", "state", "difference", "seen"}, rows); err != nil {
		return err
	}
	if bad {
		return exitError(ExitNotOK)
	}
	return nil
}

func printReport(w *world, r *gaea.DriftReport) {
	w.printf("%s: %s\n", r.Assignment, summary(r.Summary))
	for _, id := range slices.Sorted(maps.Keys(r.Minions)) {
		m := r.Minions[id]
		if m.Status == gaea.EvidenceInSync {
			continue
		}
		w.printf("  %s: %s (%s)\n", id, words(m.Status), clock(m.At))
		if m.Message != "" {
			w.printf("%s\n", indent(m.Message, "    "))
		}
		for _, label := range slices.Sorted(maps.Keys(m.States)) {
			w.printf("    %s\n%s\n", label, indent(m.States[label], "      "))
		}
	}
	if len(r.Unsettled) > 0 {
		w.printf("  never settles, not counted as drift: %s\n", strings.Join(r.Unsettled, ", "))
	}
}

func summary(s gaea.DriftSummary) string {
	if s.Minions == 0 {
		return "no minion was looked at yet"
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

func indent(s, by string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return by + strings.Join(lines, "\n"+by)
}
