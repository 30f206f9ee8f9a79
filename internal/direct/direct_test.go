package direct_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

func TestARunOfAKilledProcessIsFoundByItsKeyAndJoined(t *testing.T) {
	inWorld(t, []string{"web1", "web2"}, func(t *testing.T, w *world) {
		slow := quick
		slow.Takes = 30 * time.Second
		w.master.Set("web1", slow)
		if _, err := w.PutAssignment(t.Context(), gaea.AssignmentInput{Assignment: web()}); err != nil {
			t.Fatal(err)
		}
		first, err := w.Enforce(t.Context(), "web", gaea.EnforceRequest{Ref: gaea.RefOf(web())}, "k")
		if err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second) // web2 has returned
		w.restart()
		run, report := w.apply(web(), "k")
		if run.ID != first.ID || run.Status != gaea.RunSucceeded || len(run.Minions) != 2 {
			t.Errorf("the run is %s (%s) after %s", run.ID, run.Message, first.ID)
		}
		if report.Summary != (gaea.DriftSummary{Minions: 2, InSync: 2}) {
			t.Errorf("the report is %+v", report.Summary)
		}
		for _, name := range []string{"web1", "web2"} {
			if ran := w.master.Ran(name); len(ran) != 2 {
				t.Errorf("%s ran %v, not the run once and the look after it", name, ran)
			}
		}
	})
}

func TestWhatWasAppliedBeforeIsAppliedAnewAfterOneQuestion(t *testing.T) {
	inWorld(t, []string{"web1", "web2"}, func(t *testing.T, w *world) {
		var before []string
		for range 3 {
			w.restart()
			run, report := w.apply(web(), "k")
			if slices.Contains(before, run.ID) || run.Status != gaea.RunSucceeded || report.Summary.InSync != 2 {
				t.Errorf("the run is %+v after %v, the report %+v", run, before, report.Summary)
			}
			before = append(before, run.ID)
		}
		if want := []string{"the last job", "the last job", "the last job"}; !slices.Equal(w.master.asked, want) {
			t.Errorf("the job cache was asked for %v", w.master.asked)
		}
	})
}

// cutOff starts a run in slices on slow minions, and ends the process while the first slice is at work.
func (w *world) cutOff(change func(*gaea.RunRequest)) (first *gaea.Run, req gaea.RunRequest) {
	w.t.Helper()
	slow := quick
	slow.Takes = 30 * time.Second
	for _, name := range []string{"web1", "web2", "web3"} {
		w.master.Set(name, slow)
	}
	req = gaea.RunRequest{Function: "test.sleep", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Batch: gaea.Batch{Size: amount(w.t, "1")}}
	if change != nil {
		change(&req)
	}
	first, err := w.CreateRun(w.t.Context(), req, "k")
	if err != nil {
		w.t.Fatal(err)
	}
	pass(10 * time.Second)
	w.restart()
	return first, req
}

func amount(t *testing.T, text string) gaea.Amount {
	t.Helper()
	a, err := gaea.ParseAmount(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func allowance(t *testing.T, text string) gaea.Allowance {
	t.Helper()
	a, err := gaea.ParseAllowance(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestASlicedRunWhoseProcessWasKilledIsGoneOnWith(t *testing.T) {
	for name, change := range map[string]func(*gaea.RunRequest){
		"in steps":      nil,
		"rolling":       func(req *gaea.RunRequest) { req.Batch.Mode = gaea.BatchRolling },
		"with a canary": func(req *gaea.RunRequest) { req.Batch.Canary, req.Batch.Size = amount(t, "1"), amount(t, "2") },
		"with a number of failures that are allowed": func(req *gaea.RunRequest) { req.Batch.MaxFailures = allowance(t, "0") },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"web1", "web2", "web3"}, func(t *testing.T, w *world) {
				first, req := w.cutOff(change)
				again, err := w.CreateRun(t.Context(), req, "k")
				if err != nil || again.ID != first.ID {
					t.Fatalf("joined %+v (%v)", again, err)
				}
				if run := w.end(again.ID); run.Status != gaea.RunSucceeded || run.Counts[gaea.OutcomeSucceeded] != 3 {
					t.Errorf("the run ended as %s: %s", run.Status, run.Message)
				}
				for _, name := range []string{"web1", "web2", "web3"} {
					if ran := w.master.Ran(name); len(ran) != 1 {
						t.Errorf("%s ran %v", name, ran)
					}
				}
			})
		})
	}
}

func TestOfASlicedRunTheRestIsNotToldWhereItIsNotClearWhatComesNext(t *testing.T) {
	for why, change := range map[string]func(*gaea.RunRequest){
		"the job timeout of 20s has passed":                 func(req *gaea.RunRequest) { req.Timeouts.Job = gaea.Duration(20 * time.Second) },
		"max_failures is a share":                           func(req *gaea.RunRequest) { req.Batch.MaxFailures = allowance(t, "10%") },
		"not all of its jobs are in the master's job cache": nil,
		"not all of its canary had been told":               func(req *gaea.RunRequest) { req.Batch.Canary = amount(t, "2") },
		"the lock \"db\" was not held meanwhile":            func(req *gaea.RunRequest) { req.Concurrency.Lock = "db" },
	} {
		t.Run(why, func(t *testing.T) {
			inWorld(t, []string{"web1", "web2", "web3"}, func(t *testing.T, w *world) {
				first, req := w.cutOff(change)
				if change == nil {
					w.master.renumber()
				}
				pass(15 * time.Second) // the job timeout of one of them
				again, err := w.CreateRun(t.Context(), req, "k")
				if err != nil || again.ID != first.ID {
					t.Fatalf("joined %+v (%v)", again, err)
				}
				run := w.end(again.ID)
				if run.Status != gaea.RunHalted || !strings.Contains(run.Reason, "1 of 3 minions") || !strings.Contains(run.Reason, why) || run.Minions["web1"].Outcome != gaea.OutcomeSucceeded {
					t.Errorf("the run ended as %s: %s", run.Status, run.Message)
				}
				w.restart()
				if run, err := w.GetRun(t.Context(), first.ID); err != nil || run.Status != gaea.RunHalted || !run.Complete() {
					t.Errorf("a later process sees %+v (%v)", run, err)
				}
			})
		})
	}
}

