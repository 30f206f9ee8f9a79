package enforce_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const hour = gaea.Duration(time.Hour)

var three = []string{"m1", "m2", "m3"}

func pass(d time.Duration) {
	<-time.After(d) // in a bubble: at once, when all others wait
	synctest.Wait()
}

func TestACheckTellsHowEveryMinionStands(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		if s := w.statuses(); len(s) != 0 {
			t.Errorf("before the first check there are minions: %v", s)
		}
		w.archive.set("m2", func(m *machine) { m.drifted = true })
		run := w.check(gaea.CheckRequest{MaxAge: hour})
		if run.Status != gaea.RunSucceeded || run.CheckState != gaea.CheckDone || run.User != "ann" {
			t.Errorf("run %+v", run)
		}
		want := map[string]gaea.EvidenceStatus{"m1": gaea.EvidenceInSync, "m2": gaea.EvidenceDrifted, "m3": gaea.EvidenceInSync}
		if got := w.statuses(); !maps.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if text := w.report().Minions["m2"].States["m.file motd"]; text != "would be changed" {
			t.Errorf("text %q", text)
		}
	})
}

func TestATargetWithoutMinionsIsNoFailure(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		run := w.check(gaea.CheckRequest{MaxAge: hour})
		if run == nil || run.Status != gaea.RunSucceeded || run.CheckState != gaea.CheckDone {
			t.Fatalf("run %+v", run)
		}
		if s := w.statuses(); len(s) != 0 {
			t.Errorf("minions of nowhere: %v", s)
		}
		if run := w.check(gaea.CheckRequest{MaxAge: hour}); run != nil {
			t.Errorf("asked again: %s", run.ID)
		}
	})
}

func TestFreshEvidenceNeedsNoRun(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.check(gaea.CheckRequest{})
		pass(59 * time.Minute)
		if run := w.check(gaea.CheckRequest{MaxAge: hour}); run != nil {
			t.Errorf("a run: %s", run.ID)
		}
		pass(2 * time.Minute)
		run := w.check(gaea.CheckRequest{MaxAge: hour})
		if run == nil || run.Target.Expr != "*" || len(w.stateRuns(gaea.RunCheck)) != 2 {
			t.Errorf("old evidence gave %+v", run)
		}
		if run := w.check(gaea.CheckRequest{}); run == nil {
			t.Error("no run although evidence of any age was refused")
		}
	})
}

func TestARunByHandIsEvidenceAndOnlyTheOthersAreAsked(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.check(gaea.CheckRequest{})
		w.change(func(a *gaea.Assignment) { a.Pillar = json.RawMessage(`{"workers":4}`) })
		w.archive.saltCommand("m1", `["nginx",{"__kwarg__":true,"pillar":{"workers":4.0}}]`)
		w.archive.saltCommand("m2", `["nginx"]`)
		run := w.check(gaea.CheckRequest{MaxAge: hour})
		if run == nil || run.Target.String() != "m2,m3" {
			t.Fatalf("asked %+v", run)
		}
		if run := w.check(gaea.CheckRequest{MaxAge: hour}); run != nil {
			t.Errorf("asked %s again", run.Target)
		}
	})
}

func TestTheTargetIsResolvedAgainWhenItsMinionsAreOldNews(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.check(gaea.CheckRequest{})
		w.salt.Set("m4", quick)
		w.archive.set("m4", func(*machine) {})
		pass(61 * time.Minute)
		for _, m := range three {
			w.archive.saltCommand(m, `["nginx"]`)
		}
		if run := w.check(gaea.CheckRequest{MaxAge: hour}); run == nil || len(run.Minions) != 4 {
			t.Errorf("asked %+v", run)
		}
	})
}

