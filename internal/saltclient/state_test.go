package saltclient_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

func TestKeysOfStates(t *testing.T) {
	for key, want := range map[string][4]string{
		"file_|-/etc/motd_|-/etc/motd_|-managed": {"file", "/etc/motd", "/etc/motd", "managed"},
		"cmd_|-deploy_|-make all_|-run":          {"cmd", "deploy", "make all", "run"},
		"cmd_|-a_|-b_|-a_|-b_|-run":              {"cmd", "a_|-b", "a_|-b", "run"},
		"cmd_|-a_|-b_|-c_|-run":                  {"cmd", "a", "b_|-c", "run"},
		"no_|-states_|-states_|-None":            {"no", "states", "states", "None"},
		"cmd_|-_|-_|-run":                        {"cmd", "", "", "run"},
		"cmd_|-a_|-run":                          {"", "", "", ""},
		"cmd_|-run":                              {"", "", "", ""},
		"retcode":                                {"", "", "", ""},
		"":                                       {"", "", "", ""},
	} {
		module, id, name, function := saltclient.ParseStateKey(key)
		if got := [4]string{module, id, name, function}; got != want {
			t.Errorf("%q: got %q", key, got)
		}
	}
}

func TestAKeyIsTakenApartAsItWasPutTogether(t *testing.T) {
	part := rapid.Custom(func(t *rapid.T) string {
		return strings.ReplaceAll(rapid.String().Draw(t, "part"), "_|-", "")
	}).Filter(func(s string) bool { return !strings.ContainsAny(s, "_|-") })
	rapid.Check(t, func(t *rapid.T) {
		module, function := rapid.StringMatching(`[a-z]+`).Draw(t, "module"), rapid.StringMatching(`[a-z_]*[a-z]`).Draw(t, "function")
		id, name := part.Draw(t, "id"), part.Draw(t, "name")
		if rapid.Bool().Draw(t, "no name of its own") {
			id = rapid.StringMatching(`[a-z]*(_\|-[a-z]*)*`).Draw(t, "any id")
			name = id
		}
		m, i, n, f := saltclient.ParseStateKey(strings.Join([]string{module, id, name, function}, "_|-"))
		if m != module || i != id || n != name || f != function {
			t.Fatalf("got %q", []string{m, i, n, f})
		}
	})
}

// states are those of a state run whose return has the given members.
func states(t *testing.T, entries ...string) []gaea.StateResult {
	t.Helper()
	return judged(t, "state.apply", "{"+strings.Join(entries, ",")+"}", "").States
}

func TestIDAndNameOfAStateAreItsOwnWords(t *testing.T) {
	s := states(t, state("cmd_|-a_|-b_|-c_|-run", `"__id__":"a_|-b","name":"c","result":true,"changes":{}`))[0]
	if s.ID != "a_|-b" || s.Name != "c" || s.Module != "cmd" || s.Function != "run" || s.Key != "cmd_|-a_|-b_|-c_|-run" {
		t.Errorf("got %+v", s)
	}
	s = states(t, state(`cmd_|-say \"hi\" ${x} <b> ä_|-n_|-run`, `"__id__":"say \"hi\" ${x} <b> \u00e4","name":"n","result":true,"changes":{}`))[0]
	if s.ID != `say "hi" ${x} <b> ä` || s.Key != `cmd_|-say "hi" ${x} <b> ä_|-n_|-run` {
		t.Errorf("got %+v", s)
	}
}

func TestStatesAreInTheOrderTheyRan(t *testing.T) {
	got := states(t, state("a_|-x_|-x_|-y", `"__run_num__":2,"result":true`), state("b_|-x_|-x_|-y", `"__run_num__":0,"result":true`),
		state("c_|-x_|-x_|-y", `"__run_num__":1,"result":true`))
	if got[0].Module+got[1].Module+got[2].Module != "bca" {
		t.Errorf("got %+v", got)
	}
}

