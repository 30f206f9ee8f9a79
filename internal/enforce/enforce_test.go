package enforce_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestEnforcingRepairsAndLooksAgain(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.archive.set("m2", func(m *machine) { m.drifted = true })
		run := w.enforce(gaea.EnforceRequest{})
		if run.Status != gaea.RunSucceeded || run.CheckState != gaea.CheckDone || run.Minions["m2"].Outcome != gaea.OutcomeChanged {
			t.Errorf("run %+v", run)
		}
		check := w.complete(run.CheckRun)
		if check.Parent != run.ID || check.Kind != gaea.RunCheck || check.User != "ann" || check.Target.String() != "m1,m2,m3" || check.Revision != run.Revision {
			t.Errorf("check %+v", check)
		}
		if r := w.report(); r.Summary.InSync != 3 || r.Summary.States != 0 || len(r.Unsettled) != 0 {
			t.Errorf("report %+v", r)
		}
		if run := w.check(gaea.CheckRequest{MaxAge: hour}); run != nil {
			t.Errorf("a plan asks %s again", run.Target)
		}
	})
}

func TestAStateThatNeverSettlesIsNoDriftUntilItIsAnother(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.archive.set("m1", func(m *machine) { m.command = true })
		w.check(gaea.CheckRequest{})
		if got := w.report().Minions["m1"]; got.Status != gaea.EvidenceDrifted {
			t.Errorf("before it was enforced: %+v", got)
		}
		w.enforce(gaea.EnforceRequest{})
		settled := func(when string) {
			t.Helper()
			if r := w.report(); r.Summary.InSync != 3 || !slices.Equal(r.Unsettled, []string{"m.cmd deploy"}) {
				t.Errorf("%s: %+v", when, r)
			}
		}
		settled("after enforcing")
		pass(2 * time.Hour)
		w.check(gaea.CheckRequest{MaxAge: hour})
		settled("after another check")
		w.change(func(a *gaea.Assignment) { a.Description = "changed" })
		settled("with another description")
		w.change(func(a *gaea.Assignment) { a.Pillar = json.RawMessage(`{"a":1}`) })
		w.check(gaea.CheckRequest{})
		if r := w.report(); r.Summary.Drifted != 1 || len(r.Unsettled) != 0 {
			t.Errorf("with another pillar: %+v", r)
		}
	})
}

func TestWhatEnforcingFailedIsDriftThoughTestModeCallsItFine(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.archive.set("m1", func(m *machine) { m.failing = true })
		run := w.enforce(gaea.EnforceRequest{})
		if run.Status != gaea.RunFailed || run.CheckState != gaea.CheckDone {
			t.Errorf("run %+v", run)
		}
		want := map[string]string{"m.nop after": "failed: One or more requisite failed"}
		if got := w.report().Minions["m1"]; !reflect.DeepEqual(got.States, want) {
			t.Errorf("got %+v", got)
		}
		w.archive.set("m1", func(m *machine) { m.failing = false })
		w.enforce(gaea.EnforceRequest{Minions: []string{"m1"}})
		if got := w.report().Minions["m1"]; got.Status != gaea.EvidenceInSync {
			t.Errorf("repaired: %+v", got)
		}
	})
}

func TestOnlyWhatIsReachedIsLookedAtAgain(t *testing.T) {
	inWorld(t, []string{"m1", "m2", "m3", "m4"}, func(t *testing.T, w *world) {
		w.salt.Set("m2", enginetest.Minion{Down: true})
		w.archive.set("m3", func(m *machine) { m.words = "Rendering SLS failed" })
		w.archive.set("m4", func(m *machine) { m.failing = true })
		run := w.enforce(gaea.EnforceRequest{})
		if check := w.complete(run.CheckRun); check.Target.String() != "m1,m4" {
			t.Errorf("looked at %s again", check.Target)
		}
		want := map[string]gaea.EvidenceStatus{
			"m1": gaea.EvidenceInSync, "m2": gaea.EvidenceUnreachable, "m3": gaea.EvidenceCouldNotRun, "m4": gaea.EvidenceDrifted,
		}
		if got := w.statuses(); !maps.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
}

func TestAnEnforcingRunThatReachesNobodyHasNoCheck(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		run := w.enforce(gaea.EnforceRequest{})
		if run.Status != gaea.RunFailed || run.CheckRun != "" || run.CheckState != gaea.CheckDone {
			t.Errorf("run %+v", run)
		}
	})
}

func TestACancelledRunIsNotCheckedAfterwards(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.salt.Set("m3", enginetest.Minion{Hangs: true, Answers: time.Millisecond})
		run, err := w.service.Enforce(asUser("ann"), "web", gaea.EnforceRequest{}, "")
		if err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if _, err := w.engine.Cancel(t.Context(), run.ID, gaea.CancelRequest{}); err != nil {
			t.Fatal(err)
		}
		run = w.complete(run.ID)
		if run.Status != gaea.RunCancelled || run.CheckRun != "" || run.CheckState != gaea.CheckDone {
			t.Errorf("run %+v", run)
		}
	})
}

