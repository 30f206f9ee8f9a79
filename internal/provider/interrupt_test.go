package provider_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// interrupted is what an apply prints that is interrupted while it waits for its run.
func interrupted(t *testing.T, f *fakeJobd, tf *terraform) string {
	t.Helper()
	waiting := make(chan struct{})
	f.do(func() {
		f.wait = func(ctx context.Context, r *gaea.Run) (*gaea.Run, error) {
			if r.Complete() {
				return r, nil
			}
			close(waiting)
			<-ctx.Done()
			return r, gaea.Wrap(ctx.Err(), gaea.CodeCancelled, "stopped while waiting for jobd")
		}
	})
	cmd, out := tf.command("apply", "-no-color", "-auto-approve")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-waiting
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the apply says that it was successful")
	}
	f.do(func() { f.wait = nil })
	return out.String()
}

func TestAnInterruptedApplyCancelsItsRunWhereItIsToldTo(t *testing.T) {
	f := newFakeJobd("web1", "web2")
	config := with(motd, `on_interrupt = "cancel"`)
	tf := applied(t, f, config)
	tf.write(strings.Replace(config, `["motd"]`, `["motd", "issue"]`, 1))
	out := interrupted(t, f, tf)
	wantCalls(t, f, "apply motd on all", "cancel run-2")
	wantText(t, out, "Error: The states of motd were not applied everywhere", "Terraform was interrupted, so the run run-2 was cancelled, as "+
		"on_interrupt says", "It was stopped on 2 of 2 minions:", "web1: killed", "The next plan has every minion that is left")
	s, _ := tf.state(motdAddress)
	if s["last_run_id"] != "run-2" || s["status"] != "cancelled" || len(object(s["drift"])) != 2 {
		t.Errorf("state: %v", s)
	}

	// Nothing goes on that could be joined: the next apply runs the states anew.
	if code, out := tf.plan(); code != 2 {
		t.Errorf("what was not applied is not planned:\n%s", out)
	}
	f.asked()
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f, "apply motd on [web1 web2]")
}

func TestARunThatCannotBeCancelledIsSaidToGoOn(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, with(motd, `on_interrupt = "cancel"`))
	f.tamper("motd", "web1", motdState, motdDiff)
	f.do(func() { f.cancelErr = gaea.Errorf(gaea.CodeUnavailable, "jobd does not answer") })
	out := interrupted(t, f, tf)
	wantText(t, out, "Error: The run run-2 may still go on", "jobd does not answer.", "When last seen it was running", "jobd cancel run-2")
	if s, _ := tf.state(motdAddress); s["last_run_id"] != "run-2" || s["status"] != "running" || len(object(s["drift"])) != 1 {
		t.Errorf("state: %v", s)
	}
}

func TestARunThatEndsWhileItIsCancelledCountsAsItEnded(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, with(motd, `on_interrupt = "cancel"`))
	f.tamper("motd", "web1", motdState, motdDiff)
	f.do(func() { f.cancelErr = gaea.Errorf(gaea.CodeConflict, "the run has ended") })
	waits := 0
	waiting := make(chan struct{})
	f.do(func() {
		f.wait = func(ctx context.Context, r *gaea.Run) (*gaea.Run, error) {
			if waits++; waits > 1 {
				return f.finish(r.ID), nil
			}
			close(waiting)
			<-ctx.Done()
			return r, gaea.Wrap(ctx.Err(), gaea.CodeCancelled, "stopped while waiting for jobd")
		}
	})
	cmd, out := tf.command("apply", "-no-color", "-auto-approve")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-waiting
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // Terraform's own word on its being interrupted
	if strings.Contains(out.String(), "were not applied") {
		t.Error(out.String())
	}
	if s, _ := tf.state(motdAddress); s["status"] != "succeeded" || len(object(s["drift"])) != 0 {
		t.Errorf("state: %v", s)
	}
}

func TestWhatAnInterruptDoesIsNoPartOfTheDefinition(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	before, _ := tf.state(motdAddress)
	tf.write(with(motd, `on_interrupt = "cancel"`))
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f)
	if after, _ := tf.state(motdAddress); after["ref"] != before["ref"] || after["last_run_id"] != before["last_run_id"] {
		t.Errorf("state: %v", after)
	}
}
