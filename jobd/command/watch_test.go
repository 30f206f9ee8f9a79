package command_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

func TestAWatchedRunIsShownAsItEndsAndTheExitCodeSaysHow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status  gaea.RunStatus
		outcome gaea.Outcome
		code    int
	}{
		{gaea.RunSucceeded, gaea.OutcomeSucceeded, 0},
		{gaea.RunFailed, gaea.OutcomeUnreachable, 1},
		{gaea.RunHalted, gaea.OutcomeSkipped, 1},
		{gaea.RunTimedOut, gaea.OutcomeNoReturn, 1},
		{gaea.RunCancelled, gaea.OutcomeKilled, 3},
	} {
		t.Run(string(c.status), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			p := r.start("run", "test.ping", "-t", "*", "--watch")
			r.watched("run-000001")
			r.Runs.End("run-000001", c.status, c.outcome)
			code, out, errs := p.wait()
			status, outcome := strings.ReplaceAll(string(c.status), "_", " "), strings.ReplaceAll(string(c.outcome), "_", " ")
			want(t, "output", code, c.code, out, "run-000001", "test.ping on *: "+status, "1 "+outcome+"\n  web1\n")
			want(t, "progress", code, c.code, errs, "run-000001\n", " running: 0 of 1 minion\n")
			if strings.Contains(out+errs, "\x1b") {
				t.Errorf("what is no terminal gets escape sequences: %q", out+errs)
			}
			code, _, _ = r.run("show", "run-000001")
			again, _, _ := r.run("show", "run-000001", "--watch")
			if code != c.code || again != c.code {
				t.Errorf("show ends with %d, with --watch %d, and run with %d", code, again, c.code)
			}
		})
	}
}

func TestOnATerminalTheProgressIsABlockThatGoesAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.tty = true
	p := r.start("run", "test.ping", "-t", "*", "--watch")
	r.watched("run-000001")
	r.Runs.End("run-000001", gaea.RunSucceeded, gaea.OutcomeSucceeded)
	_, out, errs := p.wait()
	head, block, _ := strings.Cut(errs, "\n")
	if head != "run-000001" || !strings.HasPrefix(block, "\x1b[?25l") || !strings.HasSuffix(block, "\x1b[J\x1b[?25h") || strings.Contains(out, "\x1b") {
		t.Errorf("printed %q beside %q", errs, out)
	}
}

func TestTheFirstCtrlCCancelsTheRunAndStaysUntilItsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("run", "test.ping", "-t", "*", "--watch")
	r.watched("run-000001")
	p.interrupt()
	r.stands("run-000001", gaea.RunCancelling)
	r.Runs.End("run-000001", gaea.RunCancelled, gaea.OutcomeKilled)
	code, out, errs := p.wait()
	want(t, "Ctrl-C", code, 3, errs, "the run is being cancelled; Ctrl-C again leaves it to jobd", "cancelling")
	want(t, "Ctrl-C", code, 3, out, "1 killed\n  web1\n")
}

func TestTheSecondCtrlCLeavesARunThatIsBeingCancelled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("run", "test.ping", "-t", "*", "--watch")
	r.watched("run-000001")
	p.interrupt()
	eventually(t, "it is told that the run is being cancelled", func() bool { return strings.Contains(p.errs.String(), " cancelling\n") })
	close(p.again)
	code, _, errs := p.wait()
	want(t, "Ctrl-C twice", code, 4, errs, "run-000001 goes on being cancelled", "jobd show --watch run-000001")
}

func TestWithDetachCtrlCLetsTheRunGoOnAndSaysHowToComeBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, args := range [][]string{{"run", "test.ping", "-t", "*", "--watch", "--on-interrupt", "detach"}, {"show", "run-000001", "--watch"}} {
		p := r.start(args...)
		r.watched("run-000001")
		p.interrupt()
		code, _, errs := p.wait()
		want(t, args[0], code, 4, errs, "The run run-000001 goes on", "jobd show --watch run-000001", "jobd cancel run-000001")
		if run, err := r.Runs.Get(t.Context(), "run-000001"); err != nil || run.Status != gaea.RunRunning {
			t.Errorf("%s: the run is %v (%v)", args[0], run, err)
		}
		eventually(t, "nobody watches", func() bool { return r.Runs.Watched("run-000001") == 0 })
	}
}

func TestACancellationThatJobdRefusesIsSaid(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("run", "test.ping", "-t", "*", "--watch")
	r.watched("run-000001")
	r.Runs.Fail(gaea.Errorf(gaea.CodeForbidden, "only its owner may cancel it"))
	p.interrupt()
	code, _, errs := p.wait()
	want(t, "a refusal", code, command.ExitFailed, errs, "could not be cancelled, and goes on", "jobd cancel run-000001", "only its owner may cancel it")
}

func TestAJobdThatIsAwayIsToldByTheExitCode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.url = "http://127.0.0.1:1"
	code, _, errs := r.run("show", "run-1")
	want(t, "nobody listens", code, command.ExitAway, errs, "connection refused", "jobd serve")
}

func TestForProgramsEachChangeIsALineAndTheRunIsTheLast(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("run", "test.ping", "-t", "*", "--watch", "-o", "json")
	r.watched("run-000001")
	r.Runs.Change("run-000001", func(run *gaea.Run) { run.Verdict = gaea.RunHalted })
	eventually(t, "the verdict is told", func() bool { return strings.Contains(p.out.String(), "halted") })
	r.Runs.End("run-000001", gaea.RunHalted, gaea.OutcomeFailed)
	code, out, errs := p.wait()
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	var events []string
	for _, line := range lines[:len(lines)-1] {
		var event struct{ Run, Event, Minion, Status, Verdict string }
		if err := json.Unmarshal([]byte(line), &event); err != nil || event.Run != "run-000001" || event.Event == "" {
			t.Errorf("the line %s is no event: %v", line, err)
		}
		events = append(events, strings.TrimSpace(event.Event+" "+event.Minion+event.Status+" "+event.Verdict))
	}
	var run gaea.Run
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &run); err != nil || run.ID != "run-000001" || run.Status != gaea.RunHalted {
		t.Errorf("the last line is %s (%v)", lines[len(lines)-1], err)
	}
	if got := strings.Join(events, ", "); got != "status running, status running halted, minion web1, status halted halted" {
		t.Errorf("told %s", got)
	}
	if code != 1 || errs != "" {
		t.Errorf("exit code %d, and beside it %q", code, errs)
	}
}

func TestReturnsForProgramsAreOneDocument(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("run", "test.ping", "-t", "*", "--returns", "-o", "json")
	r.watched("run-000001")
	r.Runs.End("run-000001", gaea.RunSucceeded, gaea.OutcomeSucceeded)
	code, out, _ := p.wait()
	var both struct{ Run gaea.Run }
	if err := json.Unmarshal([]byte(out), &both); code != 0 || err != nil || both.Run.ID != "run-000001" {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
}

// stands waits until a run has a status.
func (r *rig) stands(id string, s gaea.RunStatus) {
	r.t.Helper()
	eventually(r.t, id+" is "+string(s), func() bool {
		run, err := r.Runs.Get(r.t.Context(), id)
		return err == nil && run.Status == s
	})
}
