package provider

import (
	"fmt"
	"strings"

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

// verdictOf sorts the minions of a run that has ended, with what they say.
func (s *session) verdictOf(run *gaea.Run) verdict {
	v := verdict{hint: s.hint}
	for minion, m := range run.Minions {
		text := orElse(m.Message, inWords(m.Outcome))
		switch {
		case m.Outcome == gaea.OutcomeUnreachable:
			v.unreachable = append(v.unreachable, quoted{minion, orElse(m.Message, "does not answer")})
		case m.Outcome == gaea.OutcomeKilled:
			v.killed = append(v.killed, quoted{minion, text})
		case m.Outcome == gaea.OutcomeSkipped:
			v.skipped = append(v.skipped, quoted{minion, text})
		case !m.Outcome.OK():
			v.failed = append(v.failed, quoted{minion, text})
		}
	}
	for _, list := range [][]quoted{v.failed, v.unreachable, v.killed, v.skipped} {
		sortQuoted(list)
	}
	return v
}

// account tells how a run ended that did not go well: why, and on which minions.
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
