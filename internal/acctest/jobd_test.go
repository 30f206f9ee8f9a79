package acctest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// get asks jobd for a path without a token.
func (r *rig) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.jobd.Endpoint+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestAccJobdSaysAtItsStartWhereItListensAndWithWhat(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	status, err := r.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wants(t, r.jobd.Log(1000), "listen="+r.jobd.Endpoint, "master="+status.Master, "salt_config_dir="+r.lab.ConfigDir(), "database="+r.jobd.Database)
	if !status.Connected || status.Database != "sqlite" {
		t.Errorf("the status is %+v", status)
	}
}

func TestAccHealthReadinessMetricsAndTheDocumentNeedNoTokenAndTheRestDoes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if code, out := r.command(t, "apply", "run", "test.ping", "--target", "db1", "--watch"); code != 0 {
		t.Fatalf("jobd run ended with %d:\n%s", code, out)
	}
	for path, want := range map[string][]string{
		"/healthz":      {`"ok"`},
		"/readyz":       {`"ready":true`},
		"/openapi.json": {`"openapi"`, "/v1/assignments/{name}/check"},
		"/metrics": {
			"gaea_bus_connected 1", `gaea_ingest_events_total{kind="return"}`, "gaea_ingest_returns_stored_total", "gaea_ingest_lag_seconds_bucket",
			"gaea_ingest_queue_events", "gaea_ingest_gaps_total", "gaea_ingest_errors_total", "gaea_ingest_database_seconds_bucket",
		},
	} {
		status, body := r.get(t, path)
		if status != http.StatusOK {
			t.Errorf("%s answers %d", path, status)
		}
		for _, text := range want {
			if !strings.Contains(body, text) {
				t.Errorf("%s has no %q:\n%.2000s", path, text, body)
			}
		}
	}
	for _, path := range []string{"/v1/jobs", "/v1/whoami", "/v1/runs", "/v1/assignments", "/v1/tokens"} {
		status, body := r.get(t, path)
		var problem struct {
			Type, Code string
			Status     int
		}
		if err := json.Unmarshal([]byte(body), &problem); err != nil || status != http.StatusUnauthorized || problem.Status != status || problem.Code != string(gaea.CodeUnauthenticated) {
			t.Errorf("%s answers %d %s", path, status, body)
		}
	}
}

func TestAccWhatJobdCannotReadItNames(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	dir := t.TempDir()
	noConfig, file := filepath.Join(dir, "no-salt-here"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	database := "sqlite://" + filepath.Join(dir, "jobd.db")
	for _, c := range []struct {
		name  string
		args  []string
		wants []string
	}{
		{"a config directory that is not there", []string{"--salt-config-dir", noConfig, "--database", database}, []string{noConfig, "--salt-config-dir"}},
		{"a database below a file", []string{"--salt-config-dir", r.lab.ConfigDir(), "--database", "sqlite://" + file + "/jobd.db"}, []string{file}},
		{"a database that is none", []string{"--salt-config-dir", r.lab.ConfigDir(), "--database", "sqlite://" + file}, []string{file}},
		{"a database of an unknown kind", []string{"--salt-config-dir", r.lab.ConfigDir(), "--database", "mysql://db"}, []string{"mysql", "sqlite:///var/lib/jobd/jobd.db"}},
		{"an address that is taken", []string{"--salt-config-dir", r.lab.ConfigDir(), "--database", database, "--listen", strings.TrimPrefix(r.jobd.Endpoint, "http://")}, []string{"cannot listen", strings.TrimPrefix(r.jobd.Endpoint, "http://")}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		args := append([]string{"serve", "--listen", "127.0.0.1:0"}, c.args...)
		out, err := exec.CommandContext(ctx, shared.binary, args...).CombinedOutput()
		cancel()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%s: jobd serve ended with %v:\n%s", c.name, err, out)
		}
		wants(t, string(out), c.wants...)
	}
}

func TestAccTheCommandLineShowsWhatIsAndTellsItByItsExitCode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	r.newTerraform(t, "apply", r.assignment("", "web1", "db1")).apply(t)
	run := func(code int, args ...string) string {
		t.Helper()
		got, out := r.command(t, "apply", args...)
		if got != code {
			t.Errorf("jobd %s ended with %d, not %d:\n%s", strings.Join(args, " "), got, code, out)
		}
		return out
	}
	wants(t, run(0, "check", r.name), r.name+": 2 in sync")
	wants(t, run(0, "drift", r.name), r.name+": 2 in sync")
	r.write(t, "db1", "motd", "tampered\n")
	wants(t, run(3, "check", r.name), "1 in sync, 1 drifted", "db1: drifted", "file.managed motd", "-tampered", "+hello from gaea")
	wants(t, run(3, "drift", r.name), "1 in sync, 1 drifted", "-tampered", "+hello from gaea")
	var reports []gaea.DriftReport
	if out := run(3, "drift", r.name, "--output", "json"); json.Unmarshal([]byte(out), &reports) != nil || len(reports) != 1 || reports[0].Summary.Drifted != 1 {
		t.Errorf("as JSON the drift is %s", out)
	}
	wants(t, run(0, "run", "test.ping", "--target", "web1,db1", "--target-type", "list", "--watch"), "succeeded", "web1", "db1")
	failed := run(1, "run", "cmd.run", "echo out of paper >&2; exit 4", "--target", "db1", "--watch")
	wants(t, failed, "failed", "db1", "out of paper")
	id := failed[strings.Index(failed, "run-"):]
	id = id[:strings.IndexAny(id, " \n")]
	wants(t, run(1, "show", id), id, "cmd.run", "db1", "failed")
	wants(t, run(0, "runs", "--assignment", r.name), "enforce", "check", "succeeded")
	wants(t, run(1, "check", r.name+"-that-is-not"), r.name+"-that-is-not")
	wants(t, run(1, "run", "test.ping", "--target", "nobody-*", "--watch"), "matches no minion")
	wants(t, run(2, "run"), "expected")
}

