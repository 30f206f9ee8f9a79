package provider

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// verdict is what a run that has ended came to, by minion and with why.
type verdict struct {
	failed      []quoted // failed, could not run, or gave no return
	unreachable []quoted
	killed      []quoted
	skipped     []quoted
	left        []quoted            // did as they were told, and drift nevertheless
	interrupted bool                // Terraform was, and so this apply cancelled the run
	hint        func(string) string // see [session.hint]
}

// judge takes what the run left into the state. A minion on which the run did not end well is not in sync for that, whatever
// a test run finds there.
func (a *application) judge(run *gaea.Run, report *gaea.DriftReport) verdict {
	v := verdict{hint: a.session.hint}
	entries := entriesOf(report, a.definition)
	for minion := range entries {
		if _, ran := run.Minions[minion]; !ran {
			// Drifted since the plan, on a minion that this apply was not for: the next plan shows it.
			delete(entries, minion)
		}
	}
	for minion, m := range run.Minions {
		text := orElse(m.Message, inWords(m.Outcome))
		switch m.Outcome {
		case gaea.OutcomeUnreachable:
			v.unreachable = append(v.unreachable, quoted{minion, orElse(m.Message, "does not answer")})
			continue
		case gaea.OutcomeKilled:
			v.killed = append(v.killed, quoted{minion, text})
		case gaea.OutcomeSkipped:
			v.skipped = append(v.skipped, quoted{minion, text})
		default:
			if m.Outcome.OK() {
				if entries[minion] != nil {
					v.left = append(v.left, quoted{minion, listNames(slices.Sorted(maps.Keys(entries[minion])))})
				}
				continue
			}
			v.failed = append(v.failed, quoted{minion, text})
		}
		if _, ok := entries[minion]; !ok {
			entries[minion] = map[string]string{runLabel(a.definition): text}
		}
	}
	for _, list := range [][]quoted{v.failed, v.unreachable, v.killed, v.skipped, v.left} {
		sortQuoted(list)
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
		a.diags.AddError("The states of "+name+" were not applied everywhere", v.account(run))
	case v.unexplained(run):
		a.diags.AddError("The run for "+name+" did not succeed", v.account(run))
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

// account tells how a run ended that did not go well: why, on which minions, and how to go on.
func (v verdict) account(run *gaea.Run) string {
	var b strings.Builder
	b.WriteString(v.ending(run))
	list := func(what string, minions []quoted) {
		if len(minions) > 0 {
			fmt.Fprintf(&b, "\n\n%s %d of %s:%s", what, len(minions), countMinions(len(run.Minions)), quote(minions))
		}
	}
	if b.Len() == 0 {
		fmt.Fprintf(&b, "The run %s failed on %d of %s:%s", run.ID, len(v.failed), countMinions(len(run.Minions)), quote(v.failed))
	} else {
		list("It failed on", v.failed)
	}
	list("It was stopped on", v.killed)
	if len(v.skipped) > 0 && run.Status != gaea.RunFailed {
		fmt.Fprintf(&b, "\n\n%d of %s were skipped, and nothing was done there: %s.", len(v.skipped), countMinions(len(run.Minions)), namesOf(v.skipped))
	} else {
		list("It skipped", v.skipped)
	}
	b.WriteString(v.endNote(run))
	switch {
	case run.Status == gaea.RunHalted || run.Status == gaea.RunTimedOut:
		b.WriteString(" When the cause is repaired, apply again: the next plan has every minion that is left." +
			v.hint(" `jobd retry "+run.ID+"` runs those alone that went wrong."))
	case len(v.killed)+len(v.skipped) > 0:
		b.WriteString(" The next plan has every minion that is left.")
	}
	return b.String()
}

// ending says why a run ended as it did; empty where that is said by the minions that failed.
func (v verdict) ending(run *gaea.Run) string {
	why := ""
	if reason := strings.TrimPrefix(run.Reason, "halted: "); reason != "" {
		why = ": " + strings.TrimRight(reason, ".")
	}
	switch {
	case v.interrupted && run.Status == gaea.RunCancelled:
		return fmt.Sprintf("Terraform was interrupted, so the run %s was cancelled, as on_interrupt says. It has ended on every minion that "+
			"answers.", run.ID)
	case run.Status == gaea.RunHalted, run.Status == gaea.RunCancelled, run.Status == gaea.RunTimedOut:
		return fmt.Sprintf("The run %s %s%s.", run.ID, map[gaea.RunStatus]string{
			gaea.RunHalted: "was halted", gaea.RunCancelled: "was cancelled", gaea.RunTimedOut: "ran out of time",
		}[run.Status], why)
	case why != "" || len(v.failed) == 0:
		return fmt.Sprintf("The run %s %s%s.", run.ID, inWords(run.Status), why)
	default:
		return ""
	}
}

func (v verdict) endNote(run *gaea.Run) string {
	note := ""
	// What comes after the reason, which has been said.
	if message := strings.TrimPrefix(strings.TrimPrefix(run.Message, run.Reason), "; "); message != "" {
		note = "\n\n" + sentence(message)
	}
	return note + v.hint("\n\n`jobd show "+run.ID+"` tells more.")
}

func namesOf(list []quoted) string {
	names := make([]string, len(list))
	for i, q := range list {
		names[i] = q.minion
	}
	return listNames(names)
}

// inWords is a status or an outcome as people write it.
func inWords[T ~string](s T) string { return strings.ReplaceAll(string(s), "_", " ") }

// addUnreachable reports the minions that the run could not reach, as on_unreachable says.
func (a *application) addUnreachable(run *gaea.Run, unreachable []quoted) {
	if len(unreachable) == 0 {
		return
	}
	sortQuoted(unreachable)
	summary := "Minions of " + a.definition.Name + " could not be reached"
	detail := fmt.Sprintf("The run %s did not reach %d of %s:%s\n\nThey are listed in unreachable. What is wrong on them is seen and "+
		"planned when they answer again.", run.ID, len(unreachable), countMinions(len(run.Minions)), quote(unreachable))
	if a.definition.OnUnreachable == gaea.UnreachableWarn {
		a.diags.AddWarning(summary, detail)
		return
	}
	a.diags.AddError(summary, detail+" To let an apply go on without them set on_unreachable = \"warn\".")
}
