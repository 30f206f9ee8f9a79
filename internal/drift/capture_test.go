package drift_test

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// captured reads the state runs of one minion from a recorded event bus, in order.
func captured(t *testing.T, file, minion string) []gaea.Return {
	t.Helper()
	f, err := os.Open("../saltclient/testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var returns []gaea.Return
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var row struct {
			Tag  string
			Data json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		at := noon.Add(time.Duration(len(returns)) * time.Second)
		d := saltclient.Decode(gaea.Event{Tag: row.Tag, Data: row.Data, Stamp: at})
		if r := d.Return; r != nil && r.Minion == minion && strings.HasPrefix(r.Function, "state.") {
			key, test := fingerprinter().Job(r.Function, r.Args)
			if test != r.Test {
				t.Errorf("%s %s: test mode %v, the decoder says %v", r.Function, r.Args, test, r.Test)
			}
			r.StateKey = key
			returns = append(returns, *r)
		}
	}
	return returns
}

func asEvidence(r *gaea.Return) gaea.Evidence {
	return gaea.Evidence{Minion: r.Minion, JID: r.JID, At: r.Stamp, Test: r.Test, Outcome: r.Outcome, Message: r.Message, States: r.States}
}

// TestRunsOfARealSaltAreReadAsWhatTheySay follows minion m1 through the recorded scenario: a file that is missing, made, in
// order, tampered with; a run with a failed command; a missing SLS and broken Jinja; a second run while one goes on.
func TestRunsOfARealSaltAreReadAsWhatTheySay(t *testing.T) {
	for version, minion := range map[string]string{"3008.3": "m1", "3006.27": "old1"} {
		t.Run(version, func(t *testing.T) {
			var story []string
			returns := captured(t, "bus-"+version+".ndjson", minion)
			for i := range returns {
				line := strings.ReplaceAll(told(returns[i]), "-"+minion, "-m")
				// One of the two machines did not have this file yet.
				story = append(story, strings.Replace(line, "file.managed ok-file: would create /srv/demo1/mixed-m, ", "", 1))
			}
			want := []string{
				"motd drifted, file.managed /srv/demo1/motd-m: would create /srv/demo1/motd-m",
				"motd in_sync",
				"motd in_sync",
				"motd drifted, file.managed /srv/demo1/motd-m: a diff",
				"mixed drifted, cmd.run bad-cmd: would run: false, test.configurable_test_state warned: would change: testing: Unchanged -> Something pretended to change",
				"mixed drifted, cmd.run bad-cmd: failed: Command \"false\" run: exit code 1, test.nop after-bad: failed: One or more requisite failed: mixed.bad-cmd",
				"nosuch could_not_run, No matching sls found for 'nosuch' in env 'base'",
				"broken could_not_run, Rendering SLS 'base:broken' failed: Jinja syntax error: Expected an expression, got 'end of statement block'; line 1",
				"motd unknown, The function \"state.apply\" is running",
				"highstate drifted, file.managed /srv/demo1/motd-m: a diff",
				"motd drifted, file.managed /srv/demo1/motd-m: a diff", // by an orchestration
				"motd drifted, file.managed /srv/demo1/motd-m: a diff", // by salt-call
			}
			if !slices.Equal(story, want) {
				t.Errorf("the story is\n%s", strings.Join(story, "\n"))
			}
		})
	}
}

// told says in a line what a return is evidence of.
func told(r gaea.Return) string {
	line := "nothing"
	for _, name := range []string{"motd", "mixed", "nosuch", "broken", "highstate"} {
		a := assignment("", name)
		if name == "highstate" {
			a = assignment("")
		}
		if r.StateKey != fingerprinter().Assignment(a, nil) {
			continue
		}
		d := report(a, drift.Input{Minions: []string{r.Minion}, Evidence: []gaea.Evidence{asEvidence(&r)}}).Minions[r.Minion]
		line = name + " " + string(d.Status)
		for _, label := range slices.Sorted(maps.Keys(d.States)) {
			line += ", " + label + ": " + firstOf(d.States[label])
		}
		if d.Message != "" {
			line += ", " + firstOf(d.Message)
		}
	}
	return line
}

func firstOf(s string) string {
	if strings.HasPrefix(s, "---") {
		return "a diff"
	}
	line, _, _ := strings.Cut(s, "\n")
	line, _, _ = strings.Cut(line, " as PID ")
	return line
}
