package drift_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const motdDiff = "--- \n+++ \n@@ -1 +1 @@\n-tampered\n+hello from gaea\n"

// state makes a state as it comes out of a return: outcome, comment, changes.
func state(fun, id string, outcome gaea.Outcome, comment, changes string) gaea.StateResult {
	module, function, _ := strings.Cut(fun, ".")
	s := gaea.StateResult{
		Key: module + "_|-" + id + "_|-" + id + "_|-" + function, Module: module, Function: function, ID: id, Name: id,
		Outcome: outcome, Comment: comment,
	}
	if changes != "" {
		s.Changes = json.RawMessage(changes)
		var m map[string]any
		if json.Unmarshal(s.Changes, &m) == nil {
			if d, ok := m["diff"].(string); ok && strings.HasPrefix(d, "---") {
				s.Diff = d
			}
		}
	}
	return s
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func TestTextsOfDifferingStates(t *testing.T) {
	would, failed := gaea.OutcomeWouldChange, gaea.OutcomeFailed
	for _, c := range []struct {
		name  string
		state gaea.StateResult
		want  string
	}{
		{"a diff", state("file.managed", "/etc/motd", would, "The file /etc/motd is set to be changed", `{"diff":`+quoted(motdDiff)+`}`), motdDiff},
		{"a diff and more", state("file.managed", "/etc/motd", would, "", `{"diff":`+quoted(motdDiff)+`,"mode":"0644"}`), motdDiff + "and mode: 0644\n"},
		{
			"diffs of several files", state("file.recurse", "/etc/x", would, "", `{"/etc/x/b":{"diff":`+quoted(motdDiff)+`},"/etc/x/a":{"diff":`+quoted(motdDiff)+`,"mode":"0600"}}`),
			"/etc/x/a\n" + motdDiff + "/etc/x/b\n" + motdDiff + "and /etc/x/a mode: 0600\n",
		},
		{"a new file", state("file.managed", "/etc/motd", would, "The file /etc/motd is set to be changed\nNote: ..", `{"newfile":"/etc/motd"}`), "would create /etc/motd"},
		{"a file that goes", state("file.absent", "/etc/x", would, "File /etc/x is set for removal", `{"removed":"/etc/x"}`), "would remove /etc/x"},
		{"a service that stopped", state("service.running", "nginx", would, "Service nginx is set to start", ``), "would start"},
		{"a service to be enabled", state("service.enabled", "nginx", would, "Service nginx set to be enabled", `{}`), "would be enabled"},
		{"a link", state("file.symlink", "/a", would, "Link /a target is set to be changed to /b", ``), "would be changed to /b"},
		{"a command", state("cmd.run", "deploy", would, `Command "deploy.sh" would have been executed`, `{"cmd":"deploy.sh"}`), "would run: deploy.sh"},
		{"a package", state("pkg.installed", "nginx", would, "The following packages would be installed/updated: nginx", `{"nginx":{"old":"","new":"installed"}}`), "would change: nginx: (none) -> installed"},
		{"packages by comment", state("pkg.installed", "nginx", would, "The following packages would be installed/updated: nginx", ``), "The following packages would be installed/updated: nginx"},
		{"a module run", state("module.run", "sync", would, "Function saltutil.sync_all to be executed", `{}`), "would change: Function saltutil.sync_all to be executed"},
		{"no words", state("x.y", "z", would, "", ``), "would change"},
		{"nested changes", state("user.present", "web", would, "", `{"b":{"c":[1,"x"],"d":{}},"a":{"old":1,"new":2.50},"e":"one\ntwo\nthree"}`), `would change: a: 1 -> 2.50; b c: [1,"x"]; b d: {}; e: one (and 2 more lines)`},
		{"changes that are a text", state("x.y", "z", would, "", `"words"`), "would change: words"},
		{"a diff that is none", state("file.managed", "/x", would, "", `{"diff":"<show_changes=False>"}`), "would change: diff: <show_changes=False>"},
		{"what would fail", state("file.managed", "/x", failed, "Parent directory not present\nmore", ``), "would fail: Parent directory not present"},
		{"a failure without words", state("x.y", "z", failed, "", ``), "would fail"},
		{"text that is no UTF-8", state("x.y", "z", would, "a\xffb", ``), "would change: a\uFFFDb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := drift.Text(&c.state, true, gaea.DetailDiff); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if got := drift.Text(&c.state, true, gaea.DetailNames); got != drift.NamesOnly {
				t.Errorf("with names only: %q", got)
			}
		})
	}
}

