package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestADefinitionKeepsEveryVersion(t *testing.T) {
	h := serve(t)
	var first, again, second gaea.Version[gaea.TargetGroup]
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK).into(&first)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK).into(&again)
	if first.Ref != gaea.RefOf(group("web")) || first.Number != 1 || first.Author != "applyer" || again.Number != 1 {
		t.Errorf("got %+v and %+v", first, again)
	}
	changed := group("web")
	changed.Target.Expr = "www*"
	h.put("/v1/target-groups/web", changed).want(http.StatusOK).into(&second)

	var got gaea.Version[gaea.TargetGroup]
	h.get("/v1/target-groups/web").want(http.StatusOK).into(&got)
	if got.Ref != second.Ref || got.Number != 2 {
		t.Errorf("the latest is %+v", got)
	}
	h.get("/v1/target-groups/" + first.Ref).want(http.StatusOK).into(&got)
	if got.Number != 1 || got.Definition.Target.Expr != "web*" {
		t.Errorf("the first is %+v", got)
	}
	var history []gaea.Version[gaea.TargetGroup]
	h.get("/v1/target-groups/web/versions").want(http.StatusOK).into(&history)
	if len(history) != 2 || history[0].Number != 2 {
		t.Errorf("the history is %+v", history)
	}
	h.remove("/v1/target-groups/web").want(http.StatusNoContent)
	h.get("/v1/target-groups/web").problem(http.StatusNotFound, gaea.CodeNotFound, "")
	h.get("/v1/target-groups/" + first.Ref).want(http.StatusOK).into(&got)
	h.remove("/v1/target-groups/web").problem(http.StatusNotFound, gaea.CodeNotFound, "")
}

func TestListsComeInPages(t *testing.T) {
	h := serve(t)
	for i := range 5 {
		name := fmt.Sprintf("group-%d", i)
		h.put("/v1/target-groups/"+name, group(name)).want(http.StatusOK)
	}
	var names []string
	for cursor := ""; ; {
		var page gaea.Page[gaea.Version[gaea.TargetGroup]]
		h.get("/v1/target-groups?limit=2&cursor=" + cursor).want(http.StatusOK).into(&page)
		for _, v := range page.Items {
			names = append(names, v.Definition.Name)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "group-0 group-1 group-2 group-3 group-4" {
		t.Errorf("got %s", got)
	}
	if r := h.get("/v1/job-templates").want(http.StatusOK); strings.TrimSpace(string(r.body)) != `{"items":[]}` {
		t.Errorf("an empty list is %s", r.body)
	}
}

func TestANameBelongsToWhoUsedItFirst(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	changed := group("web")
	changed.Description = "mine now"
	h.do(request{method: http.MethodPut, path: "/v1/target-groups/web", role: gaea.RoleAdmin, body: changed}).problem(http.StatusConflict, gaea.CodeConflict, "")
}

func TestABodyForAnotherNameIsRefused(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/db", group("web")).problem(http.StatusBadRequest, gaea.CodeInvalid, "name")
	h.put("/v1/job-templates/db", gaea.JobTemplate{Name: "web"}).problem(http.StatusBadRequest, gaea.CodeInvalid, "name")
	h.put("/v1/assignments/db", assignment("web", "web")).problem(http.StatusBadRequest, gaea.CodeInvalid, "name")
}

func TestADefinitionThatIsWrongIsRefusedWithItsField(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	broken := group("g")
	broken.Target = gaea.Target{Type: gaea.TargetCompound, Expr: "G@role:web and ("}
	h.put("/v1/target-groups/g", broken).problem(http.StatusBadRequest, gaea.CodeInvalid, "target.expr")
	broken.Target = gaea.Target{Type: gaea.TargetList}
	h.put("/v1/target-groups/g", broken).problem(http.StatusBadRequest, gaea.CodeInvalid, "target.minions")
	h.put("/v1/job-templates/t", gaea.JobTemplate{Name: "t", Function: "reboot"}).problem(http.StatusBadRequest, gaea.CodeInvalid, "function")
	a := assignment("a", "web")
	a.Highstate = true
	h.put("/v1/assignments/a", a).problem(http.StatusBadRequest, gaea.CodeInvalid, "states")
}

func TestAnAssignmentNeedsWhatItRefersTo(t *testing.T) {
	h := serve(t)
	p := h.put("/v1/assignments/a", assignment("a", "web")).problem(http.StatusBadRequest, gaea.CodeInvalid, "target_group")
	if !strings.Contains(p.Detail, `"web"`) {
		t.Errorf("got %q", p.Detail)
	}
	var g gaea.Version[gaea.TargetGroup]
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK).into(&g)
	h.put("/v1/assignments/a", assignment("a", "web@0123456789abcdef")).problem(http.StatusBadRequest, gaea.CodeInvalid, "target_group")
	h.put("/v1/assignments/a", assignment("a", g.Ref)).want(http.StatusOK)
	withTemplate := assignment("a", g.Ref)
	withTemplate.JobTemplate = "rolling"
	h.put("/v1/assignments/a", withTemplate).problem(http.StatusBadRequest, gaea.CodeInvalid, "job_template")
	h.put("/v1/job-templates/rolling", gaea.JobTemplate{Name: "rolling"}).want(http.StatusOK)
	h.put("/v1/assignments/a", withTemplate).want(http.StatusOK)
}

func TestWhatAnAssignmentUsesByNameIsNotDeleted(t *testing.T) {
	h := serve(t)
	var g gaea.Version[gaea.TargetGroup]
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK).into(&g)
	h.put("/v1/job-templates/rolling", gaea.JobTemplate{Name: "rolling"}).want(http.StatusOK)
	byName := assignment("by-name", "web")
	byName.JobTemplate = "rolling"
	h.put("/v1/assignments/by-name", byName).want(http.StatusOK)
	h.put("/v1/assignments/pinned", assignment("pinned", g.Ref)).want(http.StatusOK)

	p := h.remove("/v1/target-groups/web").problem(http.StatusConflict, gaea.CodeConflict, "")
	if !strings.Contains(p.Detail, `"by-name"`) || strings.Contains(p.Detail, "pinned") {
		t.Errorf("got %q", p.Detail)
	}
	h.remove("/v1/job-templates/rolling").problem(http.StatusConflict, gaea.CodeConflict, "")

	h.remove("/v1/assignments/by-name").want(http.StatusNoContent)
	h.remove("/v1/target-groups/web").want(http.StatusNoContent)
	h.remove("/v1/job-templates/rolling").want(http.StatusNoContent)
}

