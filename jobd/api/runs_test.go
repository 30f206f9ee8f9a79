package api_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// ran creates a run and returns what the engine was asked for.
func (h *harness) ran(body any) engine.Request {
	h.t.Helper()
	h.post("/v1/runs", body).want(http.StatusAccepted)
	return h.Runs.Requests[len(h.Runs.Requests)-1]
}

func amount(t *testing.T, s string) gaea.Amount {
	t.Helper()
	a, err := gaea.ParseAmount(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestARunIsAcceptedAtOnce(t *testing.T) {
	h := serve(t)
	r := h.post("/v1/runs", `{"function":"test.ping","target":{"type":"glob","expr":"*"}}`).want(http.StatusAccepted)
	var run gaea.Run
	r.into(&run)
	if run.ID == "" || run.Status != gaea.RunRunning || run.User != "applyer" || r.header.Get("Location") != "/v1/runs/"+run.ID {
		t.Errorf("got %+v at %q", run, r.header.Get("Location"))
	}
}

func TestTheEngineGetsWhatWasAskedFor(t *testing.T) {
	h := serve(t)
	got := h.ran(`{"function":"cmd.run","args":["uptime",5,5.5,1e3,18446744073709551615],"kwargs":{"timeout":10,"env":[{"A":1}],"big":12345678901234567890},
		"target":{"type":"list","minions":["web1"]},"batch":{"size":"10%"},"timeouts":{"job":"5m"},"allow_empty":true}`)
	want := engine.Request{
		Kind: gaea.RunJob,
		Call: gaea.Call{Function: "cmd.run", Args: []any{"uptime", int64(5), 5.5, 1000.0, uint64(18446744073709551615)},
			Kwargs: map[string]any{"timeout": int64(10), "env": []any{map[string]any{"A": int64(1)}}, "big": uint64(12345678901234567890)}},
		Target: gaea.ListTarget([]string{"web1"}), Batch: gaea.Batch{Size: amount(t, "10%")},
		Timeouts: gaea.Timeouts{Job: gaea.Duration(5 * time.Minute)}, User: "applyer", AllowEmpty: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestATemplateGivesWhatTheRequestDoesNotSay(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	h.put("/v1/job-templates/upgrade", gaea.JobTemplate{
		Name: "upgrade", Function: "pkg.upgrade", Args: []any{"nginx"}, Kwargs: map[string]any{"refresh": true, "hold": json.Number("1")},
		Batch: gaea.Batch{Size: amount(t, "2")}, Timeouts: gaea.Timeouts{Job: gaea.Duration(time.Hour), Gather: gaea.Duration(9 * time.Second)},
	}).want(http.StatusOK)

	got := h.ran(gaea.RunRequest{TargetGroup: "web", JobTemplate: "upgrade", Kwargs: map[string]any{"refresh": false}, Timeouts: gaea.Timeouts{Job: gaea.Duration(time.Minute)}})
	if want := (gaea.Call{Function: "pkg.upgrade", Args: []any{"nginx"}, Kwargs: map[string]any{"refresh": false, "hold": int64(1)}}); !reflect.DeepEqual(got.Call, want) {
		t.Errorf("call %+v, want %+v", got.Call, want)
	}
	if got.Target.Expr != "web*" || got.Batch.Size.String() != "2" || got.Timeouts != (gaea.Timeouts{Job: gaea.Duration(time.Minute), Gather: gaea.Duration(9 * time.Second)}) {
		t.Errorf("got %+v", got)
	}

	got = h.ran(gaea.RunRequest{Function: "test.ping", TargetGroup: "web", JobTemplate: "upgrade"})
	if got.Call.Function != "test.ping" || got.Call.Args != nil || got.Call.Kwargs != nil || got.Batch.Size.String() != "2" {
		t.Errorf("another function took the template's arguments: %+v", got.Call)
	}
}

func TestTheVersionThatARefNamesIsWhatRuns(t *testing.T) {
	h := serve(t)
	var first gaea.Version[gaea.TargetGroup]
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK).into(&first)
	changed := group("web")
	changed.Target.Expr = "www*"
	h.put("/v1/target-groups/web", changed).want(http.StatusOK)
	if got := h.ran(gaea.RunRequest{Function: "test.ping", TargetGroup: first.Ref}); got.Target.Expr != "web*" {
		t.Errorf("pinned: %+v", got.Target)
	}
	if got := h.ran(gaea.RunRequest{Function: "test.ping", TargetGroup: "web"}); got.Target.Expr != "www*" {
		t.Errorf("by name: %+v", got.Target)
	}
}

func TestABadRunIsRefusedBeforeAnythingIsPublished(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	h.put("/v1/job-templates/batch", gaea.JobTemplate{Name: "batch"}).want(http.StatusOK)
	const all = `"target":{"type":"glob","expr":"*"}`
	for _, row := range []struct{ name, body, field string }{
		{"no function", `{` + all + `}`, "function"},
		{"no function in the template", `{"job_template":"batch",` + all + `}`, "function"},
		{"no such form", `{"function":"reboot",` + all + `}`, "function"},
		{"no target", `{"function":"test.ping"}`, "target"},
		{"two targets", `{"function":"test.ping","target_group":"web",` + all + `}`, "target_group"},
		{"no such group", `{"function":"test.ping","target_group":"db"}`, "target_group"},
		{"no such ref", `{"function":"test.ping","target_group":"web@0123456789abcdef"}`, "target_group"},
		{"not a ref", `{"function":"test.ping","target_group":"web@1"}`, "target_group"},
		{"no such template", `{"function":"test.ping","job_template":"none",` + all + `}`, "job_template"},
		{"broken target", `{"function":"test.ping","target":{"type":"compound","expr":"G@a:b and ("}}`, "target.expr"},
		{"kwargs", `{"function":"test.ping","kwargs":[1],` + all + `}`, "kwargs"},
		{"kwargs as a text", `{"function":"test.ping","kwargs":"a=b",` + all + `}`, "kwargs"},
		{"batch", `{"function":"test.ping","batch":{"size":"0"},` + all + `}`, "batch.size"},
		{"more than everything", `{"function":"test.ping","batch":{"size":"101%"},` + all + `}`, "batch.size"},
		{"fewer than no failures", `{"function":"test.ping","batch":{"size":"1","max_failures":"-1"},` + all + `}`, "batch.max_failures"},
		{"no hold", `{"function":"test.ping","batch":{"canary":"1","canary_hold":"for ever"},` + all + `}`, "batch.canary_hold"},
		{"no mode", `{"function":"test.ping","batch":{"size":"1","mode":"fast"},` + all + `}`, "batch.mode"},
		{"no order", `{"function":"test.ping","batch":{"size":"1","order":"best"},` + all + `}`, "batch.order"},
		{"no sample", `{"function":"test.ping","batch":{"size":"1","max_failures":"5%","min_sample":0},` + all + `}`, "batch.min_sample"},
		{"rolling without a size", `{"function":"test.ping","batch":{"mode":"rolling"},` + all + `}`, "batch.size"},
		{"a hold without a canary", `{"function":"test.ping","batch":{"size":"1","canary_hold":"1m"},` + all + `}`, "batch.canary_hold"},
		{"a threshold without slices", `{"function":"test.ping","batch":{"max_failures":"0"},` + all + `}`, "batch.max_failures"},
		{"a policy without a lock", `{"function":"test.ping","concurrency":{"policy":"skip"},` + all + `}`, "concurrency.lock"},
		{"no policy", `{"function":"test.ping","concurrency":{"lock":"l","policy":"push"},` + all + `}`, "concurrency.policy"},
		{"no duration", `{"function":"test.ping","timeouts":{"slice":"5"},` + all + `}`, "timeouts.slice"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h.t = t
			h.post("/v1/runs", row.body).problem(http.StatusBadRequest, gaea.CodeInvalid, row.field)
		})
	}
	if n := len(h.Runs.Requests); n != 0 {
		t.Errorf("%d requests reached the engine", n)
	}
}

func TestAnEmptyTargetHasItsOwnCode(t *testing.T) {
	h := serve(t)
	h.post("/v1/runs", `{"function":"no.such","target":{"type":"glob","expr":"nobody"}}`).problem(http.StatusUnprocessableEntity, gaea.CodeEmptyTarget, "")
}

func TestTheSameKeyGivesTheSameRun(t *testing.T) {
	h := serve(t)
	create := func(key, fun string) reply {
		return h.do(request{method: http.MethodPost, path: "/v1/runs", role: gaea.RoleApply, header: http.Header{"Idempotency-Key": {key}},
			body: gaea.RunRequest{Function: fun, Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}})
	}
	var first, again, other gaea.Run
	create("k1", "test.ping").want(http.StatusAccepted).into(&first)
	create("k1", "test.ping").want(http.StatusAccepted).into(&again)
	create("k2", "test.ping").want(http.StatusAccepted).into(&other)
	if first.ID != again.ID || first.ID == other.ID {
		t.Errorf("got %s, %s and %s", first.ID, again.ID, other.ID)
	}
	create("k1", "cmd.run").problem(http.StatusConflict, gaea.CodeConflict, "")
}

func TestAKeyThatIsForgottenGivesANewRun(t *testing.T) {
	h := serve(t)
	create := func() string {
		var run gaea.Run
		h.do(request{method: http.MethodPost, path: "/v1/runs", role: gaea.RoleApply, header: http.Header{"Idempotency-Key": {"k1"}},
			body: gaea.RunRequest{Function: "test.ping", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}}).want(http.StatusAccepted).into(&run)
		return run.ID
	}
	first := create()
	h.do(request{method: http.MethodDelete, path: "/v1/runs/" + first + "/key", role: gaea.RoleAdmin}).want(http.StatusNoContent)
	if again := create(); again != first {
		t.Errorf("another user's request freed the key: %s and %s", first, again)
	}
	h.remove("/v1/runs/" + first + "/key").want(http.StatusNoContent)
	h.remove("/v1/runs/run-none/key").want(http.StatusNoContent)
	if again := create(); again == first {
		t.Errorf("the key still gives %s", again)
	}
	h.get("/v1/runs/" + first).want(http.StatusOK)
}

func TestALongPollAnswersWhenTheRunAndItsCheckHaveEnded(t *testing.T) {
	h := serve(t)
	run := h.Runs.Start(gaea.Run{Kind: gaea.RunEnforce, CheckState: gaea.CheckPending})
	done := make(chan reply, 1)
	go func() { done <- h.get("/v1/runs/" + run.ID + "?wait=1h") }()
	eventually(t, "the poll is held", func() bool { return h.Runs.Watched(run.ID) == 1 })
	h.Runs.End(run.ID, gaea.RunSucceeded, gaea.OutcomeChanged)
	select {
	case r := <-done:
		t.Fatalf("answered before the check had ended: %s", r.body)
	case <-time.After(30 * time.Millisecond):
	}
	h.Runs.Change(run.ID, func(r *gaea.Run) { r.CheckState = gaea.CheckDone })
	var got gaea.Run
	(<-done).want(http.StatusOK).into(&got)
	if got.Status != gaea.RunSucceeded || got.CheckState != gaea.CheckDone || got.Minions["web1"].Outcome != gaea.OutcomeChanged {
		t.Errorf("got %+v", got)
	}
	if n := h.Runs.Watched(run.ID); n != 0 {
		t.Errorf("%d still watch", n)
	}
}

func TestALongPollAnswersWithTheRunAsItStandsWhenItsTimeIsUp(t *testing.T) {
	h := serve(t)
	run := h.Runs.Start(gaea.Run{})
	var got gaea.Run
	h.get("/v1/runs/" + run.ID + "?wait=20ms").want(http.StatusOK).into(&got)
	if got.Status != gaea.RunRunning {
		t.Errorf("got %+v", got)
	}
	h.get("/v1/runs/run-none?wait=1m").problem(http.StatusNotFound, gaea.CodeNotFound, "")
}

func TestStoppingEndsLongPollsAtOnce(t *testing.T) {
	h := serve(t)
	run := h.Runs.Start(gaea.Run{})
	done := make(chan reply, 1)
	go func() { done <- h.get("/v1/runs/" + run.ID + "?wait=1m") }()
	eventually(t, "the poll is held", func() bool { return h.Runs.Watched(run.ID) == 1 })
	started := time.Now()
	h.api.Stop()
	(<-done).want(http.StatusOK)
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestRunsAreListedWithTheirCounts(t *testing.T) {
	h := serve(t)
	h.Runs.Start(gaea.Run{Kind: gaea.RunCheck, Assignment: "a", Parent: "run-9"})
	second := h.Runs.Start(gaea.Run{Kind: gaea.RunJob})
	h.Runs.End(second.ID, gaea.RunFailed, gaea.OutcomeFailed)
	var page gaea.Page[gaea.Run]
	h.get("/v1/runs").want(http.StatusOK).into(&page)
	if len(page.Items) != 2 || page.Items[0].ID != second.ID || page.Items[0].Counts[gaea.OutcomeFailed] != 1 || page.Items[0].Minions != nil {
		t.Errorf("got %+v", page)
	}
	for query, n := range map[string]int{"status=failed": 1, "kind=check": 1, "assignment=a": 1, "active=true": 1, "user=nobody": 0, "status=paused": 0, "parent=run-9": 1, "retry_of=run-9": 0} {
		h.get("/v1/runs?" + query).want(http.StatusOK).into(&page)
		if len(page.Items) != n {
			t.Errorf("%s: %d runs", query, len(page.Items))
		}
	}
}

func TestWhatAnActionDidOnMinionsIsListedWhereItIsAskedFor(t *testing.T) {
	h := serve(t)
	first := h.Runs.Start(gaea.Run{Kind: gaea.RunJob})
	h.Runs.Start(gaea.Run{Kind: gaea.RunForAction, Parent: first.ID})
	for query, n := range map[string]int{"": 1, "actions=true": 2, "actions=false": 1, "kind=action": 1, "parent=" + first.ID: 0, "actions=true&parent=" + first.ID: 1} {
		var page gaea.Page[gaea.Run]
		h.get("/v1/runs?" + query).want(http.StatusOK).into(&page)
		if len(page.Items) != n {
			t.Errorf("%q: %d runs, want %d", query, len(page.Items), n)
		}
	}
}

func TestEveryStatusCanBeAskedFor(t *testing.T) {
	h := serve(t)
	for _, status := range gaea.RunStatuses() {
		h.get("/v1/runs?status=" + string(status)).want(http.StatusOK)
	}
	h.get("/v1/runs?status=stuck").problem(http.StatusBadRequest, gaea.CodeInvalid, "status")
}

func TestARunNeverShowsItsCall(t *testing.T) {
	h := serve(t)
	r := h.post("/v1/runs", `{"function":"cmd.run","args":["mysql -ps3cr3t"],"target":{"type":"glob","expr":"*"}}`).want(http.StatusAccepted)
	if strings.Contains(string(r.body), "s3cr3t") {
		t.Errorf("shown: %s", r.body)
	}
}
