package gaea_test

import (
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAgesReadDaysWeeksAndYearsAndWriteWholeDays(t *testing.T) {
	for text, want := range map[string]string{"90d": "90d", "2w": "14d", "1y": "365d", "2160h": "90d", "36h": "36h", "0": "0s", "1h30m": "1h30m"} {
		if a, err := gaea.ParseAge(text); err != nil || a.String() != want {
			t.Errorf("%s is %s (%v), want %s", text, a, err, want)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1.5d", "90", "1x", "9999999999999y", "forever"} {
		if a, err := gaea.ParseAge(text); gaea.CodeOf(err) != gaea.CodeInvalid {
			t.Errorf("%q is %s (%v)", text, a, err)
		}
	}
}

func TestSizesReadAndWriteUnitsOf1024(t *testing.T) {
	for text, want := range map[string]gaea.Size{"0": 0, "512B": 512, "20GiB": 20 << 30, "1TiB": 1 << 40, "3KiB": 3 << 10, "7MiB": 7 << 20} {
		if s, err := gaea.ParseSize(text); err != nil || s != want {
			t.Errorf("%s is %d (%v), want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "20", "20GB", "-1GiB", "1.5GiB", "GiB", "20 GiB", "99999999999TiB", "1BB"} {
		if s, err := gaea.ParseSize(text); gaea.CodeOf(err) != gaea.CodeInvalid {
			t.Errorf("%q is %d (%v)", text, s, err)
		}
	}
	for size, want := range map[gaea.Size]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 20 << 30: "20.0 GiB", -2048: "-2.0 KiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d is written %s, want %s", int64(size), got, want)
		}
	}
}

func TestWhatIsKeptForEverNeverExpires(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	e := gaea.Retention{Returns: time.Hour, Runs: 2 * time.Hour}.Expiry(now)
	if want := (gaea.Expiry{Returns: now.Add(-time.Hour), Runs: now.Add(-2 * time.Hour)}); e != want {
		t.Errorf("%+v, want %+v", e, want)
	}
	r := gaea.Retention{Returns: 90 * 24 * time.Hour, Events: 36 * time.Hour, MaxSize: 20 << 30}
	if want := "returns 90d, events 36h, runs for ever, max_size 20.0 GiB"; r.String() != want {
		t.Errorf("%s, want %s", r, want)
	}
}
