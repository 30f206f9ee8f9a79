package command_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

func TestARunIsAskedForAsItWasTyped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, out, errs := r.run("run", "state.apply", "nginx", "test=True", "-t", "web*", "-b", "10%", "--timeout", "5m")
	want(t, "run", code, command.ExitOK, out+errs, "run-000001\n", "jobd show --watch run-000001")
	if out != "run-000001\n" {
		t.Errorf("a script reads %q", out)
	}
	got := r.Runs.Requests[0]
	wantCall := gaea.Call{Function: "state.apply", Args: []any{"nginx"}, Kwargs: map[string]any{"test": true}}
	if !reflect.DeepEqual(got.Call, wantCall) || got.Target.Expr != "web*" || got.Batch.Size.String() != "10%" || got.Timeouts.Job.String() != "5m" {
		t.Errorf("asked for %+v", got)
	}
	_, out, _ = r.run("run", "test.ping", "-t", "web2,web1", "--target-type", "list", "-o", "json")
	var run gaea.Run
	if err := json.Unmarshal([]byte(out), &run); err != nil || run.ID != "run-000002" {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
}

func TestAWatchedRunIsShownAsItEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status  gaea.RunStatus
		outcome gaea.Outcome
		code    int
	}{
		{gaea.RunSucceeded, gaea.OutcomeSucceeded, command.ExitOK},
		{gaea.RunFailed, gaea.OutcomeUnreachable, command.ExitNotOK},
		{gaea.RunTimedOut, gaea.OutcomeNoReturn, command.ExitNotOK},
		{gaea.RunCancelled, gaea.OutcomeKilled, command.ExitNotOK},
	} {
		t.Run(string(c.status), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			p := r.start("run", "test.ping", "-t", "*", "--watch")
			r.watched("run-000001")
			r.Runs.End("run-000001", c.status, c.outcome)
			code, out, errs := p.wait()
			status := strings.ReplaceAll(string(c.status), "_", " ")
			want(t, "output", code, c.code, out, "run-000001", "test.ping on *: "+status, "web1", strings.ReplaceAll(string(c.outcome), "_", " "))
			want(t, "progress", code, c.code, errs, "running  1 pending\n")
			if strings.Contains(out+errs, "\x1b") {
				t.Errorf("what is no terminal gets escape sequences: %q", out+errs)
			}
		})
	}
}

func TestOnATerminalTheProgressIsOneLineThatGoesAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tty = true
	p := r.start("run", "test.ping", "-t", "*", "--watch")
	r.watched("run-000001")
	r.Runs.End("run-000001", gaea.RunSucceeded, gaea.OutcomeSucceeded)
	_, _, errs := p.wait()
	if !strings.HasSuffix(errs, "\r\x1b[K") || strings.Count(errs, "\n") != 1 {
		t.Errorf("printed %q", errs)
	}
}

func TestWhoLeavesAWatchedRunIsToldHowToComeBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("run", "test.ping", "-t", "*", "--watch")
	r.watched("run-000001")
	p.interrupt()
	code, _, errs := p.wait()
	want(t, "Ctrl-C", code, command.ExitFailed, errs, "The run goes on", "jobd show --watch run-000001", "jobd cancel run-000001")
	if run, err := r.Runs.Get(t.Context(), "run-000001"); err != nil || run.Status != gaea.RunRunning {
		t.Errorf("the run is %v (%v)", run, err)
	}
}

func TestATargetIsNeeded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, _, errs := r.run("run", "test.ping")
	want(t, "no target", code, command.ExitUsage, errs, "--target", "--group")
	code, _, errs = r.run("run", "test.ping", "-t", "a", "-g", "b")
	want(t, "two targets", code, command.ExitUsage, errs, "--target", "--group")
}

// endedRun is a run with a changed, a failed and a late minion, whose returns are archived.
func endedRun(r *rig) string {
	const jid = "20261123000000000001"
	minions := []string{"db1", "web1", "web2"}
	run := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run", Target: gaea.ListTarget(minions), User: "ann", Created: time.Now().Add(-time.Hour)})
	r.Runs.Change(run.ID, func(run *gaea.Run) {
		run.Status, run.Ended, run.Message = gaea.RunFailed, run.Created.Add(1500*time.Millisecond), "1 failed (web2)"
		run.Minions = map[string]gaea.RunMinion{
			"db1":  {Outcome: gaea.OutcomeSucceeded, JID: jid, Late: true},
			"web1": {Outcome: gaea.OutcomeChanged, JID: jid},
			"web2": {Outcome: gaea.OutcomeFailed, JID: jid, Message: "return code 3: no\tsuch\nfile"},
		}
	})
	r.AddJob(gaea.Job{JID: jid, Function: "cmd.run", Minions: minions, Known: true})
	r.AddReturnUnheard(gaea.Return{JID: jid, Minion: "db1", Body: json.RawMessage(`"first\nsecond"`), Outcome: gaea.OutcomeSucceeded})
	r.AddReturnUnheard(gaea.Return{JID: jid, Minion: "web1", Body: json.RawMessage(`{}`), Outcome: gaea.OutcomeChanged, States: []gaea.StateResult{
		{Module: "file", Function: "managed", ID: "motd", Outcome: gaea.OutcomeChanged, Comment: "File updated", Diff: "-a\n+b\n"},
		{Module: "service", Function: "running", ID: "nginx", Outcome: gaea.OutcomeInSync},
		{Module: "service", Function: "running", ID: "cron", Outcome: gaea.OutcomeInSync},
	}})
	r.AddReturnUnheard(gaea.Return{JID: jid, Minion: "web2", Body: json.RawMessage(`{"os":"Debian"}`), Outcome: gaea.OutcomeFailed})
	return run.ID
}

