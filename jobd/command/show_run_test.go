package command_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

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

func TestARunIsShownWithWhyEachMinionEndedAsItDid(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := endedRun(r)
	run, err := r.Runs.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := r.run("show", id)
	wantOut := id + "  job cmd.run on db1,web1,web2: failed in 1.5s\n1 failed (web2)\nasked for by ann at " + run.Created.Local().Format("2006-01-02 15:04:05") + `

1 succeeded, late
  db1
1 changed
  web1
1 failed: return code 3: no such
    file
  web2

Run it again on the 1 minion that went wrong with: jobd retry ` + id + "\n"
	if code != command.ExitFailed || out != wantOut || errs != "" {
		t.Errorf("exit code %d, printed:\n%s%s\nnot:\n%s", code, out, errs, wantOut)
	}
}

// largeRun is a halted run in 30 slices of ten, the first of them a canary, of which the twelfth went wrong.
func largeRun(r *rig) string {
	begun := time.Now().Add(-time.Hour)
	run := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, User: "ann", Created: begun})
	size, _ := gaea.ParseAmount("10")
	allowed, _ := gaea.ParseAllowance("5%")
	hold, _ := gaea.ParseHold("manual")
	r.Runs.Change(run.ID, func(run *gaea.Run) {
		run.Status, run.Verdict, run.Ended = gaea.RunHalted, gaea.RunHalted, begun.Add(time.Minute)
		run.Message, run.Reason = "10 of 120 went wrong", "more than 5% went wrong"
		run.Batch = gaea.Batch{Size: size, Canary: size, CanaryHold: hold, MaxFailures: allowed, Wait: gaea.Duration(30 * time.Second), Order: gaea.OrderRandom}
		run.Concurrency, run.Template = gaea.Concurrency{Lock: "deploy"}, "rolling@abc"
		run.Minions = map[string]gaea.RunMinion{}
		run.Actions = []gaea.RunAction{{
			Name: "health", What: "http.query", Phase: gaea.PhasePost, Status: gaea.ActionFailed, Attempts: 5, Message: "status 503",
			Runs: []string{"run-h1", "run-h2", "run-h3", "run-h4", "run-h5"}, Started: begun, Ended: begun.Add(90 * time.Second),
		}}
		for i := range 30 {
			s := gaea.Slice{Index: i, Canary: i == 0}
			outcome, message := gaea.OutcomeSkipped, "the run was halted"
			if i < 12 {
				s.JID, s.Started, s.Ended = fmt.Sprintf("2026112300000000%04d", i), begun, begun.Add(2*time.Second)
				outcome, message = gaea.OutcomeSucceeded, ""
			}
			for j := range 10 {
				id := fmt.Sprintf("web%02d%d", i, j)
				s.Minions = append(s.Minions, id)
				run.Minions[id] = gaea.RunMinion{Outcome: outcome, Slice: i, Message: message}
				if i == 11 {
					run.Minions[id] = gaea.RunMinion{Outcome: gaea.OutcomeFailed, Slice: i, Message: fmt.Sprintf("exit code %d", j%2)}
				}
			}
			run.Slices = append(run.Slices, s)
		}
	})
	return run.ID
}

func TestALargeRunIsShownShortAndSaysHowToSeeAllOfIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := largeRun(r)
	code, out, _ := r.run("show", id)
	want(t, "a halted run", code, command.ExitFailed, out,
		"halted, slice 12 of 30 in 1m0s\n10 of 120 went wrong\nmore than 5% went wrong\n",
		"by the template rolling@abc\n",
		"in slices of 10, canary 10, then a hold until resumed, 30s between, halted when more than 5% go wrong, in random order\n",
		"under the lock deploy (wait)\n",
		"post  health  http.query  run  failed  5      1m30s  …,run-h3,run-h4,run-h5  status 503\n",
		"1 canary  10       20261123000000000000", "12        10       20261123000000000011", "2s    10 failed\n",
		"and 28 more slices of which there is nothing special to say\n",
		"110 succeeded\n  web000, web001, web002, web003, web004, web005, web006, web007, web008, web009 and 100 more\n",
		"5 failed: exit code 0\n  web110, web112, web114, web116, web118\n5 failed: exit code 1\n",
		"180 skipped: the run was halted\n",
		"See all of it with: jobd show --all "+id+"\n", "Run it again on the 10 minions that went wrong with: jobd retry "+id+"\n")
	_, all, _ := r.run("show", id, "--all")
	want(t, "all of it", code, command.ExitFailed, all, "web109\n", "web299\n", "run-h1,run-h2", "20261123000000000005")
	if strings.Contains(all, " more\n") || strings.Contains(all, "more slices") || strings.Contains(all, "See all") {
		t.Errorf("all of it leaves something out:\n%s", all)
	}
}