func TestWhatWasNotPlannedIsRefused(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		planned := w.change(func(a *gaea.Assignment) { a.Description = "planned" })
		w.change(func(a *gaea.Assignment) { a.Description = "changed since" })
		if _, err := w.service.Enforce(asUser("ann"), "web", gaea.EnforceRequest{Ref: planned}, ""); gaea.CodeOf(err) != gaea.CodeConflict {
			t.Errorf("an older version: %v", err)
		}
		ref := w.change(func(a *gaea.Assignment) { a.Remediate = false })
		if _, err := w.service.Enforce(asUser("ann"), "web", gaea.EnforceRequest{Ref: ref}, ""); gaea.CodeOf(err) != gaea.CodeConflict {
			t.Errorf("without remediation: %v", err)
		}
		if n := len(w.stateRuns(gaea.RunEnforce)); n != 0 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestEnforcingJoinsARunOfTheSameRevision(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.check(gaea.CheckRequest{})
		start := func(req gaea.EnforceRequest, key string) string {
			t.Helper()
			run, err := w.service.Enforce(asUser("ann"), "web", req, key)
			if err != nil {
				t.Fatal(err)
			}
			return run.ID
		}
		whole := start(gaea.EnforceRequest{}, "one")
		if id := start(gaea.EnforceRequest{Minions: []string{"m1"}}, "two"); id != whole {
			t.Error("a part is not joined with the whole")
		}
		run, err := w.engine.Wait(t.Context(), whole)
		if err != nil || run.Complete() {
			t.Fatalf("%+v, %v", run, err)
		}
		if id := start(gaea.EnforceRequest{}, "three"); id != whole {
			t.Error("a run whose check goes on is not joined")
		}
		w.change(func(a *gaea.Assignment) { a.Pillar = json.RawMessage(`{"a":1}`) })
		other := start(gaea.EnforceRequest{}, "four")
		if other == whole {
			t.Error("another revision is joined")
		}
		w.complete(whole)
		w.complete(other)
		if id := start(gaea.EnforceRequest{}, "four"); id != other {
			t.Error("the same key gives another run")
		}
		part := start(gaea.EnforceRequest{Minions: []string{"m1"}}, "")
		if id := start(gaea.EnforceRequest{Minions: []string{"m2"}}, ""); id == part {
			t.Error("a run on other minions is joined")
		}
		if id := start(gaea.EnforceRequest{}, ""); id == part {
			t.Error("the whole is joined with a part")
		}
	})
}

func TestARunIsFollowedOnceHoweverOftenItIsAskedFor(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.check(gaea.CheckRequest{})
		ids := map[string]bool{}
		for range 5 {
			// Its revision is hidden below, so that only the key finds the run again.
			run, err := w.service.Enforce(asUser("ann"), "web", gaea.EnforceRequest{}, "key")
			if err != nil {
				t.Fatal(err)
			}
			ids[run.ID] = true
			if err := w.engine.Finish(t.Context(), run.ID, func(r *gaea.Run) { r.Revision = "hidden" }); err != nil {
				t.Fatal(err)
			}
		}
		for id := range ids {
			w.complete(id)
			if n := w.engine.waitsFor(id); len(ids) != 1 || n != 1 {
				t.Errorf("%d runs, followed %d times", len(ids), n)
			}
		}
	})
}

func TestTheTemplateSaysHowAndThePillarIsMerged(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		size, err := gaea.ParseAmount("2")
		if err != nil {
			t.Fatal(err)
		}
		template := w.templates.put(t, gaea.JobTemplate{Name: "rolling", Batch: gaea.Batch{Size: size}, Timeouts: gaea.Timeouts{Job: hour}})
		if err := w.archive.PutSecretPillar(t.Context(), "web", "v1", json.RawMessage(`{"db":{"password":"p"}}`)); err != nil {
			t.Fatal(err)
		}
		w.change(func(a *gaea.Assignment) {
			a.JobTemplate, a.SaltEnv, a.States = template, "dev", []string{"nginx", "tls"}
			a.Pillar, a.SecretVersion = json.RawMessage(`{"db":{"host":"h"}}`), "v1"
		})
		run := w.enforce(gaea.EnforceRequest{})
		if len(run.Slices) != 2 || run.Timeouts.Job != hour {
			t.Errorf("run %+v", run)
		}
		for i, p := range w.salt.Published("state.apply") {
			kwargs, err := json.Marshal(p.Kwargs)
			if err != nil {
				t.Fatal(err)
			}
			want := `{"pillar":{"db":{"host":"h","password":"p"}},"queue":true,"saltenv":"dev"}`
			if i == 2 {
				want = `{"pillar":{"db":{"host":"h","password":"p"}},"queue":true,"saltenv":"dev","test":true}`
			}
			if string(kwargs) != want || !reflect.DeepEqual(p.Args, []any{"nginx,tls"}) {
				t.Errorf("publication %d: %v %s", i, p.Args, kwargs)
			}
		}
		if r := w.report(); r.Summary.InSync != 3 {
			t.Errorf("its own runs are no evidence: %+v", r)
		}
		before := w.report().Revision
		if err := w.archive.PutSecretPillar(t.Context(), "web", "v1", json.RawMessage(`{"db":{"password":"q"}}`)); err != nil {
			t.Fatal(err)
		}
		if r := w.report(); r.Revision == before || r.Summary.Unknown != 3 {
			t.Errorf("with another secret: %+v", r)
		}
	})
}

