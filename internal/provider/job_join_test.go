package provider_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

func TestACreationThatStoppedWaitingIsJoinedAndNothingIsRunTwice(t *testing.T) {
	for name, ends := range map[string]bool{"while the run goes on": false, "when the run has ended": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeJobd("db1")
			lost(f)
			tf := newTerraform(t, provider.WithBackend(f))
			tf.write(job("1", undo, `timeouts = { create = "50ms" }`))
			wantText(t, mustFail(t, tf), "Error: Stopped waiting for the run run-1", "The run goes on without Terraform; when last seen it was running.",
				"The next apply joins it and starts no second one.")
			wantState(t, tf, true, map[string]any{"run_id": "run-1", "status": "running", "done": false})
			wantText(t, mustFail(t, tf), "Stopped waiting for the run run-1", "The run run-1 still goes on")
			found(f)
			if ends {
				f.finish("run-1")
			}
			mustApply(t, tf)
			wantPlan(t, tf, 0)
			wantState(t, tf, false, map[string]any{"run_id": "run-1", "status": "succeeded", "done": true})
			wantCalls(t, f, migrateCall)
		})
	}
}

func TestAnUntaintedCreationThatStoppedWaitingIsJoinedInPlace(t *testing.T) {
	f := newFakeJobd("db1")
	lost(f)
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(job("1", `timeouts = { create = "50ms" }`))
	mustFail(t, tf)
	tf.must(0, "untaint", migrateAddress)
	found(f)
	f.finish("run-1")
	wantText(t, wantPlan(t, tf, 2), "updated in-place", `status = "running" -> (known after apply)`)
	mustApply(t, tf)
	wantPlan(t, tf, 0)
	wantState(t, tf, false, map[string]any{"run_id": "run-1", "status": "succeeded", "done": true})
	wantCalls(t, f, migrateCall)
}

func TestAChangedJobThatStoppedWaitingIsJoinedOrItsEndIsSeenByARefresh(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, job("1", `timeouts = { update = "50ms" }`))
	tf.write(job("2", `timeouts = { update = "50ms" }`))
	lost(f)
	mustFail(t, tf)
	wantState(t, tf, false, map[string]any{"run_id": "run-2", "status": "running", "done": true})
	out := wantPlan(t, tf, 2)
	wantText(t, out, `status = "running" -> (known after apply)`)
	if strings.Contains(out, "~ run_id") {
		t.Errorf("the run that is joined is not known:\n%s", out)
	}
	wantText(t, mustFail(t, tf), "Stopped waiting for the run run-2")
	f.finish("run-2")
	wantPlan(t, tf, 0) // the refresh has seen the end
	mustApply(t, tf)
	wantPlan(t, tf, 0, "-refresh-only")
	wantState(t, tf, false, map[string]any{"run_id": "run-2", "status": "succeeded", "outcomes": map[string]any{"succeeded": "1"}})
	wantCalls(t, f, migrateCall)
}

func TestAFailureThatNobodyWaitedForIsToldByTheNextPlanAndRunAgain(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, job("1", `timeouts = { update = "50ms" }`))
	tf.write(job("2", `timeouts = { update = "50ms" }`))
	lost(f)
	mustFail(t, tf)
	found(f)
	breaks(f, "db1", "no such table")
	f.finish("run-2")
	breaks(f, "db1", "")
	wantText(t, wantPlan(t, tf, 2), "Warning: The job migrate did not succeed everywhere", "db1: no such table", `status = "failed" -> (known after apply)`)
	mustApply(t, tf)
	wantPlan(t, tf, 0)
	wantCalls(t, f, migrateCall, migrateCall)
}

func TestAnApplyThatLostItsStateFindsItsRunAgain(t *testing.T) {
	for name, c := range map[string]struct {
		ended, fails bool
		calls        []string
	}{
		"going":     {calls: []string{migrateCall}},
		"succeeded": {ended: true, calls: []string{migrateCall}},
		"failed":    {ended: true, fails: true, calls: []string{migrateCall}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeJobd("db1")
			lost(f)
			tf := newTerraform(t, provider.WithBackend(f))
			tf.write(job("1", `timeouts = { create = "50ms" }`))
			mustFail(t, tf)
			if err := os.Remove(filepath.Join(tf.dir, "terraform.tfstate")); err != nil {
				t.Fatal(err)
			}
			found(f)
			if c.fails {
				breaks(f, "db1", "no such table")
			}
			if c.ended {
				f.finish("run-1")
			}
			ok, out := tf.apply()
			if ok == c.fails {
				t.Error(out)
			}
			if c.ended {
				wantText(t, out, "Warning: The job migrate was run before", "has started the run run-1", "nothing was run now")
			}
			if c.fails {
				wantText(t, out, "db1: no such table")
			}
			wantState(t, tf, c.fails, map[string]any{"run_id": "run-1"})
			wantCalls(t, f, c.calls...)
		})
	}
}

