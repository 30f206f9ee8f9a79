package direct_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

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

func TestNobodyIsToldTwiceWhereARunHasMoreJobsThanAreRead(t *testing.T) {
	const most = 2
	names := []string{"web1", "web2", "web3", "web4"}
	inWorld(t, names, func(t *testing.T, w *world) {
		slow := quick
		slow.Takes = 30 * time.Second
		for _, name := range names {
			w.master.Set(name, slow)
		}
		req := gaea.RunRequest{Function: "test.sleep", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Batch: gaea.Batch{Size: amount(t, "1")}}
		first, err := w.CreateRun(t.Context(), req, "k")
		if err != nil {
			t.Fatal(err)
		}
		pass(70 * time.Second) // the third is at work
		if n := w.master.count("test.sleep"); n <= most {
			t.Fatalf("%d were published", n)
		}
		w.restart()
		w.ReadAtMost(most)
		again, err := w.CreateRun(t.Context(), req, "k")
		if err != nil || again.ID != first.ID {
			t.Fatalf("joined %+v (%v)", again, err)
		}
		if run := w.end(again.ID); run.Status != gaea.RunHalted || !strings.Contains(run.Reason, "more jobs") {
			t.Errorf("the run ended as %s: %s", run.Status, run.Message)
		}
		for _, name := range names {
			if ran := w.master.Ran(name); len(ran) > 1 {
				t.Errorf("%s ran %v", name, ran)
			}
		}
	})
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

func TestWhatCannotBeLookedForInTheJobCacheIsNotStartedAgain(t *testing.T) {
	inWorld(t, []string{"web1"}, func(t *testing.T, w *world) {
		w.master.findErr = gaea.Errorf(gaea.CodeForbidden, "netapi_enable_clients lacks runner")
		_, err := w.CreateRun(t.Context(), gaea.RunRequest{Function: "test.arg", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}, "k")
		if gaea.CodeOf(err) != gaea.CodeForbidden || w.master.count("test.arg") != 0 {
			t.Errorf("%d were published: %v", w.master.count("test.arg"), err)
		}
	})
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
