package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a step of lines and an exit status; an empty status leaves its file out.
func write(t *testing.T, dir, step, status string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, step+".json"), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if status == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, step+".status"), []byte(status+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// output is what testcount prints about a directory, and whether it calls it good.
func output(t *testing.T, dir string) (string, bool) {
	t.Helper()
	total, err := count(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	total.print(&b)
	return b.String(), total.good()
}

func TestTestsAndSubtestsOfAllStepsAreAdded(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "unit", "0",
		`{"Action":"start","Package":"p"}`,
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"hello\n"}`,
		`{"Action":"run","Package":"p","Test":"TestA/sub"}`,
		`{"Action":"pass","Package":"p","Test":"TestA/sub","Elapsed":0.1}`,
		`{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}`,
		`{"Action":"pass","Package":"p"}`)
	write(t, dir, "acceptance", "0",
		`{"Action":"run","Package":"q","Test":"TestB"}`,
		`{"Action":"skip","Package":"q","Test":"TestB"}`,
		`{"Action":"run","Package":"q","Test":"TestC"}`,
		`{"Action":"pass","Package":"q","Test":"TestC"}`,
		`{"Action":"pass","Package":"q"}`)

	got, good := output(t, dir)
	if want := "skipped: q TestB\n3 passed, 0 failed, 1 skipped\n"; got != want || !good {
		t.Errorf("got %q, good %v, want %q", got, good, want)
	}
}

func TestWhatDidNotPassIsNamedAndFails(t *testing.T) {
	ok := `{"Action":"pass","Package":"p","Test":"TestOK"}`
	for name, row := range map[string]struct {
		status string
		lines  []string
		want   string
	}{
		"a failed test": {
			"1", []string{ok, `{"Action":"fail","Package":"p","Test":"TestA"}`, `{"Action":"fail","Package":"p"}`},
			"failed: p TestA\n1 passed, 1 failed, 0 skipped\n",
		},
		"a package that does not build": {
			"1", []string{ok, `{"ImportPath":"q [q.test]","Action":"build-fail"}`, `{"Action":"start","Package":"q"}`, `{"Action":"fail","Package":"q","FailedBuild":"q [q.test]"}`},
			"failed: q\n1 passed, 1 failed, 0 skipped\n",
		},
		"a test that never ended": {
			"1", []string{ok, `{"Action":"run","Package":"p","Test":"TestHang"}`, `{"Action":"fail","Package":"p"}`},
			"failed: p TestHang\n1 passed, 1 failed, 0 skipped\n",
		},
		"a step that failed without a failed test": {
			"2", []string{ok},
			"failed: step unit ended with status 2\n1 passed, 1 failed, 0 skipped\n",
		},
		"a step that did not run to its end": {
			"", []string{ok},
			"failed: step unit did not run to its end\n1 passed, 1 failed, 0 skipped\n",
		},
		"an output that breaks off": {
			"0", []string{ok, `{"Action":"pa`},
			"failed: step unit: its output breaks off: unexpected EOF\n1 passed, 1 failed, 0 skipped\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "unit", row.status, row.lines...)
			got, good := output(t, dir)
			if got != row.want || good {
				t.Errorf("got %q, good %v, want %q", got, good, row.want)
			}
		})
	}
}

func TestNoTestAtAllFails(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "unit", "0", `{"Action":"start","Package":"p"}`, `{"Action":"skip","Package":"p"}`)
	got, good := output(t, dir)
	if want := "no test ran\n0 passed, 0 failed, 0 skipped\n"; got != want || good {
		t.Errorf("got %q, good %v, want %q", got, good, want)
	}
}
