package app_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

// awayRig is a PostgreSQL that a jobd has used before, and a master beside it.
type awayRig struct {
	*salt
	postgres *pglab.Server
	o        app.Options
	log      *logBuffer
	token    string
}

func newAwayRig(t *testing.T) *awayRig {
	t.Helper()
	r := &awayRig{salt: newSalt(t), postgres: ownPostgres(t), log: &logBuffer{}}
	r.o = options(t, r.salt)
	r.o.KeyFile = filepath.Join(t.TempDir(), "jobd.key")
	r.o.SpillBytes, r.o.SpillDir = 8<<20, t.TempDir()
	r.o.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	var err error
	if r.o.Database, err = r.postgres.Database(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.o.Database += "&synchronous_commit=on" // the lab's servers forget what they committed last, unless they are told
	r.openBus()
	before := run(t, r.o)
	r.accept()
	tokens, err := app.OpenTokens(t.Context(), r.o.Database, r.o.KeyFile, false)
	if err != nil {
		t.Fatal(err)
	}
	made, err := tokens.Create(t.Context(), "ci", gaea.RoleRead, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.token = made.Secret
	if err := tokens.Close(); err != nil {
		t.Fatal(err)
	}
	r.sendReturn(0, "web1", nil)
	eventually(t, "stored", func() bool { return before.metric("gaea_ingest_returns_stored_total") == 1 })
	if err := before.stop(); err != nil {
		t.Fatal(err)
	}
	return r
}

// tell has the bus tell the return of the n-th job and a beacon.
func (r *awayRig) tell(n int) {
	r.sendReturn(n, "web1", nil)
	r.send("salt/beacon/web1/load/", map[string]any{"n": n})
}

// kept waits until so many records wait in the spill.
func (j *jobd) kept(records float64) {
	j.t.Helper()
	eventually(j.t, "they wait in the spill", func() bool { return j.metric("gaea_ingest_spill_records") == records })
}

// wantStored wants the archive to have the returns up to the n-th, and so many beacons.
func (r *awayRig) wantStored(t *testing.T, last, beacons int) {
	t.Helper()
	store := inspect(t, r.o)
	for n := range last + 1 {
		if _, err := store.Return(t.Context(), "m1", jid(n), "web1"); err != nil {
			t.Errorf("return %d: %v", n, err)
		}
	}
	events, err := store.Events(t.Context(), gaea.EventFilter{Tag: "salt/beacon/*"}, gaea.PageRequest{Limit: 100})
	if err != nil || len(events.Items) != beacons {
		t.Errorf("%d beacons are stored, not %d: %v", len(events.Items), beacons, err)
	}
}

func TestAJobdThatStartsWhilePostgreSQLIsAwayKeepsWhatTheBusTells(t *testing.T) {
	t.Parallel()
	r := newAwayRig(t)
	if err := r.postgres.Halt(); err != nil {
		t.Fatal(err)
	}
	j := run(t, r.o)
	r.accept()
	r.tell(1)
	r.tell(2)
	j.kept(4)
	if status, body := j.get("/healthz"); status != http.StatusOK {
		t.Errorf("healthz answers %d: %s", status, body)
	}
	var ready struct {
		Ready    bool     `json:"ready"`
		Problems []string `json:"problems"`
	}
	status, body := j.get("/readyz")
	if err := json.Unmarshal([]byte(body), &ready); err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(ready.Problems, "\n"); status != http.StatusServiceUnavailable || len(ready.Problems) != 2 ||
		!strings.Contains(said, "does not answer") || !strings.Contains(said, "away since 2") || !strings.Contains(said, "4 events and returns") {
		t.Errorf("readyz answers %d: %s", status, body)
	}
	for metric, want := range map[string]float64{"gaea_ready": 0, "gaea_archive_up": 0, "gaea_leads": 0, "gaea_bus_connected": 1} {
		if got := j.metric(metric); got != want {
			t.Errorf("%s is %v", metric, got)
		}
	}
	if status, body := j.askAs(r.token, "/v1/jobs"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"unavailable"`) || !strings.Contains(body, "see that PostgreSQL runs there") {
		t.Errorf("a question is answered %d: %s", status, body)
	}
	u, err := url.Parse(r.o.Database)
	if err != nil {
		t.Fatal(err)
	}
	if password, _ := u.User.Password(); strings.Contains(r.log.String()+body, password) {
		t.Error("the password is told")
	}
	if err := r.postgres.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it leads", func() bool { return j.metric("gaea_leads") == 1 })
	r.tell(3)
	eventually(t, "all is stored", func() bool {
		return j.metric("gaea_ingest_returns_stored_total") == 3 && j.metric("gaea_ingest_spill_records") == 0
	})
	eventually(t, "ready", func() bool { status, _ := j.get("/readyz"); return status == http.StatusOK })
	if status, body := j.askAs(r.token, "/v1/jobs"); status != http.StatusOK {
		t.Errorf("a question is answered %d: %s", status, body)
	}
	if err := j.stop(); err != nil {
		t.Error(err)
	}
	r.wantStored(t, 3, 3)
}

func TestAJobdThatIsStoppedWhilePostgreSQLIsAwayLeavesItsSpillToTheNext(t *testing.T) {
	t.Parallel()
	r := newAwayRig(t)
	if err := r.postgres.Halt(); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		j := run(t, r.o)
		r.accept()
		r.tell(n + 1)
		j.kept(float64(2 * (n + 1)))
		if err := j.stop(); err != nil {
			t.Errorf("it ends with %v", err)
		}
	}
	if err := r.postgres.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := run(t, r.o)
	eventually(t, "all is stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") == 2 })
	if err := j.stop(); err != nil {
		t.Error(err)
	}
	r.wantStored(t, 2, 2)
}

func TestAJobdWhoseDatabaseProvesToBeNoneForItEndsAndKeepsItsSpill(t *testing.T) {
	t.Parallel()
	r := newAwayRig(t)
	u, err := url.Parse(r.o.Database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "wrong")
	wrong := r.o
	wrong.Database = u.String()
	refused := func(when string, err error) {
		if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "does not let jobd in") {
			t.Errorf("%s: %v", when, err)
		}
	}
	_, err = app.New(t.Context(), wrong)
	refused("at once", err)
	if err := r.postgres.Halt(); err != nil {
		t.Fatal(err)
	}
	j := run(t, wrong)
	r.accept()
	r.tell(1)
	j.kept(2)
	if err := r.postgres.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused("later", j.wait())
	j = run(t, r.o)
	eventually(t, "all is stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") == 1 })
	if err := j.stop(); err != nil {
		t.Error(err)
	}
	r.wantStored(t, 1, 1)
}

func TestAJobdWithoutAKeyDoesNotStartWhilePostgreSQLIsAway(t *testing.T) {
	t.Parallel()
	o := options(t, newSalt(t))
	o.Database, o.KeyFile = "postgres://u@127.0.0.1:1/d", filepath.Join(t.TempDir(), "jobd.key")
	if _, err := app.New(t.Context(), o); gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), o.KeyFile) {
		t.Errorf("it starts: %v", err)
	}
}
