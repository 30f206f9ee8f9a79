package gaea

import "regexp"

// JobTemplate says how a job is run: in which batches, with which limits, and where it is no state run also what is run.
type JobTemplate struct {
	Name        string         `json:"name" doc:"unique name"`
	Description string         `json:"description,omitempty" maxLength:"1024"`
	Function    string         `json:"function,omitempty" doc:"execution function, for example pkg.upgrade; not used by state assignments"`
	Args        []any          `json:"args,omitempty" doc:"positional arguments"`
	Kwargs      map[string]any `json:"kwargs,omitempty" doc:"keyword arguments"`
	Batch       Batch          `json:"batch,omitzero"`
	Timeouts    Timeouts       `json:"timeouts,omitzero"`
}

// Batch cuts a run into slices that run one after the other.
type Batch struct {
	Size Amount `json:"size,omitzero" doc:"minions a slice: a number or a share such as 10%; all at once when absent"`
}

// Timeouts bound a run. They bound the work and never guess: silence is settled by asking the minions.
type Timeouts struct {
	Job    Duration `json:"job,omitzero" doc:"how long the whole run may take; 30m when absent"`
	Gather Duration `json:"gather,omitzero" doc:"how long a minion may take to answer when it is asked whether it still runs the job; 5s when absent"`
}

// The limits of a run whose template gives none.
const (
	DefaultJobTimeout    = Duration(30 * 60 * 1e9)
	DefaultGatherTimeout = Duration(5 * 1e9)
)

// WithDefaults returns t with the defaults where it has no value.
func (t Timeouts) WithDefaults() Timeouts {
	if t.Job == 0 {
		t.Job = DefaultJobTimeout
	}
	if t.Gather == 0 {
		t.Gather = DefaultGatherTimeout
	}
	return t
}

// DefinitionKind implements [Definition].
func (JobTemplate) DefinitionKind() Kind { return KindJobTemplate }

// DefinitionName implements [Definition].
func (t JobTemplate) DefinitionName() string { return t.Name }

// Validate implements [Definition].
func (t JobTemplate) Validate() error {
	if err := ValidateName(t.Name); err != nil {
		return err
	}
	if t.Function == "" && (len(t.Args) > 0 || len(t.Kwargs) > 0) {
		return Invalid("function", "args and kwargs are given without a function; name one, for example \"cmd.run\"")
	}
	if t.Function != "" {
		return ValidateFunction(t.Function)
	}
	return nil
}

var functionPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_.]*$`)

// ValidateFunction checks the form MODULE.FUNCTION; whether a minion has the function only the minion knows.
func ValidateFunction(fun string) error {
	if !functionPattern.MatchString(fun) {
		return Invalid("function", "%q is not a function; write MODULE.FUNCTION, for example \"test.ping\"", fun)
	}
	return nil
}
