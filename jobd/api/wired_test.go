package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/enforce"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/expect"
	"github.com/gaea-salt/terraform-provider-gaea/internal/feed"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authn"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authz"
)

// wired is the API over the real archive, engine and enforcer; only Salt is made up.
type wired struct {
	salt   *enginetest.Salt
	store  *sqlite.Store
	client *jobdclient.Client
}

// archiver stores each job when it is published and each return when it comes, then tells the hub, as ingest does.
type archiver struct {
	*enginetest.Salt
	t     *testing.T
	store *sqlite.Store
	hub   *feed.Hub
	going sync.WaitGroup
}

func (a *archiver) Publish(ctx context.Context, p gaea.Publication) (gaea.Published, error) {
	answer, err := a.Salt.Publish(ctx, p)
	if err != nil {
		return answer, err
	}
	run, _ := p.Metadata[gaea.MetadataRun].(string)
	a.write(archive.Batch{Jobs: []gaea.Job{{JID: p.JID, Function: p.Function, Target: p.Target, User: "jobd", Minions: answer.Minions, RunID: run,
		Started: time.Now(), Source: gaea.SourceBus, Known: true}}})
	return answer, nil
}

func (a *archiver) stored(r gaea.Return) {
	defer a.going.Done()
	a.write(archive.Batch{Returns: []gaea.Return{r}})
	a.hub.Send([]gaea.Return{r})
}

func (a *archiver) write(b archive.Batch) {
	if err := a.store.WriteBatch(context.WithoutCancel(a.t.Context()), "m1", b); err != nil {
		a.t.Error(err)
	}
}

