package gaea

import (
	"fmt"
	"regexp"
)

// JobTemplate says how a job is run: in which batches, with which limits, and where it is no state run also what is run.
type JobTemplate struct {
	Name        string         `json:"name" doc:"unique name"`
	Description string         `json:"description,omitempty" maxLength:"1024"`
	Function    string         `json:"function,omitempty" doc:"execution function, for example pkg.upgrade; not used by state assignments"`
	Args        []any          `json:"args,omitempty" doc:"positional arguments"`
	Kwargs      map[string]any `json:"kwargs,omitempty" doc:"keyword arguments"`
	Batch       Batch          `json:"batch,omitzero"`
	Timeouts    Timeouts       `json:"timeouts,omitzero"`
	Concurrency Concurrency    `json:"concurrency,omitzero"`
	PreActions  []JobAction    `json:"pre_actions,omitempty" maxItems:"20" doc:"what is done before, in this order"`
	PostActions []JobAction    `json:"post_actions,omitempty" maxItems:"20" doc:"what is done after, in this order"`
}

// Timeouts bound a run. They bound the work and never guess: silence is settled by asking the minions.
type Timeouts struct {
	Job    Duration `json:"job,omitzero" doc:"how long the run may take from its first publish or pre-action, pauses and post-actions not counted; 30m when absent"`
	Gather Duration `json:"gather,omitzero" doc:"how long a minion may take to answer when it is asked whether it still runs the job; 5s when absent"`
	Slice  Duration `json:"slice,omitzero" doc:"how long a slice may take from its publish; what is silent then counts as no return, and the run goes on; no limit of its own when absent"`
}

// Concurrency keeps runs apart that must not work on a minion together.
type Concurrency struct {
	Lock   string     `json:"lock,omitempty" doc:"name of the lock: while a run goes on, its minions are busy for other runs with the same lock"`
	Policy LockPolicy `json:"policy,omitempty" enum:"wait,skip,refuse" doc:"what to do about minions that are busy: wait for them (when absent), skip them, or refuse the run"`
}

// LockPolicy says what a run does about minions that another run of the same lock holds.
type LockPolicy string

// The policies; the empty string is wait.
const (
	LockWait   LockPolicy = "wait"
	LockSkip   LockPolicy = "skip"
	LockRefuse LockPolicy = "refuse"
)

// Validate names the field that is wrong, below the given path.
func (c Concurrency) Validate(path string) error {
	switch {
	case c.Policy != "" && c.Policy != LockWait && c.Policy != LockSkip && c.Policy != LockRefuse:
		return Invalid(path+".policy", "%q is none of \"wait\", \"skip\" and \"refuse\"", c.Policy)
	case c.Lock == "" && c.Policy != "":
		return Invalid(path+".lock", "a policy needs the name of a lock, for example \"deploy\"")
	case c.Lock != "":
		if err := ValidateName(c.Lock); err != nil {
			return Invalid(path+".lock", "%s", MessageOf(err))
		}
	}
	return nil
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
		if err := ValidateFunction(t.Function); err != nil {
			return err
		}
	}
	return ValidateWork(t.Batch, t.Concurrency, t.PreActions, t.PostActions)
}

// ValidateWork names the first field of a run's or template's batch, lock and actions that is wrong or contradicts another.
func ValidateWork(b Batch, c Concurrency, pre, post []JobAction) error {
	if err := b.Validate("batch"); err != nil {
		return err
	}
	if err := c.Validate("concurrency"); err != nil {
		return err
	}
	for _, list := range []struct {
		path    string
		actions []JobAction
	}{{"pre_actions", pre}, {"post_actions", post}} {
		if err := ValidateActions(list.path, list.actions, list.path == "pre_actions"); err != nil {
			return err
		}
		for i := range list.actions {
			if list.actions[i].PerSlice() && b.Mode == BatchRolling {
				return Invalid(fmt.Sprintf("%s[%d].scope", list.path, i), "in mode \"rolling\" no slice ends as a whole; use scope \"once\", or batch.mode \"stepped\"")
			}
		}
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