func TestARunIsShownWithWhyEachMinionEndedAsItDid(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := endedRun(r)
	code, out, errs := r.run("show", id)
	wantOut := id + `  job cmd.run on db1,web1,web2: failed in 1.5s
1 failed (web2)

MINION  OUTCOME    JID                   WHY
db1     succeeded  20261123000000000001  (late)
web1    changed    20261123000000000001
web2    failed     20261123000000000001  return code 3: no such …
`
	if code != command.ExitNotOK || out != wantOut || errs != "" {
		t.Errorf("exit code %d, printed:\n%s%s\nnot:\n%s", code, out, errs, wantOut)
	}
}

func TestTheReturnsOfARunAreShownAsPeopleReadThem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := endedRun(r)
	_, out, _ := r.run("show", id, "--returns")
	want(t, "returns", 0, 0, out, "\ndb1:\n    first\n    second\n", "\nweb1:\n    changed: file.managed motd\n        File updated\n        -a\n        +b\n    2 in sync\n",
		"\nweb2:\n    {\n      \"os\": \"Debian\"\n    }\n")
}

func TestScriptsGetARunWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := endedRun(r)
	_, out, _ := r.run("show", id, "-o", "tsv", "--returns")
	wantOut := "minion\toutcome\tjid\tlate\twhy\treturn\n" +
		"db1\tsucceeded\t20261123000000000001\ttrue\t\t" + `"first\\nsecond"` + "\n" +
		"web1\tchanged\t20261123000000000001\tfalse\t\t{}\n" +
		"web2\tfailed\t20261123000000000001\tfalse\t" + `return code 3: no\tsuch\nfile` + "\t" + `{"os":"Debian"}` + "\n"
	if out != wantOut {
		t.Errorf("printed:\n%s\nnot:\n%s", out, wantOut)
	}
	var both struct {
		Run     gaea.Run
		Returns []gaea.Return
	}
	_, out, _ = r.run("show", id, "-o", "json", "--returns")
	if err := json.Unmarshal([]byte(out), &both); err != nil || both.Run.ID != id || len(both.Returns) != 3 {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
	var alone gaea.Run
	_, out, _ = r.run("show", id, "-o", "json")
	if err := json.Unmarshal([]byte(out), &alone); err != nil || alone.ID != id || len(alone.Minions) != 3 {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
}

func TestRunsAreListed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, out, errs := r.run("runs")
	want(t, "no runs", code, command.ExitOK, out+errs, "no such runs")
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("web%03d", i))
	}
	r.Runs.Start(gaea.Run{Kind: gaea.RunCheck, Function: "state.apply", Assignment: "nginx", Target: gaea.ListTarget(many), User: "ann"})
	r.Runs.End("run-000001", gaea.RunTimedOut, gaea.OutcomeWouldChange)
	code, out, _ = r.run("runs")
	want(t, "a table", code, command.ExitOK, out, "nginx", "web000,web001,web002 and 197 more", "timed out", "1 would change")
	code, out, _ = r.run("runs", "-o", "tsv")
	want(t, "a script", code, command.ExitOK, out, "\tnginx\t", strings.Join(many, ","), "\ttimed_out\twould_change=1\tann\t")
	code, out, _ = r.run("runs", "--active", "-o", "json")
	want(t, "JSON of nothing", code, command.ExitOK, out, `"items": []`)
	for _, limit := range []string{"0", "1001", "-1"} {
		code, _, errs = r.run("runs", "--limit="+limit)
		want(t, "limit "+limit, code, command.ExitUsage, errs, "between 1 and 1000")
	}
}

func TestACancelledRunIsStayedWithUntilItIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run"}).ID
	p := r.start("cancel", id)
	r.watched(id)
	r.Runs.End(id, gaea.RunCancelled, gaea.OutcomeKilled)
	code, out, _ := p.wait()
	want(t, "cancel", code, command.ExitOK, out, "cancelled", "killed")

	code, out, errs := r.run("cancel", id)
	want(t, "again", code, command.ExitOK, out+errs, "had ended already")

	other := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run"}).ID
	p = r.start("cancel", other)
	r.watched(other)
	p.interrupt()
	code, _, errs = p.wait()
	want(t, "Ctrl-C", code, command.ExitFailed, errs, "goes on being cancelled", "jobd show "+other)
}