func TestARunThatWasCancelledIsNotFoundAgain(t *testing.T) {
	f := newFakeJobd("db1")
	lost(f)
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(job("1", `timeouts = { create = "50ms" }`))
	mustFail(t, tf)
	if err := os.Remove(filepath.Join(tf.dir, "terraform.tfstate")); err != nil {
		t.Fatal(err)
	}
	found(f)
	if _, err := f.CancelRun(t.Context(), "run-1", gaea.CancelRequest{}); err != nil {
		t.Fatal(err)
	}
	mustApply(t, tf)
	wantState(t, tf, false, map[string]any{"run_id": "run-2", "status": "succeeded"})
	wantCalls(t, f, migrateCall, "cancel run-1", migrateCall)
}

func TestAKeyThatStandsForSomethingElseIsSaidInTheUsersWords(t *testing.T) {
	f := newFakeJobd("db1")
	f.createErr = gaea.Errorf(gaea.CodeConflict, "the idempotency key %q was used for run run-7, which asked for something else", "k")
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(migrate)
	wantText(t, mustFail(t, tf), "Error: Cannot run the job migrate", "it was not joined, and nothing was started", "run-7", "Change one of the job's triggers")
}

func TestARunThatJobdHasLetGoOfChangesNothing(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, migrate)
	f.do(func() { clear(f.runs) })
	wantPlan(t, tf, 0)
	wantPlan(t, tf, 0, "-refresh-only")

	tf.write(job("2", "wait = false"))
	mustApply(t, tf)
	f.do(func() { clear(f.runs) })
	wantPlan(t, tf, 0)
	// Who wants to know how it ended is told that nobody does.
	tf.write(job("2"))
	wantText(t, mustFail(t, tf), "Error: How the job migrate ended is not known", "change one of its triggers")
	tf.write(job("3"))
	mustApply(t, tf)
	wantPlan(t, tf, 0)
}

func TestWithoutAJobdALostRunIsSaidToBeMissingInTheJobCache(t *testing.T) {
	f := newFakeJobd("db1")
	tf := newTerraform(t, provider.WithBackend(directFake{f}))
	tf.write(migrate)
	mustApply(t, tf)
	tf.write(job("2", `timeouts = { update = "50ms" }`))
	lost(f)
	mustFail(t, tf)
	f.do(func() { clear(f.runs) })
	out := mustFail(t, tf)
	wantText(t, out, "Error: How the job migrate ended is not known", "The master's job cache does not have the run run-2")
	if strings.Contains(out, "jobd") {
		t.Errorf("speaks of a jobd:\n%s", out)
	}
}

func TestAnInterruptedJobIsCancelledOrGoesOnAsItSays(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, job("1", `on_interrupt = "cancel"`))
	tf.write(job("2", `on_interrupt = "cancel"`))
	out := interrupted(t, f, tf)
	wantText(t, out, "Error: The job migrate did not succeed everywhere", "so the run run-2 was cancelled, as on_interrupt says", "It was stopped on 1 of 1 minion: db1: killed")
	wantState(t, tf, false, map[string]any{"run_id": "run-2", "status": "cancelled", "outcomes": map[string]any{"killed": "1"}})
	wantCalls(t, f, migrateCall, "cancel run-2")
	mustApply(t, tf)
	wantCalls(t, f, migrateCall)

	tf.write(job("3"))
	out = interrupted(t, f, tf)
	wantText(t, out, "Error: Stopped waiting for the run run-4", "The next apply joins it")
	wantState(t, tf, false, map[string]any{"run_id": "run-4", "status": "running"})
	mustApply(t, tf)
	wantState(t, tf, false, map[string]any{"run_id": "run-4", "status": "succeeded"})
	wantCalls(t, f, migrateCall)
}

func TestAnInterruptedCreationThatWasCancelledIsRunAnew(t *testing.T) {
	f := newFakeJobd("db1")
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(job("1", undo, `on_interrupt = "cancel"`))
	interrupted(t, f, tf)
	wantState(t, tf, true, map[string]any{"run_id": "run-1", "status": "cancelled", "done": false})
	mustApply(t, tf)
	wantState(t, tf, false, map[string]any{"run_id": "run-2", "status": "succeeded", "done": true})
	wantCalls(t, f, migrateCall, "cancel run-1", migrateCall)
}

func TestAChangedJobWhoseRunStillGoesOnSaysSo(t *testing.T) {
	f := newFakeJobd("db1")
	tf := applied(t, f, job("1", "wait = false"))
	tf.write(job("2", "wait = false"))
	wantText(t, mustApply(t, tf), "Warning: The run run-1 of before still goes on", "jobd cancel run-1")
	mustApply(t, tf, "-destroy")
}
