package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

// jobCache is a copy of a master's job cache.
type jobCache struct {
	t   *testing.T
	dir string
}

// add writes the n-th job as a master does, with its returns, and returns its directory.
func (c *jobCache) add(n int, load map[string]any, returns map[string]any) string {
	c.t.Helper()
	dir := filepath.Join(c.dir, "jobs", "a7", jid(n)) // the digest's name does not matter
	c.write(filepath.Join(dir, "jid"), []byte(jid(n)))
	load["jid"], load["tgt"], load["tgt_type"], load["user"] = jid(n), "*", "glob", "root"
	c.write(filepath.Join(dir, ".load.p"), pack(nil, load))
	minions := []any{}
	for id, entry := range returns {
		minions = append(minions, id)
		c.write(filepath.Join(dir, id, "return.p"), pack(nil, entry))
	}
	c.write(filepath.Join(dir, ".minions.p"), pack(nil, minions))
	return dir
}

func (c *jobCache) write(path string, content []byte) {
	c.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// newJobCache has two jobs: a state run with a secret in its pillar, and a ping of two minions.
func newJobCache(t *testing.T) *jobCache {
	t.Helper()
	c := &jobCache{t: t, dir: t.TempDir()}
	pillar := map[string]any{"__kwarg__": true, "pillar": map[string]any{"password": "hunter2"}}
	c.add(1, map[string]any{"fun": "state.apply", "arg": []any{"motd", pillar}}, map[string]any{"web1": map[string]any{"return": map[string]any{}, "retcode": 0, "success": true}})
	up := map[string]any{"return": true, "retcode": 0, "success": true}
	c.add(2, map[string]any{"fun": "test.ping", "arg": []any{}}, map[string]any{"web1": up, "web2": up})
	return c
}

func (c *jobCache) options(o app.Options) app.ImportOptions {
	return app.ImportOptions{Database: o.Database, KeyFile: o.KeyFile, Dir: c.dir, Master: "old", Zone: time.UTC}
}

func imported(t *testing.T, o app.ImportOptions) *gaea.ImportReport {
	t.Helper()
	report, err := app.Import(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestAJobCacheIsImportedWithoutItsSecretsAndAgainWithoutAnyChange(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		c := newJobCache(t)
		o := options(t, newSalt(t))
		read := time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)
		if err := os.Chtimes(filepath.Join(c.dir, "jobs", "a7", jid(2), "web2", "return.p"), read, read); err != nil {
			t.Fatal(err)
		}
		var told []int
		of := c.options(o)
		of.Progress = func(done, all int) { told = append(told, done, all) }
		report := imported(t, of)
		if report.Jobs != 2 || report.Returns != 3 || report.NewJobs != 2 || report.NewReturns != 3 || report.UnreadCount != 0 || len(told) != 4 || told[2] != 2 || told[3] != 2 {
			t.Errorf("the first import says %+v, and of its progress %v", report, told)
		}
		if again := imported(t, of); again.Jobs != 2 || again.Returns != 3 || again.NewJobs != 0 || again.NewReturns != 0 {
			t.Errorf("the second import says %+v", again)
		}
		s := inspect(t, o)
		state, err := s.Job(t.Context(), "old", jid(1))
		if err != nil {
			t.Fatal(err)
		}
		if state.Source != gaea.SourceCache || !state.Known || state.StateKey == "" || !state.Started.Equal(gaea.JIDTime(jid(1), time.UTC)) || strings.Contains(string(state.Args), "hunter2") {
			t.Errorf("the state run is %+v with %s", state.Job, state.Args)
		}
		r, err := s.Return(t.Context(), "old", jid(2), "web2")
		if err != nil || r.Source != gaea.SourceCache || !r.Stamp.Equal(read) || string(r.Body) != "true" || r.Outcome != gaea.OutcomeSucceeded {
			t.Errorf("the return is %+v (%v)", r, err)
		}
		if stats, err := s.Stats(t.Context()); err != nil || stats.Jobs != 2 || stats.Returns != 3 {
			t.Errorf("the archive holds %+v (%v)", stats, err)
		}
	})
}

