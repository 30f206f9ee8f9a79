package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// action is a post-action that does a function on the run's minions.
func action(function, expect string) gaea.JobAction {
	return gaea.JobAction{Name: "check", Function: function, Expect: expect}
}

func before(req engine.Request, actions ...gaea.JobAction) engine.Request {
	req.Pre = actions
	return req
}

func after(req engine.Request, actions ...gaea.JobAction) engine.Request {
	req.Post = actions
	return req
}

// children are the runs that were made for a run's actions, in the order of their ids.
func (w *world) children(id string) []*gaea.Run {
	w.t.Helper()
	page, err := w.runs.ListRuns(context.Background(), gaea.RunFilter{Parent: id}, gaea.PageRequest{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var found []*gaea.Run
	for _, run := range page.Items {
		found = append(found, w.stored(run.ID))
	}
	slices.SortFunc(found, func(a, b *gaea.Run) int { return strings.Compare(a.ID, b.ID) })
	return found
}

func TestAnActionOnMinionsIsARunOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2", "db1")
		req := before(ping(glob("web*")), action("cmd.run", ""))
		req.Timeouts.Gather = gaea.Duration(7 * time.Second)
		req.Pre[0].Kwargs = map[string]any{"cmd": "drain"}
		run := w.run(req)
		if run.Status != gaea.RunSucceeded || len(run.Actions) != 1 {
			t.Fatalf("%s %s %+v", run.Status, run.Message, run.Actions)
		}
		if a := run.Actions[0]; a.Status != gaea.ActionSucceeded || a.Message != "done on 2 minions" || !slices.Equal(a.Runs, []string{run.ID + "-pre1-t1"}) {
			t.Errorf("%+v", a)
		}
		children := w.children(run.ID)
		if len(children) != 1 {
			t.Fatalf("%d children", len(children))
		}
		child := children[0]
		if child.ID != run.ID+"-pre1-t1" || child.User != "ann" || child.Function != "cmd.run" || child.Timeouts.Gather != req.Timeouts.Gather ||
			child.Timeouts.Job != gaea.DefaultActionTimeout || child.Target.String() != "web1,web2" || child.Call.Kwargs["cmd"] != "drain" {
			t.Errorf("%+v", child)
		}
		if got := w.salt.Ran("web1"); len(got) != 2 || got[0] != child.Slices[0].JID || got[1] != run.Slices[0].JID {
			t.Errorf("web1 ran %v", got)
		}
		if n := len(w.salt.Ran("db1")); n != 0 {
			t.Errorf("db1 ran %d jobs", n)
		}
	})
}

func TestAnActionOnOtherMinionsIsDoneThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "lb1")
		drain := action("cmd.run", "")
		drain.Target = glob("lb*")
		run := w.run(before(ping(glob("web*")), drain))
		if run.Status != gaea.RunSucceeded || len(w.salt.Ran("lb1")) != 1 || len(w.salt.Ran("web1")) != 1 {
			t.Errorf("%s: %s; %v", run.Status, run.Message, run.Actions)
		}
	})
}

func TestAnActionWhoseMinionsFailSaysWhichAndWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2")
		for i := range 7 {
			w.salt.Set(fmt.Sprintf("bad%d", i), enginetest.Minion{Outcome: gaea.OutcomeFailed, Message: "no  space\nleft"})
		}
		check := action("cmd.run", "")
		check.Target = glob("*")
		run := w.run(before(ping(glob("web*")), check))
		want := "failed on 7 of 9 minions: bad0 (failed: no space left), bad1 (failed: no space left), bad2 (failed: no space left), " +
			"bad3 (failed: no space left), bad4 (failed: no space left) and 2 more"
		if run.Status != gaea.RunFailed || run.Actions[0].Message != want {
			t.Errorf("%s: %s", run.Status, run.Actions[0].Message)
		}
		if n := len(w.salt.Published("test.ping")); n != 1 { // the question who the minions are
			t.Errorf("the run's own work was published: %d", n)
		}
	})
}

