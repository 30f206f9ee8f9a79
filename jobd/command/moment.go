package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// moment is a time on the command line: how long ago, a day, or a date. The zero moment is no bound. What names no time zone is in
// the one of the machine that the command runs on.
type moment struct{ time.Time }

// moments says in help how a moment is written.
const moments = "7d, 2h, today, monday, 2026-03-01, '2026-03-01 14:30', or RFC 3339"

// UnmarshalText reads a moment as it is now.
func (m *moment) UnmarshalText(text []byte) (err error) {
	m.Time, err = parseMoment(string(text), time.Now())
	return err
}

func parseMoment(s string, now time.Time) (time.Time, error) {
	word := strings.ToLower(strings.TrimSpace(s))
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch word {
	case "all", "0":
		return time.Time{}, nil
	case "now":
		return now, nil
	case "today":
		return today, nil
	case "yesterday":
		return today.AddDate(0, 0, -1), nil
	}
	for day := time.Sunday; day <= time.Saturday; day++ {
		if name := strings.ToLower(day.String()); word == name || word == name[:3] {
			back := (int(now.Weekday()) - int(day) + 7) % 7
			return today.AddDate(0, 0, -back), nil
		}
	}
	if ago, ok := parseAgo(word); ok {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, strings.TrimSpace(s), now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time; use %s", s, moments)
}

// parseAgo reads 7d, 2w, 1d12h, or what Go takes for a duration. A day has 24 hours.
func parseAgo(s string) (time.Duration, bool) {
	var days time.Duration
	for _, unit := range []struct {
		letter string
		is     time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, rest, found := strings.Cut(s, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > 100_000 {
			return 0, false
		}
		if days, s = days+time.Duration(n)*unit.is, rest; s == "" {
			return days, true
		}
	}
	d, err := time.ParseDuration(s)
	return days + d, err == nil && d >= 0
}

// span says in words which time an answer is about, with the time zone.
func span(since, until moment) string {
	var parts []string
	if !since.IsZero() {
		parts = append(parts, " since "+zoned(since.Time))
	}
	if !until.IsZero() {
		parts = append(parts, " until "+zoned(until.Time))
	}
	return strings.Join(parts, "")
}

func zoned(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }
