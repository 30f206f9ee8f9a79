package gaea

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// JobAction is something that is done before or after a run's own work, as a part of the run.
type JobAction struct {
	Name string `json:"name" doc:"unique among the template's pre-actions, or among its post-actions"`

	Function    string         `json:"function,omitempty" doc:"execution function on minions, for example cmd.run; or runner, or http"`
	Runner      string         `json:"runner,omitempty" doc:"runner function on the master, for example cache.grains"`
	Args        []any          `json:"args,omitempty" doc:"positional arguments of function or runner"`
	Kwargs      map[string]any `json:"kwargs,omitempty" doc:"keyword arguments of function or runner"`
	HTTP        *HTTPCall      `json:"http,omitempty" doc:"a request that jobd makes"`
	TargetGroup string         `json:"target_group,omitempty" doc:"other minions for function: NAME or NAME@DIGEST; the run's minions, or the slice's, when absent"`
	Target      Target         `json:"target,omitzero" doc:"the same as an expression; or target_group"`

	Scope     ActionScope   `json:"scope,omitempty" enum:"once,slice" doc:"once for the run (when absent), or for each slice"`
	When      ActionWhen    `json:"when,omitempty" enum:"success,failure,always" doc:"post-actions: after success (when absent), after failure, or always"`
	Expect    string        `json:"expect,omitempty" doc:"CEL expression that must be true; without one each minion's outcome must be OK"`
	Retries   int           `json:"retries,omitempty" minimum:"0" maximum:"1000" doc:"how often the action is tried again"`
	Interval  Duration      `json:"interval,omitzero" doc:"pause before it is tried again; 5s when absent"`
	Timeout   Duration      `json:"timeout,omitzero" doc:"how long the action may take, all tries together; 5m when absent"`
	OnFailure ActionFailure `json:"on_failure,omitempty" enum:"abort,continue" doc:"what a failed action does to the run: abort (when absent) or continue"`
}

// HTTPCall is a request that jobd makes. It follows no redirect. What it answers is archived up to 64 KiB.
type HTTPCall struct {
	URL     string            `json:"url" doc:"http:// or https://"`
	Method  string            `json:"method,omitempty" doc:"GET when absent"`
	Headers map[string]string `json:"headers,omitempty" doc:"values are not shown with the run; who may read definitions reads them with the template"`
	Body    string            `json:"body,omitempty"`
}

// The limits of actions that give none.
const (
	DefaultActionTimeout  = Duration(5 * 60 * 1e9)
	DefaultActionInterval = Duration(5 * 1e9)
	maxActionRetries      = 1000
	maxActions            = 20
)

// ActionScope says how often an action is done.
type ActionScope string

// The scopes; the empty string is once.
const (
	ScopeOnce  ActionScope = "once"
	ScopeSlice ActionScope = "slice"
)

// ActionWhen says after which end a post-action is done.
type ActionWhen string

// The ends; the empty string is success.
const (
	WhenSuccess ActionWhen = "success"
	WhenFailure ActionWhen = "failure"
	WhenAlways  ActionWhen = "always"
)

// ActionFailure says what a failed action does to the run.
type ActionFailure string

// The consequences; the empty string is abort. Abort starts nothing more and the run ends as failed.
const (
	FailureAbort    ActionFailure = "abort"
	FailureContinue ActionFailure = "continue"
)

// PerSlice says whether the action is done for each slice.
func (a *JobAction) PerSlice() bool { return a.Scope == ScopeSlice }

// Due says whether a post-action is to be done after an end that was a success or was not.
func (a *JobAction) Due(success bool) bool {
	switch a.When {
	case WhenAlways:
		return true
	case WhenFailure:
		return !success
	default:
		return success
	}
}

// Aborts says whether a failure of the action ends the run.
func (a *JobAction) Aborts() bool { return a.OnFailure != FailureContinue }

// Pause is how long to wait before the action is tried again.
func (a *JobAction) Pause() time.Duration {
	if a.Interval == 0 {
		return DefaultActionInterval.Std()
	}
	return a.Interval.Std()
}