func TestARefusedDeletionNamesTenAssignmentsAndCountsTheRest(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	for i := range 13 {
		name := fmt.Sprintf("a%02d", i)
		h.put("/v1/assignments/"+name, assignment(name, "web")).want(http.StatusOK)
	}
	p := h.remove("/v1/target-groups/web").problem(http.StatusConflict, gaea.CodeConflict, "")
	if !strings.Contains(p.Detail, `"a09", 3 more`) {
		t.Errorf("got %q", p.Detail)
	}
}

func TestTheSecretPillarIsKeptAndNeverShown(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	a := assignment("a", "web")
	a.SecretPillar = map[string]any{"password": "s3cr3t", "big": json.Number("12345678901234567890")}
	h.put("/v1/assignments/a", a).problem(http.StatusBadRequest, gaea.CodeInvalid, "secret_version")
	a.SecretVersion = "1"
	r := h.put("/v1/assignments/a", a).want(http.StatusOK)
	for _, answer := range []reply{r, h.get("/v1/assignments/a"), h.get("/v1/assignments"), h.get("/v1/assignments/a/versions")} {
		if strings.Contains(string(answer.body), "s3cr3t") || strings.Contains(string(answer.body), "secret_pillar") {
			t.Errorf("shown: %s", answer.body)
		}
	}
	kept, err := h.SecretPillar(t.Context(), "a", "1")
	if err != nil || string(kept) != `{"big":12345678901234567890,"password":"s3cr3t"}` {
		t.Errorf("kept %s, %v", kept, err)
	}

	a.SecretPillar = nil // the version says that it is as before
	a.Description = "same secret"
	h.put("/v1/assignments/a", a).want(http.StatusOK)
	a.SecretVersion = "2"
	h.put("/v1/assignments/a", a).problem(http.StatusBadRequest, gaea.CodeInvalid, "secret_pillar")
}

func TestNobodyReplacesTheSecretOfAnothersAssignment(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	a := assignment("a", "web")
	a.SecretVersion, a.SecretPillar = "1", map[string]any{"password": "mine"}
	h.put("/v1/assignments/a", a).want(http.StatusOK)
	a.SecretPillar = map[string]any{"password": "theirs"}
	h.do(request{method: http.MethodPut, path: "/v1/assignments/a", role: gaea.RoleAdmin, body: a}).problem(http.StatusConflict, gaea.CodeConflict, "")
	if kept, _ := h.SecretPillar(t.Context(), "a", "1"); string(kept) != `{"password":"mine"}` {
		t.Errorf("kept %s", kept)
	}
}

func TestNumbersInADefinitionComeThroughWhole(t *testing.T) {
	h := serve(t)
	raw := `{"name":"t","function":"test.arg","args":[12345678901234567890,1.0,5],"kwargs":{"id":9007199254740993}}`
	r := h.put("/v1/job-templates/t", raw).want(http.StatusOK)
	for _, number := range []string{"12345678901234567890", "1.0", "9007199254740993"} {
		if !strings.Contains(string(r.body), number) {
			t.Errorf("%s is not in %s", number, r.body)
		}
	}
}