func TestOddStates(t *testing.T) {
	for name, row := range map[string]struct {
		entry   string
		outcome gaea.Outcome
		comment string
	}{
		"a text for a state":      {`"a_|-x_|-x_|-y":"exploded"`, gaea.OutcomeFailed, "exploded"},
		"no result":               {state("a_|-x_|-x_|-y", `"comment":"c"`), gaea.OutcomeFailed, "c"},
		"a comment of lines":      {state("a_|-x_|-x_|-y", `"result":true,"comment":["one","two"]`), gaea.OutcomeInSync, "one\ntwo"},
		"null for changes":        {state("a_|-x_|-x_|-y", `"result":true,"changes":null`), gaea.OutcomeInSync, ""},
		"a list for changes":      {state("a_|-x_|-x_|-y", `"result":true,"changes":["x"]`), gaea.OutcomeChanged, ""},
		"a text for changes":      {state("a_|-x_|-x_|-y", `"result":true,"changes":"x"`), gaea.OutcomeChanged, ""},
		"an empty list":           {state("a_|-x_|-x_|-y", `"result":true,"changes":[]`), gaea.OutcomeInSync, ""},
		"a result that is a text": {state("a_|-x_|-x_|-y", `"result":"true"`), gaea.OutcomeFailed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := states(t, row.entry)[0]
			if s.Outcome != row.outcome || s.Comment != row.comment {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestDurationsAreMilliseconds(t *testing.T) {
	for text, want := range map[string]float64{`12.5`: 12.5, `"12.5 ms"`: 12.5, `"NaN"`: 0, `"Infinity"`: 0, `null`: 0, `-1`: 0} {
		s := states(t, state("a_|-x_|-x_|-y", `"result":true,"duration":`+text))[0]
		if s.Duration != want {
			t.Errorf("%s: got %v", text, s.Duration)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDiffsAreUnifiedOrNothing(t *testing.T) {
	const one, two = `--- \n+++ \n@@ -1 +1 @@\n-a\n+b\n`, `--- \n+++ \n@@ -9 +9 @@\n-c\n+d\n`
	for name, row := range map[string]struct{ changes, want string }{
		"a diff":          {`{"diff":"` + one + `","mode":"0644"}`, "--- \n+++ \n@@ -1 +1 @@\n-a\n+b\n"},
		"other words":     {`{"diff":"New file"}`, ""},
		"a map":           {`{"diff":{"a":1}}`, ""},
		"many files":      {`{"/b":{"diff":"` + two + `"},"/a":{"diff":"` + one + `"},"/c":{"diff":"New file"}}`, "/a\n--- \n+++ \n@@ -1 +1 @@\n-a\n+b\n/b\n--- \n+++ \n@@ -9 +9 @@\n-c\n+d"},
		"no changes":      {`{}`, ""},
		"other modules'":  {`{"old":"1","new":"2"}`, ""},
		"a list for them": {`["diff"]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := states(t, state("file_|-x_|-x_|-managed", `"result":null,"changes":`+row.changes))[0]
			if s.Diff != row.want {
				t.Errorf("got %q", s.Diff)
			}
		})
	}
}

// The events of salt-api are JSON as Python writes it: with \u escapes for all that is not ASCII, and blanks.
func TestTextIsReadHoweverItIsEscaped(t *testing.T) {
	for escaped, want := range map[string]string{
		`plain`:                      "plain",
		`\u00e9\u4e16 \u003cb\u003e`: "é世 <b>",
		`\ud83d\ude00!`:              "😀!",
		`\ud83d alone`:               "\uFFFD alone",
		`\ud83d\u0041`:               "\uFFFDA",
		`\ude00\ud83d`:               "\uFFFD\uFFFD",
		`\b\f\n\r\t\/\\\"`:           "\b\f\n\r\t/\\\"",
	} {
		s := states(t, ` "a_|-\u0078_|-x_|-y" : { "result" : true , "com\u006dent" : "`+escaped+`" } `)[0]
		if s.Comment != want || s.ID != "x" {
			t.Errorf("%s: got %q and id %q", escaped, s.Comment, s.ID)
		}
	}
}

func TestTextIsReadAsJSONReadersReadIt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.String().Draw(rt, "text")
		quoted, err := json.Marshal(want)
		if err != nil {
			rt.Fatal(err)
		}
		s := states(t, state("a_|-x_|-x_|-y", `"result":true,"comment":`+string(quoted)))[0]
		if s.Comment != want {
			rt.Fatalf("%s was read as %q", quoted, s.Comment)
		}
	})
}
