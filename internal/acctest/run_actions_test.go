package acctest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// does is an action that runs a script on minions: see [rig.script].
func (r *rig) does(t *testing.T, name, command string) gaea.JobAction {
	t.Helper()
	return gaea.JobAction{
		Name: name, Function: "cmd.run", Args: []any{r.script(t, command)}, Kwargs: map[string]any{"python_shell": true, "template": "jinja"},
	}
}

// template saves the test's job template.
func (r *rig) template(t *testing.T, tpl gaea.JobTemplate) {
	t.Helper()
	tpl.Name = r.name
	if _, err := r.client.PutJobTemplate(t.Context(), tpl); err != nil {
		t.Fatal(err)
	}
}

// actions are a run's actions of scope once, and how they ended.
func actions(run *gaea.Run) []string {
	var list []string
	for _, a := range run.Actions {
		list = append(list, fmt.Sprintf("%s %s %s", a.Phase, a.Name, a.Status))
	}
	return list
}

func amount(t *testing.T, text string) gaea.Amount {
	t.Helper()
	a, err := gaea.ParseAmount(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAccEachSliceIsDrainedBeforeItsStatesAndUndrainedAfterThemAlsoWhereTheyFail(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, fmt.Sprintf(`
app:
  cmd.run:
    - name: echo states {{ grains.id }} >> %s/journal; test {{ grains.id }} != web1
`, r.dir("web1")))
	drain, undrain := r.does(t, "drain", "say drain"), r.does(t, "undrain", "say undrain")
	drain.Scope, undrain.Scope, undrain.When = gaea.ScopeSlice, gaea.ScopeSlice, gaea.WhenAlways
	first := r.does(t, "first", "say first")
	r.template(t, gaea.JobTemplate{
		Batch: gaea.Batch{Size: amount(t, "1")}, PreActions: []gaea.JobAction{first, drain}, PostActions: []gaea.JobAction{undrain},
	})
	out := r.cli(t, 1, "run", "state.apply", sls, "--target", "w*", "--template", r.name, "--watch")
	got := r.journal(t)
	if len(got) != 8 {
		t.Fatalf("the journal is %q", got)
	}
	slices.Sort(got[:2]) // both at once, before the first slice
	if want := []string{
		"first web1", "first web2", "drain web1", "states web1", "undrain web1", "drain web2", "states web2", "undrain web2",
	}; !slices.Equal(got, want) {
		t.Errorf("the journal is %q, not %q", got, want)
	}
	run := r.runIn(t, out)
	wants(t, out, "pre-action drain of slice 1: running cmd.run", "post-action undrain of slice 2: succeeded", "by the template "+r.name+"@", "1 failed", "1 changed web2")
	for i := range run.Slices {
		for _, a := range run.Slices[i].Actions {
			if a.Status != gaea.ActionSucceeded || len(a.Runs) != 1 {
				t.Errorf("of slice %d the action %s is %+v", i+1, a.Name, a)
			}
		}
	}
	if n := len(r.childRuns(t, run.ID)); n != 5 {
		t.Errorf("%d runs carried out five actions", n)
	}
}

func TestAccACheckOfHealthIsTriedAgainUntilWhatComesBackIsAsExpected(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	health := gaea.JobAction{
		Name: "health", Function: "cmd.run_all", Args: []any{r.script(t, "cat healthy || echo ill")},
		Kwargs: map[string]any{"python_shell": true, "template": "jinja"},
		Expect: `ret.stdout == "ok"`, Retries: 100, Interval: gaea.Duration(200 * time.Millisecond),
	}
	r.template(t, gaea.JobTemplate{PostActions: []gaea.JobAction{health}})
	watch := r.background(t, r.asked(t, "say told", "--template", r.name, "--watch")...)
	var run *gaea.Run
	eventually(t, "it was tried again", func() bool {
		run = r.latest(t)
		return run != nil && len(run.Actions) == 1 && run.Actions[0].Attempts > 1
	})
	if run.Status != gaea.RunPostActions || run.Verdict != gaea.RunSucceeded {
		t.Errorf("the run is %s, %s", run.Status, run.Verdict)
	}
	wants(t, r.cli(t, 0, "show", run.ID), `expected ret.stdout == "ok": false on`, "will end as succeeded", "health")

	r.write(t, "web1", "healthy", "ok\n")
	wants(t, watch.ends(t, 0), "post-action health: succeeded", `expected ret.stdout == "ok": true on 3 minions`)
	run = r.run(t, run.ID)
	a := run.Actions[0]
	tries := r.childRuns(t, run.ID)
	if len(tries) != a.Attempts || len(a.Runs) != a.Attempts {
		t.Errorf("%d tries are %q, and there are %d runs", a.Attempts, a.Runs, len(tries))
	}

	t.Run("AndEachTryIsInTheArchiveWithItsReturns", func(t *testing.T) {
		listed := r.cli(t, 0, "runs", "--parent", run.ID, "--limit", "1000")
		wants(t, listed, a.Runs...)
		wants(t, r.cli(t, 0, "runs", "--actions", "--limit", "1000"), a.Runs[0])
		wantsNot(t, r.cli(t, 0, "runs", "--limit", "1000"), a.Runs[0])
		wants(t, r.cli(t, 0, "show", a.Runs[0], "--returns"), "carries out an action of "+run.ID, "cmd.run_all", `"stdout": "ill"`)
		wants(t, r.cli(t, 0, "show", a.Runs[len(a.Runs)-1], "--returns"), `"stdout": "ok"`)
		wants(t, r.cli(t, 0, "show", run.ID, "--all"), a.Runs...)
	})
}

func TestAccARunnerOnTheMasterIsAnActionAndItsAnswerIsArchived(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.template(t, gaea.JobTemplate{
		PreActions: []gaea.JobAction{
			{Name: "echo", Runner: "test.arg", Args: []any{r.name}, Kwargs: map[string]any{"size": 3}, Expect: `ret.args == ["` + r.name + `"] && ret.kwargs.size == 3`},
			{Name: "known", Runner: "cache.grains", Args: []any{"db1"}, Expect: `ret.db1.id == "db1"`},
		},
		PostActions: []gaea.JobAction{{Name: "wrong", Runner: "test.arg", Args: []any{"one"}, Expect: `ret.args[0] == "two"`, OnFailure: gaea.FailureContinue}},
	})
	out := r.cli(t, 0, r.asked(t, "say told", "--template", r.name, "--watch")...)
	run := r.runIn(t, out)
	if got := actions(run); !slices.Equal(got, []string{"pre echo succeeded", "pre known succeeded", "post wrong failed"}) {
		t.Errorf("the actions are %q", got)
	}
	wants(t, out, "runner test.arg", `post-action "wrong" failed`, `expected ret.args[0] == "two": false`)
	page, err := r.client.Events(t.Context(), gaea.EventFilter{Tag: gaea.ActionTag(run.ID)}, gaea.PageRequest{})
	if err != nil || len(page.Items) != 3 {
		t.Fatalf("the answers of three runners are %+v (%v)", page.Items, err)
	}
	answers := map[string]string{}
	for i := range page.Items {
		var data struct {
			Action string          `json:"action"`
			Answer json.RawMessage `json:"answer"`
		}
		if err := json.Unmarshal(page.Items[i].Data, &data); err != nil {
			t.Fatal(err)
		}
		answers[data.Action] = string(data.Answer)
	}
	wants(t, answers["echo"], r.name)
	wants(t, answers["known"], `"db1"`)
	wants(t, answers["wrong"], `"one"`)
}

func TestAccARequestIsAnActionAndIsTriedAgainUntilItIsAnsweredWell(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var asked atomic.Int32
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		left := 3 - int(asked.Add(1))
		if left > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = fmt.Fprintf(w, `{"connections": %d}`, left)
	}))
	t.Cleanup(balancer.Close)
	drain := gaea.JobAction{
		Name: "drain", HTTP: &gaea.HTTPCall{URL: balancer.URL + "/drain", Method: "POST"}, Expect: "ret.status == 200 && ret.json.connections == 0",
		Retries: 5, Interval: gaea.Duration(100 * time.Millisecond),
	}
	bare := gaea.JobAction{Name: "bare", HTTP: &gaea.HTTPCall{URL: balancer.URL + "/bare"}}
	r.template(t, gaea.JobTemplate{PreActions: []gaea.JobAction{drain}, PostActions: []gaea.JobAction{bare}})
	out := r.cli(t, 0, r.asked(t, "say told", "--template", r.name, "--watch")...)
	run := r.runIn(t, out)
	if got := actions(run); !slices.Equal(got, []string{"pre drain succeeded", "post bare succeeded"}) || run.Actions[0].Attempts != 3 {
		t.Errorf("the actions are %+v", run.Actions)
	}
	wants(t, out, "POST "+balancer.URL+"/drain", "pre-action drain: waiting", "try 3")
}