func TestAnImportNamesWhatItCannotReadAndTakesEverythingElse(t *testing.T) {
	t.Parallel()
	c := newJobCache(t)
	broken := []byte("\xc1 no msgpack")
	c.write(filepath.Join(c.dir, "jobs", "a7", jid(2), "web9", "return.p"), broken)
	c.write(filepath.Join(c.add(3, map[string]any{"fun": "test.ping"}, nil), ".load.p"), broken)
	headless := c.add(4, map[string]any{"fun": "test.ping"}, map[string]any{"web1": map[string]any{"return": true}})
	unused := c.add(5, map[string]any{"fun": "test.ping"}, nil)
	for _, dir := range []string{headless, unused} {
		if err := os.Remove(filepath.Join(dir, ".load.p")); err != nil {
			t.Fatal(err)
		}
	}
	c.add(6, map[string]any{"fun": "saltutil.find_job"}, map[string]any{"web1": map[string]any{"return": map[string]any{}, "retcode": 0}})
	report := imported(t, c.options(options(t, newSalt(t))))
	if report.Returns < 3 || report.NewJobs < 2 || report.UnreadCount != 3 || len(report.Unread) != 3 {
		t.Fatalf("the report is %+v", report)
	}
	var text strings.Builder
	for _, u := range report.Unread {
		text.WriteString(u.Path + ": " + u.Reason + "\n")
	}
	for _, want := range []string{jid(2) + "/web9/return.p: ", jid(3) + ": ", jid(4) + ": there are returns and no file .load.p"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
}

func TestAnImportIsRefusedWhileAJobdServesTheArchivesFile(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		s := newSalt(t)
		o := options(t, s)
		run(t, o)
		of := newJobCache(t).options(o)
		of.Master = "m1"
		_, err := app.Import(t.Context(), of)
		switch file := strings.HasPrefix(o.Database, "sqlite:"); {
		case file && (gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "stop it")):
			t.Errorf("the error is %v", err)
		case !file && err != nil:
			t.Errorf("in PostgreSQL any number may write: %v", err)
		}
	})
}

func TestJobdStillLooksForWhatItMissedBeforeTheNewestImportedJob(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	s.openBus()
	o := options(t, s)
	j := run(t, o)
	s.accept()
	s.sendReturn(7, "web1", nil)
	eventually(t, "the return is stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") == 1 })
	before := time.Now()
	if err := j.stop(); err != nil {
		t.Fatal(err)
	}
	c := newJobCache(t)
	later := before.Add(time.Hour)
	if err := os.Chtimes(filepath.Join(c.dir, "jobs", "a7", jid(2), "web2", "return.p"), later, later); err != nil {
		t.Fatal(err)
	}
	of := c.options(o)
	of.Master = "m1"
	imported(t, of)
	store := inspect(t, o)
	gaps, err := store.OpenGaps(t.Context(), "m1")
	if err != nil || len(gaps) == 0 || gaps[0].From.After(before) {
		t.Errorf("the gaps are %+v (%v)", gaps, err)
	}
}

func TestWithoutADirectoryTheJobCacheOfTheMasterBesideIsImported(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	c := newJobCache(t)
	s.write(filepath.Join(s.config, "master"), "id: m1\nutc_jid: True\ncachedir: "+c.dir+"\n")
	o := options(t, s)
	if report := imported(t, app.ImportOptions{Database: o.Database, SaltConfigDir: s.config}); report.Master != "m1_master" && report.Master != "m1" || report.NewReturns != 3 {
		t.Errorf("the report is %+v", report)
	}
	s.write(filepath.Join(s.config, "master"), "id: m1\next_job_cache: redis\n")
	if _, err := app.Import(t.Context(), app.ImportOptions{Database: o.Database, SaltConfigDir: s.config}); gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(gaea.MessageOf(err), "redis") {
		t.Errorf("the error is %v", err)
	}
}

func TestAnImportSaysWhatIsNoJobCache(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	(&jobCache{t: t}).write(filepath.Join(other, "minion.log"), nil)
	o := options(t, newSalt(t))
	for path, code := range map[string]gaea.Code{filepath.Join(dir, "none"): gaea.CodeNotFound, other: gaea.CodeInvalid} {
		if _, err := app.Import(t.Context(), app.ImportOptions{Database: o.Database, Dir: path, Master: "old"}); gaea.CodeOf(err) != code || !strings.Contains(gaea.MessageOf(err), path) {
			t.Errorf("%s: the error is %v", path, err)
		}
	}
	if _, err := app.Import(t.Context(), app.ImportOptions{Database: o.Database, Dir: dir}); gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(gaea.MessageOf(err), "--master") {
		t.Errorf("without a name the error is %v", err)
	}
}