func TestHoweverManyPlansAskThereIsOneRun(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.engine.failSubmit(func(engine.Request) error { // it takes its time: the others decide meanwhile, if they are let
			<-time.After(time.Second)
			return nil
		})
		var all sync.WaitGroup
		ids := make(chan string, 20)
		for range 20 {
			all.Go(func() {
				run, err := w.service.Check(asUser("ann"), "web", gaea.CheckRequest{MaxAge: hour})
				if err != nil {
					t.Error(err)
					return
				}
				ids <- run.ID
			})
		}
		all.Wait()
		first := <-ids
		for range 19 {
			if id := <-ids; id != first {
				t.Errorf("runs %s and %s", first, id)
			}
		}
		// A running check of everything covers some of it, and one of any age is wanted.
		run, err := w.service.Check(asUser("bob"), "web", gaea.CheckRequest{})
		if err != nil || run.ID != first {
			t.Errorf("joined %v, %v", run, err)
		}
		w.complete(first)
		if n := len(w.stateRuns(gaea.RunCheck)); n != 1 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestACheckOfSomeDoesNotStandForACheckOfOthers(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.check(gaea.CheckRequest{})
		one, err := w.service.Check(asUser("ann"), "web", gaea.CheckRequest{Minions: []string{"m1", "m2"}})
		if err != nil {
			t.Fatal(err)
		}
		part, err := w.service.Check(asUser("ann"), "web", gaea.CheckRequest{Minions: []string{"m2"}})
		if err != nil || part.ID != one.ID {
			t.Errorf("joined %v, %v", part, err)
		}
		other, err := w.service.Check(asUser("ann"), "web", gaea.CheckRequest{Minions: []string{"m2", "m3"}})
		if err != nil || other.ID == one.ID {
			t.Errorf("joined %v, %v", other, err)
		}
		all, err := w.service.Check(asUser("ann"), "web", gaea.CheckRequest{})
		if err != nil || all.ID == one.ID || all.ID == other.ID {
			t.Errorf("joined %v, %v", all, err)
		}
		w.complete(all.ID)
	})
}

func TestAnotherRevisionIsAnotherCheck(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		one, err := w.service.Check(asUser("ann"), "web", gaea.CheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		w.change(func(a *gaea.Assignment) { a.States = []string{"nginx", "tls"} })
		two, err := w.service.Check(asUser("ann"), "web", gaea.CheckRequest{})
		if err != nil || two.ID == one.ID || two.Revision == one.Revision {
			t.Errorf("got %v, %v", two, err)
		}
		w.complete(two.ID)
	})
}

func TestAMinionThatIsDownIsUnreachableAndNotAskedAgainAtOnce(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.archive.set("m3", func(m *machine) { m.drifted = true })
		w.check(gaea.CheckRequest{})
		w.salt.Set("m3", enginetest.Minion{Down: true})
		w.check(gaea.CheckRequest{})
		r := w.report()
		if r.Minions["m3"].Status != gaea.EvidenceUnreachable || len(r.Unreachable) != 1 || r.Summary.InSync != 2 {
			t.Errorf("report %+v", r)
		}
		if run := w.check(gaea.CheckRequest{MaxAge: hour}); run != nil {
			t.Errorf("asked %s again", run.Target)
		}
		w.salt.Set("m3", quick)
		pass(61 * time.Minute)
		w.check(gaea.CheckRequest{MaxAge: hour})
		if got := w.report().Minions["m3"].Status; got != gaea.EvidenceDrifted {
			t.Errorf("back again it is %s", got)
		}
	})
}

func TestAMinionThatLeftTheTargetLeavesTheReport(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.check(gaea.CheckRequest{})
		w.salt.Remove("m2")
		w.salt.Set("m4", quick)
		w.archive.set("m4", func(*machine) {})
		w.check(gaea.CheckRequest{})
		want := map[string]gaea.EvidenceStatus{"m1": gaea.EvidenceInSync, "m3": gaea.EvidenceInSync, "m4": gaea.EvidenceInSync}
		if got := w.statuses(); !maps.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
}

func TestAListNamesItsMinionsBeforeAnybodyLooked(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.group("some", gaea.Target{Type: gaea.TargetList, Minions: []string{"m2", "m1", "nosuch", "m2"}})
		w.change(func(a *gaea.Assignment) { a.TargetGroup = "some" })
		if got := w.statuses(); len(got) != 3 || got["nosuch"] != gaea.EvidenceUnknown {
			t.Errorf("got %v", got)
		}
		if run := w.check(gaea.CheckRequest{MaxAge: hour}); len(run.Minions) != 3 {
			t.Errorf("asked %v", run.Minions)
		}
		want := map[string]gaea.EvidenceStatus{"m1": gaea.EvidenceInSync, "m2": gaea.EvidenceInSync, "nosuch": gaea.EvidenceUnreachable}
		if got := w.statuses(); !maps.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if run := w.check(gaea.CheckRequest{MaxAge: hour}); run != nil {
			t.Errorf("asked %s again", run.Target)
		}
	})
}