// Limit is how long the action may take, all tries together.
func (a *JobAction) Limit() time.Duration {
	if a.Timeout == 0 {
		return DefaultActionTimeout.Std()
	}
	return a.Timeout.Std()
}

// OwnMinions says whether the action is done on the run's minions, or the slice's.
func (a *JobAction) OwnMinions() bool {
	return a.Function != "" && a.TargetGroup == "" && a.Target.IsZero()
}

// What names what the action does, for people: "cmd.run", "runner cache.grains", "GET https://lb/drain?…". What a URL asks for
// is left out, for it may hold a secret.
func (a *JobAction) What() string {
	switch {
	case a.HTTP != nil:
		return a.HTTP.method() + " " + a.HTTP.shownURL()
	case a.Runner != "":
		return "runner " + a.Runner
	default:
		return a.Function
	}
}

// shownURL is the URL without its query and fragment.
func (h *HTTPCall) shownURL() string {
	if i := strings.IndexAny(h.URL, "?#"); i >= 0 {
		return h.URL[:i] + h.URL[i:i+1] + "…"
	}
	return h.URL
}

func (h *HTTPCall) method() string {
	if h.Method == "" {
		return "GET"
	}
	return h.Method
}

// ValidateActions names the first field that is wrong, below the given path: "pre_actions". Whether an expectation
// compiles is not looked at. Pre-actions take no when.
func ValidateActions(path string, actions []JobAction, pre bool) error {
	if len(actions) > maxActions {
		return Invalid(path, "there are %d actions; use at most %d", len(actions), maxActions)
	}
	seen := map[string]bool{}
	for i := range actions {
		a := &actions[i]
		at := fmt.Sprintf("%s[%d]", path, i)
		if err := ValidateName(a.Name); err != nil {
			return Invalid(at+".name", "%s", MessageOf(err))
		}
		if seen[a.Name] {
			return Invalid(at+".name", "%q is the name of an action before it; give each its own", a.Name)
		}
		seen[a.Name] = true
		if pre && a.When != "" {
			return Invalid(at+".when", "a pre-action comes before there is a result; leave when out, or make it a post-action")
		}
		if err := a.validate(at); err != nil {
			return err
		}
	}
	return nil
}

func (a *JobAction) validate(at string) error {
	if err := a.validateWork(at); err != nil {
		return err
	}
	switch {
	case a.Scope != "" && a.Scope != ScopeOnce && a.Scope != ScopeSlice:
		return Invalid(at+".scope", "%q is not a scope; write \"once\" or \"slice\"", a.Scope)
	case a.When != "" && a.When != WhenSuccess && a.When != WhenFailure && a.When != WhenAlways:
		return Invalid(at+".when", "%q is none of \"success\", \"failure\" and \"always\"", a.When)
	case a.OnFailure != "" && a.OnFailure != FailureAbort && a.OnFailure != FailureContinue:
		return Invalid(at+".on_failure", "%q is neither \"abort\" nor \"continue\"", a.OnFailure)
	case a.Retries < 0 || a.Retries > maxActionRetries:
		return Invalid(at+".retries", "%d is not possible; use 0 to %d", a.Retries, maxActionRetries)
	case a.Retries == 0 && a.Interval != 0:
		return Invalid(at+".interval", "the action is not tried again; set retries, or leave interval out")
	case a.Interval > maxPause:
		return Invalid(at+".interval", "%s is too long; use up to %s", a.Interval, maxPause)
	case a.Timeout > maxPause:
		return Invalid(at+".timeout", "%s is too long; use up to %s", a.Timeout, maxPause)
	default:
		return nil
	}
}

