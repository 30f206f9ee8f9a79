package direct_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/direct"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestDriftIsSeenAndRepairedByProcessesThatShareNothing(t *testing.T) {
	inWorld(t, []string{"web1", "web2", "web3"}, func(t *testing.T, w *world) {
		run, report := w.apply(web(), "k1")
		if run.Status != gaea.RunSucceeded || report.Summary != (gaea.DriftSummary{Minions: 3, InSync: 3}) {
			t.Errorf("the run ended as %s (%s), and the report is %+v", run.Status, run.Message, report.Summary)
		}
		w.master.change("web2", func(m *machine) { m.drifted = true })

		w.restart() // the next plan
		w.know(web())
		report = w.check("web")
		if report.Summary != (gaea.DriftSummary{Minions: 3, InSync: 2, Drifted: 1, States: 1}) || report.CheckRun == "" {
			t.Errorf("the report is %+v", report)
		}
		if text := report.Minions["web2"].States["file.managed motd"]; !strings.Contains(text, "-tampered") {
			t.Errorf("the drift is %+v", report.Minions["web2"])
		}

		w.restart() // its apply
		before := w.master.count("state.apply")
		run, report = w.apply(web(), "k2", "web2")
		if len(run.Minions) != 1 || run.Minions["web2"].Outcome != gaea.OutcomeChanged {
			t.Errorf("the run is for %+v", run.Minions)
		}
		if report.Summary != (gaea.DriftSummary{Minions: 3, InSync: 3}) {
			t.Errorf("after the repair the report is %+v", report.Summary)
		}
		if n := w.master.count("state.apply") - before; n != 2 {
			t.Errorf("the apply published %d state runs, not the repair and one look at all", n)
		}
	})
}

func TestWhatNeverSettlesIsRememberedWithTheResource(t *testing.T) {
	inWorld(t, []string{"web1", "web2"}, func(t *testing.T, w *world) {
		w.master.change("web1", func(m *machine) { m.command = true })
		_, report := w.apply(web(), "k")
		if report.Summary.Drifted != 0 || len(report.Unsettled) != 1 {
			t.Fatalf("the report is %+v", report)
		}
		memory, err := w.Memory(t.Context(), "web")
		if err != nil || len(memory) == 0 {
			t.Fatalf("remembered %q (%v)", memory, err)
		}
		w.restart()
		w.know(web())
		if err := w.Recall(t.Context(), "web", memory); err != nil {
			t.Fatal(err)
		}
		if report := w.check("web"); report.Summary.Drifted != 0 || len(report.Unsettled) != 1 {
			t.Errorf("after a new start the report is %+v", report)
		}
	})
}

func TestAMinionThatOneCheckFindsAwayHoldsUpNoOther(t *testing.T) {
	minions := []string{"web1", "web2", "web3"}
	inWorld(t, minions, func(t *testing.T, w *world) {
		w.master.Set("web3", enginetest.Minion{Down: true})
		began := time.Now()
		reports := make(chan error, 10)
		for i := range 10 {
			a := web(func(a *gaea.Assignment) { a.Name = fmt.Sprintf("a%d", i); a.States = []string{fmt.Sprintf("s%d", i)} })
			w.know(a)
			go func() {
				report, err := w.Check(t.Context(), a.Name, gaea.CheckRequest{})
				if err == nil && (report.Summary != gaea.DriftSummary{Minions: 3, InSync: 2, Unreachable: 1}) {
					err = fmt.Errorf("%s: %+v", a.Name, report.Summary)
				}
				reports <- err
			}()
		}
		for range 10 {
			if err := <-reports; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("ten assignments over a minion that is away took %s", took)
		}
		if n := w.master.count("saltutil.is_running") + w.master.count("saltutil.find_job"); n > 4 {
			t.Errorf("the silent minion was asked %d times", n)
		}
	})
}

func TestWithoutAnEventStreamReturnsComeFromTheJobCache(t *testing.T) {
	inWorld(t, []string{"web1", "web2"}, func(t *testing.T, w *world) {
		w.master.refused = true
		run, err := w.CreateRun(t.Context(), gaea.RunRequest{Function: "test.arg", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}, "")
		if err != nil {
			t.Fatal(err)
		}
		if run = w.end(run.ID); run.Status != gaea.RunSucceeded || len(run.Minions) != 2 {
			t.Errorf("the run ended as %s: %s", run.Status, run.Message)
		}
	})
}

func TestALeftRunTellsNobodyMore(t *testing.T) {
	inWorld(t, []string{"web1", "web2"}, func(t *testing.T, w *world) {
		size, err := gaea.ParseAmount("1")
		if err != nil {
			t.Fatal(err)
		}
		run, err := w.CreateRun(t.Context(), gaea.RunRequest{Function: "test.sleep", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Batch: gaea.Batch{Size: size}}, "")
		if err != nil {
			t.Fatal(err)
		}
		pass(250 * time.Millisecond) // the minions are known
		if _, err := w.LeaveRun(t.Context(), run.ID); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if told := w.master.count("test.sleep"); told > 1 {
			t.Errorf("%d slices were told", told)
		}
	})
}