func TestAnExpectationDecidesAboutAnAction(t *testing.T) {
	two := 2
	for name, c := range map[string]struct {
		expect  string
		ok      bool
		message string
	}{
		"true on each":       {"ret.status == 200 || minion == 'web2'", true, "expected ret.status == 200 || minion == 'web2': true on 2 minions"},
		"false on one":       {"ret.status == 200", false, `expected ret.status == 200: false on web2 (failed, returned {"status": 500})`},
		"over all":           {"returns.exists(m, returns[m].status == 200)", true, "expected returns.exists(m, returns[m].status == 200): true on 2 minions"},
		"over all, false":    {"size(returns) == 3", false, `expected size(returns) == 3: false; web1 (returned {"status": 200}), web2 (failed, returned {"status": 500})`},
		"a failure, wanted":  {"success || retcode == 2 && outcome == 'failed'", true, "expected success || retcode == 2 && outcome == 'failed': true on 2 minions"},
		"not to be told":     {"ret.code == 1 || ret.status == 200", false, `expected ret.code == 1 || ret.status == 200: cannot be told on web2 (there is no key "code"; where it may be missing, ask with has(…) or with in; returned {"status": 500})`},
		"not to be told all": {"returns.web9 == 1", false, `expected returns.web9 == 1: cannot be told: there is no key "web9"; where it may be missing, ask with has(…) or with in`},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.salt.Set("web1", enginetest.Minion{Body: `{"status": 200}`})
			w.salt.Set("web2", enginetest.Minion{Body: `{"status": 500}`, Outcome: gaea.OutcomeFailed, Retcode: &two})
			run := w.run(before(ping(glob("*")), action("http.query", c.expect)))
			if a := run.Actions[0]; (a.Status == gaea.ActionSucceeded) != c.ok || a.Message != c.message {
				t.Errorf("%s: %s\n got %s\nwant %s", name, a.Status, a.Message, c.message)
			}
		})
	}
}

func TestAMinionWithoutAReturnFailsAnExpectation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "lb1")
		w.salt.Set("lb2", enginetest.Minion{Down: true})
		check := action("test.version", "true")
		check.Target = glob("lb*")
		run := w.run(before(ping(glob("web*")), check))
		if got := run.Actions[0].Message; run.Status != gaea.RunFailed || !strings.HasPrefix(got, "expected true: no return from lb2 (unreachable: ") {
			t.Errorf("%s: %s", run.Status, got)
		}
	})
}

func TestAReturnThatOnlyTheJobCacheHasIsJudgedRedacted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Loses: true, Body: `{"password": "s3cret", "status": 1}`, Takes: 100 * time.Millisecond})
		run := w.run(after(ping(glob("*")), action("x.y", "ret.status == 2")))
		if got := run.Actions[0].Message; got != `expected ret.status == 2: false on web1 (returned {"password":"[redacted]","status":1})` &&
			got != `expected ret.status == 2: false on web1 (returned {"password": "[redacted]", "status": 1})` {
			t.Errorf("%s", got)
		}
	})
}

func TestReturnsThatAreTooLargeTogetherAreNotJudged(t *testing.T) {
	large := `"` + strings.Repeat("a", 33<<20) + `"`
	for name, loses := range map[string]bool{"in the archive": false, "in the job cache": true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			for _, minion := range []string{"web1", "web2"} {
				w.salt.Set(minion, enginetest.Minion{Body: large, Loses: loses, Takes: 100 * time.Millisecond})
			}
			run := w.run(after(ping(glob("*")), action("x.y", "true")))
			if got := run.Actions[0].Message; run.Actions[0].Status == gaea.ActionSucceeded || !strings.Contains(got, "cannot be read: they are larger than 64 MiB together; expect something of a function that returns less") {
				t.Errorf("%s: %.300s", name, got)
			}
		})
	}
}

func TestAnActionIsTriedAgainUntilItBringsWhatIsExpected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.salt.Set("web1", enginetest.Minion{Body: "1", Takes: 100 * time.Millisecond})
		check := action("test.version", "ret == 2")
		check.Retries, check.Interval = 20, gaea.Duration(10*time.Second)
		run := w.submit(after(ping(glob("*")), check))
		w.eventually("a second try", func() bool { return len(w.children(run.ID)) == 2 && w.salt.Running("web1") })
		w.salt.Set("web1", enginetest.Minion{Body: "2"})
		run = w.finish(run.ID)
		if a := run.Actions[0]; run.Status != gaea.RunSucceeded || a.Attempts != 3 || len(a.Runs) != 3 || a.Message != "expected ret == 2: true on one minion" {
			t.Errorf("%s: %+v", run.Status, a)
		}
	})
}

// laborious is an expectation that takes two seconds for each minion.
type laborious struct{}

func (laborious) PerMinion() bool { return true }

func (laborious) Eval(ctx context.Context, _ gaea.ExpectInput) (bool, error) {
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func TestJudgingAnActionEndsAtItsLimitOrWithTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		cancel  bool
		status  gaea.ActionStatus
		message string
		most    time.Duration
	}{
		"at its limit": {false, gaea.ActionFailed, "run RUN-post1-t1 was not judged within 20s: expected hard; raise the action's timeout, or simplify what is expected", 25 * time.Second},
		"with the run": {true, gaea.ActionCancelled, "given up while run RUN-post1-t1 was judged", 12 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorldWith(t, func(d *engine.Deps) {
				d.Expect = func(string) (gaea.Expectation, error) { return laborious{}, nil }
			})
			for i := range 100 {
				w.salt.Set(fmt.Sprintf("web%d", i), enginetest.Minion{Takes: 200 * time.Millisecond})
			}
			check := action("cmd.run", "hard")
			check.Timeout = gaea.Duration(20 * time.Second)
			began := time.Now()
			run := w.submit(after(ping(glob("*")), check))
			w.pass(10 * time.Second)
			if c.cancel {
				w.cancel(run.ID)
			}
			run = w.finish(run.ID)
			got := strings.ReplaceAll(run.Actions[0].Message, run.ID, "RUN")
			if took := time.Since(began); took > c.most || run.Actions[0].Status != c.status || got != c.message {
				t.Errorf("%s: %s after %s: %s", name, run.Actions[0].Status, took, got)
			}
		})
	}
}

