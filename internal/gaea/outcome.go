package gaea

// Outcome is how a job ended, or stands, for one minion.
type Outcome string

// Every outcome. For a state run "succeeded" is not used: it is in_sync, changed, would_change, failed or could_not_run.
const (
	OutcomePending     Outcome = "pending"       // expected, nothing heard yet
	OutcomeSucceeded   Outcome = "succeeded"     // a function that is no state run returned without an error
	OutcomeInSync      Outcome = "in_sync"       // a state run, or test run, found nothing to change
	OutcomeChanged     Outcome = "changed"       // a state run changed something, nothing failed
	OutcomeWouldChange Outcome = "would_change"  // a test run says that something would change, nothing would fail
	OutcomeFailed      Outcome = "failed"        // a return that says so, or a state that failed
	OutcomeCouldNotRun Outcome = "could_not_run" // Salt answered with words instead: missing SLS, broken Jinja, unknown function
	OutcomeNoReturn    Outcome = "no_return"     // the minion answers, the job is not running, and no return is to be had
	OutcomeUnreachable Outcome = "unreachable"   // the minion does not answer
	OutcomeKilled      Outcome = "killed"        // stopped by an interrupt, verified on the minion
	OutcomeSkipped     Outcome = "skipped"       // never told to run: the run ended before its slice
)

// Outcomes lists every outcome in the order in which people want to see them counted.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeSucceeded, OutcomeInSync, OutcomeChanged, OutcomeWouldChange, OutcomeFailed, OutcomeCouldNotRun,
		OutcomeNoReturn, OutcomeUnreachable, OutcomeKilled, OutcomeSkipped, OutcomePending,
	}
}

// OK says whether the minion did what it was told and nothing is wrong.
func (o Outcome) OK() bool {
	switch o {
	case OutcomeSucceeded, OutcomeInSync, OutcomeChanged, OutcomeWouldChange:
		return true
	default:
		return false
	}
}

// Final says whether the outcome ends the wait for a minion.
func (o Outcome) Final() bool { return o != OutcomePending && o != "" }

// Heard says whether the minion itself sent this: such an outcome is never replaced by a guess.
func (o Outcome) Heard() bool {
	switch o {
	case OutcomePending, OutcomeNoReturn, OutcomeUnreachable, OutcomeKilled, OutcomeSkipped, "":
		return false
	default:
		return true
	}
}
