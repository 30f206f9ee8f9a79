package gaea_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAnAmountIsANumberOfMinionsOrAShareOfThem(t *testing.T) {
	for _, row := range []struct {
		text        string
		total, want int
	}{
		{"5", 20, 5},
		{"5", 3, 3},
		{"10%", 20, 2},
		{"10%", 21, 3}, // rounded up
		{"1%", 5, 1},
		{"100%", 7, 7},
		{"50%", 0, 0},
	} {
		a, err := gaea.ParseAmount(row.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Count(row.total); got != row.want {
			t.Errorf("%s of %d is %d, want %d", row.text, row.total, got, row.want)
		}
	}
	if got := (gaea.Amount{}).Count(20); got != 20 {
		t.Errorf("an amount that is not set means %d of 20", got)
	}
}

func TestWhatIsNoAmountIsRefusedWithARightOne(t *testing.T) {
	for _, text := range []string{"", "0", "-1", "0%", "101%", "10 %%", "1.5%", "ten", "%"} {
		if _, err := gaea.ParseAmount(text); gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(err.Error(), `"10%"`) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSlicesOfAnAmountAreNeverEmptyAndNeverMoreThanAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[1-9][0-9]{0,4}|([1-9][0-9]?|100)%`).Draw(t, "amount")
		total := rapid.IntRange(1, 100_000).Draw(t, "minions")
		a, err := gaea.ParseAmount(text)
		if err != nil {
			t.Fatal(err)
		}
		if n := a.Count(total); n < 1 || n > total {
			t.Errorf("%s of %d is %d", text, total, n)
		}
		if a.Count(total) > a.Count(total+1) {
			t.Errorf("%s of %d is more than of %d", text, total, total+1)
		}
	})
}

func TestQuantitiesTravelAsTheyAreWritten(t *testing.T) {
	type both struct {
		Size gaea.Amount   `json:"size,omitzero"`
		Job  gaea.Duration `json:"job,omitzero"`
	}
	for _, text := range []string{`{}`, `{"size":"5"}`, `{"size":"10%"}`, `{"job":"1h"}`, `{"job":"1h30m"}`, `{"job":"1m30s"}`, `{"size":"1","job":"250ms"}`} {
		var v both
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if b, err := json.Marshal(v); err != nil || string(b) != text {
			t.Errorf("%s became %s (%v)", text, b, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := gaea.Duration(rapid.Int64Range(0, int64(10_000*time.Hour)).Draw(t, "nanoseconds"))
		if back, err := gaea.ParseDuration(d.String()); err != nil || back != d {
			t.Errorf("%d writes %q and reads %d (%v)", d, d, back, err)
		}
	})
}

func TestWhatIsNoDurationIsRefusedWithARightOne(t *testing.T) {
	for _, text := range []string{"", "5", "-5m", "1 day", "1d", "soon", "5 m"} {
		if _, err := gaea.ParseDuration(text); gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(err.Error(), `"1h30m"`) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzQuantities(f *testing.F) {
	for _, text := range []string{"5", "10%", "+5", "1h30m", "0", "9223372036854775807ns", "99999999999999999999"} {
		f.Add(text, 7)
	}
	f.Fuzz(func(t *testing.T, text string, total int) {
		if a, err := gaea.ParseAmount(text); err == nil {
			if back, err := gaea.ParseAmount(a.String()); err != nil || back != a {
				t.Errorf("%q is %s, which reads as %s (%v)", text, a, back, err)
			}
			if total = min(max(total, 1), 1<<20); a.Count(total) < 1 || a.Count(total) > total {
				t.Errorf("%q of %d is %d", text, total, a.Count(total))
			}
		}
		if d, err := gaea.ParseDuration(text); err == nil {
			if back, err := gaea.ParseDuration(d.String()); err != nil || back != d {
				t.Errorf("%q is %s, which reads as %s (%v)", text, d, back, err)
			}
		}
	})
}
