package jobdclient_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
)

// must returns a value that came without an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestTheClientSpeaksEveryRouteOfTheAPI calls every method against the real API, and then looks whether any route of its
// document was left out.
func TestTheClientSpeaksEveryRouteOfTheAPI(t *testing.T) {
	j, c := connect(t)
	t.Run("definitions", func(t *testing.T) { definitionsConform(t, c) })
	t.Run("assignments", func(t *testing.T) { assignmentsConform(t, j, c) })
	t.Run("runs", func(t *testing.T) { runsConform(t, j, c) })
	t.Run("archive", func(t *testing.T) { archiveConforms(t, j, c) })
	t.Run("ledger", func(t *testing.T) { ledgerConforms(t, j, c) })
	t.Run("export", func(t *testing.T) { exportConforms(t, c) })
	t.Run("questions", func(t *testing.T) { questionsConform(t, j, c) })
	t.Run("holds and stats", func(t *testing.T) { retentionConforms(t, c) })
	t.Run("masters", func(t *testing.T) {
		j.Masters = []gaea.MasterStatus{{Master: "m1", Led: true, Runs: 2, Fence: 3, Jobds: []gaea.Jobd{{ID: "1", Host: "h", Leads: true, Alive: true}}}}
		if got := must[[]gaea.MasterStatus](t)(c.Masters(t.Context())); !reflect.DeepEqual(got, j.Masters) {
			t.Errorf("the masters are %+v", got)
		}
	})
	t.Run("tokens", func(t *testing.T) { tokensConform(t, c) })

	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(api.New(api.Deps{}).OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	asked := j.requests()
	for path, methods := range doc.Paths {
		pattern := regexp.MustCompile("^" + regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(path, `[^/]+`) + "$")
		for method := range methods {
			if strings.HasPrefix(path, "/v1/") && !slices.ContainsFunc(asked, func(r string) bool {
				m, p, _ := strings.Cut(r, " ")
				return strings.EqualFold(m, method) && pattern.MatchString(p)
			}) {
				t.Errorf("%s %s was not asked", method, path)
			}
		}
	}
}

func definitionsConform(t *testing.T, c *jobdclient.Client) {
	ctx := t.Context()
	g := must[*gaea.Version[gaea.TargetGroup]](t)(c.PutTargetGroup(ctx, group("web")))
	if g.Ref != gaea.RefOf(group("web")) || g.Owner != "alice" || g.Number != 1 {
		t.Errorf("put %+v", g)
	}
	if got := must[*gaea.Version[gaea.TargetGroup]](t)(c.GetTargetGroup(ctx, g.Ref)); got.Definition.Target.Expr != "web*" {
		t.Errorf("got %+v", got)
	}
	must[*gaea.Version[gaea.TargetGroup]](t)(c.PutTargetGroup(ctx, group("gone")))
	if list := must[gaea.Page[gaea.Version[gaea.TargetGroup]]](t)(c.TargetGroups(ctx, gaea.PageRequest{Limit: 1})); len(list.Items) != 1 || list.Next == "" {
		t.Errorf("listed %+v", list)
	}
	if err := c.DeleteTargetGroup(ctx, "gone"); err != nil {
		t.Error(err)
	}
	if h := must[[]gaea.Version[gaea.TargetGroup]](t)(c.TargetGroupVersions(ctx, "gone")); len(h) != 2 || !h[0].Deleted {
		t.Errorf("history %+v", h)
	}
	_, err := c.GetTargetGroup(ctx, "gone")
	wantError(t, err, gaea.CodeNotFound)
	wantError(t, c.DeleteTargetGroup(ctx, "gone"), gaea.CodeNotFound)

	size, err := gaea.ParseAmount("10%")
	if err != nil {
		t.Fatal(err)
	}
	tmpl := gaea.JobTemplate{Name: "rolling", Function: "test.arg", Args: []any{json.Number("12345678901234567890"), "a"}, Kwargs: map[string]any{"k": json.Number("1.0")},
		Batch: gaea.Batch{Size: size}, Timeouts: gaea.Timeouts{Job: gaea.Duration(90 * time.Minute)}}
	if put := must[*gaea.Version[gaea.JobTemplate]](t)(c.PutJobTemplate(ctx, tmpl)); put.Ref != gaea.RefOf(tmpl) || gaea.RefOf(put.Definition) != put.Ref {
		t.Errorf("the ref is %s here and %s there", gaea.RefOf(tmpl), put.Ref)
	}
	if got := must[*gaea.Version[gaea.JobTemplate]](t)(c.GetJobTemplate(ctx, "rolling")); got.Definition.Timeouts.Job != gaea.Duration(90*time.Minute) || got.Definition.Batch.Size != size {
		t.Errorf("got %+v", got)
	}
	must[gaea.Page[gaea.Version[gaea.JobTemplate]]](t)(c.JobTemplates(ctx, gaea.PageRequest{}))
	must[[]gaea.Version[gaea.JobTemplate]](t)(c.JobTemplateVersions(ctx, "rolling"))
	must[*gaea.Version[gaea.JobTemplate]](t)(c.PutJobTemplate(ctx, gaea.JobTemplate{Name: "gone"}))
	if err := c.DeleteJobTemplate(ctx, "gone"); err != nil {
		t.Error(err)
	}
}

func assignmentsConform(t *testing.T, j *jobd, c *jobdclient.Client) {
	ctx := t.Context()
	_, err := c.PutAssignment(ctx, assignment("a", "nobody"))
	if e := errorOf(t, err, gaea.CodeInvalid, "nobody"); e.Field != "target_group" {
		t.Errorf("the field is %q", e.Field)
	}
	a := assignment("a", "web")
	a.SecretVersion, a.SecretPillar = "1", map[string]any{"password": "s3cr3t"}
	a.Pillar = json.RawMessage(`{"nginx":{"workers":4}}`)
	put := must[*gaea.Version[gaea.Assignment]](t)(c.PutAssignment(ctx, a))
	if put.Ref != gaea.RefOf(a.Assignment) || string(put.Definition.Pillar) != `{"nginx":{"workers":4}}` {
		t.Errorf("put %+v", put)
	}
	must[*gaea.Version[gaea.Assignment]](t)(c.GetAssignment(ctx, "a"))
	must[gaea.Page[gaea.Version[gaea.Assignment]]](t)(c.Assignments(ctx, gaea.PageRequest{}))
	must[[]gaea.Version[gaea.Assignment]](t)(c.AssignmentVersions(ctx, "a"))
	wantError(t, c.DeleteTargetGroup(ctx, "web"), gaea.CodeConflict, `"a"`)

	j.Enforcer.PutReport(gaea.DriftReport{Assignment: "a", Summary: gaea.DriftSummary{Minions: 3, Drifted: 1}})
	if d := must[*gaea.DriftReport](t)(c.Drift(ctx, "a")); d.Summary.Drifted != 1 {
		t.Errorf("drift %+v", d)
	}
	if d := must[*gaea.DriftReport](t)(c.Check(ctx, "a", gaea.CheckRequest{MaxAge: gaea.DefaultMaxAge})); d.Summary.Drifted != 1 || d.CheckRun != "" {
		t.Errorf("fresh: %+v", d)
	}
	run := must[*gaea.Run](t)(c.Enforce(ctx, "a", gaea.EnforceRequest{Ref: put.Ref}, "key-1"))
	again := must[*gaea.Run](t)(c.Enforce(ctx, "a", gaea.EnforceRequest{Ref: put.Ref}, "key-1"))
	if run.ID != again.ID || run.Kind != gaea.RunEnforce {
		t.Errorf("enforced %+v and %+v", run, again)
	}
	must[*gaea.Version[gaea.Assignment]](t)(c.PutAssignment(ctx, assignment("gone", "web")))
	if err := c.DeleteAssignment(ctx, "gone"); err != nil {
		t.Error(err)
	}
}

func runsConform(t *testing.T, j *jobd, c *jobdclient.Client) {
	ctx := t.Context()
	req := gaea.RunRequest{Function: "test.ping", TargetGroup: "web", Timeouts: gaea.Timeouts{Gather: gaea.Duration(time.Second)}}
	run := must[*gaea.Run](t)(c.CreateRun(ctx, req, "key-2"))
	if again := must[*gaea.Run](t)(c.CreateRun(ctx, req, "key-2")); again.ID != run.ID {
		t.Errorf("another run: %s and %s", run.ID, again.ID)
	}
	if got := must[*gaea.Run](t)(c.GetRun(ctx, run.ID)); got.Status != gaea.RunRunning || got.Timeouts.Gather != gaea.Duration(time.Second) {
		t.Errorf("got %+v", got)
	}
	if got := must[*gaea.Run](t)(c.PauseRun(ctx, run.ID)); got.Status != gaea.RunPaused {
		t.Errorf("paused %+v", got)
	}
	if got := must[*gaea.Run](t)(c.ResumeRun(ctx, run.ID)); got.Status != gaea.RunRunning {
		t.Errorf("resumed %+v", got)
	}
	_, err := c.ResumeRun(ctx, run.ID)
	wantError(t, err, gaea.CodeConflict)
	if got := must[*gaea.Run](t)(c.CancelRun(ctx, run.ID, gaea.CancelRequest{})); got.Status != gaea.RunCancelling {
		t.Errorf("cancelled %+v", got)
	}
	if got := must[*gaea.Run](t)(c.CancelRun(ctx, run.ID, gaea.CancelRequest{Grace: gaea.Duration(time.Minute)})); got.Grace != gaea.Duration(time.Minute) {
		t.Errorf("cancelled with a grace: %+v", got)
	}
	j.Runs.End(run.ID, gaea.RunCancelled, gaea.OutcomeKilled)
	if got := must[*gaea.Run](t)(c.WaitRun(ctx, run.ID, nil)); got.Minions["web1"].Outcome != gaea.OutcomeKilled {
		t.Errorf("ended %+v", got)
	}
	ended := must[*gaea.Run](t)(c.FollowRun(ctx, run.ID, func(*gaea.Run) error { return nil }))
	if ended.Status != gaea.RunCancelled || ended.Minions["web1"].Outcome != gaea.OutcomeKilled {
		t.Errorf("followed %+v", ended)
	}
	page := must[gaea.Page[gaea.Run]](t)(c.ListRuns(ctx, gaea.RunFilter{Status: gaea.RunCancelled, Kind: gaea.RunJob, User: "alice"}, gaea.PageRequest{Limit: 5}))
	if len(page.Items) != 1 || page.Items[0].ID != run.ID {
		t.Errorf("listed %+v", page)
	}
	if page := must[gaea.Page[gaea.Run]](t)(c.ListRuns(ctx, gaea.RunFilter{Active: true, Assignment: "a"}, gaea.PageRequest{})); len(page.Items) != 1 {
		t.Errorf("active: %+v", page)
	}
	_, err = c.CreateRun(ctx, gaea.RunRequest{Function: "no.such", TargetGroup: "web"}, "")
	wantError(t, err, gaea.CodeEmptyTarget)
	retriesConform(t, j, c, run.ID)
	if err := c.ForgetKey(ctx, run.ID); err != nil {
		t.Error(err)
	}
	if anew := must[*gaea.Run](t)(c.CreateRun(ctx, req, "key-2")); anew.ID == run.ID {
		t.Errorf("the key that was forgotten still gives %s", anew.ID)
	}
}

func retriesConform(t *testing.T, j *jobd, c *jobdclient.Client, first string) {
	ctx := t.Context()
	_, err := c.RetryRun(ctx, first, gaea.RetryRequest{}, "")
	wantError(t, err, gaea.CodeInvalid)
	req := gaea.RetryRequest{Outcomes: []gaea.Outcome{gaea.OutcomeKilled}}
	run := must[*gaea.Run](t)(c.RetryRun(ctx, first, req, "key-3"))
	if again := must[*gaea.Run](t)(c.RetryRun(ctx, first, req, "key-3")); again.ID != run.ID || run.RetryOf != first || !slices.Equal(run.Target.Minions, []string{"web1"}) {
		t.Errorf("retried as %+v and %+v", run, again)
	}
	j.Runs.Start(gaea.Run{Kind: gaea.RunForAction, Parent: run.ID})
	for n, f := range map[int]gaea.RunFilter{0: {Parent: run.ID, NoActions: true}, 1: {RetryOf: first}} {
		if page := must[gaea.Page[gaea.Run]](t)(c.ListRuns(ctx, f, gaea.PageRequest{})); len(page.Items) != n {
			t.Errorf("%+v: %+v", f, page)
		}
	}
	if page := must[gaea.Page[gaea.Run]](t)(c.ListRuns(ctx, gaea.RunFilter{Parent: run.ID}, gaea.PageRequest{})); len(page.Items) != 1 {
		t.Errorf("actions: %+v", page)
	}
}

func archiveConforms(t *testing.T, j *jobd, c *jobdclient.Client) {
	ctx := t.Context()
	started := time.Date(2026, 1, 1, 12, 0, 0, 123456000, time.UTC)
	j.AddJob(gaea.Job{JID: jid, Function: "test.ping", User: "root", RunID: "run-1", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "web *"},
		Minions: []string{"web1", "wéb/2"}, Started: started, Known: true})
	j.AddReturn(ret("web1"))
	j.AddReturn(ret("wéb/2"))
	j.AddEvent(gaea.Event{Tag: "my/event", Stamp: started, Data: []byte(`{"a":1}`)})

	for _, f := range []gaea.JobFilter{
		{}, {Minion: "wéb/2"}, {Function: "test.*"}, {Target: "web *"}, {User: "root"}, {RunID: "run-1"}, {Outcome: gaea.OutcomeSucceeded},
		{Since: started, Until: started.Add(time.Microsecond)},
	} {
		if page := must[gaea.Page[gaea.Job]](t)(c.Jobs(ctx, f, gaea.PageRequest{Limit: 10})); len(page.Items) != 1 || !page.Items[0].Started.Equal(started) {
			t.Errorf("%+v: %+v", f, page)
		}
	}
	if page := must[gaea.Page[gaea.Job]](t)(c.Jobs(ctx, gaea.JobFilter{Until: started}, gaea.PageRequest{})); len(page.Items) != 0 {
		t.Errorf("before: %+v", page)
	}
	if d := must[*gaea.JobDetail](t)(c.Job(ctx, jid)); len(d.Returns) != 2 {
		t.Errorf("job %+v", d)
	}
	for _, minion := range []string{"web1", "wéb/2"} {
		if r := must[*gaea.Return](t)(c.Return(ctx, jid, minion)); string(r.Body) != "true" {
			t.Errorf("return %+v", r)
		}
	}
	var minions []string
	for r, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
		p.Limit = 1
		return c.JobReturns(ctx, jid, p)
	}) {
		if err != nil {
			t.Fatal(err)
		}
		minions = append(minions, r.Minion)
	}
	if !slices.Equal(minions, []string{"web1", "wéb/2"}) {
		t.Errorf("walked %q", minions)
	}
	if page := must[gaea.Page[gaea.Return]](t)(c.Returns(ctx, gaea.JobFilter{Minion: "web1"}, gaea.PageRequest{})); len(page.Items) != 1 || page.Items[0].Body != nil {
		t.Errorf("returns %+v", page)
	}
	if page := must[gaea.Page[gaea.Event]](t)(c.Events(ctx, gaea.EventFilter{Tag: "my/*"}, gaea.PageRequest{})); len(page.Items) != 1 || string(page.Items[0].Data) != `{"a":1}` {
		t.Errorf("events %+v", page)
	}
	if page := must[gaea.Page[gaea.Event]](t)(c.Events(ctx, gaea.EventFilter{Suspect: true}, gaea.PageRequest{})); len(page.Items) != 0 {
		t.Errorf("suspect events %+v", page)
	}
	n := 0
	if err := c.FollowJob(ctx, jid, func(gaea.Return) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("followed %d returns: %v", n, err)
	}
	enough := errors.New("enough")
	if err := c.FollowJob(ctx, jid, func(gaea.Return) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the caller's error became %v", err)
	}
	_, err := c.Job(ctx, "20250101120000000000")
	wantError(t, err, gaea.CodeNotFound)
	wantError(t, c.FollowJob(ctx, "20250101120000000000", nil), gaea.CodeNotFound)
}

