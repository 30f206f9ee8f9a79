package gaea

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Batch cuts a run into slices, so that not every minion is told at once, and says when to stop.
type Batch struct {
	Size        Amount    `json:"size,omitzero" doc:"minions a slice: a number or a share such as 10%; all at once when absent"`
	Mode        BatchMode `json:"mode,omitempty" enum:"stepped,rolling" doc:"stepped (when absent): a slice begins when the one before has ended; rolling: as minions end others begin, so that size of them are at work"`
	Wait        Duration  `json:"wait,omitzero" doc:"pause after a slice before the next; in rolling mode after a minion before its place is taken"`
	Canary      Amount    `json:"canary,omitzero" doc:"so many minions are told first, in slices of their own; one of them that does not end well halts the run"`
	CanaryHold  Hold      `json:"canary_hold,omitzero" doc:"how long the run is held after the canary: a duration, or manual to pause until somebody resumes it; as long as wait when absent"`
	MaxFailures Allowance `json:"max_failures,omitzero" doc:"so many minions may go wrong, a number from 0 or a share of those that have ended; one more halts the run and skips the rest"`
	MinSample   int       `json:"min_sample,omitempty" minimum:"1" doc:"a share in max_failures is judged when so many minions have ended, or when it cannot be met any more; 10 when absent"`
	Order       Order     `json:"order,omitempty" enum:"sorted,random" doc:"the order in which minions are told: sorted by name (when absent), or random by a seed that is stored with the run"`
}

// maxPause is the longest that a batch or an action waits for the clock: as long as the limit of a whole run can be.
const maxPause = Duration(7 * 24 * time.Hour)

// DefaultMinSample is how many minions must have ended before a share of failures is judged.
const DefaultMinSample = 10

// BatchMode says how a run goes from one slice to the next.
type BatchMode string

// The modes; the empty string is stepped.
const (
	BatchStepped BatchMode = "stepped"
	BatchRolling BatchMode = "rolling"
)

// Order says in which order minions are told.
type Order string

// The orders; the empty string is sorted.
const (
	OrderSorted Order = "sorted"
	OrderRandom Order = "random"
)

// Sliced says whether the run's minions are told in more than one publish.
func (b Batch) Sliced() bool { return !b.Size.IsZero() || !b.Canary.IsZero() }

// Validate names the first field that is wrong or contradicts another, below the given path: "batch".
func (b Batch) Validate(path string) error {
	switch {
	case b.Mode != "" && b.Mode != BatchStepped && b.Mode != BatchRolling:
		return Invalid(path+".mode", "%q is not a mode; write \"stepped\" or \"rolling\"", b.Mode)
	case b.Order != "" && b.Order != OrderSorted && b.Order != OrderRandom:
		return Invalid(path+".order", "%q is not an order; write \"sorted\" or \"random\"", b.Order)
	case b.Mode == BatchRolling && b.Size.IsZero():
		return Invalid(path+".size", "mode \"rolling\" keeps size minions at work, and no size is given; write for example \"10%%\"")
	case b.MinSample < 0:
		return Invalid(path+".min_sample", "%d is not a number of minions; write 1 or more", b.MinSample)
	case b.MinSample > 0 && !b.MaxFailures.IsShare():
		return Invalid(path+".min_sample", "min_sample is for a share in max_failures, and max_failures is %s; write for example \"5%%\", or leave min_sample out", b.MaxFailures.orNothing())
	case !b.CanaryHold.IsZero() && b.Canary.IsZero():
		return Invalid(path+".canary_hold", "a hold after the canary needs a canary; set canary, or leave canary_hold out")
	case b.Wait > maxPause:
		return Invalid(path+".wait", "%s is too long; use up to %s", b.Wait, maxPause)
	case b.CanaryHold.d > maxPause:
		return Invalid(path+".canary_hold", "%s is too long; use up to %s, or \"manual\"", b.CanaryHold, maxPause)
	case b.Sliced():
		return nil
	case b.Wait != 0:
		return Invalid(path+".wait", "there is nothing to wait between: all minions are told at once; set size, or leave wait out")
	case b.MaxFailures.IsSet():
		return Invalid(path+".max_failures", "nothing could be halted: all minions are told at once; set size or canary, or leave max_failures out")
	case b.Order != "":
		return Invalid(path+".order", "there is no order: all minions are told at once; set size or canary, or leave order out")
	default:
		return nil
	}
}

