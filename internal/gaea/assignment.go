package gaea

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"
)

// Assignment says which states should be true on which minions.
type Assignment struct {
	Name          string          `json:"name" doc:"unique name"`
	Description   string          `json:"description,omitempty" maxLength:"1024"`
	TargetGroup   string          `json:"target_group" doc:"a target group: NAME@DIGEST, or NAME for its latest version"`
	JobTemplate   string          `json:"job_template,omitempty" doc:"a job template for batches and timeouts: NAME@DIGEST or NAME"`
	States        []string        `json:"states,omitempty" doc:"SLS names, in order"`
	Highstate     bool            `json:"highstate,omitempty" doc:"apply the top file instead of named states"`
	SaltEnv       string          `json:"saltenv,omitempty" doc:"Salt environment; base when absent"`
	Pillar        json.RawMessage `json:"pillar,omitempty" doc:"pillar for the run, a JSON object; not for secrets"`
	SecretVersion string          `json:"secret_version,omitempty" doc:"names the version of the secret pillar, which itself is never returned"`
	Remediate     bool            `json:"remediate" doc:"false: drift is reported and never repaired"`
	OnUnreachable OnUnreachable   `json:"on_unreachable,omitempty" enum:"error,warn" doc:"what an enforcing run makes of a minion that does not answer"`
	DriftCheck    DriftCheck      `json:"drift_check,omitzero"`
}

// OnUnreachable is what an enforcing run makes of a minion that cannot be reached.
type OnUnreachable string

// The choices; the empty string is [UnreachableError].
const (
	UnreachableError OnUnreachable = "error"
	UnreachableWarn  OnUnreachable = "warn"
)

// CheckMode says where a plan takes the drift from.
type CheckMode string

// The modes; the empty string is [CheckArchive].
const (
	CheckArchive CheckMode = "archive" // from the archive; a test run only where the evidence is older than max_age
	CheckLive    CheckMode = "live"    // a test run for every plan
	CheckOff     CheckMode = "off"     // never look
)

// CheckDetail says how much of a difference is shown.
type CheckDetail string

// The details; the empty string is [DetailDiff].
const (
	DetailDiff  CheckDetail = "diff"  // the unified diff where Salt gives one
	DetailNames CheckDetail = "names" // the states' names only, for states whose diffs hold secrets
)

// DefaultMaxAge is how old evidence may be when an assignment does not say.
const DefaultMaxAge = Duration(60 * 60 * 1e9)

// DriftCheck says how drift of an assignment is looked for.
type DriftCheck struct {
	Mode     CheckMode   `json:"mode,omitempty" enum:"archive,live,off"`
	MaxAge   Duration    `json:"max_age,omitzero" doc:"evidence older than this is renewed by a test run; 1h when absent"`
	Interval Duration    `json:"interval,omitzero" doc:"jobd checks by itself this often; never when absent"`
	Detail   CheckDetail `json:"detail,omitempty" enum:"diff,names"`
	Ignore   []string    `json:"ignore,omitempty" doc:"states that are no drift: MODULE.FUNCTION:ID-glob, for example cmd.run:*"`
}

