package provider_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// endsAs has every run that is waited for end in a way of the test's own.
func (f *fakeJobd) endsAs(end func(r *gaea.Run)) {
	f.do(func() {
		f.wait = func(_ context.Context, r *gaea.Run) (*gaea.Run, error) {
			f.do(func() {
				r = f.runs[r.ID]
				r.CheckState = gaea.CheckDone
				end(r)
				for name, m := range r.Minions {
					f.world[name].clean["motd"] = m.Outcome.OK()
				}
				f.see(f.assignments["motd"])
			})
			return snapshot(r), nil
		}
	})
}

// changed is a fake and a configuration whose input has changed since it was applied.
func changed(t *testing.T, arguments string, minions ...string) (*fakeJobd, *terraform) {
	t.Helper()
	f := newFakeJobd(minions...)
	config := with(motd, arguments)
	tf := applied(t, f, config)
	tf.write(strings.Replace(config, `["motd"]`, `["motd", "issue"]`, 1))
	return f, tf
}

func refused(t *testing.T, tf *terraform) string {
	t.Helper()
	ok, out := tf.apply()
	if ok {
		t.Error("the apply says that it was successful")
	}
	if n := strings.Count(out, "Error:"); n != 1 {
		t.Errorf("one run gave %d errors:\n%s", n, out)
	}
	return out
}

func TestAHaltedRunNamesWhatFailedAndWhatWasSkippedAndHowToGoOn(t *testing.T) {
	f, tf := changed(t, "", "web1", "web2", "web3")
	f.endsAs(func(r *gaea.Run) {
		r.Status, r.Verdict, r.Reason = gaea.RunHalted, gaea.RunHalted, "halted: the canary did not end well on web1"
		r.Message = r.Reason + "; 1 failed (web1), 2 skipped (web2, web3)"
		r.Minions["web1"] = gaea.RunMinion{Outcome: gaea.OutcomeFailed, Message: "the disk is full"}
		for _, name := range []string{"web2", "web3"} {
			r.Minions[name] = gaea.RunMinion{Outcome: gaea.OutcomeSkipped, Message: "not told: the run was halted before"}
		}
	})
	wantText(t, refused(t, tf), "Error: The states of motd were not applied everywhere",
		"The run run-2 was halted: the canary did not end well on web1.", "It failed on 1 of 3 minions: web1: the disk is full",
		"2 of 3 minions were skipped, and nothing was done there: web2, web3.", "1 failed (web1), 2 skipped (web2, web3).",
		"apply again: the next plan has every minion that is left", "`jobd retry run-2` runs those alone that went wrong")
	s, _ := tf.state(motdAddress)
	if s["status"] != "halted" || len(object(s["drift"])) != 3 {
		t.Errorf("state: %v", s)
	}
	f.do(func() { f.wait = nil })
	if code, _ := tf.plan(); code != 2 {
		t.Error("what was skipped is not planned")
	}
}

func TestARunThatRanOutOfTimeSaysSo(t *testing.T) {
	f, tf := changed(t, "", "web1")
	f.endsAs(func(r *gaea.Run) {
		r.Status, r.Reason = gaea.RunTimedOut, "the job timeout of 30m has passed"
		r.Minions["web1"] = gaea.RunMinion{Outcome: gaea.OutcomeNoReturn, Message: "still at it when the time was out"}
	})
	wantText(t, refused(t, tf), "The run run-2 ran out of time: the job timeout of 30m has passed.", "It failed on 1 of 1 minion: web1: still at it")
}

func TestAnActionThatFailedIsAnErrorThoughEveryMinionDidWell(t *testing.T) {
	f, tf := changed(t, "", "web1")
	f.endsAs(func(r *gaea.Run) {
		r.Status, r.Reason = gaea.RunFailed, `post-action "health" failed: ret.status is 503`
		r.Message = r.Reason + "; 1 changed"
		r.Minions["web1"] = gaea.RunMinion{Outcome: gaea.OutcomeChanged}
	})
	wantText(t, refused(t, tf), "Error: The run for motd did not succeed", `The run run-2 failed: post-action "health" failed: ret.status is 503.`, "1 changed.")
	f.do(func() { f.wait = nil })
	if code, out := tf.plan(); code != 0 {
		t.Errorf("the states are as they should be, and yet:\n%s", out)
	}
}

func TestAnActionThatFailedIsAnErrorThoughMinionsMayBeUnreachable(t *testing.T) {
	f, tf := changed(t, `on_unreachable = "warn"`, "web1", "web2")
	f.do(func() { f.world["web2"].down = true })
	end := func(reason string) func(r *gaea.Run) {
		return func(r *gaea.Run) {
			r.Status, r.Reason = gaea.RunFailed, reason
			r.Minions["web1"] = gaea.RunMinion{Outcome: gaea.OutcomeChanged}
			r.Minions["web2"] = gaea.RunMinion{Outcome: gaea.OutcomeUnreachable}
		}
	}
	f.endsAs(end(`post-action "health" failed`))
	wantText(t, refused(t, tf), `The run run-2 failed: post-action "health" failed.`, "Warning: Minions of motd could not be reached")

	f.endsAs(end(""))
	tf.write(strings.Replace(with(motd, `on_unreachable = "warn"`), `["motd"]`, `["other"]`, 1))
	if ok, out := tf.apply(); !ok {
		t.Error(out)
	}
}

func TestAPauseThatOutlastsTheWaitSaysHowToResume(t *testing.T) {
	f, tf := changed(t, `timeouts = { update = "1s" }`, "web1")
	f.do(func() {
		f.wait = func(ctx context.Context, r *gaea.Run) (*gaea.Run, error) {
			f.do(func() {
				f.runs[r.ID].Status, f.runs[r.ID].Pause = gaea.RunPaused, &gaea.Pause{Reason: gaea.PauseCanary}
			})
			<-ctx.Done()
			return r, gaea.Wrap(ctx.Err(), gaea.CodeTimeout, "the time ran out")
		}
	})
	wantText(t, refused(t, tf), "Error: Stopped waiting for the run run-2",
		"The run is paused: the canary has ended well, and canary_hold is manual. `jobd resume run-2` lets it go on")
	if s, _ := tf.state(motdAddress); s["status"] != "paused" {
		t.Errorf("state: %v", s)
	}
}
