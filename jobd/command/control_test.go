package command_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

func TestACancelledRunIsStayedWithUntilItIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run"}).ID
	p := r.start("cancel", id)
	r.stands(id, gaea.RunCancelling)
	r.watched(id)
	r.Runs.End(id, gaea.RunCancelled, gaea.OutcomeKilled)
	code, out, _ := p.wait()
	want(t, "cancel", code, command.ExitOK, out, "cancelled", "1 killed\n  web1\n", "Run it on what is left (1 minion) with: jobd retry --outcome killed "+id)

	code, out, errs := r.run("cancel", id)
	want(t, "again", code, command.ExitOK, out+errs, "Nothing of the run is at work")
	done := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run"}).ID
	r.Runs.End(done, gaea.RunSucceeded, gaea.OutcomeSucceeded)
	code, out, errs = r.run("cancel", done)
	want(t, "too late", code, command.ExitOK, out+errs, "had ended already")

	other := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run"}).ID
	p = r.start("cancel", other)
	r.watched(other)
	p.interrupt()
	code, _, errs = p.wait()
	want(t, "Ctrl-C", code, command.ExitAway, errs, "goes on being cancelled", "jobd show --watch "+other)
}

func TestACancellationNeedNotBeWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run"}).ID
	code, out, errs := r.run("cancel", id, "--no-wait", "--grace", "30s")
	want(t, "cancel", code, command.ExitOK, errs, "is being cancelled", "jobd show --watch "+id)
	run, err := r.Runs.Get(t.Context(), id)
	if err != nil || run.Status != gaea.RunCancelling || run.Grace != gaea.Duration(30*time.Second) || out != "" {
		t.Errorf("the run is %+v (%v); printed %q", run, err, out)
	}
	code, _, errs = r.run("cancel", id, "--grace", "11m")
	want(t, "a long grace", code, command.ExitUsage, errs, "--grace", "11m", "up to 10m")
}

func TestARunIsPausedAndResumed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run"}).ID
	code, out, _ := r.run("pause", id)
	want(t, "pause", code, command.ExitOK, out, id, "pause", "jobd resume "+id)
	code, out, _ = r.run("resume", id)
	want(t, "resume", code, command.ExitOK, out, id+" goes on", "jobd show --watch "+id)
	code, _, errs := r.run("resume", id)
	want(t, "a run that is not paused", code, command.ExitFailed, errs, "jobd show "+id)
	code, out, _ = r.run("pause", id, "-o", "json")
	var run gaea.Run
	if err := json.Unmarshal([]byte(out), &run); code != command.ExitOK || err != nil || run.Pause == nil {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
}

func TestARetryIsANewRunThatCanBeWatched(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := endedRun(r)
	code, out, errs := r.run("retry", id)
	want(t, "retry", code, command.ExitOK, errs, "jobd show --watch run-000002")
	again, err := r.Runs.Get(t.Context(), "run-000002")
	if err != nil || out != "run-000002\n" || again.RetryOf != id || again.Target.String() != "web2" {
		t.Errorf("printed %q; the new run is %+v (%v)", out, again, err)
	}
	p := r.start("retry", id, "--outcome", "changed,succeeded", "--watch")
	r.watched("run-000003")
	r.Runs.End("run-000003", gaea.RunFailed, gaea.OutcomeFailed)
	code, out, _ = p.wait()
	want(t, "a retry that fails", code, command.ExitFailed, out, "run-000003", "repeats "+id, "on db1,web1: failed")
}

func TestARetryThatCannotBeSaysWhy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := endedRun(r)
	code, _, errs := r.run("retry", id, "--outcome", "killed")
	want(t, "nobody was killed", code, command.ExitFailed, errs, "--outcome")
	code, _, errs = r.run("retry", id, "--outcome", "pending")
	want(t, "no outcome", code, command.ExitUsage, errs, "pending", "could_not_run")
	running := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "cmd.run"}).ID
	code, _, errs = r.run("retry", running)
	want(t, "a run that goes on", code, command.ExitFailed, errs, "jobd show "+running)
}

func TestARunThatIsNotThereIsLookedForInTheList(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, line := range []string{"show", "cancel", "pause", "resume", "retry"} {
		code, _, errs := r.run(line, "run-1")
		want(t, line, code, command.ExitFailed, errs, "run-1", "look with: jobd runs\n")
		if strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: more than a line:\n%s", line, errs)
		}
	}
}
