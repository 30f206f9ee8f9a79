package acctest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

// export is what a jobd exports of jobs and returns in a time.
type export struct {
	jobs    map[string]gaea.Job
	returns []gaea.Return
}

func (r *rig) exported(t *testing.T, since, until time.Time) export {
	t.Helper()
	var lines bytes.Buffer
	end, err := r.client.ExportArchive(t.Context(), gaea.ExportRequest{Since: since, Until: until, Kinds: []gaea.ExportKind{gaea.ExportJobs, gaea.ExportReturns}}, &lines)
	if err != nil {
		t.Fatal(err)
	}
	x := export{jobs: map[string]gaea.Job{}}
	reader := bufio.NewReader(&lines)
	for {
		text, err := reader.ReadBytes('\n')
		if err != nil {
			break
		}
		var line gaea.ExportLine[json.RawMessage]
		var job gaea.Job
		var ret gaea.Return
		if err = json.Unmarshal(text, &line); err == nil {
			switch line.Type {
			case gaea.LineJob:
				err = json.Unmarshal(line.Data, &job)
				x.jobs[job.JID] = job
			case gaea.LineReturn:
				err = json.Unmarshal(line.Data, &ret)
				x.returns = append(x.returns, ret)
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if len(x.jobs) != end.Jobs || len(x.returns) != end.Returns {
		t.Errorf("the end of the export says %+v, and there are %d jobs and %d returns", end, len(x.jobs), len(x.returns))
	}
	return x
}

// What a fresh archive gets from a copy of the job cache is what the archive that listened to the bus has.
func TestAccAnImportOfTheJobCacheIsLikeTheArchiveThatListened(t *testing.T) {
	r := newRigAlone(t)
	r.sls(t, motd)
	began := time.Now().Truncate(time.Second)
	for _, arguments := range [][]string{
		{"*", "test.ping"},
		{"web*", "state.apply", r.name, "test=True"},
		{"web*", "state.apply", r.name, `pillar={"password": "hunter2"}`},
		{"web1", "cmd.run", "echo no; exit 3"},
		{"web1", "test.nothing"},
		{"-L", "web1,web9", "test.arg_clean", "1", "b=2"},
	} {
		out, err := r.lab.Salt(t.Context(), arguments...)
		t.Logf("salt %v: %s (%v)", arguments, out, err) // some are to fail
	}
	r.wantVerified(t, began)
	listened := r.exported(t, began, time.Time{})
	if len(listened.jobs) < 6 || len(listened.returns) < 10 {
		t.Fatalf("the archive has %d jobs and %d returns", len(listened.jobs), len(listened.returns))
	}

	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(r.lab.CacheDir(), "jobs"), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	status, err := r.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "jobd.key"), readKey(t, r.jobd), 0o600); err != nil {
		t.Fatal(err)
	}
	database := "sqlite://" + filepath.Join(dir, "jobd.db")
	first, again := r.imported(t, dir, database, status.Master), r.imported(t, dir, database, status.Master)
	if first.NewReturns != first.Returns || first.Returns < len(listened.returns) || again.Returns != first.Returns || again.NewJobs+again.NewReturns != 0 {
		t.Errorf("the first import says %+v, the second %+v", first, again)
	}
	wantImported(t, dir, status.Master, listened)

	fresh, err := jobdlab.Start(t.Context(), jobdlab.Config{Binary: shared.binary, SaltConfigDir: r.lab.ConfigDir(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fresh.Stop(); err != nil {
			t.Error(err)
		}
	})
	tokens, err := makeTokens(t.Context(), fresh)
	if err != nil {
		t.Fatal(err)
	}
	newRigOn(t, r.lab, fresh, tokens).wantVerified(t, began)
}

func readKey(t *testing.T, j *jobdlab.Jobd) []byte {
	t.Helper()
	key, err := os.ReadFile(j.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// imported runs jobd archive import on a copy of a job cache.
func (r *rig) imported(t *testing.T, dir, database, master string) gaea.ImportReport {
	t.Helper()
	code, out := r.command(t, "read", "archive", "import", dir, "--master", master, "--database", database, "-o", "json")
	var report gaea.ImportReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 {
		t.Fatalf("exit code %d (%v), printed: %s", code, err, out)
	}
	return report
}

// wantImported compares an archive in a directory with what another has exported.
func wantImported(t *testing.T, dir, master string, want export) {
	t.Helper()
	key, err := archive.OpenKeyFile(filepath.Join(dir, "jobd.key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "jobd.db"), key, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for jid, job := range want.jobs {
		got, err := s.Job(t.Context(), master, jid)
		switch {
		case err != nil:
			t.Errorf("%s %s: %v", job.Function, jid, err)
		case got.Function != job.Function || !slices.Equal(got.Minions, job.Minions) || got.Target.String() != job.Target.String() || got.User != job.User ||
			string(got.Args) != string(job.Args) || got.Test != job.Test || got.Source != gaea.SourceCache:
			t.Errorf("%s is\n%+v\nwant\n%+v", jid, got.Job, job)
		}
	}
	for _, r := range want.returns {
		got, err := s.Return(t.Context(), master, r.JID, r.Minion)
		switch {
		case err != nil:
			t.Errorf("%s of %s: %v", r.Minion, r.JID, err)
		case got.Outcome != r.Outcome || got.Function != r.Function || len(got.States) != len(r.States) || !sameJSON(t, got.Body, r.Body) || got.Source != gaea.SourceCache:
			t.Errorf("%s of %s is\n%+v\nwant\n%+v", r.Minion, r.JID, got, r)
		}
	}
}

// sameJSON compares values, for the order of keys differs between bus and cache.
func sameJSON(t *testing.T, a, b json.RawMessage) bool {
	t.Helper()
	var texts [2][]byte
	for i, raw := range []json.RawMessage{a, b} {
		var v any
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &v); err != nil {
				t.Fatal(err)
			}
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = text
	}
	return bytes.Equal(texts[0], texts[1])
}
