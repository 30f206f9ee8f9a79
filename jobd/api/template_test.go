package api_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// careful is a template in which everything is said.
const careful = `{"name":"careful","function":"pkg.upgrade",
	"batch":{"size":"10%","wait":"30s","canary":"1","canary_hold":"manual","max_failures":"5%","min_sample":20,"order":"random"},
	"timeouts":{"job":"2h","gather":"9s","slice":"10m"},
	"concurrency":{"lock":"deploy","policy":"refuse"},
	"pre_actions":[{"name":"drain","function":"cmd.run","args":["drain",5],"kwargs":{"timeout":10},"target_group":"lb","scope":"slice","on_failure":"continue"}],
	"post_actions":[
		{"name":"grains","runner":"cache.grains","args":["*"],"when":"always"},
		{"name":"health","http":{"url":"https://lb.example.com/health","method":"POST","headers":{"X-Token":"t"},"body":"b"},"expect":"ret.status == 200","retries":10,"interval":"3s","timeout":"1m"}]}`

func parsed[T any](t *testing.T, parse func(string) (T, error), text string) T {
	t.Helper()
	v, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestATemplateComesBackAsItWasSaved(t *testing.T) {
	h := serve(t)
	var v gaea.Version[gaea.JobTemplate]
	h.put("/v1/job-templates/careful", careful).want(http.StatusOK).into(&v)
	d := v.Definition
	want := gaea.Batch{
		Size: amount(t, "10%"), Wait: gaea.Duration(30 * time.Second), Canary: amount(t, "1"), CanaryHold: parsed(t, gaea.ParseHold, "manual"),
		MaxFailures: parsed(t, gaea.ParseAllowance, "5%"), MinSample: 20, Order: gaea.OrderRandom,
	}
	if d.Batch != want || d.Timeouts.Slice != gaea.Duration(10*time.Minute) || d.Concurrency != (gaea.Concurrency{Lock: "deploy", Policy: gaea.LockRefuse}) {
		t.Errorf("got %+v", d)
	}
	if len(d.PreActions) != 1 || len(d.PostActions) != 2 || d.PreActions[0].Scope != gaea.ScopeSlice || d.PostActions[1].HTTP.Headers["X-Token"] != "t" || d.PostActions[1].Retries != 10 {
		t.Errorf("actions %+v and %+v", d.PreActions, d.PostActions)
	}
}

func TestARunIsMadeAsItsTemplateSays(t *testing.T) {
	h := serve(t)
	var v gaea.Version[gaea.JobTemplate]
	h.put("/v1/job-templates/careful", careful).want(http.StatusOK).into(&v)
	run := gaea.RunRequest{JobTemplate: "careful", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}
	p := h.post("/v1/runs", run).problem(http.StatusBadRequest, gaea.CodeInvalid, "job_template")
	if !strings.Contains(p.Detail, "pre_actions[0].target_group") || !strings.Contains(p.Detail, `"lb"`) {
		t.Errorf("got %q", p.Detail)
	}
	h.put("/v1/target-groups/lb", gaea.TargetGroup{Name: "lb", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "lb*"}}).want(http.StatusOK)

	got := h.ran(run)
	d := v.Definition
	if got.Batch != d.Batch || got.Timeouts != d.Timeouts || got.Concurrency != d.Concurrency || got.Template != v.Ref {
		t.Errorf("got %+v", got)
	}
	drain := gaea.JobAction{Name: "drain", Function: "cmd.run", Args: []any{"drain", int64(5)}, Kwargs: map[string]any{"timeout": int64(10)},
		Target: gaea.Target{Type: gaea.TargetGlob, Expr: "lb*"}, Scope: gaea.ScopeSlice, OnFailure: gaea.FailureContinue}
	if !reflect.DeepEqual(got.Pre, []gaea.JobAction{drain}) || len(got.Post) != 2 || !reflect.DeepEqual(got.Post[1], d.PostActions[1]) {
		t.Errorf("actions %+v and %+v", got.Pre, got.Post)
	}
}

func TestARequestsOwnWordsWinFieldByField(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/lb", group("lb")).want(http.StatusOK)
	h.put("/v1/job-templates/careful", careful).want(http.StatusOK)
	got := h.ran(`{"job_template":"careful","target":{"type":"glob","expr":"*"},"batch":{"size":"3","max_failures":"0%","order":"sorted","canary_hold":"0"},
		"timeouts":{"slice":"1m"},"concurrency":{"policy":"skip"}}`)
	want := gaea.Batch{
		Size: amount(t, "3"), Wait: gaea.Duration(30 * time.Second), Canary: amount(t, "1"), CanaryHold: parsed(t, gaea.ParseHold, "0"),
		MaxFailures: parsed(t, gaea.ParseAllowance, "0%"), MinSample: 20, Order: gaea.OrderSorted,
	}
	if got.Batch != want {
		t.Errorf("batch %+v, want %+v", got.Batch, want)
	}
	if got.Timeouts != (gaea.Timeouts{Job: gaea.Duration(2 * time.Hour), Gather: gaea.Duration(9 * time.Second), Slice: gaea.Duration(time.Minute)}) ||
		got.Concurrency != (gaea.Concurrency{Lock: "deploy", Policy: gaea.LockSkip}) {
		t.Errorf("got %+v", got)
	}
}

