package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		if err := writeUntilKilled(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// A new archive is a copy of one that is made once: the migrations have tests of their own, and over a hundred stores are
// opened here.
func TestStore(t *testing.T) {
	made := t.TempDir()
	check(t, open(t, made).Close())
	files := map[string][]byte{"key": nil, "jobd.db": nil}
	for name := range files {
		var err error
		files[name], err = os.ReadFile(filepath.Join(made, name))
		check(t, err)
	}
	archivetest.Run(t, func(t *testing.T) archive.Store {
		dir := t.TempDir()
		for name, content := range files {
			check(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
		}
		return open(t, dir)
	})
}

// open opens an archive below a directory for a test.
func open(tb testing.TB, dir string) *sqlite.Store {
	tb.Helper()
	key, err := archive.OpenKeyFile(dir + "/key")
	if err != nil {
		tb.Fatal(err)
	}
	s, err := sqlite.Open(tb.Context(), dir+"/jobd.db", key, sqlite.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}
