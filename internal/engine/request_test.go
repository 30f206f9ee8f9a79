package engine_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestARequestIsRefusedByTheFieldThatIsWrong(t *testing.T) {
	wrong := map[string]func(*engine.Request){
		"function":                func(r *engine.Request) { r.Call.Function = "ping" },
		"target.expr":             func(r *engine.Request) { r.Target.Expr = "" },
		"target.minions":          func(r *engine.Request) { r.Target = gaea.Target{Type: gaea.TargetList} },
		"kind":                    func(r *engine.Request) { r.Kind = "walk" },
		"timeouts.job":            func(r *engine.Request) { r.Timeouts.Job = 1 },
		"timeouts.gather":         func(r *engine.Request) { r.Timeouts.Gather = gaea.Duration(time.Hour) },
		"kwargs":                  func(r *engine.Request) { r.Call.Kwargs = map[string]any{"__kwarg__": true} },
		"args":                    func(r *engine.Request) { r.Call.Args = []any{make(chan int)} },
		"id":                      func(r *engine.Request) { r.ID = "run-1" },
		"parent":                  func(r *engine.Request) { r.Kind = gaea.RunForAction },
		"timeouts.slice":          func(r *engine.Request) { r.Timeouts.Slice = gaea.Duration(24 * time.Hour) },
		"batch.wait":              func(r *engine.Request) { r.Batch.Wait = gaea.Duration(time.Second) },
		"concurrency.policy":      func(r *engine.Request) { r.Concurrency = gaea.Concurrency{Lock: "deploy", Policy: "hope"} },
		"pre_actions[0].function": func(r *engine.Request) { r.Pre = []gaea.JobAction{{Name: "a"}} },
		"pre_actions[0].target_group": func(r *engine.Request) {
			r.Pre = []gaea.JobAction{{Name: "a", Function: "test.ping", TargetGroup: "web"}}
		},
		"post_actions[1].expect": func(r *engine.Request) {
			r.Post = []gaea.JobAction{{Name: "a", Function: "test.ping", Expect: "ret"}, {Name: "b", Function: "test.ping", Expect: "ret =="}}
		},
		"post_actions[0].kwargs": func(r *engine.Request) {
			r.Post = []gaea.JobAction{{Name: "a", Function: "test.ping", Kwargs: map[string]any{"__id__": 1}}}
		},
		"post_actions[0].args": func(r *engine.Request) {
			r.Post = []gaea.JobAction{{Name: "a", Runner: "manage.up", Args: []any{make(chan int)}}}
		},
		"idempotency_key": func(r *engine.Request) { r.Key = string(make([]byte, 300)) },
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		for field, spoil := range wrong {
			req := ping(glob("*"))
			spoil(&req)
			_, _, err := w.engine.Submit(context.Background(), req)
			var e *gaea.Error
			if !errors.As(err, &e) || e.Code != gaea.CodeInvalid || e.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if n := len(w.salt.Published("")); n != 0 {
			t.Errorf("%d jobs were published", n)
		}
	})
}

func TestAnExpectationThatDoesNotCompileIsRefusedWithItsPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		_, _, err := w.engine.Submit(context.Background(), before(ping(glob("*")), action("test.ping", "ret == 1 && nonsense")))
		if got := gaea.MessageOf(err); !strings.HasPrefix(got, `pre_actions[0].expect: line 1, column 13: there is no variable "nonsense"`) {
			t.Errorf("%s", got)
		}
	})
}

func TestARandomOrderHasASeedAndAnyOtherNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		req := inSlices(ping(glob("*")), "1")
		if run := w.run(req); run.Seed != 0 {
			t.Errorf("sorted, with the seed %d", run.Seed)
		}
		req.Batch.Order = gaea.OrderRandom
		if one, two := w.run(req), w.run(req); one.Seed == 0 || one.Seed == two.Seed {
			t.Errorf("seeds %d and %d", one.Seed, two.Seed)
		}
	})
}

func TestARunKeepsWhatItWasMadeFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		req := locked(gaea.LockSkip)
		req.Template, req.RetryOf = "rolling@abc", "run-1"
		req.Pre, req.Post = []gaea.JobAction{action("test.ping", "")}, []gaea.JobAction{action("test.version", "")}
		run := w.run(req)
		if run.Template != req.Template || run.RetryOf != "run-1" || run.Concurrency != req.Concurrency || len(run.Call.Pre) != 1 || len(run.Call.Post) != 1 {
			t.Errorf("%+v", run)
		}
	})
}

func TestARunIsAcceptedWithAnIDThatSortsByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		run := w.submit(ping(gaea.Target{Type: gaea.TargetList, Minions: []string{"web2", "web1", "web2"}}))
		if !regexp.MustCompile(`^run-20\d{6}T\d{6}-[a-z2-7]{6}$`).MatchString(run.ID) {
			t.Errorf("id %q", run.ID)
		}
		if run.Status != gaea.RunQueued || run.Kind != gaea.RunJob || run.Timeouts.Gather.String() != "5s" || run.Timeouts.Job.String() != "30m" {
			t.Errorf("%s %s %v", run.Status, run.Kind, run.Timeouts)
		}
		if run.Target.String() != "web1,web2" {
			t.Errorf("target %q", run.Target.String())
		}
	})
}

func TestTheSameKeyGivesTheSameRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		req := ping(glob("*"))
		req.Key = "k"
		first := w.submit(req)
		again, created, err := w.engine.Submit(context.Background(), req)
		if err != nil || created || again.ID != first.ID {
			t.Errorf("%v, created %v: %v", again, created, err)
		}
		w.finish(first.ID)
		if n := len(w.salt.Published("test.ping")); n != 1 {
			t.Errorf("published %d times", n)
		}
		req.Call.Function = "test.version"
		if _, _, err := w.engine.Submit(context.Background(), req); gaea.CodeOf(err) != gaea.CodeConflict {
			t.Errorf("the key for something else: %v", err)
		}
		req.User = "bob"
		if run := w.submit(req); run.ID == first.ID {
			t.Error("the key of one user gave the run of another")
		}
	})
}

func TestAnEngineThatDoesNotRunTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		w.stop(w.engine)
		if _, _, err := w.engine.Submit(context.Background(), ping(glob("*"))); gaea.CodeOf(err) != gaea.CodeUnavailable {
			t.Errorf("%v", err)
		}
		fresh := engine.New(engine.Deps{Master: "m", Salt: w.salt, Cache: w.salt, Feed: w.salt, Returns: w.salt, Runs: w.runs})
		if _, _, err := fresh.Submit(context.Background(), ping(glob("*"))); gaea.CodeOf(err) != gaea.CodeUnavailable {
			t.Errorf("%v", err)
		}
	})
}

func TestWhatUsersSeeOfTheArgumentsIsRedactedAndWhatIsPublishedIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1")
		req := ping(glob("*"))
		req.Call = gaea.Call{Function: "state.apply", Args: []any{"web"}, Kwargs: map[string]any{"pillar": map[string]any{"password": "s3cret"}}}
		run := w.run(req)
		if string(run.Args) != `["web"]` {
			t.Errorf("args %s", run.Args)
		}
		pillar, ok := w.salt.Published("state.apply")[0].Kwargs["pillar"].(map[string]any)
		if !ok || pillar["password"] != "s3cret" {
			t.Errorf("published %v", pillar)
		}
	})
}

func TestNothingIsFollowedWhenARunHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web1", "web2", "web3")
		w.run(inSlices(ping(glob("*")), "1"))
		synctest.Wait()
		if n := w.salt.Followed(); n != 0 {
			t.Errorf("%d jobs are still followed", n)
		}
	})
}
