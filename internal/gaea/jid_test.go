package gaea_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestEachJobIDIsLaterThanTheOneBeforeWhateverTheClockDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ids gaea.JIDs
		now, last := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), ""
		for _, step := range rapid.SliceOfN(rapid.Int64Range(-int64(time.Hour), int64(time.Hour)), 1, 50).Draw(t, "steps of the clock") {
			now = now.Add(time.Duration(step))
			id := ids.Next(now)
			if !gaea.ValidJID(id) || id <= last {
				t.Fatalf("%q follows %q", id, last)
			}
			last = id
		}
	})
}

func TestAJobIDTellsItsTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC)
	id := new(gaea.JIDs).Next(now)
	if id != "20260102030405123456" {
		t.Errorf("got %s", id)
	}
	if got := gaea.JIDTime(id, time.UTC); !got.Equal(now.Truncate(time.Microsecond)) {
		t.Errorf("%s is %s", id, got)
	}
	if got := gaea.JIDTime(id+"_4711", time.UTC); !got.Equal(now.Truncate(time.Microsecond)) {
		t.Errorf("with a process behind it: %s", got)
	}
	for _, text := range []string{"", "2026", "2026010203040512345x", "20260102030405123456-1", "20269902030405123456"} {
		if got := gaea.JIDTime(text, time.UTC); !got.IsZero() {
			t.Errorf("%q is %s", text, got)
		}
	}
}
