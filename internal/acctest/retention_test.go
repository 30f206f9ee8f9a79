package acctest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
)

// A run and a job are held, retention takes the rest, and what should be there is as the master's job cache has it.
func TestAccWhatIsHeldStaysWhenRetentionTakesTheRest(t *testing.T) {
	t.Parallel()
	const keep = 15 * time.Second
	r := newRigAlone(t, "--retention", "15s", "--retention-events", "1h", "--retention-max-size", "1GiB")
	wants(t, r.jobd.Log(1000), "retention=\"returns 15s, events 1h, runs 15s, max_size 1.0 GiB\"")
	run := r.ping(t)
	mine := strings.ReplaceAll(r.name, "-", "_") // by which the jobs of this test are told from others
	lost, held := r.salt(t, "web1", "test.echo", mine+"_lost"), r.salt(t, "web1", "test.echo", mine+"_held")
	command := func(role string, code int, args ...string) string {
		t.Helper()
		got, out := r.command(t, role, append([]string{"archive"}, args...)...)
		if got != code {
			t.Errorf("jobd archive %s ended with %d, not %d:\n%s", strings.Join(args, " "), got, code, out)
		}
		t.Logf("$ jobd archive %s\n%s", strings.Join(args, " "), out)
		return out
	}
	wants(t, command("apply", 1, "hold", held.JID, "--reason", "case 4711"), "needs the role admin")
	wants(t, command("admin", 0, "hold", held.JID, "--reason", "case 4711"), "hold-", "held by admin")
	wants(t, command("admin", 0, "hold", run, "--reason", "incident 12"), "hold-")
	wants(t, command("read", 0, "holds"), held.JID, run, "case 4711", "incident 12", "admin")
	wants(t, command("read", 0, "stats"), "in use of", "2 holds", "returns", "contents")
	before, err := r.client.Return(t.Context(), held.JID, "web1")
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now()
	eventually(t, "all is older than the retention", func() bool { return time.Since(old) > keep })
	if err := r.jobd.Stop(); err != nil {
		t.Fatal(err)
	}
	r.restart(t) // retention works when jobd starts, and every hour
	eventually(t, "the job that nobody holds is gone", func() bool {
		_, err := r.client.Job(t.Context(), lost.JID)
		return gaea.CodeOf(err) == gaea.CodeNotFound
	})
	wants(t, r.jobd.Log(1000), "deleted what is older than the retention")
	after, err := r.client.Return(t.Context(), held.JID, "web1")
	if err != nil || string(after.Body) != string(before.Body) {
		t.Errorf("the held return is %+v (%v), was %+v", after, err, before)
	}
	if got, err := r.client.GetRun(t.Context(), run); err != nil || got.Status != gaea.RunSucceeded {
		t.Errorf("the held run is %+v (%v)", got, err)
	}
	if page, err := r.client.Jobs(t.Context(), gaea.JobFilter{RunID: run}, gaea.PageRequest{}); err != nil || len(page.Items) != 1 {
		t.Errorf("the jobs of the held run are %+v (%v)", page.Items, err)
	}
	began := time.Now()
	r.salt(t, "web1", "test.echo", mine+"_new")
	r.wantVerified(t, began)
	if _, err := r.client.Job(t.Context(), lost.JID); gaea.CodeOf(err) != gaea.CodeNotFound {
		t.Errorf("what was deleted came back from the job cache: %v", err)
	}
	wants(t, command("admin", 0, "release", run, "--reason", "closed"), "hold-")
	wants(t, command("read", 0, "holds", "--all"), "closed")
}

// ping runs test.ping on a minion, and returns the run's id.
func (r *rig) ping(t *testing.T) string {
	t.Helper()
	run, err := r.client.CreateRun(t.Context(), gaea.RunRequest{Function: "test.ping", Target: gaea.Target{Type: gaea.TargetList, Minions: []string{"db1"}}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if run, err = r.client.WaitRun(t.Context(), run.ID, nil); err != nil || run.Status != gaea.RunSucceeded {
		t.Fatalf("the run ended as %+v (%v)", run, err)
	}
	return run.ID
}

// A copy is made while jobs run, and a jobd on the copy answers as the first one does, and fetches what it has missed.
func TestAccABackupThatIsMadeWhileJobsRunIsAWholeArchive(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	var runs []string
	for range 3 {
		runs = append(runs, r.ping(t))
	}
	began := time.Now()
	busy, err := r.client.CreateRun(t.Context(), gaea.RunRequest{Function: "test.sleep", Args: []any{3}, Target: gaea.Target{Type: gaea.TargetList, Minions: []string{"db1"}}}, "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "jobd.db")
	code, out := r.command(t, "read", "archive", "backup", "--database", r.jobd.Database, file)
	if code != 0 || !strings.Contains(out, "jobd.key") {
		t.Fatalf("the backup ended with %d:\n%s", code, out)
	}
	t.Log(out)
	if busy, err = r.client.WaitRun(t.Context(), busy.ID, nil); err != nil || busy.Status != gaea.RunSucceeded {
		t.Fatalf("the run during the backup ended as %+v (%v)", busy, err)
	}
	key, err := os.ReadFile(filepath.Join(filepath.Dir(strings.TrimPrefix(r.jobd.Database, "sqlite://")), "jobd.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "jobd.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.jobd.Stop(); err != nil {
		t.Fatal(err)
	}
	restored, err := jobdlab.Start(t.Context(), jobdlab.Config{Binary: shared.binary, SaltConfigDir: r.lab.ConfigDir(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := restored.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := jobdclient.New(jobdclient.Config{Endpoint: restored.Endpoint, Token: r.tokens["apply"]})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, run := range runs {
		if got, err := client.GetRun(t.Context(), run); err != nil || got.Status != gaea.RunSucceeded {
			t.Errorf("run %s in the copy is %+v (%v)", run, got, err)
		}
	}
	// What the copy lacks is in the job cache.
	restoredRig := *r
	restoredRig.jobd, restoredRig.client = restored, client
	eventually(t, "the copy has caught up", func() bool {
		report, err := client.VerifyArchive(t.Context(), gaea.VerifyRequest{Since: began})
		return err == nil && len(report.Differences) == 0 && !report.Recovering && report.Next == ""
	})
	restoredRig.wantVerified(t, began)
}
