package command

import (
	"testing"
	"time"
)

func TestAMomentIsWrittenAsPeopleSayIt(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 3, 4, 15, 30, 0, 0, zone) // a Wednesday
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, zone)
	}
	for text, want := range map[string]time.Time{
		"2h": at(3, 4, 13, 30), "7d": at(2, 25, 15, 30), "1w": at(2, 25, 15, 30), "1d12h": at(3, 3, 3, 30), "1w1d": at(2, 24, 15, 30), "90m": at(3, 4, 14, 0),
		"now": now, "today": at(3, 4, 0, 0), "yesterday": at(3, 3, 0, 0), "Monday": at(3, 2, 0, 0), "wed": at(3, 4, 0, 0), "thursday": at(2, 26, 0, 0),
		"2026-03-01": at(3, 1, 0, 0), "2026-03-01 14:30": at(3, 1, 14, 30), "2026-03-01T14:30:00": at(3, 1, 14, 30), "2026-03-01T14:30:00+02:00": at(3, 1, 13, 30), "all": {}, "0": {},
	} {
		if got, err := parseMoment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "-1h", "7x", "d", "1d-1h", "2026-13-01", "99999999999w"} {
		if got, err := parseMoment(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}
