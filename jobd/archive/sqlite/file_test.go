package sqlite_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

func key(tb testing.TB) *archive.KeyFile {
	tb.Helper()
	k, err := archive.OpenKeyFile(filepath.Join(tb.TempDir(), "key"))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheArchiveIsForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lib", "jobd", "jobd.db")
	var log bytes.Buffer
	s, err := sqlite.Open(t.Context(), path, key(t), sqlite.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	check(t, err)
	defer s.Close()
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	for file, want := range map[string]os.FileMode{path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, filepath.Dir(path): os.ModeDir | 0o750} {
		if info, err := os.Stat(file); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v (%v), want %v", file, info.Mode(), err, want)
		}
	}
	if !strings.Contains(log.String(), path) {
		t.Errorf("the log does not say that the tables were made: %s", log.String())
	}
	if left, _ := filepath.Glob(filepath.Dir(path) + "/.jobd-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAPathThatWillNotDoSaysWhichAndWhatItNeeds(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	check(t, os.WriteFile(file, []byte(strings.Repeat("this is no database ", 100)), 0o600))
	for _, row := range []struct{ name, path, says string }{
		{"below a file", filepath.Join(file, "jobd.db"), "cannot be made"},
		{"a directory", dir, "cannot be written"},
		{"another file", file, "no database of jobd"},
		{"where nothing can be made", "/proc/jobd/jobd.db", "cannot be made"},
	} {
		_, err := sqlite.Open(t.Context(), row.path, key(t), sqlite.Options{})
		message := gaea.MessageOf(err)
		if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(message, row.says) || !strings.Contains(message, strings.TrimSuffix(row.path, "/jobd.db")) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestADatabaseOfANewerJobdIsRefused(t *testing.T) {
	dir := t.TempDir()
	check(t, open(t, dir).Close())
	db, err := sql.Open("sqlite", dir+"/jobd.db")
	check(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
	check(t, err)
	check(t, db.Close())
	_, err = sqlite.Open(t.Context(), dir+"/jobd.db", key(t), sqlite.Options{})
	if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "newer jobd") || !strings.Contains(gaea.MessageOf(err), "99") {
		t.Errorf("the error is %v", err)
	}
}

func TestAnArchiveThatIsOpenedByManyAtOnceIsMadeOnce(t *testing.T) {
	path, k := filepath.Join(t.TempDir(), "jobd.db"), key(t)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			s, err := sqlite.Open(t.Context(), path, k, sqlite.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

// The command line writes tokens while jobd runs: two stores on one file.
func TestTwoProcessesMayWrite(t *testing.T) {
	dir := t.TempDir()
	daemon, command := open(t, dir), open(t, dir)
	var wait sync.WaitGroup
	wait.Go(func() {
		for n := range 50 {
			if err := daemon.WriteBatch(t.Context(), "salt", archivetest.KillBatch(n)); err != nil {
				t.Error(err)
			}
		}
	})
	for n := range byte(50) {
		if err := command.CreateToken(t.Context(), gaea.Token{ID: string('A' + rune(n)), Hash: []byte{n}, Created: time.Now()}); err != nil {
			t.Error(err)
		}
		if _, err := daemon.TokenByHash(t.Context(), []byte{n}); err != nil {
			t.Errorf("the daemon does not see a token that was just made: %v", err)
		}
	}
	wait.Wait()
	acknowledged := make([]int, 50)
	for n := range acknowledged {
		acknowledged[n] = n
	}
	archivetest.KillSafe(t, command, acknowledged)
}

func TestWhatAnotherProcessDeletedIsWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	daemon, command := open(t, dir), open(t, dir)
	check(t, daemon.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	for {
		n, err := command.Prune(t.Context(), gaea.ExpireAll(time.Now()), 100)
		check(t, err)
		if n == 0 {
			break
		}
	}
	check(t, daemon.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	archivetest.KillSafe(t, daemon, []int{1})
}

func TestAWriteWaitsForAnotherProcessOnlySoLong(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	s, err := sqlite.Open(t.Context(), dir+"/jobd.db", key(t), sqlite.Options{BusyTimeout: 20 * time.Millisecond})
	check(t, err)
	defer s.Close()
	db, err := sql.Open("sqlite", dir+"/jobd.db?_txlock=immediate")
	check(t, err)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	check(t, err)
	err = s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1))
	if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "locked") {
		t.Errorf("the error is %v", err)
	}
	if err := s.Check(t.Context()); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("the check says %v", err)
	}
	check(t, tx.Rollback())
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	check(t, s.Check(t.Context()))
}

func TestASlowWriteIsLogged(t *testing.T) {
	var log bytes.Buffer
	s, err := sqlite.Open(t.Context(), t.TempDir()+"/jobd.db", key(t), sqlite.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), SlowWrite: time.Nanosecond})
	check(t, err)
	defer s.Close()
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	if !strings.Contains(log.String(), "took long") {
		t.Errorf("the log says %s", log.String())
	}
}

func TestNoSecretIsInTheFilesInClear(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	secret := archivetest.Secret
	r := archivetest.SecretRun() // in its arguments, and in what its actions do
	_, _, err := s.CreateRun(t.Context(), r, "key", "digest")
	check(t, err)
	check(t, s.SaveRun(t.Context(), r))
	check(t, s.PutSecretPillar(t.Context(), "nginx", "1", json.RawMessage(`{"password":"`+secret+`"}`)))
	files, err := filepath.Glob(dir + "/jobd.db*")
	check(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		check(t, err)
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("the secret is in %s", file)
		}
	}
	if len(files) < 2 {
		t.Errorf("looked into %v only", files)
	}
	other, err := sqlite.Open(t.Context(), dir+"/jobd.db", key(t), sqlite.Options{})
	check(t, err)
	defer other.Close()
	if _, err := other.GetRun(t.Context(), r.ID); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("with another key the run is read (%v)", err)
	}
	if _, err := other.SecretPillar(t.Context(), "nginx", "1"); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("with another key the secret pillar is read (%v)", err)
	}
}
