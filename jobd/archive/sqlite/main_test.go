package sqlite_test

import (
	"fmt"
	"os"
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

func TestStore(t *testing.T) {
	archivetest.Run(t, func(t *testing.T) archive.Store { return open(t, t.TempDir()) })
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