func TestAJobIsReadFromTheJobCache(t *testing.T) {
	inWorld(t, []string{"web1", "web2"}, func(t *testing.T, w *world) {
		slow := quick
		slow.Takes = 20 * time.Second
		w.master.Set("web2", slow)
		const jid = "20261126110000000000"
		if _, err := w.master.Publish(t.Context(), gaea.Publication{JID: jid, Function: "test.arg", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second) // web1 has returned
		job, err := w.Job(t.Context(), jid)
		if err != nil || job.Returns["web1"].Outcome != gaea.OutcomeSucceeded || job.Returns["web2"].Outcome != gaea.OutcomePending {
			t.Errorf("the job is %+v (%v)", job, err)
		}
		n := 0
		if err := w.FollowJob(t.Context(), jid, func(gaea.Return) error { n++; return nil }); err != nil || n != 2 {
			t.Errorf("followed %d returns (%v)", n, err)
		}
		pass(time.Minute)
		var minions []string
		for p := (gaea.PageRequest{Limit: 1}); ; {
			page, err := w.JobReturns(t.Context(), jid, p)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Items {
				minions = append(minions, r.Minion)
			}
			if p.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		if strings.Join(minions, " ") != "web1 web2" {
			t.Errorf("the returns are of %v", minions)
		}
		_, err = w.Job(t.Context(), "20200101000000000000")
		if gaea.CodeOf(err) != gaea.CodeNotFound || !strings.Contains(gaea.MessageOf(err), "keep_jobs_seconds") {
			t.Errorf("a job of nobody: %v", err)
		}
		enough := errors.New("enough")
		if err := w.FollowJob(t.Context(), jid, func(gaea.Return) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("the caller's error became %v", err)
		}
	})
}

func TestAJobWhoseReturnsTheMasterCutsSaysWhichSettingIsTooSmall(t *testing.T) {
	inWorld(t, []string{"web1", "web2"}, func(t *testing.T, w *world) {
		const jid = "20261126110000000000"
		if _, err := w.master.Publish(t.Context(), gaea.Publication{JID: jid, Function: "test.arg", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		w.master.cut = []string{"web2"}
		if err := w.FollowJob(t.Context(), jid, func(gaea.Return) error { return nil }); err != nil {
			t.Errorf("what has returned is waited for: %v", err)
		}
		job, err := w.Job(t.Context(), jid)
		if err != nil || job.Returns["web1"].Outcome != gaea.OutcomeSucceeded || job.Returns["web2"].Outcome != gaea.OutcomeNoReturn || !strings.Contains(job.Returns["web2"].Message, "max_event_size") {
			t.Errorf("the job is %+v (%v)", job, err)
		}
	})
}

func TestALookThatComesToNothingDoesNotEndTheWaitForAJob(t *testing.T) {
	inWorld(t, []string{"web1"}, func(t *testing.T, w *world) {
		slow := quick
		slow.Takes = time.Minute
		w.master.Set("web1", slow)
		const jid = "20261126110000000000"
		if _, err := w.master.Publish(t.Context(), gaea.Publication{JID: jid, Function: "test.arg", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}); err != nil {
			t.Fatal(err)
		}
		for _, code := range []gaea.Code{gaea.CodeTimeout, gaea.CodeUnavailable} {
			over := make(chan error, 1)
			short, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			go func() { over <- w.FollowJob(short, jid, func(gaea.Return) error { return nil }) }()
			pass(time.Second)
			w.master.FailCache(gaea.Errorf(code, "the runner has not ended"))
			if err := <-over; gaea.CodeOf(err) != gaea.CodeTimeout || !strings.Contains(gaea.MessageOf(err), "the runner has not ended") {
				t.Errorf("%s: %v", code, err)
			}
			w.master.FailCache(nil)
			cancel()
		}
		if err := w.FollowJob(t.Context(), jid, func(gaea.Return) error { return nil }); err != nil {
			t.Errorf("when it has ended: %v", err)
		}
	})
}

func TestAMasterThatIsAwayForLongEndsTheWait(t *testing.T) {
	inWorld(t, []string{"web1"}, func(t *testing.T, w *world) {
		w.know(web())
		w.master.FailPublish(func(gaea.Publication) (before, after error) {
			return gaea.Errorf(gaea.CodeUnavailable, "salt-api does not answer"), nil
		})
		w.master.FailCache(gaea.Errorf(gaea.CodeUnavailable, "salt-api does not answer"))
		began := time.Now()
		_, err := w.Check(t.Context(), "web", gaea.CheckRequest{})
		if took := time.Since(began); gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "salt-api does not answer") || took > 3*time.Minute {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

func TestADefinitionThatIsNotCarriedCannotBeUsed(t *testing.T) {
	b := direct.New(direct.Options{Salt: newMaster(), User: "deploy"})
	_, err := b.PutAssignment(t.Context(), gaea.AssignmentInput{Assignment: web(func(a *gaea.Assignment) { a.TargetGroup = "all" })})
	if gaea.CodeOf(err) != gaea.CodeInvalid {
		t.Errorf("a name: %v", err)
	}
	secret := gaea.AssignmentInput{Assignment: web(func(a *gaea.Assignment) { a.SecretVersion = "1" })}
	if _, err := b.PutAssignment(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Check(t.Context(), "web", gaea.CheckRequest{}); gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(gaea.MessageOf(err), "secret pillar") {
		t.Errorf("without the secret: %v", err)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