// WithDefaults returns c with the defaults where it has no value.
func (c DriftCheck) WithDefaults() DriftCheck {
	if c.Mode == "" {
		c.Mode = CheckArchive
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.Detail == "" {
		c.Detail = DetailDiff
	}
	return c
}

// DefinitionKind implements [Definition].
func (Assignment) DefinitionKind() Kind { return KindAssignment }

// DefinitionName implements [Definition].
func (a Assignment) DefinitionName() string { return a.Name }

var slsPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// Validate implements [Definition].
func (a Assignment) Validate() error {
	if err := ValidateName(a.Name); err != nil {
		return err
	}
	if _, err := ParseRef(a.TargetGroup); err != nil {
		return Invalid("target_group", "%q is not a target group; use its ref or its name", a.TargetGroup)
	}
	if a.JobTemplate != "" {
		if _, err := ParseRef(a.JobTemplate); err != nil {
			return Invalid("job_template", "%q is not a job template; use its ref or its name", a.JobTemplate)
		}
	}
	switch {
	case a.Highstate && len(a.States) > 0:
		return Invalid("states", "states and highstate exclude each other; keep one of them")
	case !a.Highstate && len(a.States) == 0:
		return Invalid("states", "nothing to apply; name at least one SLS, or set highstate = true")
	}
	for _, s := range a.States {
		if !slsPattern.MatchString(s) {
			return Invalid("states", "%q is not the name of an SLS; write it as in a top file, for example \"nginx\" or \"web.vhosts\"", s)
		}
	}
	if len(a.Pillar) > 0 {
		var object map[string]any
		if err := json.Unmarshal(a.Pillar, &object); err != nil || object == nil {
			return Invalid("pillar", "the pillar is not a JSON object; write jsonencode({ key = \"value\" })")
		}
	}
	switch a.OnUnreachable {
	case "", UnreachableError, UnreachableWarn:
	default:
		return Invalid("on_unreachable", "%q is neither \"error\" nor \"warn\"", a.OnUnreachable)
	}
	return a.DriftCheck.validate()
}

func (c DriftCheck) validate() error {
	switch c.Mode {
	case "", CheckArchive, CheckLive, CheckOff:
	default:
		return Invalid("drift_check.mode", "%q is none of \"archive\", \"live\" and \"off\"", c.Mode)
	}
	switch c.Detail {
	case "", DetailDiff, DetailNames:
	default:
		return Invalid("drift_check.detail", "%q is neither \"diff\" nor \"names\"", c.Detail)
	}
	if c.Interval != 0 && c.Interval < MinCheckInterval {
		return Invalid("drift_check.interval", "%s is too often; the shortest interval is %s", c.Interval, MinCheckInterval)
	}
	for _, rule := range c.Ignore {
		if _, err := ParseIgnoreRule(rule); err != nil {
			return err
		}
	}
	return nil
}

// MinCheckInterval is the shortest interval at which jobd checks an assignment by itself.
const MinCheckInterval = Duration(10 * 1e9)

// IgnoreRule takes states out of the drift: those of one function (or with "*" of every function of a module) whose id
// matches a glob.
type IgnoreRule struct {
	Function string // MODULE.FUNCTION or MODULE.*
	ID       string // a glob as in path.Match, in which "*" also matches "/"
}

// ParseIgnoreRule reads MODULE.FUNCTION:ID-glob, for example "cmd.run:*" or "file.managed:/etc/motd*".
func ParseIgnoreRule(s string) (IgnoreRule, error) {
	fun, glob, ok := strings.Cut(s, ":")
	module, name, dotted := strings.Cut(fun, ".")
	if !ok || !dotted || module == "" || name == "" || glob == "" {
		return IgnoreRule{}, Invalid("drift_check.ignore", "%q is not a rule; write MODULE.FUNCTION:ID-glob, for example \"cmd.run:*\"", s)
	}
	if _, err := path.Match(glob, ""); err != nil {
		return IgnoreRule{}, Invalid("drift_check.ignore", "%q ends in a broken glob %q; close its brackets", s, glob)
	}
	return IgnoreRule{Function: fun, ID: glob}, nil
}

// Matches says whether the rule takes the state out of the drift.
func (r IgnoreRule) Matches(s *StateResult) bool {
	module, name, _ := strings.Cut(r.Function, ".")
	if module != s.Module || (name != "*" && name != s.Function) {
		return false
	}
	// path.Match stops "*" at a slash, and ids are often paths: compare with the slashes hidden.
	hide := strings.NewReplacer("/", "\x01")
	ok, err := path.Match(hide.Replace(r.ID), hide.Replace(s.ID))
	return err == nil && ok
}
