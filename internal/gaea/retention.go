package gaea

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Expiry is before when what the archive has of each kind may be deleted. The zero time deletes nothing of a kind.
type Expiry struct {
	Returns time.Time // jobs with their returns
	Events  time.Time
	Runs    time.Time // run records: who ran what, and how each minion ended
}

// ExpireAll is the expiry that is the same for every kind.
func ExpireAll(before time.Time) Expiry { return Expiry{Returns: before, Events: before, Runs: before} }

// Retention is how long the archive keeps each kind, and how large it may get. 0 is for ever, and any size.
type Retention struct {
	Returns time.Duration // jobs with their returns
	Events  time.Duration
	Runs    time.Duration
	MaxSize int64 // bytes in use
}

// Expiry is what has expired at a time.
func (r Retention) Expiry(now time.Time) Expiry {
	before := func(keep time.Duration) time.Time {
		if keep <= 0 {
			return time.Time{}
		}
		return now.Add(-keep)
	}
	return Expiry{Returns: before(r.Returns), Events: before(r.Events), Runs: before(r.Runs)}
}

// String writes r for people: "returns 90d, events 14d, runs 365d, max_size 20.0 GiB".
func (r Retention) String() string {
	keep := func(d time.Duration) string {
		if d <= 0 {
			return "for ever"
		}
		return Age(d).String()
	}
	size := "any"
	if r.MaxSize > 0 {
		size = Size(r.MaxSize).String()
	}
	return "returns " + keep(r.Returns) + ", events " + keep(r.Events) + ", runs " + keep(r.Runs) + ", max_size " + size
}

// IsZero says whether everything is kept.
func (r Retention) IsZero() bool { return r == Retention{} }

// Age is how long something is kept: a [Duration] that also reads days, weeks and years of 365 days ("90d", "2w", "1y").
type Age time.Duration

const day = 24 * time.Hour

// ages are the units beyond those of a duration.
var ages = map[byte]time.Duration{'d': day, 'w': 7 * day, 'y': 365 * day}

// ParseAge reads "90d", "2w", "1y", or what [ParseDuration] reads; "0" is for ever. CodeInvalid.
func ParseAge(s string) (Age, error) {
	if n := len(s) - 1; n > 0 && ages[s[n]] > 0 {
		unit := ages[s[n]]
		count, err := strconv.ParseInt(s[:n], 10, 64)
		if err == nil && count >= 0 && count <= math.MaxInt64/int64(unit) {
			return Age(time.Duration(count) * unit), nil
		}
	} else if d, err := ParseDuration(s); err == nil {
		return Age(d), nil
	}
	return 0, Errorf(CodeInvalid, "%q is not how long to keep something; write a number and a unit, for example \"90d\", \"2w\", \"1y\" or \"36h\", and \"0\" for ever", s)
}

// String writes whole days as such.
func (a Age) String() string {
	if d := time.Duration(a); d > 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return Duration(a).String()
}

// MarshalText writes a as [Age.String] does.
func (a Age) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what [ParseAge] reads.
func (a *Age) UnmarshalText(b []byte) error {
	v, err := ParseAge(string(b))
	if err == nil {
		*a = v
	}
	return err
}

// Size is a number of bytes that reads and writes as people type it: "20GiB".
type Size int64

// sizeUnits are powers of 1024.
var sizeUnits = []string{"B", "KiB", "MiB", "GiB", "TiB"}

// ParseSize reads a whole number with B, KiB, MiB, GiB or TiB behind it; also a bare "0". CodeInvalid.
func ParseSize(s string) (Size, error) {
	number := strings.TrimRight(s, "BKMGTi")
	n, err := strconv.ParseInt(number, 10, 64)
	if err == nil && n == 0 && s == number {
		return 0, nil
	}
	for i, unit := range sizeUnits {
		if err == nil && s[len(number):] == unit && n >= 0 && n <= math.MaxInt64>>(10*i) {
			return Size(n << (10 * i)), nil
		}
	}
	return 0, Errorf(CodeInvalid, "%q is not a size; write a whole number and a unit, for example \"512MiB\" or \"20GiB\"", s)
}

// String writes s in the largest unit in which it has at most one digit behind the point: "1.5 GiB".
func (s Size) String() string {
	v, i := float64(s), 0
	for math.Abs(v) >= 1024 && i < len(sizeUnits)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return strconv.FormatInt(int64(s), 10) + " B"
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + sizeUnits[i]
}

// UnmarshalText reads what [ParseSize] reads.
func (s *Size) UnmarshalText(b []byte) error {
	v, err := ParseSize(string(b))
	if err == nil {
		*s = v
	}
	return err
}