// Allowance is how many minions may go wrong: a number from 0 up, or a share: "0", "3", "5%". The zero Allowance is not
// set, and allows any number.
type Allowance struct {
	set     bool
	n       int
	percent bool
}

// ParseAllowance reads a whole number from 0 up, or a percentage from 0% to 100%.
func ParseAllowance(s string) (Allowance, error) {
	num, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	n, err := strconv.Atoi(num)
	if err != nil || n < 0 || n > math.MaxInt32 || (percent && n > 100) {
		return Allowance{}, Errorf(CodeInvalid, "%q is neither a number of minions nor a share of them; write for example \"0\", \"3\" or \"5%%\"", s)
	}
	return Allowance{set: true, n: n, percent: percent}, nil
}

// Exceeded says whether more minions have gone wrong than are allowed: failed of the ended ones, which are some of total.
// A share is judged when sample minions have ended, or earlier when so many have failed that the share of all is exceeded.
func (a Allowance) Exceeded(failed, ended, total, sample int) bool {
	switch {
	case !a.set || failed == 0:
		return false
	case !a.percent:
		return failed > a.n
	default:
		return failed*100 > a.n*total || (ended >= sample && failed*100 > a.n*ended)
	}
}

// IsSet says whether there is a limit.
func (a Allowance) IsSet() bool { return a.set }

// IsZero says whether there is no limit; it is what omitzero looks at.
func (a Allowance) IsZero() bool { return !a.set }

// IsShare says whether a is a percentage.
func (a Allowance) IsShare() bool { return a.percent }

// String writes a as it was read; empty where it is not set.
func (a Allowance) String() string {
	switch {
	case !a.set:
		return ""
	case a.percent:
		return fmt.Sprintf("%d%%", a.n)
	default:
		return strconv.Itoa(a.n)
	}
}

func (a Allowance) orNothing() string {
	if !a.set {
		return "not set"
	}
	return strconv.Quote(a.String())
}

// MarshalText writes a as [Allowance.String] does.
func (a Allowance) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what [ParseAllowance] reads; an empty text is the zero Allowance.
func (a *Allowance) UnmarshalText(b []byte) error {
	return readText(b, a, ParseAllowance)
}

// Hold is how long something is held: a duration, or until somebody resumes it. The zero Hold is not set.
type Hold struct {
	set    bool
	manual bool
	d      Duration
}

// HoldManual lasts until somebody resumes what is held.
const HoldManual = "manual"

// ParseHold reads a duration, or "manual".
func ParseHold(s string) (Hold, error) {
	if s == HoldManual {
		return Hold{set: true, manual: true}, nil
	}
	d, err := ParseDuration(s)
	if err != nil {
		return Hold{}, Errorf(CodeInvalid, "%q is neither a duration nor \"manual\"; write for example \"10m\"", s)
	}
	return Hold{set: true, d: d}, nil
}

// Manual says whether somebody must resume.
func (h Hold) Manual() bool { return h.manual }

// For is how long the hold lasts; fallback where it is not set.
func (h Hold) For(fallback Duration) time.Duration {
	if !h.set {
		return fallback.Std()
	}
	return h.d.Std()
}

// IsZero says whether h is not set.
func (h Hold) IsZero() bool { return !h.set }

// String writes h as it was read; empty where it is not set.
func (h Hold) String() string {
	switch {
	case !h.set:
		return ""
	case h.manual:
		return HoldManual
	default:
		return h.d.String()
	}
}

// MarshalText writes h as [Hold.String] does.
func (h Hold) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what [ParseHold] reads; an empty text is the zero Hold.
func (h *Hold) UnmarshalText(b []byte) error {
	return readText(b, h, ParseHold)
}
