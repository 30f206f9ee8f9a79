package provider

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// judge takes what the run left into the state. A minion on which the run did not end well is not in sync for that, whatever
// a test run finds there.
func (a *application) judge(run *gaea.Run, report *gaea.DriftReport) verdict {
	v := a.session.verdictOf(run)
	entries := entriesOf(report, a.definition)
	for minion := range entries {
		if _, ran := run.Minions[minion]; !ran {
			// Drifted since the plan, on a minion that this apply was not for: the next plan shows it.
			delete(entries, minion)
		}
	}
	for _, list := range [][]quoted{v.failed, v.killed, v.skipped} {
		for _, q := range list {
			if _, ok := entries[q.minion]; !ok {
				entries[q.minion] = map[string]string{runLabel(a.definition): q.text}
			}
		}
	}
	for _, minion := range entries.minions() {
		if run.Minions[minion].Outcome.OK() {
			v.left = append(v.left, quoted{minion, listNames(slices.Sorted(maps.Keys(entries[minion])))})
		}
	}
	before := types.ListNull(types.StringType)
	if a.prior != nil {
		before = a.prior.Unsettled
	}
	a.state.show(report, entries)
	a.state.warnUnsettled(a.diags, before)
	return v
}

// report says what went wrong: in one error what became of the run, and apart from it what is no fault of the run's.
func (a *application) report(run *gaea.Run, v verdict) {
	name := a.definition.Name
	switch {
	case len(v.failed)+len(v.killed)+len(v.skipped) > 0:
		a.diags.AddError("The states of "+name+" were not applied everywhere", v.account(run)+v.nextPlan(run))
	case v.unexplained(run):
		a.diags.AddError("The run for "+name+" did not succeed", v.account(run)+v.nextPlan(run))
	}
	if len(v.left) > 0 {
		a.diags.AddError("Drift of "+name+" is left", fmt.Sprintf("The run %s was successful on %s, and yet states differ there:%s",
			run.ID, countMinions(len(v.left)), quote(v.left)))
	}
	a.addUnreachable(run, v.unreachable)
	if run.CheckState == gaea.CheckFailed {
		a.diags.AddWarning("The check after the run "+run.ID+" failed", "The states were applied, but no test run could tell afterwards "+
			"whether they hold, so states that never settle are not told apart."+a.session.hint(" `jobd show "+run.ID+"` has the cause."))
	}
}

// nextPlan says how to go on from a run of an assignment that did not go well.
func (v verdict) nextPlan(run *gaea.Run) string {
	switch {
	case run.Status == gaea.RunHalted || run.Status == gaea.RunTimedOut:
		return " When the cause is repaired, apply again: the next plan has every minion that is left." +
			v.hint(" `jobd retry "+run.ID+"` runs those alone that went wrong.")
	case len(v.killed)+len(v.skipped) > 0:
		return " The next plan has every minion that is left."
	default:
		return ""
	}
}

// unexplained says whether a run did not succeed for more than the minions that it could not reach.
func (v verdict) unexplained(run *gaea.Run) bool {
	switch {
	case run.Status == gaea.RunSucceeded:
		return false
	case run.Status != gaea.RunFailed || len(v.unreachable) == 0:
		return true
	default:
		// An action that failed is a reason; so is that no minion answers, which is said of each of them.
		return run.Reason != "" && len(v.unreachable) < len(run.Minions)
	}
}

// addUnreachable reports the minions that the run could not reach, as on_unreachable says.
func (a *application) addUnreachable(run *gaea.Run, unreachable []quoted) {
	if len(unreachable) == 0 {
		return
	}
	summary := "Minions of " + a.definition.Name + " could not be reached"
	detail := fmt.Sprintf("The run %s did not reach %d of %s:%s\n\nThey are listed in unreachable. What is wrong on them is seen and "+
		"planned when they answer again.", run.ID, len(unreachable), countMinions(len(run.Minions)), quote(unreachable))
	if a.definition.OnUnreachable == gaea.UnreachableWarn {
		a.diags.AddWarning(summary, detail)
		return
	}
	a.diags.AddError(summary, detail+" To let an apply go on without them set on_unreachable = \"warn\".")
}