func TestAccTheSameIdempotencyKeyGivesTheSameRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	req := gaea.RunRequest{Function: "test.arg", Args: []any{r.name}, Target: gaea.ListTarget([]string{"web1"})}
	first, err := r.client.CreateRun(t.Context(), req, r.name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.WaitRun(t.Context(), first.ID, nil); err != nil {
		t.Fatal(err)
	}
	again, err := r.client.CreateRun(t.Context(), req, r.name)
	if err != nil || again.ID != first.ID {
		t.Errorf("the second run is %+v (%v)", again, err)
	}
	if jobs, err := r.client.Jobs(t.Context(), gaea.JobFilter{RunID: first.ID}, gaea.PageRequest{}); err != nil || len(jobs.Items) != 1 {
		t.Errorf("the jobs of the run are %+v (%v)", jobs, err)
	}
	req.Args = []any{"something else"}
	if _, err := r.client.CreateRun(t.Context(), req, r.name); gaea.CodeOf(err) != gaea.CodeConflict {
		t.Errorf("the key was taken for something else: %v", err)
	}
}

// This test restarts the master, so it does not run in parallel with others.
func TestAccAMasterThatGoesAndComesIsNoticedAndPlansGoOn(t *testing.T) {
	r := newRig(t)
	began := time.Now()
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment("", "web1"))
	f.apply(t)
	t.Cleanup(func() {
		if err := r.lab.StartMaster(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := r.lab.StopMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "jobd says that it is not ready", func() bool { status, _ := r.get(t, "/readyz"); return status == http.StatusServiceUnavailable })
	if status, _ := r.get(t, "/healthz"); status != http.StatusOK {
		t.Errorf("jobd itself is well, and /healthz answers %d", status)
	}
	wants(t, f.plan(t, planEmpty), "No changes.") // from the archive

	// What is asked for meanwhile is done when the master is back.
	r.write(t, "web1", "motd", "tampered\n")
	check := r.jobd.Command(t.Context(), r.tokens["plan"], "check", r.name)
	if err := check.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "jobd has taken the check", func() bool { return len(r.runs(t, gaea.RunCheck)) == 2 })

	// Its keys and sockets are new now.
	if err := r.lab.StartMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "jobd is ready again", func() bool { status, _ := r.get(t, "/readyz"); return status == http.StatusOK })
	var exit *exec.ExitError
	if err := check.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("the check ended with %v", err)
	}
	wants(t, f.plan(t, planChanges), "-tampered", "+hello from gaea")
	f.apply(t)
	f.plan(t, planEmpty)
	r.wantVerified(t, began)
}