func TestWhatCouldNotRunIsReportedInSaltsWords(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.archive.set("m1", func(m *machine) { m.words = "No matching sls found for 'nginx' in env 'base'" })
		w.check(gaea.CheckRequest{})
		if got := w.report().Minions["m1"]; got.Status != gaea.EvidenceCouldNotRun || got.Message != "No matching sls found for 'nginx' in env 'base'" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestAMinionThatIsNotInTheTargetIsNamed(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		if _, err := w.service.Enforce(asUser("ann"), "web", gaea.EnforceRequest{Minions: []string{"m1"}}, ""); gaea.CodeOf(err) != gaea.CodeInvalid {
			t.Errorf("enforced a part of what nobody has looked at: %v", err)
		}
		w.check(gaea.CheckRequest{})
		_, checkErr := w.service.Check(asUser("ann"), "web", gaea.CheckRequest{Minions: []string{"m1", "db9"}})
		_, enforceErr := w.service.Enforce(asUser("ann"), "web", gaea.EnforceRequest{Minions: []string{"m1", "db9"}}, "")
		for _, err := range []error{checkErr, enforceErr} {
			if gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(gaea.MessageOf(err), `minions: "db9"`) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestAPinnedVersionStaysInEffect(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		group := w.group("some", gaea.Target{Type: gaea.TargetGlob, Expr: "m1"})
		template := w.templates.put(t, gaea.JobTemplate{Name: "slow", Timeouts: gaea.Timeouts{Job: hour}})
		w.change(func(a *gaea.Assignment) { a.TargetGroup, a.JobTemplate = group, template })
		before := w.report().Revision
		w.group("some", gaea.Target{Type: gaea.TargetGlob, Expr: "m2"})
		if err := w.groups.Delete(t.Context(), "some", "ann"); err != nil {
			t.Fatal(err)
		}
		if err := w.templates.Delete(t.Context(), "slow", "ann"); err != nil {
			t.Fatal(err)
		}
		run := w.check(gaea.CheckRequest{})
		if len(run.Minions) != 1 || run.Minions["m1"].Outcome != gaea.OutcomeInSync || run.Timeouts.Job != hour {
			t.Errorf("run %+v", run)
		}
		if after := w.report().Revision; after != before {
			t.Error("the revision has changed")
		}
	})
}

func TestADefinitionThatIsGoneIsNamed(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		if err := w.groups.Delete(t.Context(), "all", "ann"); err != nil {
			t.Fatal(err)
		}
		_, err := w.service.Drift(t.Context(), "web")
		if gaea.CodeOf(err) != gaea.CodeNotFound || !strings.Contains(gaea.MessageOf(err), `"web" uses the target group "all"`) {
			t.Errorf("got %v", err)
		}
		if _, err := w.service.Check(t.Context(), "nosuch", gaea.CheckRequest{}); gaea.CodeOf(err) != gaea.CodeNotFound {
			t.Errorf("got %v", err)
		}
		if _, err := w.service.Check(t.Context(), "web@0011223344556677", gaea.CheckRequest{}); gaea.CodeOf(err) != gaea.CodeInvalid {
			t.Errorf("got %v", err)
		}
	})
}

func TestSilenceIsRecordedBeforeACheckIsComplete(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.salt.Set("m3", enginetest.Minion{Down: true})
		run, err := w.service.Check(asUser("ann"), "web", gaea.CheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		w.archive.breakDown(errors.New("the disk is full"))
		if _, err := w.engine.Wait(t.Context(), run.ID); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if stored, _ := w.runs.GetRun(t.Context(), run.ID); stored.Complete() {
			t.Error("complete although the silence is not recorded")
		}
		w.archive.breakDown(nil)
		w.complete(run.ID)
		if got := w.report().Minions["m3"].Status; got != gaea.EvidenceUnreachable {
			t.Errorf("m3 is %s", got)
		}
	})
}

func TestAServiceThatDoesNotRunTakesNothing(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.stop()
		if _, err := w.service.Check(t.Context(), "web", gaea.CheckRequest{}); gaea.CodeOf(err) != gaea.CodeUnavailable {
			t.Errorf("got %v", err)
		}
		if _, err := w.service.Enforce(t.Context(), "web", gaea.EnforceRequest{}, ""); gaea.CodeOf(err) != gaea.CodeUnavailable {
			t.Errorf("got %v", err)
		}
		if err := w.service.Start(t.Context()); err == nil {
			t.Error("started after its end")
		}
	})
}

func TestACallerWhoLeavesDoesNotWait(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 3 { // the turn may be free, so that the canceled context is noticed later or not at all
			if run, err := w.service.Check(ctx, "web", gaea.CheckRequest{}); err == nil {
				w.complete(run.ID)
			}
		}
		w.check(gaea.CheckRequest{})
	})
}
