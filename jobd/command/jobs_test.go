package command_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

const orchestrationJID = "20260102030405000001"

// withJobs adds an orchestration with a child, which is a batch that was halted, and what minions did by themselves.
func withJobs(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r.AddJob(gaea.Job{JID: orchestrationJID, Function: "runner.state.orchestrate", Target: gaea.ListTarget([]string{"salt_master"}), Minions: []string{"salt_master"},
		User: "ann", Origin: gaea.OriginOrchestration, Started: at, Known: true})
	r.AddReturn(gaea.Return{JID: orchestrationJID, Minion: "salt_master", Function: "runner.state.orchestrate", Outcome: gaea.OutcomeFailed, Message: "salt.state apply: Run failed on minions: web1", Stamp: at})
	r.AddJob(gaea.Job{JID: "20260102030405000002", Function: "state.apply", Target: gaea.ListTarget([]string{"web1"}), Minions: []string{"web1"}, User: "ann",
		Origin: gaea.OriginBatch, Parent: orchestrationJID, Started: at, Known: true, Counts: map[gaea.Outcome]int{gaea.OutcomeFailed: 1, gaea.OutcomeSkipped: 2},
		Batch: &gaea.JobBatch{Status: gaea.JobBatchHalted, Reason: "failhard", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "web*"}, Size: 1, Minions: 3, Done: 1, Waiting: 2}})
	r.AddJob(gaea.Job{JID: "20260102030405000003", Function: "test.arg", Origin: gaea.OriginSchedule, Schedule: "nightly", Started: at})
	r.AddReturn(gaea.Return{JID: "20260102030405000003", Minion: "web1", Function: "test.arg", Outcome: gaea.OutcomeSucceeded, Stamp: at})
	return r
}

func TestAnOrchestrationIsShownWithWhatBelongsToIt(t *testing.T) {
	t.Parallel()
	r := withJobs(t)
	code, out, errs := r.run("job", orchestrationJID)
	want(t, "jobd job", code, command.ExitOK, out+errs,
		"runner.state.orchestrate on salt_master", "an orchestration, begun by ann", "salt_master  failed", "Run failed on minions: web1",
		"What belongs to it:", "20260102030405000002", "web*", "1 failed, 2 skipped (halted)")
	code, out, errs = r.run("job", "20260102030405000002")
	want(t, "its child", code, command.ExitOK, out+errs, "state.apply on web*", "belongs to "+orchestrationJID,
		"batch of 3 minions, 1 at a time: 1 done, 2 not told, halted (failhard)")
	code, out, errs = r.run("job", "20260102030405000003")
	want(t, "a scheduled job", code, command.ExitOK, out+errs, "by nightly of the minion's schedule, at 2026", "web1    succeeded")
}

func TestJobsAreListedWhoeverStartedThem(t *testing.T) {
	t.Parallel()
	r := withJobs(t)
	code, out, errs := r.run("jobs")
	want(t, "jobd jobs", code, command.ExitOK, out+errs, "JID", "ORIGIN", "orchestration", "batch", "schedule", orchestrationJID)
	code, out, errs = r.run("jobs", "--parent", orchestrationJID, "-o", "tsv")
	want(t, "its children", code, command.ExitOK, out+errs, "jid\tstarted\torigin", "20260102030405000002\t2026-01-02T03:04:05Z\tbatch\tstate.apply\tweb*\tfailed=1,skipped=2\tann\t\t"+orchestrationJID)
	if strings.Count(out, "\n") != 2 {
		t.Errorf("listed is more than its child:\n%s", out)
	}
	var page gaea.Page[gaea.Job]
	_, out, _ = r.run("jobs", "--function", "runner.*", "-o", "json")
	if err := json.Unmarshal([]byte(out), &page); err != nil || len(page.Items) != 1 || page.Items[0].Origin != gaea.OriginOrchestration {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
	code, out, errs = r.run("jobs", "--user", "nobody")
	want(t, "no jobs", code, command.ExitOK, out+errs, "There are no such jobs.")
	code, out, errs = r.run("jobs", "--limit", "0")
	want(t, "a limit of 0", code, command.ExitUsage, out+errs, "--limit")
	code, out, errs = r.run("job", "20250102030405000003")
	want(t, "a job that is not", code, command.ExitFailed, out+errs, "20250102030405000003")
}