func TestARunTellsOfThoseThatRepeatItAndTheyOfIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := endedRun(r)
	again := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, RetryOf: id}).ID
	_, out, _ := r.run("show", id)
	want(t, "the first", 0, 0, out, "repeated by "+again+": running\n")
	code, out, _ := r.run("show", again)
	want(t, "the second", code, command.ExitOK, out, "repeats "+id+"\n")
}

func TestARunThatGoesOnTellsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "test.ping"}).ID
	r.Runs.Change(id, func(run *gaea.Run) {
		run.Status, run.Blocked = gaea.RunQueued, &gaea.Blocked{Lock: "deploy", Runs: []string{"run-0"}, Minions: []string{"web1"}, Since: time.Now()}
	})
	code, out, _ := r.run("show", id)
	want(t, "blocked", code, command.ExitOK, out, "queued for", "waits for the lock deploy, which run-0 has on web1")
	r.Runs.Change(id, func(run *gaea.Run) {
		run.Status, run.Blocked, run.Pause = gaea.RunPaused, nil, &gaea.Pause{Reason: gaea.PauseCanary, Since: time.Now()}
	})
	code, out, _ = r.run("show", id)
	want(t, "paused", code, command.ExitOK, out, "the canary has ended well", "jobd resume "+id)
	r.Runs.Change(id, func(run *gaea.Run) {
		run.Status, run.Pause, run.Verdict, run.Reason = gaea.RunRunning, nil, gaea.RunHalted, "web1 failed"
	})
	code, out, _ = r.run("show", id)
	want(t, "halted", code, command.ExitOK, out, "will end as halted\nweb1 failed\n")
}

func TestWhatAMinionSaysIsPrintedWithoutItsControlCharacters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run"}).ID
	r.Runs.Change(id, func(run *gaea.Run) {
		run.Status, run.Minions = gaea.RunFailed, map[string]gaea.RunMinion{"web1": {Outcome: gaea.OutcomeFailed, Message: "one\x1b[2J\ntwo\x1b]0;title\x07"}}
	})
	if _, out, _ := r.run("show", id); strings.ContainsAny(out, "\x1b\x07") || !strings.Contains(out, "1 failed: one") {
		t.Errorf("printed %q", out)
	}
}

func TestWhatAMinionReturnsMovesNoCursorAndIsWholeForScripts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const jid = "20261123000000000001"
	id := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run"}).ID
	odd := "web\x1b[2J\u202e"
	r.Runs.Change(id, func(run *gaea.Run) {
		run.Status, run.Minions = gaea.RunFailed, map[string]gaea.RunMinion{odd: {Outcome: gaea.OutcomeFailed, JID: jid, Message: "a\x1b[2Jb"}}
	})
	r.AddJob(gaea.Job{JID: jid, Function: "cmd.run", Minions: []string{odd}, Known: true})
	r.AddReturnUnheard(gaea.Return{
		JID: jid, Minion: odd, Body: json.RawMessage(`"first\n\tsecond\u001b]0;title\u0007\u009b2J\u202e"`), Outcome: gaea.OutcomeFailed,
		Truncated: &gaea.Truncation{Size: 67108869, SHA256: "0f4c", Dropped: 7},
	})
	_, out, _ := r.run("show", id, "--returns")
	if strings.ContainsAny(out, "\x1b\x07\u009b\u202e") {
		t.Errorf("printed %q", out)
	}
	want(t, "the return", 0, 0, out, "    first\n    \tsecond ]0;title", "truncated, 7 states or other members left out: the minion returned 67108869 bytes with the SHA-256 0f4c", "jobs.lookup_jid "+jid)
	_, out, _ = r.run("show", id, "-o", "tsv")
	if strings.ContainsAny(out, "\x1b\u202e") {
		t.Errorf("printed %q", out)
	}
	want(t, "the table for scripts", 0, 0, out, `web\u001b[2J\u202e`, `a\u001b[2Jb`)
}