func TestAFailedCommandSaysWhy(t *testing.T) {
	s := state("cmd.run", "false", gaea.OutcomeFailed, `Command "false" run`, `{"pid":30167,"retcode":1,"stdout":"","stderr":"\nno such host\n"}`)
	if got, want := drift.Text(&s, false, gaea.DetailDiff), `failed: Command "false" run: exit code 1: no such host`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestALongDiffIsCutAtALine(t *testing.T) {
	long := "--- \n+++ \n@@ -1 +1 @@\n" + strings.Repeat("+größer als erlaubt\n", 10_000)
	s := state("file.managed", "/x", gaea.OutcomeWouldChange, "", `{"diff":`+quoted(long)+`}`)
	got := drift.Text(&s, true, gaea.DetailDiff)
	if len(got) > drift.MaxText {
		t.Fatalf("%d bytes", len(got))
	}
	head, mark, ok := strings.Cut(got, "… cut here: ")
	if !ok || !strings.HasPrefix(long, head) || !strings.HasSuffix(head, "erlaubt\n") {
		t.Errorf("cut in the middle of a line: …%q", got[len(got)-100:])
	}
	if !strings.Contains(mark, "more lines") {
		t.Errorf("mark %q", mark)
	}
}

func TestEveryTextIsBoundedAndValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := gaea.StateResult{
			Module: "file", Function: "managed", ID: rapid.String().Draw(t, "id"),
			Outcome: rapid.SampledFrom([]gaea.Outcome{gaea.OutcomeWouldChange, gaea.OutcomeFailed}).Draw(t, "outcome"),
			Comment: string(rapid.SliceOf(rapid.Byte()).Draw(t, "comment")),
			Diff:    strings.Repeat(string(rapid.SliceOf(rapid.Byte()).Draw(t, "diff")), rapid.IntRange(0, 20_000).Draw(t, "times")),
			Changes: rapid.SliceOf(rapid.Byte()).Draw(t, "changes"),
		}
		got := drift.Text(&s, rapid.Bool().Draw(t, "test"), gaea.DetailDiff)
		if got == "" || len(got) > drift.MaxText || !utf8.ValidString(got) {
			t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("cmd", "Command would have been executed", []byte(`{"cmd":"x"}`), "")
	f.Add("file", "is set to be", []byte(`{"diff":{"old":{"new":[]}}}`), motdDiff)
	f.Fuzz(func(t *testing.T, module, comment string, changes []byte, diff string) {
		for _, outcome := range []gaea.Outcome{gaea.OutcomeWouldChange, gaea.OutcomeFailed} {
			s := gaea.StateResult{Module: module, Function: "f", Comment: comment, Changes: changes, Diff: diff, Outcome: outcome}
			if got := drift.Text(&s, true, gaea.DetailDiff); got == "" || len(got) > drift.MaxText || !utf8.ValidString(got) {
				t.Errorf("%q", got)
			}
			if a, b := drift.Digest(&s), drift.Digest(&s); a != b {
				t.Error("two digests of one state")
			}
		}
	})
}

func TestADiffOfSeveralFilesIsShownOnce(t *testing.T) {
	s := state("file.recurse", "/etc/x", gaea.OutcomeWouldChange, "", `{"/etc/x/a":{"diff":`+quoted(motdDiff)+`,"mode":"0600"}}`)
	s.Diff = "/etc/x/a\n" + strings.TrimSuffix(motdDiff, "\n")
	if got, want := drift.Text(&s, true, gaea.DetailDiff), "/etc/x/a\n"+motdDiff+"and /etc/x/a mode: 0600\n"; got != want {
		t.Errorf("got %q", got)
	}
}
