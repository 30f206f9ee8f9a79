package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// runWithReturns is a run with what its minions sent back, for scripts.
type runWithReturns struct {
	Run     *gaea.Run     `json:"run"`
	Returns []gaea.Return `json:"returns"`
}

// showRun prints a run whole. A run that ended badly ends jobd with [ExitNotOK].
func showRun(w *world, client *jobdclient.Client, r *gaea.Run, f format, withReturns bool) error {
	var returns []gaea.Return
	if withReturns {
		var err error
		if returns, err = returnsOf(w, client, r); err != nil {
			return err
		}
	}
	var err error
	if f.Output == "table" {
		err = printRun(w, r, returns)
	} else {
		err = printRunRows(w, r, f, withReturns, returns)
	}
	if err != nil {
		return err
	}
	if r.Status.Final() && r.Status != gaea.RunSucceeded {
		return exitError(ExitNotOK)
	}
	return nil
}

// returnsOf fetches what the run's minions sent back, by minion.
func returnsOf(w *world, client *jobdclient.Client, r *gaea.Run) ([]gaea.Return, error) {
	jids := map[string]bool{}
	for _, m := range r.Minions {
		if m.JID != "" && m.Outcome.Heard() {
			jids[m.JID] = true
		}
	}
	returns := []gaea.Return{}
	for _, jid := range slices.Sorted(maps.Keys(jids)) {
		for ret, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) { return client.JobReturns(w.ctx, jid, p) }) {
			if err != nil {
				return nil, err
			}
			if r.Minions[ret.Minion].JID == jid {
				returns = append(returns, ret)
			}
		}
	}
	slices.SortFunc(returns, func(a, b gaea.Return) int { return strings.Compare(a.Minion, b.Minion) })
	return returns, nil
}

func printRunRows(w *world, r *gaea.Run, f format, withReturns bool, returns []gaea.Return) error {
	header := []string{"minion", "outcome", "jid", "late", "why"}
	bodies := map[string]string{}
	var value any = r
	if withReturns {
		header = append(header, "return")
		value = runWithReturns{Run: r, Returns: returns}
		for i := range returns {
			bodies[returns[i].Minion] = string(returns[i].Body)
		}
	}
	var rows [][]string
	for _, id := range slices.Sorted(maps.Keys(r.Minions)) {
		m := r.Minions[id]
		row := []string{id, string(m.Outcome), m.JID, fmt.Sprint(m.Late), m.Message}
		if withReturns {
			row = append(row, bodies[id])
		}
		rows = append(rows, row)
	}
	return f.rows(w.stdout, value, header, rows)
}

func printRun(w *world, r *gaea.Run, returns []gaea.Return) error {
	what := string(r.Kind)
	if r.Assignment != "" {
		what += " of " + r.Assignment + ":"
	}
	how := "for"
	if r.Status.Final() {
		how = "in"
	}
	w.printf("%s  %s %s on %s: %s %s %s\n", r.ID, what, r.Function, shortTarget(r.Target), words(r.Status), how, age(r))
	if r.Message != "" {
		w.printf("%s\n", r.Message)
	}
	if r.CheckRun != "" {
		w.printf("what is left was checked by %s\n", r.CheckRun)
	}
	if len(r.Minions) == 0 {
		return nil
	}
	w.printf("\n")
	var rows [][]string
	for _, id := range slices.Sorted(maps.Keys(r.Minions)) {
		m := r.Minions[id]
		why := firstLine(m.Message)
		if m.Late {
			why = strings.TrimSpace("(late) " + why)
		}
		rows = append(rows, []string{id, words(m.Outcome), m.JID, why})
	}
	if err := table(w.stdout, []string{"minion", "outcome", "jid", "why"}, rows); err != nil {
		return err
	}
	for i := range returns {
		w.printf("\n%s:\n%s\n", returns[i].Minion, indent(readable(&returns[i]), "    "))
	}
	return nil
}

// readable is a return as people want to read it: of a state run the states that are not in sync, of all else the value, a
// text as it is.
func readable(r *gaea.Return) string {
	if len(r.States) > 0 {
		return readableStates(r.States)
	}
	var text string
	if json.Unmarshal(r.Body, &text) == nil {
		return text
	}
	var lines []string
	if json.Unmarshal(r.Body, &lines) == nil {
		return strings.Join(lines, "\n")
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, r.Body, "", "  ") != nil {
		return string(r.Body)
	}
	return pretty.String()
}

func readableStates(states []gaea.StateResult) string {
	var b strings.Builder
	calm := 0
	for i := range states {
		s := &states[i]
		if s.Outcome == gaea.OutcomeInSync {
			calm++
			continue
		}
		fmt.Fprintf(&b, "%s: %s.%s %s\n", words(s.Outcome), s.Module, s.Function, s.ID)
		if s.Comment != "" {
			fmt.Fprintf(&b, "%s\n", indent(s.Comment, "    "))
		}
		switch {
		case s.Diff != "":
			fmt.Fprintf(&b, "%s\n", indent(s.Diff, "    "))
		case len(s.Changes) > 0:
			var pretty bytes.Buffer
			if json.Indent(&pretty, s.Changes, "", "  ") == nil {
				fmt.Fprintf(&b, "%s\n", indent(pretty.String(), "    "))
			}
		}
	}
	if calm > 0 {
		fmt.Fprintf(&b, "%d in sync\n", calm)
	}
	return b.String()
}
