package spill_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest/spill"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mib = 1 << 20

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string, most int64) *spill.Spill {
	t.Helper()
	s, err := spill.Open(t.Context(), spill.Options{Path: path, MaxBytes: most})
	check(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// row is the n-th row, of a second each.
func row(n, size int, cached bool) spill.Row {
	return spill.Row{Records: 1, Cached: cached, From: began.Add(time.Duration(n) * time.Second), Body: bytes.Repeat([]byte{byte('a' + n%26)}, size)}
}

func add(t *testing.T, s *spill.Spill, rows ...spill.Row) spill.LetGo {
	t.Helper()
	gone, err := s.Add(t.Context(), rows)
	check(t, err)
	return gone
}

// all takes everything out, and returns which rows there were.
func all(t *testing.T, s *spill.Spill) (ns []int) {
	t.Helper()
	for {
		rows, err := s.Oldest(t.Context(), 3)
		check(t, err)
		if len(rows) == 0 {
			return ns
		}
		for _, r := range rows {
			ns = append(ns, int(r.From.Sub(began)/time.Second))
		}
		check(t, s.Remove(t.Context(), rows))
	}
}

func TestRowsComeOutInTheOrderInWhichTheyWentIn(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "dir", "spill.db"), mib)
	for n := range 10 {
		add(t, s, row(n, 10, n%2 == 0))
	}
	if d := s.Depth(); d.Records != 10 || d.Bytes < 100 {
		t.Errorf("the depth is %+v", d)
	}
	if got := fmt.Sprint(all(t, s)); got != "[0 1 2 3 4 5 6 7 8 9]" {
		t.Errorf("they come out as %s", got)
	}
	if d := s.Depth(); d != (spill.Depth{}) {
		t.Errorf("the depth is %+v when nothing is left", d)
	}
}

func TestWhatIsThereStaysForTheNextProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spill.db")
	s := open(t, path, mib)
	add(t, s, row(0, 10, true), row(1, 20, false))
	was := s.Depth()
	check(t, s.Close())
	s = open(t, path, mib)
	if s.Depth() != was {
		t.Errorf("the depth was %+v and is %+v", was, s.Depth())
	}
	if got := fmt.Sprint(all(t, s)); got != "[0 1]" {
		t.Errorf("they come out as %s", got)
	}
}

func TestRowsOfTheJobCacheLeaveTheReserveToOthers(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "spill.db"), mib)
	var gone spill.LetGo
	kept := 0
	for n := 0; gone.Records == 0; n++ {
		if gone = add(t, s, row(n, 10_000, true)); gone.Records == 0 {
			kept++
		}
	}
	if !gone.From.Equal(began.Add(time.Duration(kept) * time.Second)) {
		t.Errorf("what is let go is since %s, after %d", gone.From, kept)
	}
	if d := s.Depth(); d.Bytes > mib*3/4 || d.Bytes < mib/2 {
		t.Errorf("they take %d bytes", d.Bytes)
	}
	for n := range 20 { // of the 26 that the reserve holds
		if gone := add(t, s, row(n, 10_000, false)); gone.Records > 0 {
			t.Fatalf("in the reserve %+v is let go", gone)
		}
	}
}

func TestRowsInNoCacheTakeTheRoomOfThoseThatCameLast(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "spill.db"), mib)
	for n := range 70 {
		add(t, s, row(n, 10_000, true))
	}
	var gone spill.LetGo
	for n := 100; n < 150; n++ {
		more := add(t, s, row(n, 10_000, false))
		if gone.Records += more.Records; more.Records > 0 {
			gone.From = more.From
		}
		if d := s.Depth(); d.Bytes > mib {
			t.Fatalf("the spill has %d bytes", d.Bytes)
		}
	}
	ns := all(t, s)
	left := 0
	for _, n := range ns {
		if n < 100 {
			if n != left {
				t.Fatalf("of the first ones there are %v", ns)
			}
			left++
		}
	}
	if len(ns)-left != 50 || left+gone.Records != 70 || !gone.From.Equal(began.Add(time.Duration(left)*time.Second)) {
		t.Errorf("there are %d and %d, and %+v is let go", left, len(ns)-left, gone)
	}
}

