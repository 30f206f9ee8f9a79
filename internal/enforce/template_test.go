package enforce_test

import (
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// careful is a template in which everything is said.
func careful(t *testing.T) gaea.JobTemplate {
	t.Helper()
	size, err := gaea.ParseAmount("2")
	if err != nil {
		t.Fatal(err)
	}
	failures, err := gaea.ParseAllowance("5%")
	if err != nil {
		t.Fatal(err)
	}
	hold, err := gaea.ParseHold("manual")
	if err != nil {
		t.Fatal(err)
	}
	return gaea.JobTemplate{
		Name:        "careful",
		Batch:       gaea.Batch{Size: size, Wait: hour, Canary: size, CanaryHold: hold, MaxFailures: failures, MinSample: 20, Order: gaea.OrderRandom},
		Timeouts:    gaea.Timeouts{Job: 3 * hour, Gather: gaea.DefaultGatherTimeout, Slice: hour},
		Concurrency: gaea.Concurrency{Lock: "deploy", Policy: gaea.LockSkip},
		PreActions:  []gaea.JobAction{{Name: "drain", Function: "cmd.run", Args: []any{"drain"}, TargetGroup: "lb"}},
		PostActions: []gaea.JobAction{{Name: "health", Function: "test.ping"}},
	}
}

// submitted has every submission refused, and returns what was asked of the engine by f.
func (w *world) submitted(f func() error) engine.Request {
	w.t.Helper()
	var got []engine.Request
	w.engine.failSubmit(func(req engine.Request) error {
		got = append(got, req)
		return gaea.Errorf(gaea.CodeUnavailable, "not now")
	})
	defer w.engine.failSubmit(nil)
	if err := f(); gaea.CodeOf(err) != gaea.CodeUnavailable || len(got) != 1 {
		w.t.Fatalf("%d requests, %v", len(got), err)
	}
	return got[0]
}

func (w *world) useTemplate(t gaea.JobTemplate) (ref string) {
	w.t.Helper()
	ref = w.templates.put(w.t, t)
	w.change(func(a *gaea.Assignment) { a.JobTemplate = ref })
	return ref
}

func TestAnEnforcingRunIsMadeAsItsTemplateSays(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.group("lb", gaea.Target{Type: gaea.TargetGlob, Expr: "lb*"})
		tmpl := careful(t)
		ref := w.useTemplate(tmpl)
		got := w.submitted(func() error {
			_, err := w.service.Enforce(asUser("ann"), "web", gaea.EnforceRequest{}, "key")
			return err
		})
		if got.Batch != tmpl.Batch || got.Timeouts != tmpl.Timeouts || got.Concurrency != tmpl.Concurrency || got.Template != ref {
			t.Errorf("got %+v", got)
		}
		if len(got.Pre) != 1 || got.Pre[0].TargetGroup != "" || got.Pre[0].Target.Expr != "lb*" || len(got.Post) != 1 || got.Post[0].Name != "health" {
			t.Errorf("actions %+v and %+v", got.Pre, got.Post)
		}
		if got.Call.Function != "state.apply" || got.Key != "key" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestALookTakesNothingOfTheTemplateButItsLimits(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		tmpl := careful(t)
		w.useTemplate(tmpl)
		got := w.submitted(func() error {
			_, err := w.service.Check(asUser("ann"), "web", gaea.CheckRequest{})
			return err
		})
		if want := (gaea.Timeouts{Job: tmpl.Timeouts.Job, Gather: tmpl.Timeouts.Gather}); got.Timeouts != want {
			t.Errorf("limits %+v, want %+v", got.Timeouts, want)
		}
		if got.Batch != (gaea.Batch{}) || got.Concurrency != (gaea.Concurrency{}) || got.Pre != nil || got.Post != nil || got.Template != "" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestAnActionOnMinionsThatNobodyDefinedKeepsARunFromBeingMade(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		w.useTemplate(careful(t))
		_, err := w.service.Enforce(asUser("ann"), "web", gaea.EnforceRequest{}, "")
		if gaea.CodeOf(err) != gaea.CodeInvalid {
			t.Errorf("got %v", err)
		}
		if runs := w.stateRuns(gaea.RunEnforce); len(runs) != 0 {
			t.Errorf("%d runs were made", len(runs))
		}
	})
}

func TestTheLookAfterARunThatSomebodyElseMadeIsMadeToo(t *testing.T) {
	inWorld(t, three, func(t *testing.T, w *world) {
		first := w.enforce(gaea.EnforceRequest{})
		again, _, err := w.engine.Submit(t.Context(), engine.Request{Kind: gaea.RunEnforce, Call: *first.Call, Target: gaea.ListTarget([]string{"m2"}),
			Assignment: "web", Revision: first.Revision, User: "ann", CheckState: gaea.CheckPending, RetryOf: first.ID})
		if err != nil {
			t.Fatal(err)
		}
		w.service.Follow(again)
		w.service.Follow(again)
		if run := w.complete(again.ID); run.CheckState != gaea.CheckDone || run.CheckRun == "" || run.CheckRun == first.CheckRun {
			t.Errorf("got %+v", run)
		}
	})
}
