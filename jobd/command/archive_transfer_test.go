package command_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

func TestAnExportGoesToStandardOutputOrWholeToAFile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.AddJob(gaea.Job{JID: "1", Function: "test.ping", Minions: []string{"web1"}, Started: time.Now().Add(-time.Minute), Known: true})
	r.AddReturn(gaea.Return{JID: "1", Minion: "web1", Outcome: gaea.OutcomeSucceeded, Body: []byte("true")})
	code, out, errs := r.run("archive", "export", "--since", "24h")
	want(t, "to standard output", code, command.ExitOK, out+errs, `{"type":"header","data":{"schema":1,`, `{"type":"job","data":{"`, `{"type":"end","data":{"jobs":1,"returns":1,"events":0,"runs":0}}`)
	file := filepath.Join(t.TempDir(), "export.ndjson")
	code, out, errs = r.run("archive", "export", "--kind", "returns,runs", "--output", file)
	want(t, "to a file", code, command.ExitOK, out+errs, "0 jobs, 1 returns, 0 events and 0 runs are in "+file)
	written, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(string(written), `{"type":"end","data":{"jobs":0,"returns":1,"events":0,"runs":0}}`+"\n") {
		t.Errorf("the file holds %s (%v)", written, err)
	}
	r.Fail(gaea.Errorf(gaea.CodeUnavailable, "the database is away"))
	code, out, errs = r.run("archive", "export", "--output", file)
	want(t, "not whole", code, command.ExitAway, out+errs, "the database is away")
	if now, err := os.ReadFile(file); err != nil || string(now) != string(written) {
		t.Errorf("after an export that failed the file holds %s (%v)", now, err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("beside the file there are %v (%v)", left, err)
	}
	for _, wrong := range [][]string{{"--kind", "pillar"}, {"--since", "soon"}, {"--since", "2026-01-02", "--until", "2026-01-01"}} {
		code, out, errs = r.run(append([]string{"archive", "export"}, wrong...)...)
		want(t, strings.Join(wrong, " "), code, command.ExitUsage, out+errs, wrong[len(wrong)-2])
	}
}

func TestAnImportSaysWhatWasNewAndWithItsExitCodeThatSomethingCouldNotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	database := "sqlite://" + filepath.Join(dir, "jobd.db")
	job := filepath.Join(dir, "cache", "jobs", "0f", "a1")
	write := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(job, "jid"), "20261123000000000001")
	write(filepath.Join(job, ".load.p"), "\x82\xa3fun\xa9test.ping\xa3tgt\xa1*")
	write(filepath.Join(job, ".minions.p"), "\x91\xa4web1")
	write(filepath.Join(job, "web1", "return.p"), "\x82\xa6return\xc3\xa7retcode\x00")
	run := func(more ...string) (int, string) {
		t.Helper()
		code, out, errs := jobd(t, append([]string{"archive", "import", filepath.Join(dir, "cache"), "--database", database}, more...)...)
		return code, out + errs
	}
	code, out := run("--master", "old", "--time-zone", "UTC")
	want(t, "the first time", code, command.ExitOK, out, "1 jobs and 1 returns of "+filepath.Join(dir, "cache", "jobs")+" read for the master old: 1 jobs and 1 returns were new and are stored now.")
	write(filepath.Join(job, "web2", "return.p"), "\xc1")
	code, out = run("--master", "old")
	want(t, "one is broken", code, command.ExitFailed, out, "not read: "+filepath.Join(job, "web2", "return.p")+": ", "0 jobs and 0 returns were new")
	code, out = run("--master", "old", "-o", "json")
	want(t, "as JSON", code, command.ExitFailed, out, `"unread_count": 1`, `"new_jobs": 0`)
	code, out = run()
	want(t, "without a name", code, command.ExitFailed, out, "--master")
	code, out = run("--master", "old", "--time-zone", "Mars")
	want(t, "in no zone", code, command.ExitUsage, out, "Mars")
	config := filepath.Join(dir, "jobd.yaml")
	write(config, "master_name: here\n")
	code, out = run("--config", config)
	want(t, "the name of another master", code, command.ExitFailed, out, "--master")
}