func TestAnActionThatDoesNotEndIsStoppedAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Set("lb1", enginetest.Minion{Hangs: true})
		drain := action("cmd.run", "")
		drain.Target, drain.Timeout = glob("lb*"), gaea.Duration(20*time.Second)
		began := time.Now()
		run := w.run(before(ping(glob("web*")), drain))
		if got := run.Actions[0].Message; run.Status != gaea.RunFailed || !strings.Contains(got, "still running when the job timeout of 20s passed") {
			t.Errorf("%s: %s", run.Status, got)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func TestACancelStopsTheRunOfAnAction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.salt.Set("web1", enginetest.Minion{Hangs: true, Answers: 100 * time.Millisecond})
		run := w.submit(before(ping(glob("*")), action("cmd.run", "")))
		w.eventually("the action runs", func() bool { return w.salt.Running("web1") })
		w.cancel(run.ID)
		run = w.finish(run.ID)
		child := w.children(run.ID)[0]
		if run.Status != gaea.RunCancelled || run.Actions[0].Status != gaea.ActionCancelled || child.Status != gaea.RunCancelled || w.salt.Running("web1") {
			t.Errorf("%s, %+v, %s: %s", run.Status, run.Actions[0], child.Status, child.Message)
		}
		if !strings.Contains(child.Message, "cancelled by run "+run.ID) {
			t.Errorf("%s", child.Message)
		}
	})
}

// database is a store that fails, as databases do, where nobody waits for it any more.
type database struct{ gaea.RunStore }

func (d database) GetRun(ctx context.Context, id string) (*gaea.Run, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.RunStore.GetRun(ctx, id)
}

func TestTheRunOfAnActionIsStoppedAfterACrashToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, func(d *engine.Deps) { d.Runs = database{d.Runs} }, "web1")
		w.salt.Set("lb1", enginetest.Minion{Hangs: true, Answers: 100 * time.Millisecond})
		drain := action("cmd.run", "")
		drain.Target, drain.Timeout = glob("lb*"), gaea.Duration(time.Hour)
		run := w.submit(before(ping(glob("web*")), drain))
		w.eventually("the action runs", func() bool { return w.salt.Running("lb1") })
		w.line.cut.Store(true)
		w.stop(w.engine)
		cancelled := w.stored(run.ID) // and no more than that
		cancelled.Status, cancelled.Verdict = gaea.RunCancelling, gaea.RunCancelled
		if err := w.runs.SaveRun(context.Background(), cancelled); err != nil {
			t.Fatal(err)
		}
		w.start()
		run = w.finish(run.ID)
		if child := w.children(run.ID)[0]; child.Status != gaea.RunCancelled || w.salt.Running("lb1") {
			t.Errorf("%s; its action: %s", run.Status, child.Status)
		}
	})
}

func TestAnActionIsNotDoneTwiceAfterACrash(t *testing.T) {
	for _, at := range []time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond, time.Second, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "web1", "web2")
			w.salt.Set("lb1", enginetest.Minion{Takes: time.Second, Answers: 100 * time.Millisecond})
			drain := action("cmd.run", "ret")
			drain.Target = glob("lb*")
			run := w.submit(before(ping(glob("web*")), drain, gaea.JobAction{Name: "look", Function: "test.version"}))
			w.pass(at)
			w.crash()
			run = w.finish(run.ID)
			if run.Status != gaea.RunSucceeded || len(w.children(run.ID)) != 2 {
				t.Errorf("after %s: %s %s %+v", at, run.Status, run.Message, run.Actions)
			}
			if n := len(w.salt.Ran("lb1")); n != 1 {
				t.Errorf("after %s: lb1 ran the action %d times", at, n)
			}
			if n := len(w.salt.Ran("web1")); n != 2 {
				t.Errorf("after %s: web1 ran %d jobs", at, n)
			}
		})
	}
}

// runnerFunc is a master that has one runner.
type runnerFunc func(ctx context.Context, fun string, args []any, kwargs map[string]any) (gaea.RunnerReturn, error)

