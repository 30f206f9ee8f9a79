package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
)

// event is one line of `go test -json`; `go doc test2json` describes it.
type event struct {
	Action  string
	Package string
	Test    string
}

// testID names one test. An empty test is the package itself.
type testID struct{ pkg, test string }

// The words of event.Action that end a test or a package.
const (
	pass = "pass"
	fail = "fail"
	skip = "skip"
)

// read counts the tests and subtests of one stream. A test that never ended (a panic, a timeout, a stream that breaks
// off) has failed, and so has a package that failed although none of its tests did: it did not build, or its TestMain
// or its set-up failed. The error is about the stream itself; what was counted up to there is still right.
func read(r io.Reader) (tally, error) {
	last := map[testID]string{}
	for lines := json.NewDecoder(r); ; {
		var e event
		err := lines.Decode(&e)
		if errors.Is(err, io.EOF) {
			return sum(last), nil
		}
		if err != nil {
			return sum(last), err
		}
		switch e.Action {
		case pass, fail, skip:
			last[testID{e.Package, e.Test}] = e.Action
		case "start", "run":
			last[testID{e.Package, e.Test}] = ""
		}
	}
}

// sum counts what each test's last word was.
func sum(last map[testID]string) tally {
	ids := slices.SortedFunc(maps.Keys(last), func(a, b testID) int {
		return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test))
	})
	var t tally
	failedIn := map[string]bool{}
	for _, id := range ids {
		switch {
		case id.test == "":
		case last[id] == pass:
			t.passed++
		case last[id] == skip:
			t.skipped = append(t.skipped, id.pkg+" "+id.test)
		default:
			t.failed = append(t.failed, id.pkg+" "+id.test)
			failedIn[id.pkg] = true
		}
	}
	for _, id := range ids {
		if id.test == "" && last[id] != pass && last[id] != skip && !failedIn[id.pkg] {
			t.failed = append(t.failed, id.pkg)
		}
	}
	return t
}
