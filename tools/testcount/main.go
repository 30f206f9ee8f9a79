// Command testcount adds up the test steps of a directory and prints the total as its last line:
//
//	41 passed, 0 failed, 0 skipped
//
// A step is NAME.json, the output of `go test -json` (build failures included), and NAME.status, the exit status that
// the step ended with. Before the total it lists each failed and each skipped test. It exits with 1 when anything
// failed, and when nothing ran at all.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: testcount DIRECTORY")
		os.Exit(2)
	}
	total, err := count(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
		os.Exit(1)
	}
	total.print(os.Stdout)
	if !total.good() {
		os.Exit(1)
	}
}

// count reads every step of a directory. A step without a status file did not run to its end and has failed.
func count(dir string) (tally, error) {
	steps, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return tally{}, err
	}
	slices.Sort(steps)
	var total tally
	for _, path := range steps {
		step, err := countStep(path)
		if err != nil {
			return tally{}, err
		}
		total.add(step)
	}
	return total, nil
}

func countStep(path string) (tally, error) {
	name := strings.TrimSuffix(filepath.Base(path), ".json")
	f, err := os.Open(path)
	if err != nil {
		return tally{}, err
	}
	defer f.Close()
	step, err := read(f)
	if err != nil {
		step.failed = append(step.failed, fmt.Sprintf("step %s: its output breaks off: %v", name, err))
	}
	status, err := os.ReadFile(strings.TrimSuffix(path, ".json") + ".status")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return tally{}, err
	}
	code, err := strconv.Atoi(strings.TrimSpace(string(status)))
	switch {
	case err != nil:
		step.failed = append(step.failed, "step "+name+" did not run to its end")
	case code != 0 && len(step.failed) == 0:
		step.failed = append(step.failed, fmt.Sprintf("step %s ended with status %d", name, code))
	}
	return step, nil
}

// tally is what a step, or all of them, came to.
type tally struct {
	passed          int
	failed, skipped []string
}

func (t *tally) add(other tally) {
	t.passed += other.passed
	t.failed = append(t.failed, other.failed...)
	t.skipped = append(t.skipped, other.skipped...)
}

// good tells whether tests ran and all of them passed.
func (t *tally) good() bool {
	return len(t.failed) == 0 && t.passed > 0
}

func (t *tally) print(w io.Writer) {
	for _, name := range t.skipped {
		fmt.Fprintln(w, "skipped:", name)
	}
	for _, name := range t.failed {
		fmt.Fprintln(w, "failed:", name)
	}
	if t.passed+len(t.failed)+len(t.skipped) == 0 {
		fmt.Fprintln(w, "no test ran")
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", t.passed, len(t.failed), len(t.skipped))
}
