package drift

import (
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Input is what a report is made of.
type Input struct {
	Assignment gaea.Assignment
	Ref        string   // the assignment's version
	Revision   string   // see [Fingerprinter.Revision]
	Minions    []string // the minions of the target, in any order
	Evidence   []gaea.Evidence
	Unsettled  []gaea.UnsettledState
	// Failed are states that an enforcing run could not make true, by minion, where the evidence is the test run right
	// after it. Test mode does not see every failure, and a run that failed must not look like one that went well.
	Failed map[string][]gaea.StateResult
}

// Report says how an assignment stands. Evidence of minions that are not in the target is left out, and of several for one
// minion the newest counts. The same input in another order gives the same report.
func Report(in Input) *gaea.DriftReport {
	settings := in.Assignment.DriftCheck.WithDefaults()
	r := &gaea.DriftReport{
		Assignment: in.Assignment.Name,
		Revision:   in.Revision,
		Ref:        in.Ref,
		Mode:       settings.Mode,
		Minions:    make(map[string]gaea.MinionDrift, len(in.Minions)),
	}
	j := judge{detail: settings.Detail, rules: rules(settings.Ignore), failed: in.Failed, unsettled: map[string]map[string]bool{}}
	for _, u := range in.Unsettled {
		if j.unsettled[u.Minion] == nil {
			j.unsettled[u.Minion] = map[string]bool{}
		}
		j.unsettled[u.Minion][u.Digest] = true
	}
	newest := newestByMinion(in.Evidence)
	for _, m := range in.Minions {
		if _, done := r.Minions[m]; done {
			continue
		}
		e, looked := newest[m]
		d := gaea.MinionDrift{Status: gaea.EvidenceUnknown}
		if looked {
			d = j.minion(&e)
			if r.Oldest.IsZero() || e.At.Before(r.Oldest) {
				r.Oldest = e.At
			}
		}
		r.Minions[m] = d
		count(&r.Summary, d)
		if d.Status == gaea.EvidenceUnreachable {
			r.Unreachable = append(r.Unreachable, m)
		}
	}
	slices.Sort(r.Unreachable)
	r.Unsettled = j.unsettledLabels(in.Unsettled, r.Minions)
	return r
}

func count(s *gaea.DriftSummary, d gaea.MinionDrift) {
	s.Minions++
	s.States += len(d.States)
	switch d.Status {
	case gaea.EvidenceInSync:
		s.InSync++
	case gaea.EvidenceDrifted:
		s.Drifted++
	case gaea.EvidenceCouldNotRun:
		s.CouldNotRun++
	case gaea.EvidenceUnreachable:
		s.Unreachable++
	case gaea.EvidenceUnknown:
		s.Unknown++
	}
}

func newestByMinion(evidence []gaea.Evidence) map[string]gaea.Evidence {
	newest := make(map[string]gaea.Evidence, len(evidence))
	for _, e := range evidence {
		if old, ok := newest[e.Minion]; !ok || e.At.After(old.At) || (e.At.Equal(old.At) && e.JID > old.JID) {
			newest[e.Minion] = e
		}
	}
	return newest
}

func rules(ignore []string) []gaea.IgnoreRule {
	var rules []gaea.IgnoreRule
	for _, s := range ignore {
		if r, err := gaea.ParseIgnoreRule(s); err == nil { // Validate refuses the others before
			rules = append(rules, r)
		}
	}
	return rules
}

// judge decides what of the evidence is drift.
type judge struct {
	detail    gaea.CheckDetail
	rules     []gaea.IgnoreRule
	unsettled map[string]map[string]bool // by minion, the digests of what never settles there
	failed    map[string][]gaea.StateResult
}

func (j *judge) minion(e *gaea.Evidence) gaea.MinionDrift {
	d := gaea.MinionDrift{JID: e.JID, At: e.At}
	switch {
	case e.Outcome == gaea.OutcomeUnreachable:
		d.Status, d.Message = gaea.EvidenceUnreachable, cut(e.Message)
	case !e.Outcome.Heard(), (&gaea.Return{Outcome: e.Outcome, Message: e.Message}).Busy():
		// No answer, or that another state run was going on: nothing is known of the states.
		d.Status, d.Message = gaea.EvidenceUnknown, cut(e.Message)
	case e.Outcome == gaea.OutcomeCouldNotRun, e.Outcome == gaea.OutcomeFailed && len(e.States) == 0:
		d.Status, d.Message = gaea.EvidenceCouldNotRun, cut(e.Message)
	default:
		d.Status, d.States = gaea.EvidenceInSync, j.states(e)
		if len(d.States) > 0 {
			d.Status = gaea.EvidenceDrifted
		}
	}
	return d
}

// states are the differing states of a return, by label. What a real run changed is true afterwards.
func (j *judge) states(e *gaea.Evidence) map[string]string {
	states, fromRun := slices.Clone(e.States), len(e.States)
	failedKeys := map[string]bool{}
	for _, f := range j.failed[e.Minion] {
		failedKeys[f.Key] = true
		if !slices.ContainsFunc(e.States, func(s gaea.StateResult) bool { return s.Key == f.Key }) {
			states = append(states, f)
		}
	}
	drifted := map[string]string{}
	for i, label := range Labels(states) {
		s := &states[i]
		switch s.Outcome {
		case gaea.OutcomeFailed:
		case gaea.OutcomeWouldChange:
			if !failedKeys[s.Key] && j.unsettled[e.Minion][Digest(s)] {
				continue
			}
		default:
			continue
		}
		if !j.ignored(s) {
			drifted[label] = Text(s, e.Test && i < fromRun, j.detail)
		}
	}
	if len(drifted) == 0 {
		return nil
	}
	return drifted
}

func (j *judge) ignored(s *gaea.StateResult) bool {
	return slices.ContainsFunc(j.rules, func(r gaea.IgnoreRule) bool { return r.Matches(s) })
}

// unsettledLabels lists what is recorded for the minions of the report and neither ignored nor drift there. It does not ask
// whether the newest evidence shows the state, so that the list stays the same whoever ran what last.
func (j *judge) unsettledLabels(recorded []gaea.UnsettledState, minions map[string]gaea.MinionDrift) []string {
	var labels []string
	for _, u := range recorded {
		m, ok := minions[u.Minion]
		if !ok || j.ignored(stateOf(u.Label)) {
			continue
		}
		if _, drifted := m.States[u.Label]; !drifted {
			labels = append(labels, u.Label)
		}
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

// stateOf reads a label back, as far as ignore rules ask.
func stateOf(label string) *gaea.StateResult {
	fun, id, _ := strings.Cut(label, " ")
	module, function, _ := strings.Cut(fun, ".")
	return &gaea.StateResult{Module: module, Function: function, ID: id}
}