func (a *JobAction) validateWork(at string) error {
	works := 0
	for _, given := range []bool{a.Function != "", a.Runner != "", a.HTTP != nil} {
		if given {
			works++
		}
	}
	switch {
	case works != 1:
		return Invalid(at+".function", "an action does one thing: give one of function, runner and http")
	case a.HTTP != nil && (len(a.Args) > 0 || len(a.Kwargs) > 0):
		return Invalid(at+".args", "a request takes no args and kwargs; give them to function or runner")
	case a.Function == "" && (a.TargetGroup != "" || !a.Target.IsZero()):
		return Invalid(at+".target_group", "only a function is done on minions; leave the target out")
	case a.TargetGroup != "" && !a.Target.IsZero():
		return Invalid(at+".target", "both target and target_group are given; give one")
	}
	switch {
	case a.Function != "":
		if err := ValidateFunction(a.Function); err != nil {
			return Invalid(at+".function", "%s", MessageOf(err))
		}
		if !a.Target.IsZero() {
			if err := a.Target.Validate(); err != nil {
				return Invalid(at+".target", "%s", MessageOf(err))
			}
		}
	case a.Runner != "":
		if err := ValidateFunction(a.Runner); err != nil {
			return Invalid(at+".runner", "%s", MessageOf(err))
		}
	default:
		return a.HTTP.validate(at + ".http")
	}
	return nil
}

func (h *HTTPCall) validate(at string) error {
	u, err := url.Parse(h.URL)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		shown := strconv.Quote(h.URL)
		if strings.ContainsAny(h.URL, "@?#") {
			shown = "what is given" // it may hold a secret, so it is not repeated
		}
		return Invalid(at+".url", "%s is not a URL; write for example \"https://lb.example.com/drain\"", shown)
	case u.User != nil:
		return Invalid(at+".url", "the URL holds a password; send it in a header")
	case h.Method != "" && strings.Trim(h.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "":
		return Invalid(at+".method", "%q is not a method; write for example \"POST\"", h.Method)
	}
	for name, value := range h.Headers {
		switch {
		case name == "" || strings.ContainsFunc(name, notInToken):
			return Invalid(at+".headers", "%q is not the name of a header; write for example \"X-Api-Key\"", name)
		case strings.ContainsFunc(value, notInValue):
			return Invalid(at+".headers", "the value of %q holds a line break or another control character", name)
		}
	}
	return nil
}

// notInToken says of a letter that no name of a header has it (RFC 9110, 5.6.2).
func notInToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
}

// notInValue says of a letter that no value of a header has it (RFC 9110, 5.5).
func notInValue(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }

// ActionTag is the tag of the events by which the archive keeps what the runners and requests of a run's actions answered,
// up to 64 KiB each. Their data is an object with run, action, what, phase, slice (absent where the action is of scope
// once), attempt, ok, message and answer; secrets are redacted.
func ActionTag(run string) string { return "gaea/run/" + run + "/action" }

// RunAction is how an action of a run stands.
type RunAction struct {
	Name     string       `json:"name"`
	What     string       `json:"what" doc:"what it does: a function, a runner, or a request"`
	Phase    ActionPhase  `json:"phase" enum:"pre,post"`
	Status   ActionStatus `json:"status" enum:"running,waiting,succeeded,failed,skipped,cancelled"`
	Attempts int          `json:"attempts,omitempty" doc:"tries so far"`
	Runs     []string     `json:"runs,omitempty" doc:"the runs that did it on minions, one a try"`
	Message  string       `json:"message,omitempty" doc:"why it ended as it did, for people"`
	Started  time.Time    `json:"started,omitzero"`
	Ended    time.Time    `json:"ended,omitzero"`
	Next     time.Time    `json:"next,omitzero" doc:"when it is tried again"`
}

// ActionPhase says on which side of the run's own work an action is.
type ActionPhase string

// The phases.
const (
	PhasePre  ActionPhase = "pre"
	PhasePost ActionPhase = "post"
)

// ActionStatus is where an action stands.
type ActionStatus string

// The states of an action. All but the first two are final.
const (
	ActionRunning   ActionStatus = "running"
	ActionWaiting   ActionStatus = "waiting" // to be tried again
	ActionSucceeded ActionStatus = "succeeded"
	ActionFailed    ActionStatus = "failed"
	ActionSkipped   ActionStatus = "skipped"   // there was nothing to do it on, or its time did not come
	ActionCancelled ActionStatus = "cancelled" // stopped with the run
)

// Final says whether the action has ended.
func (s ActionStatus) Final() bool { return s != "" && s != ActionRunning && s != ActionWaiting }
