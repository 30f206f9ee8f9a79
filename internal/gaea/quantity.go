package gaea

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time that reads and writes as Go and Terraform users type it: "30s", "1h30m". Never negative.
type Duration time.Duration

// ParseDuration reads "300ms", "30s", "10m", "1h30m"; also a bare "0". The error names the value and shows a right one.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, Errorf(CodeInvalid, "%q is not a duration; write a number and a unit, for example \"30s\", \"10m\" or \"1h30m\"", s)
	}
	return Duration(d), nil
}

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes d without the zero parts that [time.Duration] appends: "1h", not "1h0m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes d as [Duration.String] does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [ParseDuration] reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Amount is a number of minions, or a share of them: "5" or "10%". The zero Amount is not set.
type Amount struct {
	n       int
	percent bool
}

// ParseAmount reads a whole number from 1 up, or a percentage from 1% to 100%.
func ParseAmount(s string) (Amount, error) {
	num, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	n, err := strconv.Atoi(num)
	if err != nil || n < 1 || (percent && n > 100) {
		return Amount{}, Errorf(CodeInvalid, "%q is neither a number of minions nor a share of them; write for example \"5\" or \"10%%\"", s)
	}
	return Amount{n: n, percent: percent}, nil
}

// Count is the number of minions that a means out of total: a share is rounded up, and the result is between 1 and total
// (0 only where total is 0). The zero Amount means all.
func (a Amount) Count(total int) int {
	n := a.n
	switch {
	case a.IsZero():
		n = total
	case a.percent:
		n = (total*a.n + 99) / 100
	}
	return min(max(n, min(total, 1)), total)
}

// IsZero says whether a is not set.
func (a Amount) IsZero() bool { return a.n == 0 }

// String writes a as it was read.
func (a Amount) String() string {
	switch {
	case a.IsZero():
		return ""
	case a.percent:
		return fmt.Sprintf("%d%%", a.n)
	default:
		return strconv.Itoa(a.n)
	}
}

// MarshalText writes a as [Amount.String] does.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what [ParseAmount] reads; an empty text is the zero Amount.
func (a *Amount) UnmarshalText(b []byte) error {
	return readText(b, a, ParseAmount)
}

// readText reads a text into v; an empty one is the zero value. What cannot be read leaves v as it is.
func readText[T any](b []byte, v *T, parse func(string) (T, error)) error {
	var read T
	if len(b) > 0 {
		var err error
		if read, err = parse(string(b)); err != nil {
			return err
		}
	}
	*v = read
	return nil
}
