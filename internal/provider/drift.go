package provider

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Bounds on the drift that one resource shows. What is over them is counted by drift_summary and shown by `jobd drift`.
const (
	maxDriftMinions  = 100
	maxDriftText     = 64 << 10 // bytes of one state's text
	maxDriftTogether = 8 << 20  // bytes of all texts of one resource
)

const (
	textLeftOut = "differs; too much text to show here (with a jobd, `jobd drift` has it)"
	textUnnamed = "differs; no details are known"
	textUntold  = "Salt could not run it and did not say why"
	cutMark     = "\n… (cut)\n"
)

// driftEntries is minion to state to what differs: what the attribute drift holds.
type driftEntries map[string]map[string]string

// entriesOf takes the drift out of a report: the minions that drifted and those on which Salt could not run the states, of the
// latter its words under the name of what was run. A minion that cannot be reached has no entry: nothing is known of it.
func entriesOf(report *gaea.DriftReport, a gaea.Assignment) driftEntries {
	entries := driftEntries{}
	for minion, d := range report.Minions {
		switch d.Status {
		case gaea.EvidenceDrifted:
			entries[minion] = maps.Clone(d.States)
			if len(d.States) == 0 {
				entries[minion] = map[string]string{runLabel(a): orElse(d.Message, textUnnamed)}
			}
		case gaea.EvidenceCouldNotRun:
			entries[minion] = map[string]string{runLabel(a): orElse(d.Message, textUntold)}
		case gaea.EvidenceInSync, gaea.EvidenceUnreachable, gaea.EvidenceUnknown:
		}
	}
	return entries
}

// runLabel names what an assignment runs where no single state can be named.
func runLabel(a gaea.Assignment) string {
	if a.Highstate {
		return "state.highstate"
	}
	return "state.apply " + strings.Join(a.States, ", ")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// minions are the minions with an entry, sorted.
func (e driftEntries) minions() []string { return slices.Sorted(maps.Keys(e)) }

// value is the attribute drift: at most 100 minions in order, texts within their bounds.
func (e driftEntries) value() types.Map {
	minions := map[string]attr.Value{}
	left := maxDriftTogether
	for _, minion := range e.minions() {
		if len(minions) == maxDriftMinions {
			break
		}
		states := map[string]attr.Value{}
		for _, state := range slices.Sorted(maps.Keys(e[minion])) {
			text := cutDrift(e[minion][state])
			if len(text) > left {
				text = textLeftOut
			}
			left -= len(text)
			states[valid(state)] = types.StringValue(text)
		}
		minions[valid(minion)] = types.MapValueMust(types.StringType, states)
	}
	return types.MapValueMust(statesType, minions)
}

func cutDrift(text string) string {
	if len(text) > maxDriftText {
		text = text[:maxDriftText-len(cutMark)]
		return valid(text) + cutMark
	}
	return valid(text)
}

// valid drops what is no UTF-8: Terraform refuses it.
func valid(s string) string { return strings.ToValidUTF8(s, "") }

// noDrift is the attribute drift where there is none: an empty map that is known, not null.
func noDrift() types.Map { return types.MapValueMust(statesType, map[string]attr.Value{}) }

// entriesIn reads the attribute drift back.
func entriesIn(drift types.Map) driftEntries {
	entries := driftEntries{}
	for minion, v := range drift.Elements() {
		states, ok := v.(types.Map)
		if !ok {
			continue
		}
		entries[minion] = map[string]string{}
		for state, text := range states.Elements() {
			if t, ok := text.(types.String); ok {
				entries[minion][state] = t.ValueString()
			}
		}
	}
	return entries
}

func summaryValue(s gaea.DriftSummary) types.Object {
	n := func(i int) attr.Value { return types.StringValue(strconv.Itoa(i)) }
	return types.ObjectValueMust(summaryTypes, map[string]attr.Value{
		"minions": n(s.Minions), "in_sync": n(s.InSync), "drifted": n(s.Drifted), "could_not_run": n(s.CouldNotRun),
		"unreachable": n(s.Unreachable), "unknown": n(s.Unknown), "states": n(s.States),
	})
}

// counted is how many minions a summary counts as drifted or unable to run.
func counted(summary types.Object) int {
	total := 0
	for _, name := range []string{"drifted", "could_not_run"} {
		if n, err := strconv.Atoi(field(summary, name).ValueString()); err == nil {
			total += n
		}
	}
	return total
}

// show takes a report's results into the model. The entries are the report's drift, or the part of it that an apply answers for.
func (m *stateAssignmentModel) show(report *gaea.DriftReport, entries driftEntries) {
	m.Drift = entries.value()
	m.DriftSummary = summaryValue(report.Summary)
	m.Unreachable = textList(slices.Sorted(slices.Values(report.Unreachable)))
	m.Unsettled = textList(slices.Sorted(slices.Values(report.Unsettled)))
}