func TestACheckAnswersWithTheReportOrWithTheRunToWaitFor(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	h.put("/v1/assignments/a", assignment("a", "web")).want(http.StatusOK)
	check := func(path string, body any) reply {
		return h.do(request{method: http.MethodPost, path: path, role: gaea.RolePlan, body: body}).want(http.StatusOK)
	}

	var out gaea.CheckResult
	check("/v1/assignments/a/check", nil).into(&out)
	if out.Run == nil || out.Report != nil || out.Run.User != "planer" {
		t.Fatalf("with no evidence: %+v", out)
	}

	h.Enforcer.PutReport(gaea.DriftReport{Assignment: "a", Summary: gaea.DriftSummary{Minions: 1, Drifted: 1}})
	out = gaea.CheckResult{}
	check("/v1/assignments/a/check", gaea.CheckRequest{MaxAge: gaea.DefaultMaxAge}).into(&out)
	if out.Run != nil || out.Report == nil || out.Report.Summary.Drifted != 1 || out.Report.CheckRun != "" {
		t.Errorf("with fresh evidence: %+v", out)
	}

	done := make(chan reply, 1)
	go func() { done <- check("/v1/assignments/a/check?wait=30s", gaea.CheckRequest{}) }()
	eventually(t, "the check waits", func() bool { return h.Runs.Watched("run-000002") == 1 })
	h.Runs.End("run-000002", gaea.RunSucceeded, gaea.OutcomeInSync)
	out = gaea.CheckResult{}
	(<-done).into(&out)
	if out.Run == nil || out.Report == nil || out.Report.CheckRun != "run-000002" {
		t.Errorf("waited for: %+v", out)
	}
	h.get("/v1/assignments/none/drift").problem(http.StatusNotFound, gaea.CodeNotFound, "")
	h.do(request{method: http.MethodPost, path: "/v1/assignments/a/check", role: gaea.RolePlan, body: gaea.CheckRequest{Minions: []string{"web*"}}}).
		problem(http.StatusBadRequest, gaea.CodeInvalid, "minions")
}

func TestEnforcingRunsOnlyTheVersionThatWasPlanned(t *testing.T) {
	h := serve(t)
	h.put("/v1/target-groups/web", group("web")).want(http.StatusOK)
	var v gaea.Version[gaea.Assignment]
	h.put("/v1/assignments/a", assignment("a", "web")).want(http.StatusOK).into(&v)
	r := h.post("/v1/assignments/a/enforce", gaea.EnforceRequest{Ref: v.Ref}).want(http.StatusAccepted)
	var run gaea.Run
	r.into(&run)
	if run.Kind != gaea.RunEnforce || run.User != "applyer" || r.header.Get("Location") != "/v1/runs/"+run.ID {
		t.Errorf("got %+v at %q", run, r.header.Get("Location"))
	}
	h.post("/v1/assignments/a/enforce", gaea.EnforceRequest{Ref: "a@0123456789abcdef"}).problem(http.StatusConflict, gaea.CodeConflict, "")
	h.post("/v1/assignments/a/enforce", gaea.EnforceRequest{Ref: "b@0123456789abcdef"}).problem(http.StatusBadRequest, gaea.CodeInvalid, "ref")
	h.post("/v1/assignments/a/enforce", nil).want(http.StatusAccepted)
}

func TestTokensAreMadeListedAndTakenOutOfUse(t *testing.T) {
	h := serve(t)
	admin := func(method, path string, body any) reply {
		return h.do(request{method: method, path: path, role: gaea.RoleAdmin, body: body})
	}
	var made gaea.CreatedToken
	admin(http.MethodPost, "/v1/tokens", gaea.TokenRequest{Name: "ci", Role: gaea.RolePlan, TTL: gaea.DefaultMaxAge}).want(http.StatusCreated).into(&made)
	if made.Secret == "" || made.Name != "ci" || !made.Expires.Equal(made.Created.Add(gaea.DefaultMaxAge.Std())) {
		t.Errorf("made %+v", made.Token)
	}
	var list gaea.Page[gaea.Token]
	r := admin(http.MethodGet, "/v1/tokens", nil).want(http.StatusOK)
	r.into(&list)
	if len(list.Items) != 5 || strings.Contains(string(r.body), made.Secret[5:20]) || strings.Contains(string(r.body), "hash") {
		t.Errorf("listed %s", r.body)
	}
	use := request{method: http.MethodGet, path: "/v1/whoami", header: http.Header{"Authorization": {"Bearer " + made.Secret}}}
	h.do(use).want(http.StatusOK)
	admin(http.MethodDelete, "/v1/tokens/"+made.ID, nil).want(http.StatusNoContent)
	h.do(use).problem(http.StatusUnauthorized, gaea.CodeUnauthenticated, "")
	admin(http.MethodDelete, "/v1/tokens/"+made.ID, nil).problem(http.StatusNotFound, gaea.CodeNotFound, "")
	admin(http.MethodPost, "/v1/tokens", `{"name":"ci","role":"root"}`).problem(http.StatusBadRequest, gaea.CodeInvalid, "role")
}