func TestARequestThatContradictsItsTemplateIsToldSo(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/lb", group("lb")).want(http.StatusOK)
	h.put("/v1/job-templates/careful", careful).want(http.StatusOK)
	p := h.post("/v1/runs", `{"job_template":"careful","target":{"type":"glob","expr":"*"},"batch":{"max_failures":"3"}}`).
		problem(http.StatusBadRequest, gaea.CodeInvalid, "batch.min_sample")
	if !strings.Contains(p.Detail, `the job template "careful" gives`) {
		t.Errorf("got %q", p.Detail)
	}
	h.post("/v1/runs", `{"job_template":"careful","target":{"type":"glob","expr":"*"},"batch":{"mode":"rolling"}}`).
		problem(http.StatusBadRequest, gaea.CodeInvalid, "pre_actions[0].scope")
	if n := len(h.Runs.Requests); n != 0 {
		t.Errorf("%d requests reached the engine", n)
	}
}

func TestATemplateThatIsWrongIsRefusedWithItsField(t *testing.T) {
	h := serve(t)
	for _, row := range []struct{ name, body, field, says string }{
		{"contradictory batch", `"batch":{"mode":"rolling"}`, "batch.size", ""},
		{"wrong allowance", `"batch":{"size":"1","max_failures":"some"}`, "batch.max_failures", `"some"`},
		{"wrong amount", `"batch":{"canary":"none"}`, "batch.canary", `"none"`},
		{"wrong hold", `"batch":{"canary":"1","canary_hold":"later"}`, "batch.canary_hold", `"later"`},
		{"limit beyond what is possible", `"timeouts":{"job":"9999h"}`, "timeouts.job", "9999h"},
		{"lock", `"concurrency":{"lock":"a b"}`, "concurrency.lock", `"a b"`},
		{"nothing to do", `"pre_actions":[{"name":"a"}]`, "pre_actions[0].function", ""},
		{"two things to do", `"pre_actions":[{"name":"a","function":"test.ping","runner":"cache.grains"}]`, "pre_actions[0].function", ""},
		{"no name", `"pre_actions":[{"function":"test.ping"}]`, "pre_actions[0].name", ""},
		{"the same name", `"post_actions":[{"name":"a","function":"test.ping"},{"name":"a","function":"test.ping"}]`, "post_actions[1].name", `"a"`},
		{"a pre-action with when", `"pre_actions":[{"name":"a","function":"test.ping","when":"always"}]`, "pre_actions[0].when", ""},
		{"unknown when", `"post_actions":[{"name":"a","function":"test.ping","when":"never"}]`, "post_actions[0].when", `"never"`},
		{"unknown scope", `"post_actions":[{"name":"a","function":"test.ping","scope":"minion"}]`, "post_actions[0].scope", `"minion"`},
		{"unknown on_failure", `"post_actions":[{"name":"a","function":"test.ping","on_failure":"ignore"}]`, "post_actions[0].on_failure", `"ignore"`},
		{"kwargs", `"pre_actions":[{"name":"a","function":"test.ping","kwargs":["k"]}]`, "pre_actions[0].kwargs", "object"},
		{"Salt's own kwargs", `"pre_actions":[{"name":"a","function":"test.ping","kwargs":{"__id__":1}}]`, "pre_actions[0].kwargs", `"__id__"`},
		{"retries", `"pre_actions":[{"name":"a","function":"test.ping","retries":1001}]`, "pre_actions[0].retries", "1001"},
		{"interval", `"pre_actions":[{"name":"a","function":"test.ping","retries":1,"interval":"often"}]`, "pre_actions[0].interval", `"often"`},
		{"malformed group", `"pre_actions":[{"name":"a","function":"test.ping","target_group":"web@1"}]`, "pre_actions[0].target_group", `"web@1"`},
		{"broken target", `"pre_actions":[{"name":"a","function":"test.ping","target":{"type":"compound","expr":"G@a:b and ("}}]`, "pre_actions[0].target.expr", ""},
		{"URL", `"post_actions":[{"name":"a","http":{"url":"lb/drain"}}]`, "post_actions[0].http.url", `"lb/drain"`},
		{"expectation", `"post_actions":[{"name":"a","function":"test.ping"},{"name":"b","function":"test.ping","expect":"ret == (("}]`, "post_actions[1].expect", "line 1, column 8"},
		{"no such field", `"post_actions":[{"name":"a","function":"test.ping","expects":"true"}]`, "post_actions[0].expects", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			h.t = t
			p := h.put("/v1/job-templates/t", `{"name":"t",`+row.body+`}`).problem(http.StatusBadRequest, gaea.CodeInvalid, row.field)
			if !strings.Contains(p.Detail, row.says) {
				t.Errorf("%q does not say %s", p.Detail, row.says)
			}
		})
	}
}

func TestAValueThatMayBeASecretIsNotRepeated(t *testing.T) {
	h := serve(t)
	p := h.put("/v1/job-templates/t", `{"name":"t","function":"cmd.run","kwargs":"password=s3cr3t"}`).problem(http.StatusBadRequest, gaea.CodeInvalid, "kwargs")
	if strings.Contains(p.Detail, "s3cr3t") {
		t.Errorf("got %q", p.Detail)
	}
}

func TestATemplateMayNameAGroupThatIsDefinedLater(t *testing.T) {
	h := serve(t)
	h.put("/v1/job-templates/careful", careful).want(http.StatusOK)
}

func TestATemplateWithAnArgumentThatIsSaltsOwnIsNotSaved(t *testing.T) {
	h := serve(t)
	h.put("/v1/job-templates/web", `{"name":"web","function":"test.arg","kwargs":{"__pub_user":"root"}}`).problem(http.StatusBadRequest, gaea.CodeInvalid, "kwargs")
}