func tokensConform(t *testing.T, c *jobdclient.Client) {
	ctx := t.Context()
	if who := must[*gaea.Principal](t)(c.WhoAmI(ctx)); *who != (gaea.Principal{Name: "alice", Role: gaea.RoleAdmin}) {
		t.Errorf("who %+v", who)
	}
	if s := must[*gaea.ServerStatus](t)(c.Status(ctx)); s.Version != "1.2.3" || !s.Connected {
		t.Errorf("status %+v", s)
	}
	made := must[*gaea.CreatedToken](t)(c.CreateToken(ctx, gaea.TokenRequest{Name: "ci", Role: gaea.RoleRead, TTL: gaea.Duration(time.Hour)}))
	if made.Secret == "" || made.Expires.IsZero() {
		t.Errorf("made %+v", made.Token)
	}
	if list := must[[]gaea.Token](t)(c.Tokens(ctx)); len(list) != 3 {
		t.Errorf("listed %+v", list)
	}
	if err := c.DeleteToken(ctx, made.ID); err != nil {
		t.Error(err)
	}
	wantError(t, c.DeleteToken(ctx, made.ID), gaea.CodeNotFound)
}

func TestWhatNamesNothingIsRefusedBeforeItIsSent(t *testing.T) {
	j, c := connect(t)
	ctx := t.Context()
	for name, ask := range map[string]func() error{
		"run":        func() error { _, err := c.GetRun(ctx, ""); return err },
		"jid":        func() error { _, err := c.Job(ctx, ".."); return err },
		"minion":     func() error { _, err := c.Return(ctx, jid, ""); return err },
		"group":      func() error { return c.DeleteTargetGroup(ctx, "") },
		"ref":        func() error { _, err := c.GetAssignment(ctx, "a@b"); return err },
		"assignment": func() error { _, err := c.Drift(ctx, "../tokens"); return err },
		"token":      func() error { return c.DeleteToken(ctx, ".") },
	} {
		if err := ask(); gaea.CodeOf(err) != gaea.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := j.requests(); len(got) != 0 {
		t.Errorf("asked %q", got)
	}
}

func TestAProblemComesBackAsItWas(t *testing.T) {
	j := newJobd(t)
	c := dial(t, jobdclient.Config{Endpoint: serve(t, j), Token: j.plan, UserAgent: "terraform-provider-gaea/1.0"})
	_, err := c.CreateRun(t.Context(), gaea.RunRequest{Function: "test.ping"}, "")
	e := errorOf(t, err, gaea.CodeForbidden)
	if want := `the token "alice" has the role plan; running jobs needs the role apply. Make one with: jobd token create --role apply`; e.Message != want {
		t.Errorf("got %q", e.Message)
	}
	if e.Err == nil || !strings.HasPrefix(e.Err.Error(), "urn:gaea:request:") {
		t.Errorf("the request is not named for the log: %v", e.Err)
	}
	if j.agents[0] != "terraform-provider-gaea/1.0" {
		t.Errorf("agent %q", j.agents[0])
	}
}

// retentionConforms follows archiveConforms, which made the job.
func retentionConforms(t *testing.T, c *jobdclient.Client) {
	t.Helper()
	ctx := t.Context()
	h := must[*gaea.LegalHold](t)(c.Hold(ctx, gaea.HoldRequest{JID: jid, Reason: "case 1"}))
	if h.Holder != "alice" || h.Reason != "case 1" {
		t.Errorf("held %+v", h)
	}
	_, err := c.Hold(ctx, gaea.HoldRequest{JID: "20250101120000000000", Reason: "case 2"})
	wantError(t, err, gaea.CodeNotFound)
	if s := must[*gaea.ArchiveStats](t)(c.ArchiveStats(ctx)); s.Holds != 1 {
		t.Errorf("stats %+v", s)
	}
	if r := must[*gaea.LegalHold](t)(c.ReleaseHold(ctx, h.ID, gaea.ReleaseRequest{Reason: "closed"})); r.Releaser != "alice" || r.ReleaseReason != "closed" {
		t.Errorf("released %+v", r)
	}
	for released, n := range map[bool]int{false: 0, true: 1} {
		if list := must[[]gaea.LegalHold](t)(c.Holds(ctx, released)); len(list) != n {
			t.Errorf("released %v: %+v", released, list)
		}
	}
}

// ledgerConforms follows archiveConforms, whose job has two returns.
func ledgerConforms(t *testing.T, j *jobd, c *jobdclient.Client) {
	t.Helper()
	ctx := t.Context()
	if totals := must[gaea.LedgerTotals](t)(c.LedgerTotals(ctx, gaea.LedgerFilter{})); totals.Jobs != 1 || totals.Expected != 2 || totals.Missing != 0 {
		t.Errorf("totals %+v", totals)
	}
	if page := must[gaea.Page[gaea.JobLedger]](t)(c.Ledger(ctx, gaea.LedgerFilter{}, gaea.PageRequest{})); len(page.Items) != 1 || page.Items[0].JID != jid {
		t.Errorf("ledger %+v", page)
	}
	if page := must[gaea.Page[gaea.JobLedger]](t)(c.Ledger(ctx, gaea.LedgerFilter{Incomplete: true}, gaea.PageRequest{})); len(page.Items) != 0 {
		t.Errorf("incomplete %+v", page)
	}
	found := gaea.Difference{JID: jid, Minion: "web1", Kind: gaea.ReturnMissing, Fixed: true}
	j.Verified(gaea.VerifyReport{Jobs: 1, Returns: 2, Stored: 1, Differences: []gaea.Difference{found}, Next: jid})
	request := gaea.VerifyRequest{Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), After: "20251231", Fix: true}
	report := must[*gaea.VerifyReport](t)(c.VerifyArchive(ctx, request))
	if report.Stored != 1 || report.Next != jid || !slices.Equal(report.Differences, []gaea.Difference{found}) {
		t.Errorf("report %+v", report)
	}
	if asked := j.VerifyRequests(); len(asked) != 1 || asked[0] != request {
		t.Errorf("asked %+v", asked)
	}
}