func TestAccAnActionIsDoneOnTheMinionsOfAnotherGroup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := r.client.PutTargetGroup(t.Context(), gaea.TargetGroup{Name: r.name, Target: gaea.Target{Type: gaea.TargetGlob, Expr: "db*"}}); err != nil {
		t.Fatal(err)
	}
	lock := r.does(t, "lock", "say lock")
	lock.TargetGroup = r.name
	r.template(t, gaea.JobTemplate{PreActions: []gaea.JobAction{lock}})
	args := r.asked(t, "say told", "--template", r.name, "--watch")
	args[6] = "web2"
	r.cli(t, 0, args...)
	r.said(t, "lock db1", "told web2")
}

func TestAccAPreActionThatFailsEndsTheRunBeforeAnyMinionIsToldUnlessItIsToContinue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	check, page, rejoice := r.does(t, "check", "say check; exit 3"), r.does(t, "page", "say page"), r.does(t, "rejoice", "say rejoice")
	page.When = gaea.WhenFailure
	pass := func(policy gaea.ActionFailure) {
		check.OnFailure = policy
		r.template(t, gaea.JobTemplate{PreActions: []gaea.JobAction{check}, PostActions: []gaea.JobAction{page, rejoice}})
	}
	args := r.asked(t, "say told", "--template", r.name, "--watch")
	args[6] = "web2"

	pass(gaea.FailureAbort)
	out := r.cli(t, 1, args...)
	r.said(t, "check web2", "page web2")
	wants(t, out, `pre-action "check" failed: failed on web2 (failed: return code 3)`, "1 skipped: not told:")
	if got := actions(r.runIn(t, out)); !slices.Equal(got, []string{"pre check failed", "post page succeeded", "post rejoice skipped"}) {
		t.Errorf("the actions are %q", got)
	}

	r.remove(t, "web1", "journal")
	pass(gaea.FailureContinue)
	out = r.cli(t, 0, args...)
	r.said(t, "check web2", "told web2", "rejoice web2")
	wants(t, out, "succeeded", `pre-action "check" failed`)
	if got := actions(r.runIn(t, out)); !slices.Equal(got, []string{"pre check failed", "post page skipped", "post rejoice succeeded"}) {
		t.Errorf("the actions are %q", got)
	}
}

func TestAccAnExpectationThatDoesNotCompileIsRefusedWithItsPosition(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	fine := gaea.JobAction{Name: "fine", Function: "test.ping", Expect: "ret == true"}
	for expect, want := range map[string]string{
		`ret.stdout == `:                "line 1, column",
		"ret == 1 &&\n  minions == 'a'": "line 2, column 3",
		`retcode + 1`:                   "line 1, column 1: the expression gives a whole number and must be true or false",
	} {
		wrong := gaea.JobAction{Name: "wrong", Function: "test.ping", Expect: expect}
		_, err := r.client.PutJobTemplate(t.Context(), gaea.JobTemplate{Name: r.name, PostActions: []gaea.JobAction{fine, wrong}})
		if gaea.CodeOf(err) != gaea.CodeInvalid || fieldOf(err) != "post_actions[1].expect" || !strings.Contains(gaea.MessageOf(err), want) {
			t.Errorf("%q: the error is %v", expect, err)
		}
	}
	if _, err := r.client.GetJobTemplate(t.Context(), r.name); gaea.CodeOf(err) != gaea.CodeNotFound {
		t.Errorf("the template was saved: %v", err)
	}
}