func TestAHighstateIsEnforcedAsOne(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.change(func(a *gaea.Assignment) { a.States, a.Highstate = nil, true })
		run := w.enforce(gaea.EnforceRequest{})
		if run.Function != "state.highstate" || len(w.salt.Published("state.highstate")) != 2 {
			t.Errorf("run %+v", run)
		}
	})
}

func TestTwentyAssignmentsOnTheSameMinionsAllEnd(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		var all sync.WaitGroup
		for i := range 20 {
			name := fmt.Sprintf("a%d", i)
			w.assign(gaea.Assignment{Name: name, TargetGroup: "all", States: []string{name}, Remediate: true})
			all.Go(func() {
				run, err := w.service.Enforce(asUser("ann"), name, gaea.EnforceRequest{}, "")
				if err != nil {
					t.Error(err)
					return
				}
				if run = w.complete(run.ID); run.Status != gaea.RunSucceeded || run.CheckState != gaea.CheckDone {
					t.Errorf("%s: %+v", name, run)
				}
			})
		}
		all.Wait()
		if n := w.salt.MostStates(); n != 1 {
			t.Errorf("%d state runs at once on a minion", n)
		}
	})
}

func TestACheckThatCannotBeStartedIsTriedAgain(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		refused := 0
		w.engine.failSubmit(func(req engine.Request) error {
			if req.Parent == "" || refused == 3 {
				return nil
			}
			refused++
			return gaea.Errorf(gaea.CodeUnavailable, "full")
		})
		run := w.enforce(gaea.EnforceRequest{})
		if refused != 3 || run.CheckState != gaea.CheckDone || run.CheckRun == "" {
			t.Errorf("refused %d times, run %+v", refused, run)
		}
	})
}

func TestACheckThatWasNotNotedIsFoundAgain(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.engine.loseFinish(2)
		run := w.enforce(gaea.EnforceRequest{})
		if checks := w.stateRuns(gaea.RunCheck); len(checks) != 1 || checks[0].ID != run.CheckRun || checks[0].Parent != run.ID {
			t.Errorf("%d checks, run %+v", len(checks), run)
		}
	})
}

func TestACheckThatIsRefusedForGoodIsSaidSo(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.engine.failSubmit(func(req engine.Request) error {
			if req.Parent == "" {
				return nil
			}
			return gaea.Invalid("timeouts.job", "no")
		})
		if run := w.enforce(gaea.EnforceRequest{}); run.CheckState != gaea.CheckFailed {
			t.Errorf("run %+v", run)
		}
	})
}

func TestTheAftermathIsTakenUpAfterARestartAtAnyMoment(t *testing.T) {
	for step := range 40 {
		at := time.Duration(step) * 25 * time.Millisecond
		inWorld(t, three, func(t *testing.T, w *world) {
			w.archive.set("m1", func(m *machine) { m.command = true })
			w.archive.set("m2", func(m *machine) { m.drifted = true })
			w.salt.Set("m3", enginetest.Minion{Down: true})
			started, err := w.service.Enforce(asUser("ann"), "web", gaea.EnforceRequest{}, "")
			if err != nil {
				t.Fatal(err)
			}
			pass(at)
			w.archive.breakDown(errors.New("the disk is full"))
			pass(25 * time.Millisecond)
			w.stop()
			w.archive.breakDown(nil)
			pass(time.Minute)
			w.start()
			// What the assignment is by now is none of the run's business.
			w.change(func(a *gaea.Assignment) { a.Description = "changed" })
			run := w.complete(started.ID)
			if run.CheckState != gaea.CheckDone || len(w.stateRuns(gaea.RunCheck)) != 1 || len(w.salt.Ran("m2")) != 2 {
				t.Errorf("stopped after %s: run %+v, checks %d, m2 ran %v", at, run, len(w.stateRuns(gaea.RunCheck)), w.salt.Ran("m2"))
			}
			r := w.report()
			if r.Summary.InSync != 2 || !slices.Equal(r.Unreachable, []string{"m3"}) || !slices.Equal(r.Unsettled, []string{"m.cmd deploy"}) {
				t.Errorf("stopped after %s: report %+v", at, r)
			}
		})
	}
}