func TestRowsInNoCacheThatFillTheSpillAreRefusedWhole(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "spill.db"), mib)
	add(t, s, row(0, 10_000, true), row(1, mib-20_000, false))
	was := s.Depth()
	_, err := s.Add(t.Context(), []spill.Row{row(2, 10, true), row(3, 20_000, false)})
	if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "--spill-max") {
		t.Errorf("the error is %v", err)
	}
	if s.Depth() != was {
		t.Errorf("the depth was %+v and is %+v", was, s.Depth())
	}
}

func TestTheFileShrinksWhenNothingIsLeft(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spill.db")
	s := open(t, path, 8*mib)
	size := func() int64 {
		info, err := os.Stat(path)
		check(t, err)
		return info.Size()
	}
	empty := size()
	for n := range 40 {
		add(t, s, row(n, 100_000, true))
	}
	if size() < empty+4_000_000 {
		t.Errorf("with 4 MB in it the file grew from %d to %d", empty, size())
	}
	all(t, s)
	if size() > empty+mib/4 {
		t.Errorf("when nothing is left the file is %d, and was %d", size(), empty)
	}
}

func TestAFileThatCannotBeASpillSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	damaged, used := filepath.Join(dir, "damaged.db"), filepath.Join(dir, "used.db")
	check(t, os.WriteFile(damaged, bytes.Repeat([]byte("no database"), 1000), 0o600))
	open(t, used, mib)
	for path, says := range map[string]string{damaged: "move it away", used: "fuser", "/proc/none/spill.db": "--spill-dir"} {
		_, err := spill.Open(t.Context(), spill.Options{Path: path, MaxBytes: mib})
		if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAFileInWhichEventsOfAnotherMasterWaitIsRefusedAndNamesBoth(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spill.db")
	of := func(master string) (*spill.Spill, error) {
		return spill.Open(t.Context(), spill.Options{Path: path, MaxBytes: mib, Master: master})
	}
	s, err := of("eu")
	check(t, err)
	add(t, s, row(0, 10, true))
	check(t, s.Close())
	_, err = of("us")
	for _, says := range []string{`"eu"`, `"us"`, path, "--master-name eu", "--spill-dir"} {
		if gaea.CodeOf(err) != gaea.CodeConflict || !strings.Contains(gaea.MessageOf(err), says) {
			t.Errorf("the error is %v, without %s", err, says)
		}
	}
	s, err = of("eu")
	check(t, err)
	all(t, s)
	check(t, s.Close())
	s, err = of("us") // nothing waits in it any more
	check(t, err)
	add(t, s, row(1, 10, true))
	check(t, s.Close())
	if _, err = of("eu"); gaea.CodeOf(err) != gaea.CodeConflict {
		t.Errorf("the file is the other master's now, and the error is %v", err)
	}
}

func TestAFileOfTheFirstVersionIsTakenOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spill.db")
	s := open(t, path, mib)
	add(t, s, row(0, 10, true), row(1, 10, false))
	check(t, s.MakeFirstVersion(t.Context()))
	check(t, s.Close())
	s, err := spill.Open(t.Context(), spill.Options{Path: path, MaxBytes: mib, Master: "eu"})
	check(t, err)
	if got := fmt.Sprint(all(t, s)); got != "[0 1]" {
		t.Errorf("they come out as %s", got)
	}
	check(t, s.Close())
}

func TestOnlyItsOwnerMayReadTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "spill.db"), mib)
	add(t, s, row(0, 10, true))
	files, err := os.ReadDir(dir)
	check(t, err)
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v (%v)", f.Name(), info.Mode(), err)
		}
	}
}

// A disk may become read-only, or have errors.
func TestRowsThatCannotBeRemovedComeOutOnlyOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spill.db")
	s := open(t, path, mib)
	add(t, s, row(0, 10, true), row(1, 10, false), row(2, 10, false))
	rows, err := s.Oldest(t.Context(), 2)
	check(t, err)
	failing, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Remove(failing, rows); err == nil {
		t.Fatal("they are removed")
	}
	if d := s.Depth(); d.Records != 1 {
		t.Errorf("the depth is %+v", d)
	}
	last, err := s.Oldest(t.Context(), 2)
	check(t, err)
	if len(last) != 1 || last[0].ID == rows[1].ID {
		t.Errorf("then %+v come out", last)
	}
	add(t, s, row(3, 10, false))
	if got := fmt.Sprint(all(t, s)); got != "[2 3]" || s.Depth() != (spill.Depth{}) {
		t.Errorf("%s are left, the depth is %+v", got, s.Depth())
	}
}
