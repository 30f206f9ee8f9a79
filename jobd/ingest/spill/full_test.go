package spill_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest/spill"
)

// A full disk, as SQLite tells it.
func TestOnAFullDiskRowsOfTheJobCacheAreLetGoAndOthersAreKept(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "spill.db"), 8*mib)
	for n := range 50 {
		add(t, s, row(n, 100_000, true))
	}
	check(t, s.FillDisk(t.Context(), 10))
	kept := s.Depth().Records
	if gone := add(t, s, row(50, 100_000, true)); gone.Records != 1 || s.Depth().Records != kept {
		t.Errorf("%+v is let go, and the depth is %+v", gone, s.Depth())
	}
	// The ballast has room for 20 of them. After that the job cache's make room, the last ones first.
	var gone spill.LetGo
	const others = 50
	for n := 100; n < 100+others; n++ {
		more := add(t, s, row(n, 100_000, false), row(n, 1000, true))
		gone.Records += more.Records
		if n == 110 && gone.Records != 11 {
			t.Errorf("with the ballast's room %d are let go", gone.Records)
		}
	}
	ns := all(t, s)
	left := len(ns) - others
	if left <= 0 || left+gone.Records != 50+others {
		t.Errorf("%d are left, and %d were let go", left, gone.Records)
	}
	for n := range left {
		if ns[n] != n {
			t.Fatalf("of the first ones there are %v", ns)
		}
	}
	for n := 100; n < 100+others; n++ {
		if !slices.Contains(ns, n) {
			t.Errorf("%d, which is in no cache, is gone", n)
		}
	}
}

func TestADiskWithRoomAgainTakesEverythingAgain(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "spill.db"), 8*mib)
	check(t, s.FillDisk(t.Context(), 5))
	for n := range 10 {
		add(t, s, row(n, 100_000, n%2 == 0))
	}
	check(t, s.FillDisk(t.Context(), -1))
	all(t, s)
	for n := range 40 {
		if gone := add(t, s, row(n, 100_000, true)); gone.Records > 0 {
			t.Fatalf("%d: %+v is let go", n, gone)
		}
	}
}

func TestAFullDiskWithNothingToLetGoRefuses(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "spill.db"), 8*mib)
	check(t, s.FillDisk(t.Context(), 5))
	kept := 0
	for ; kept < 100; kept++ {
		was := s.Depth()
		if _, err := s.Add(t.Context(), []spill.Row{row(kept, 100_000, false)}); err != nil {
			if s.Depth() != was {
				t.Errorf("the depth was %+v and is %+v", was, s.Depth())
			}
			break
		}
	}
	if kept < 15 || kept == 100 || len(all(t, s)) != kept {
		t.Errorf("%d were kept", kept)
	}
}

// An id names a row that is in the file: whoever removes it must not remove another row that has it now.
func TestARowThatAFullDiskLetsGoHasNoID(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "spill.db"), 8*mib)
	check(t, s.FillDisk(t.Context(), 5))
	rows := []spill.Row{row(0, 1000, true), row(1, 100_000, false)} // the first has room, and both together have none
	gone, err := s.Add(t.Context(), rows)
	check(t, err)
	if gone.Records != 1 || rows[0].ID != 0 || rows[1].ID == 0 {
		t.Errorf("%+v is let go, and the ids are %d and %d", gone, rows[0].ID, rows[1].ID)
	}
}