func TestARunThatAnEarlierProcessStoppedIsNotTakenForOneThatGoesOn(t *testing.T) {
	inWorld(t, []string{"web1", "web2"}, func(t *testing.T, w *world) {
		w.master.Set("web1", enginetest.Minion{Hangs: true, Answers: 100 * time.Millisecond})
		stop := func(id string) {
			t.Helper()
			pass(5 * time.Second)
			if _, err := w.CancelRun(t.Context(), id, gaea.CancelRequest{}); err != nil {
				t.Fatal(err)
			}
			if run := w.end(id); run.Status != gaea.RunCancelled || run.Minions["web1"].Outcome != gaea.OutcomeKilled {
				t.Fatalf("the run is %+v", run)
			}
		}
		if _, err := w.PutAssignment(t.Context(), gaea.AssignmentInput{Assignment: web()}); err != nil {
			t.Fatal(err)
		}
		enforced, err := w.Enforce(t.Context(), "web", gaea.EnforceRequest{Ref: gaea.RefOf(web())}, "k")
		if err != nil {
			t.Fatal(err)
		}
		stop(enforced.ID)
		req := gaea.RunRequest{Function: "test.sleep", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}
		ran, err := w.CreateRun(t.Context(), req, "j")
		if err != nil {
			t.Fatal(err)
		}
		stop(ran.ID)
		w.restart()
		w.master.Set("web1", quick)
		if run, _ := w.apply(web(), "k"); run.ID == enforced.ID || run.Status != gaea.RunSucceeded {
			t.Errorf("the states' run is %+v", run)
		}
		again, err := w.CreateRun(t.Context(), req, "j")
		if err != nil || again.ID != ran.ID {
			t.Fatalf("%+v (%v)", again, err)
		}
		if run := w.end(again.ID); run.Status != gaea.RunCancelled {
			t.Errorf("the job's run is %+v", run)
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

func TestWhatCannotBeLookedForInTheJobCacheIsNotStartedAgain(t *testing.T) {
	inWorld(t, []string{"web1"}, func(t *testing.T, w *world) {
		w.master.findErr = gaea.Errorf(gaea.CodeForbidden, "netapi_enable_clients lacks runner")
		_, err := w.CreateRun(t.Context(), gaea.RunRequest{Function: "test.arg", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}, "k")
		if gaea.CodeOf(err) != gaea.CodeForbidden || w.master.count("test.arg") != 0 {
			t.Errorf("%d were published: %v", w.master.count("test.arg"), err)
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

func TestAKeyThatIsForgottenStartsARunAnew(t *testing.T) {
	inWorld(t, []string{"web1"}, func(t *testing.T, w *world) {
		req := gaea.RunRequest{Function: "test.arg", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}
		start := func() *gaea.Run {
			run, err := w.CreateRun(t.Context(), req, "k")
			if err != nil {
				t.Fatal(err)
			}
			return w.end(run.ID)
		}
		first := start()
		if err := w.ForgetKey(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		second := start()
		if second.ID == first.ID || w.master.count("test.arg") != 2 {
			t.Errorf("after the key was forgotten %s was taken for an answer", second.ID)
		}
		w.restart() // whoever comes now means the newest
		if run := start(); run.ID != second.ID {
			t.Errorf("a later process found %s, not %s", run.ID, second.ID)
		}
		if err := w.ForgetKey(t.Context(), second.ID); err != nil {
			t.Fatal(err)
		}
		third := start()
		if n := w.master.count("test.arg"); third.ID == second.ID || third.ID == first.ID || n != 3 {
			t.Errorf("found %s after %s was forgotten, %d were published", third.ID, second.ID, n)
		}
	})
}

func TestAKeyOfAnEarlierProcessCanBeForgotten(t *testing.T) {
	inWorld(t, []string{"web1"}, func(t *testing.T, w *world) {
		req := gaea.RunRequest{Function: "test.arg", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}
		first, err := w.CreateRun(t.Context(), req, "k")
		if err != nil {
			t.Fatal(err)
		}
		w.end(first.ID)
		w.restart()
		if err := w.ForgetKey(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		if again, err := w.CreateRun(t.Context(), req, "k"); err != nil || again.ID == first.ID {
			t.Errorf("found %+v (%v)", again, err)
		}
	})
}

func TestAJoinedRunHasTheReturnsOfAllMinions(t *testing.T) {
	inWorld(t, []string{"web1", "web2", "web3"}, func(t *testing.T, w *world) {
		slow := quick
		slow.Takes = 30 * time.Second
		w.master.Set("web1", slow)
		req := gaea.RunRequest{Function: "test.arg", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}
		if _, err := w.CreateRun(t.Context(), req, "k"); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second) // the others have returned
		w.restart()
		run, err := w.CreateRun(t.Context(), req, "k")
		if err != nil {
			t.Fatal(err)
		}
		run = w.end(run.ID)
		page, err := w.JobReturns(t.Context(), run.Minions["web1"].JID, gaea.PageRequest{})
		if err != nil || len(page.Items) != 3 {
			t.Errorf("%d returns: %v", len(page.Items), err)
		}
	})
}