func wire(t *testing.T) *wired {
	t.Helper()
	key, err := archive.OpenKeyFile(filepath.Join(t.TempDir(), "jobd.key"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "jobd.db"), key, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	salt := enginetest.New("m1")
	for _, m := range []string{"web1", "web2", "web3"} {
		salt.Set(m, enginetest.Minion{Takes: 50 * time.Millisecond})
	}
	arch := &archiver{Salt: salt, t: t, store: store, hub: feed.NewHub()}
	var closing sync.Mutex
	closed := false
	salt.OnStore(func(r gaea.Return) {
		closing.Lock()
		if closed {
			closing.Unlock()
			return
		}
		arch.going.Add(1)
		closing.Unlock()
		arch.stored(r)
	})
	t.Cleanup(func() {
		salt.Close()
		closing.Lock()
		closed = true
		closing.Unlock()
		arch.going.Wait()
	})
	eng := engine.New(engine.Deps{Master: "m1", Salt: arch, Cache: salt, Feed: arch.hub, Returns: store, Runs: store, Digest: key.Digest,
		Logger: slog.New(slog.DiscardHandler),
		Redact: func(_ string, args []any, _ map[string]any) json.RawMessage {
			b, err := json.Marshal(args)
			if err != nil {
				t.Error(err)
			}
			return b
		}})
	enf := enforce.New(enforce.Deps{Master: "m1", Engine: eng, Assignments: store.Assignments(), Groups: store.TargetGroups(), Templates: store.JobTemplates(),
		Secrets: store, Evidence: store, Returns: store, Runs: store, Fingerprinter: drift.NewFingerprinter(key.Digest)})
	for _, start := range []func(context.Context) error{eng.Start, enf.Start} {
		if err := start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tokens := authn.New(store, nil)
	handler := api.New(api.Deps{Archive: store, Runs: eng, Enforcer: ofOneMaster{enf}, Feed: arch.hub, Authenticator: tokens, Policy: authz.Default(), Tokens: tokens,
		CompileExpect: func(expr string) error { _, err := expect.Compile(expr); return err },
		Status:        func(context.Context) gaea.ServerStatus { return gaea.ServerStatus{Master: "m1"} },
		Ready:         func(context.Context) []string { return nil }})
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		handler.Stop()
		server.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := enf.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := eng.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	tok, err := tokens.Create(t.Context(), gaea.TokenRequest{Name: "ops", Role: gaea.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	client, err := jobdclient.New(jobdclient.Config{Endpoint: server.URL, Token: tok.Secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &wired{salt: salt, store: store, client: client}
}

func TestARunGoesFromTheClientToTheArchiveAndBack(t *testing.T) {
	w := wire(t)
	ctx, c := t.Context(), w.client
	if _, err := c.PutTargetGroup(ctx, gaea.TargetGroup{Name: "all", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}); err != nil {
		t.Fatal(err)
	}
	req := gaea.RunRequest{Function: "cmd.run", Args: []any{"uptime"}, TargetGroup: "all"}
	run, err := c.CreateRun(ctx, req, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.CreateRun(ctx, req, "key-1")
	if err != nil || again.ID != run.ID {
		t.Fatalf("again: %+v, %v", again, err)
	}
	run, err = c.WaitRun(ctx, run.ID, func(*gaea.Run) {})
	if err != nil || run.Status != gaea.RunSucceeded || len(run.Minions) != 3 || run.User != "ops" {
		t.Fatalf("ended as %+v, %v", run, err)
	}
	jobs, err := c.Jobs(ctx, gaea.JobFilter{RunID: run.ID}, gaea.PageRequest{})
	if err != nil || len(jobs.Items) != 1 || jobs.Items[0].Counts[gaea.OutcomeSucceeded] != 3 {
		t.Fatalf("jobs %+v, %v", jobs, err)
	}
	var minions []string
	for r, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
		p.Limit = 2
		return c.JobReturns(ctx, jobs.Items[0].JID, p)
	}) {
		if err != nil {
			t.Fatal(err)
		}
		minions = append(minions, r.Minion)
	}
	if !slices.Equal(minions, []string{"web1", "web2", "web3"}) {
		t.Errorf("returns of %q", minions)
	}
	runs, err := c.ListRuns(ctx, gaea.RunFilter{Status: gaea.RunSucceeded}, gaea.PageRequest{})
	if err != nil || len(runs.Items) != 1 || runs.Items[0].Counts[gaea.OutcomeSucceeded] != 3 {
		t.Errorf("runs %+v, %v", runs, err)
	}
}

func TestARunIsFollowedToItsEndWithoutASnapshotThatIsNotWhole(t *testing.T) {
	w := wire(t)
	ctx, c := t.Context(), w.client
	run, err := c.CreateRun(ctx, gaea.RunRequest{Function: "test.version", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"},
		Batch: gaea.Batch{Size: amount(t, "1")}}, "")
	if err != nil {
		t.Fatal(err)
	}
	slices, snapshots := 0, 0
	last, err := c.FollowRun(ctx, run.ID, func(r *gaea.Run) error {
		snapshots++
		if len(r.Slices) < slices {
			t.Errorf("%d slices after %d", len(r.Slices), slices)
		}
		slices = len(r.Slices)
		return nil
	})
	if err != nil || last.Status != gaea.RunSucceeded || len(last.Minions) != 3 || slices != 3 || snapshots < 2 {
		t.Fatalf("%d snapshots, at last %+v, %v", snapshots, last, err)
	}
	now, err := c.GetRun(ctx, run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := timeless(t, last), timeless(t, now); a != b {
		t.Errorf("followed to\n%s\nand it is\n%s", a, b)
	}
}

// timeless is a run as JSON without its times, of which the archive keeps microseconds only.
func timeless(t *testing.T, r *gaea.Run) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*"`).ReplaceAllString(string(b), `""`)
}

func TestWhatFailedInARunIsRetried(t *testing.T) {
	w := wire(t)
	ctx, c := t.Context(), w.client
	w.salt.Set("web2", enginetest.Minion{Down: true})
	run, err := c.CreateRun(ctx, gaea.RunRequest{Function: "test.version", Target: gaea.ListTarget([]string{"web1", "web2"}),
		Timeouts: gaea.Timeouts{Gather: gaea.Duration(500 * time.Millisecond)}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if run, err = c.WaitRun(ctx, run.ID, nil); err != nil || run.Minions["web2"].Outcome != gaea.OutcomeUnreachable {
		t.Fatalf("ended as %+v, %v", run, err)
	}
	w.salt.Set("web2", enginetest.Minion{Takes: 50 * time.Millisecond})
	again, err := c.RetryRun(ctx, run.ID, gaea.RetryRequest{}, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	if again, err = c.WaitRun(ctx, again.ID, nil); err != nil || again.Status != gaea.RunSucceeded || again.RetryOf != run.ID || len(again.Minions) != 1 {
		t.Errorf("ended as %+v, %v", again, err)
	}
}

func TestAnExpectationThatDoesNotCompileIsRefusedWithItsPosition(t *testing.T) {
	w := wire(t)
	tmpl := gaea.JobTemplate{Name: "t", PostActions: []gaea.JobAction{{Name: "health", Function: "test.ping", Expect: "ret == tru"}}}
	_, err := w.client.PutJobTemplate(t.Context(), tmpl)
	wrong, ok := errors.AsType[*gaea.Error](err)
	if !ok || wrong.Code != gaea.CodeInvalid || wrong.Field != "post_actions[0].expect" || !strings.Contains(wrong.Message, "line 1, column 8") {
		t.Errorf("got %v", err)
	}
	tmpl.PostActions[0].Expect = "ret == true"
	if _, err := w.client.PutJobTemplate(t.Context(), tmpl); err != nil {
		t.Error(err)
	}
}

func TestALiveJobIsFollowedToItsEnd(t *testing.T) {
	w := wire(t)
	ctx, c := t.Context(), w.client
	w.salt.Set("web3", enginetest.Minion{Takes: 400 * time.Millisecond})
	run, err := c.CreateRun(ctx, gaea.RunRequest{Function: "test.version", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	jid := ""
	eventually(t, "the run is published and its job archived", func() bool {
		jobs, err := c.Jobs(ctx, gaea.JobFilter{RunID: run.ID}, gaea.PageRequest{})
		if err != nil || len(jobs.Items) == 0 {
			return false
		}
		jid = jobs.Items[0].JID
		return true
	})
	var got []string
	if err := c.FollowJob(ctx, jid, func(r gaea.Return) error { got = append(got, r.Minion); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[2] != "web3" {
		t.Errorf("followed %q", got)
	}
}

func TestAnAssignmentIsCheckedAndEnforcedThroughTheAPI(t *testing.T) {
	w := wire(t)
	ctx, c := t.Context(), w.client
	if _, err := c.PutTargetGroup(ctx, gaea.TargetGroup{Name: "all", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}); err != nil {
		t.Fatal(err)
	}
	in := gaea.AssignmentInput{Assignment: gaea.Assignment{Name: "nginx", TargetGroup: "all", States: []string{"nginx"}, Remediate: true, SecretVersion: "1"},
		SecretPillar: map[string]any{"password": "s3cr3t"}}
	v, err := c.PutAssignment(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	report, err := c.Check(ctx, "nginx", gaea.CheckRequest{})
	if err != nil || report.CheckRun == "" || report.Ref != v.Ref {
		t.Fatalf("checked: %+v, %v", report, err)
	}
	run, err := c.Enforce(ctx, "nginx", gaea.EnforceRequest{Ref: v.Ref}, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	if run, err = c.WaitRun(ctx, run.ID, nil); err != nil || run.Status != gaea.RunSucceeded || run.CheckState != gaea.CheckDone || run.CheckRun == "" {
		t.Fatalf("enforced: %+v, %v", run, err)
	}
	for _, p := range w.salt.Published("state.apply") {
		pillar, ok := p.Kwargs["pillar"].(map[string]any)
		if !ok || pillar["password"] != "s3cr3t" {
			t.Errorf("published without its secret: %+v", p.Kwargs)
		}
	}
	if err := c.DeleteTargetGroup(ctx, "all"); gaea.CodeOf(err) != gaea.CodeConflict {
		t.Errorf("deleted what is used: %v", err)
	}
	if err := c.DeleteAssignment(ctx, "nginx"); err != nil {
		t.Error(err)
	}
	if err := c.DeleteTargetGroup(ctx, "all"); err != nil {
		t.Error(err)
	}
}

func TestDefinitionsAndTokensAreKeptByTheRealArchive(t *testing.T) {
	w := wire(t)
	ctx, c := t.Context(), w.client
	tmpl := gaea.JobTemplate{Name: "t", Function: "test.arg", Args: []any{json.Number("12345678901234567890"), json.Number("1.0"), "<&>"}, Kwargs: map[string]any{"k": json.Number("5")}}
	put, err := c.PutJobTemplate(ctx, tmpl)
	if err != nil || put.Ref != gaea.RefOf(tmpl) {
		t.Fatalf("put %+v (here %s), %v", put, gaea.RefOf(tmpl), err)
	}
	got, err := c.GetJobTemplate(ctx, put.Ref)
	if err != nil || gaea.RefOf(got.Definition) != put.Ref {
		t.Errorf("got %+v, %v", got, err)
	}
	run, err := c.CreateRun(ctx, gaea.RunRequest{JobTemplate: put.Ref, Target: gaea.ListTarget([]string{"web1"})}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WaitRun(ctx, run.ID, nil); err != nil {
		t.Fatal(err)
	}
	if p := w.salt.Published("test.arg"); len(p) != 1 || p[0].Args[0] != uint64(12345678901234567890) || p[0].Args[1] != 1.0 || p[0].Kwargs["k"] != int64(5) {
		t.Errorf("published %+v", p)
	}

	made, err := c.CreateToken(ctx, gaea.TokenRequest{Name: "ci", Role: gaea.RoleRead})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := c.Tokens(ctx); err != nil || len(list) != 2 {
		t.Errorf("tokens %+v, %v", list, err)
	}
	if err := c.DeleteToken(ctx, made.ID); err != nil {
		t.Error(err)
	}
	if _, err := c.Jobs(ctx, gaea.JobFilter{}, gaea.PageRequest{Cursor: "nonsense"}); gaea.CodeOf(err) != gaea.CodeInvalid {
		t.Errorf("a wrong cursor: %v", err)
	}
}

// ofOneMaster is the service of a jobd that serves one master.
type ofOneMaster struct{ *enforce.Service }

// Drift implements api.Enforcer.
func (s ofOneMaster) Drift(ctx context.Context, _, name string) (*gaea.DriftReport, error) {
	return s.Service.Drift(ctx, name)
}