func (f runnerFunc) Run(ctx context.Context, fun string, args []any, kwargs map[string]any) (gaea.RunnerReturn, error) {
	return f(ctx, fun, args, kwargs)
}

func TestAnActionWithARunnerIsJudgedByWhatItReturned(t *testing.T) {
	for name, c := range map[string]struct {
		expect  string
		answer  gaea.RunnerReturn
		err     error
		ok      bool
		message string
	}{
		"well":            {"", gaea.RunnerReturn{Success: true, Return: json.RawMessage(`["web1"]`)}, nil, true, `returned ["web1"]`},
		"badly":           {"", gaea.RunnerReturn{Return: json.RawMessage(`"Traceback\nValueError: no such thing\n"`)}, nil, false, "the runner failed: ValueError: no such thing"},
		"as expected":     {"'web1' in ret && success", gaea.RunnerReturn{Success: true, Return: json.RawMessage(`["web1"]`)}, nil, true, "expected 'web1' in ret && success: true"},
		"not as expected": {"size(ret) == 2", gaea.RunnerReturn{Success: true, Return: json.RawMessage(`["web1"]`)}, nil, false, `expected size(ret) == 2: false (returned ["web1"])`},
		"with a secret":   {"ret.n == 2", gaea.RunnerReturn{Success: true, Return: json.RawMessage(`{"n":1,"token":"s3cret"}`)}, nil, false, `expected ret.n == 2: false (returned {"n":1,"token":"[redacted]"})`},
		"not at all":      {"", gaea.RunnerReturn{}, gaea.Errorf(gaea.CodeForbidden, "the master does not let jobd run it"), false, "the master does not let jobd run it"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var kept []gaea.Event
			w := newWorldWith(t, func(d *engine.Deps) {
				d.Runner = runnerFunc(func(_ context.Context, fun string, args []any, kwargs map[string]any) (gaea.RunnerReturn, error) {
					if fun != "manage.up" || len(args) != 1 || kwargs["a"] != "b" {
						t.Errorf("asked for %s %v %v", fun, args, kwargs)
					}
					return c.answer, c.err
				})
				d.Keep = func(_ context.Context, ev gaea.Event) error {
					kept = append(kept, ev)
					return nil
				}
			}, "web1")
			run := w.run(after(ping(glob("*")), gaea.JobAction{Name: "up", Runner: "manage.up", Args: []any{1}, Kwargs: map[string]any{"a": "b"}, Expect: c.expect}))
			if a := run.Actions[0]; (a.Status == gaea.ActionSucceeded) != c.ok || a.Message != c.message || a.What != "runner manage.up" {
				t.Errorf("%s: %+v\nwant %s", name, a, c.message)
			}
			if c.err != nil {
				if len(kept) != 0 {
					t.Errorf("%s: kept %v", name, kept)
				}
				return
			}
			if len(kept) != 1 || kept[0].Tag != "gaea/run/"+run.ID+"/action" || strings.Contains(string(kept[0].Data), "s3cret") || !strings.Contains(string(kept[0].Data), `"answer":`) {
				t.Errorf("%s: kept %v", name, kept)
			}
		})
	}
}

func TestARunnerThatDoesNotEndIsGivenUpAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, func(d *engine.Deps) {
			d.Runner = runnerFunc(func(ctx context.Context, _ string, _ []any, _ map[string]any) (gaea.RunnerReturn, error) {
				<-ctx.Done()
				return gaea.RunnerReturn{}, ctx.Err()
			})
		}, "web1")
		run := w.run(after(ping(glob("*")), gaea.JobAction{Name: "up", Runner: "manage.up", Timeout: gaea.Duration(30 * time.Second)}))
		if got := run.Actions[0].Message; got != "the runner did not end within 30s" {
			t.Errorf("%s", got)
		}
	})
}

func TestAnActionThatCannotBeDoneHereSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		run := w.run(after(ping(glob("*")),
			gaea.JobAction{Name: "up", Runner: "manage.up", OnFailure: gaea.FailureContinue},
			gaea.JobAction{Name: "hook", HTTP: &gaea.HTTPCall{URL: "http://lb/"}, When: gaea.WhenAlways}))
		if run.Actions[0].Message != "runners cannot be run here" || run.Actions[1].Message != "requests cannot be made here" {
			t.Errorf("%+v", run.Actions)
		}
	})
}

func TestSecretsOfActionsAreInNothingThatIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		secret := gaea.JobAction{Name: "login", Function: "cmd.run", Args: []any{"s3cret"}, Kwargs: map[string]any{"stdin": "s3cret"}}
		run := w.run(before(ping(glob("*")), secret))
		for _, shown := range append(w.children(run.ID), run) {
			shown.Args = nil // what the test's own redaction leaves
			b, err := json.Marshal(shown)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "s3cret") {
				t.Errorf("%s", b)
			}
		}
	})
}
