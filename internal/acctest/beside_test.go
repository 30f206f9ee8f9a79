package acctest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// This file is about jobs that others start beside Gaea: Salt's own batches, orchestrations, salt-call, the minions' schedules.

// sharedBatchJID says whether the lab's Salt runs a batch under one job id. Before 3008 each slice has its own, and only the
// salt command knows that they belong together.
func (r *rig) sharedBatchJID() bool { return r.lab.Version() >= "3008" }

// word is a name of the test's own that Salt takes as it is.
func (r *rig) word() string { return strings.ReplaceAll(r.name, "-", "_") }

// jobsOf are the archived jobs of the last minutes that name this test in their arguments and were not published by Gaea, oldest
// first.
func (r *rig) jobsOf(t *testing.T, function string) []gaea.Job {
	t.Helper()
	page, err := r.client.Jobs(t.Context(), gaea.JobFilter{Function: function, Since: time.Now().Add(-10 * time.Minute)}, gaea.PageRequest{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	jobs := slices.DeleteFunc(page.Items, func(j gaea.Job) bool { return j.RunID != "" || !strings.Contains(string(j.Args), r.word()) })
	slices.SortFunc(jobs, func(a, b gaea.Job) int { return strings.Compare(a.JID, b.JID) })
	return jobs
}

// orchestrate writes an orchestration of the test's own under a name, and returns the name of its SLS.
func (r *rig) orchestrate(t *testing.T, name, text string) string {
	t.Helper()
	sls := r.word() + "_" + name
	if err := os.WriteFile(filepath.Join(shared.states, sls+".sls"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return sls
}

// orchestrated waits for the job of an orchestration to end, with its children.
func (r *rig) orchestrated(t *testing.T, sls string) *gaea.JobDetail {
	t.Helper()
	var found *gaea.JobDetail
	eventually(t, "the orchestration "+sls+" is archived with its end", func() bool {
		for _, j := range r.jobsOf(t, "runner.state.*") {
			if strings.Contains(string(j.Args), sls) && j.Counts[gaea.OutcomePending] == 0 && len(j.Counts) > 0 {
				found = r.job(t, j.JID)
				return true
			}
		}
		return false
	})
	return found
}

func (r *rig) job(t *testing.T, jid string) *gaea.JobDetail {
	t.Helper()
	j, err := r.client.Job(t.Context(), jid)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// counted says whether of a job's minions so many ended in such a way, and no others.
func counted(j *gaea.Job, outcome gaea.Outcome, n int) bool {
	return len(j.Counts) == 1 && j.Counts[outcome] == n
}

// twoSteps is an orchestration that calls a function on all minions, and runs a command that fails on one.
func (r *rig) twoSteps(t *testing.T) string {
	t.Helper()
	return r.orchestrate(t, "two", `
everywhere:
  salt.function:
    - name: test.arg
    - tgt: '*'
    - arg: [`+r.word()+`]
broken:
  salt.function:
    - name: cmd.run
    - tgt: db1
    - arg: ["echo `+r.word()+`; exit 3"]
`)
}

// wantTwoSteps fails the test unless an orchestration of [rig.twoSteps] is there with both jobs and how they ended.
func (r *rig) wantTwoSteps(t *testing.T, got *gaea.JobDetail) {
	t.Helper()
	if got.Origin != gaea.OriginOrchestration || !got.Known || got.Parent != "" || !counted(&got.Job, gaea.OutcomeFailed, 1) || len(got.Minions) != 1 {
		t.Errorf("the orchestration is %+v", got.Job)
	}
	if head := got.Returns[got.Minions[0]]; !strings.Contains(head.Message, "broken") || !strings.HasSuffix(got.Minions[0], "_master") {
		t.Errorf("on %s it says %+v", got.Minions[0], head)
	}
	if len(got.Children) != 2 {
		t.Fatalf("it has the children %+v", got.Children)
	}
	if first := got.Children[0]; first.Function != "test.arg" || first.Parent != got.JID || first.Origin != gaea.OriginPublish || !counted(&first, gaea.OutcomeSucceeded, 3) {
		t.Errorf("its first step is %+v", first)
	}
	if second := got.Children[1]; second.Function != "cmd.run" || second.Parent != got.JID || !counted(&second, gaea.OutcomeFailed, 1) {
		t.Errorf("its second step is %+v", second)
	}
}

func TestAccAnOrchestrationIsShownWithItsJobsAndHowTheyEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.twoSteps(t)
	_, err := r.lab.SaltRun(t.Context(), "state.orchestrate", sls)
	if err == nil {
		t.Error("the orchestration failed, and salt-run says nothing of it")
	}
	got := r.orchestrated(t, sls)
	r.wantTwoSteps(t, got)
	page, err := r.client.Jobs(t.Context(), gaea.JobFilter{Parent: got.JID}, gaea.PageRequest{})
	if err != nil || len(page.Items) != 2 {
		t.Errorf("the list of its jobs is %+v (%v)", page.Items, err)
	}
	code, out := r.command(t, "read", "job", got.JID)
	if code != 0 {
		t.Errorf("jobd job ended with %d", code)
	}
	wants(t, out, "an orchestration", "runner.state.orchestrate", "failed", "belongs to it", got.Children[0].JID, got.Children[1].JID, "3 succeeded", "1 failed")
	ret, err := r.client.Return(t.Context(), got.JID, got.Minions[0])
	if err != nil || len(ret.States) != 2 || ret.States[1].Outcome != gaea.OutcomeFailed {
		t.Errorf("its return is %+v (%v)", ret, err)
	}
}

func TestAccAnOrchestrationWithinAnotherBelongsToIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	inner := r.orchestrate(t, "inner", `
within:
  salt.function:
    - name: test.arg
    - tgt: web1
    - arg: [`+r.word()+`]
`)
	outer := r.orchestrate(t, "outer", `
step:
  salt.runner:
    - name: state.orchestrate
    - mods: `+inner+`
`)
	if out, err := r.lab.SaltRun(t.Context(), "state.orchestrate", outer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	parent := r.orchestrated(t, outer)
	if len(parent.Children) != 1 || parent.Children[0].Origin != gaea.OriginOrchestration {
		t.Fatalf("it has the children %+v", parent.Children)
	}
	child := r.job(t, parent.Children[0].JID)
	if child.Parent != parent.JID || len(child.Children) != 1 || child.Children[0].Function != "test.arg" {
		t.Errorf("the orchestration within is %+v", child)
	}
}

func TestAccWhatAnOrchestrationStartedIsKnownFromTheJobCacheToo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.twoSteps(t)
	_, _ = r.lab.SaltRun(t.Context(), "state.orchestrate", sls) // it fails, as it should
	onBus := r.orchestrated(t, sls)
	r.wantTwoSteps(t, onBus)
	later := newRigAlone(t) // its archive is empty, and is filled from the job cache
	later.name = r.name
	eventually(t, "the new archive has the orchestration with its jobs", func() bool {
		j, err := later.client.Job(t.Context(), onBus.JID)
		return err == nil && len(j.Children) == 2 && j.Counts[gaea.OutcomeFailed] == 1 && counted(&j.Children[0], gaea.OutcomeSucceeded, 3) && counted(&j.Children[1], gaea.OutcomeFailed, 1)
	})
	later.wantTwoSteps(t, later.job(t, onBus.JID))
}

func TestAccABatchOfSaltsOwnIsArchivedWithHowItWent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if out, err := r.lab.Salt(t.Context(), "-b", "1", "*", "test.arg", r.word()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !r.sharedBatchJID() {
		eventually(t, "each slice is archived", func() bool {
			jobs := r.jobsOf(t, "test.arg")
			return len(jobs) == 3 && !slices.ContainsFunc(jobs, func(j gaea.Job) bool {
				return !counted(&j, gaea.OutcomeSucceeded, 1) || j.Origin != gaea.OriginPublish || j.Parent != ""
			})
		})
		return
	}
	var job gaea.Job
	eventually(t, "the batch is archived as one job", func() bool {
		jobs := r.jobsOf(t, "test.arg")
		if len(jobs) == 1 {
			job = jobs[0]
		}
		return len(jobs) == 1 && job.Batch != nil && job.Batch.Status.Ended() && counted(&job, gaea.OutcomeSucceeded, 3)
	})
	if b := job.Batch; job.Origin != gaea.OriginBatch || b.Status != gaea.JobBatchComplete || b.Minions != 3 || b.Done != 3 || b.Size != 1 || b.Target.Expr != "*" {
		t.Errorf("the job is %+v, its batch %+v", job, b)
	}
	_, out := r.command(t, "read", "job", job.JID)
	wants(t, out, "test.arg on *", "3 succeeded", "batch of 3 minions, 1 at a time: 3 done, complete")
}

func TestAccABatchThatTheMasterDrivesIsArchivedAsOneJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if out, err := r.lab.Salt(t.Context(), "-b", "1", "--async", "*", "test.arg", r.word()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !r.sharedBatchJID() { // it has no such driver: the salt command stays, and cuts the slices
		eventually(t, "each slice is archived", func() bool { return len(r.jobsOf(t, "test.arg")) == 3 })
		return
	}
	eventually(t, "the batch is archived as one job", func() bool {
		jobs := r.jobsOf(t, "test.arg")
		return len(jobs) == 1 && jobs[0].Batch != nil && jobs[0].Batch.Status == gaea.JobBatchComplete && jobs[0].Batch.Driver == "master" &&
			jobs[0].Batch.Minions == 3 && counted(&jobs[0], gaea.OutcomeSucceeded, 3)
	})
}

func TestAccABatchThatIsHaltedNamesWhomItNeverTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.lab.Salt(t.Context(), "-b", "1", "--failhard", "*", "cmd.run", "echo "+r.word()+"; exit 3")
	if !r.sharedBatchJID() {
		eventually(t, "the one slice is archived", func() bool {
			jobs := r.jobsOf(t, "cmd.run")
			return len(jobs) == 1 && counted(&jobs[0], gaea.OutcomeFailed, 1)
		})
		return
	}
	var job gaea.Job
	eventually(t, "the halted batch is archived"+errorText(err), func() bool {
		jobs := r.jobsOf(t, "cmd.run")
		if len(jobs) == 1 {
			job = jobs[0]
		}
		return len(jobs) == 1 && job.Batch != nil && job.Batch.Status == gaea.JobBatchHalted && job.Counts[gaea.OutcomeFailed] == 1
	})
	if job.Counts[gaea.OutcomeSkipped] != 2 || job.Counts[gaea.OutcomePending] != 0 || job.Batch.Reason != "failhard" || len(job.Batch.Untold) != 2 {
		t.Errorf("the job is %+v, its batch %+v", job, job.Batch)
	}
	_, out := r.command(t, "read", "job", job.JID)
	wants(t, out, "1 failed, 2 skipped", "2 not told, halted (failhard)", "skipped")
}

func TestAccWhatAMinionDoesByItselfSaysHow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if out, err := r.lab.SaltCall(t.Context(), "web2", "test.arg", r.word()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "what salt-call did is archived", func() bool {
		jobs := r.jobsOf(t, "test.arg")
		return len(jobs) == 1 && jobs[0].Origin == gaea.OriginSaltCall && counted(&jobs[0], gaea.OutcomeSucceeded, 1)
	})
}

func TestAccWhatAMinionsScheduleStartsIsArchivedWithItsName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	t.Cleanup(func() {
		if _, err := r.lab.Salt(context.Background(), "web2", "schedule.delete", r.word()); err != nil {
			t.Error(err)
		}
	})
	if out, err := r.lab.Salt(t.Context(), "web2", "schedule.add", r.word(), "function=test.arg", "job_args=['"+r.word()+"']", "seconds=3600", "run_on_start=True"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "what the schedule started is archived", func() bool {
		jobs := r.jobsOf(t, "test.arg")
		return len(jobs) == 1 && jobs[0].Origin == gaea.OriginSchedule && jobs[0].Schedule == r.word() && counted(&jobs[0], gaea.OutcomeSucceeded, 1)
	})
}

func TestAccARunAndTheJobsOfOthersDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.twoSteps(t)
	size, err := gaea.ParseAmount("1")
	if err != nil {
		t.Fatal(err)
	}
	run, err := r.client.CreateRun(t.Context(), gaea.RunRequest{
		Function: "test.sleep", Args: []any{1}, Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Batch: gaea.Batch{Size: size},
		Timeouts: gaea.Timeouts{Gather: gaea.Duration(30 * time.Second)}, // the machine has much to do meanwhile
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	var others sync.WaitGroup
	var batchFailed error
	others.Go(func() { _, batchFailed = r.lab.Salt(t.Context(), "-b", "1", "*", "test.arg", r.word()) })
	others.Go(func() { _, _ = r.lab.SaltRun(t.Context(), "state.orchestrate", sls) }) // a step of it fails
	done, err := r.client.WaitRun(t.Context(), run.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if done.Status != gaea.RunSucceeded || len(done.Slices) != 3 || done.Counts[gaea.OutcomeSucceeded] != 3 {
		t.Errorf("the run ended as %+v", done)
	}
	others.Wait()
	if batchFailed != nil {
		t.Errorf("salt -b failed beside the run: %v", batchFailed)
	}
	r.wantTwoSteps(t, r.orchestrated(t, sls))
	eventually(t, "all of the batch is archived", func() bool {
		returned := 0
		for _, j := range r.jobsOf(t, "test.arg") {
			if j.Parent == "" {
				returned += j.Counts[gaea.OutcomeSucceeded]
			}
		}
		return returned == 3
	})
	jobs, err := r.client.Jobs(t.Context(), gaea.JobFilter{RunID: run.ID}, gaea.PageRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs.Items {
		if j.Parent != "" || j.Origin != gaea.OriginPublish {
			t.Errorf("a job of the run is taken for another's: %+v", j)
		}
	}
}
