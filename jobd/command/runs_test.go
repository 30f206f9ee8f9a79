package command_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

func TestRunsAreListedAsATableForPeopleAndTabSeparatedForPrograms(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, out, errs := r.run("runs", "-o", "table")
	want(t, "no runs", code, command.ExitOK, out+errs, "no such runs")
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("web%03d", i))
	}
	r.Runs.Start(gaea.Run{Kind: gaea.RunCheck, Function: "state.apply", Assignment: "nginx", Target: gaea.ListTarget(many), User: "ann"})
	r.Runs.End("run-000001", gaea.RunTimedOut, gaea.OutcomeWouldChange)
	r.tty = true
	code, out, _ = r.run("runs")
	want(t, "a terminal", code, command.ExitOK, out, "nginx", "web000,web001,web002 and 197 more", "timed out", "1 would change")
	r.tty = false
	code, out, _ = r.run("runs")
	want(t, "a program", code, command.ExitOK, out, "\tnginx\t", strings.Join(many, ","), "\ttimed_out\twould_change=1\tann\t")
	code, out, _ = r.run("runs", "--active", "-o", "json")
	want(t, "JSON of nothing", code, command.ExitOK, out, `"items": []`)
	for _, limit := range []string{"0", "1001", "-1"} {
		code, _, errs = r.run("runs", "--limit="+limit)
		want(t, "limit "+limit, code, command.ExitUsage, errs, "between 1 and 1000")
	}
}

// ids are the first column of what runs prints.
func (r *rig) ids(args ...string) string {
	r.t.Helper()
	code, out, errs := r.run(append([]string{"runs"}, args...)...)
	if code != command.ExitOK {
		r.t.Errorf("runs %q ended with %d: %s", args, code, errs)
	}
	var ids []string
	for line := range strings.Lines(out) {
		id, _, _ := strings.Cut(line, "\t")
		ids = append(ids, strings.TrimPrefix(id, "run-00000"))
	}
	return strings.Join(ids[1:], " ")
}

func TestRunsOfActionsAreListedOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Runs.Start(gaea.Run{Kind: gaea.RunJob})
	r.Runs.Start(gaea.Run{Kind: gaea.RunForAction, Parent: "run-000001"})
	r.Runs.Start(gaea.Run{Kind: gaea.RunJob, RetryOf: "run-000001"})
	for args, wantIDs := range map[string]string{"": "3 1", "--actions": "3 2 1", "--parent run-000001": "2", "--retry-of run-000001": "3"} {
		if got := r.ids(strings.Fields(args)...); got != wantIDs {
			t.Errorf("runs %s: %s, not %s", args, got, wantIDs)
		}
	}
}

func TestRunsCanBeChosenByEveryStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, s := range gaea.RunStatuses() {
		id := r.Runs.Start(gaea.Run{Kind: gaea.RunJob}).ID
		r.Runs.Change(id, func(run *gaea.Run) { run.Status = s })
		code, out, errs := r.run("runs", "--status", string(s), "-o", "json")
		var page gaea.Page[gaea.Run]
		if err := json.Unmarshal([]byte(out), &page); code != command.ExitOK || err != nil || len(page.Items) != 1 || page.Items[0].ID != id {
			t.Errorf("status %s (%d): exit code %d, %s%s", s, i, code, out, errs)
		}
	}
	code, _, errs := r.run("runs", "--status", "happy")
	want(t, "a status that is none", code, command.ExitUsage, errs, "--status", "happy", "halted")
}
