package pglab_test

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAServerGivesEachTestADatabaseOfItsOwnAndLeavesNothingBehind(t *testing.T) {
	t.Setenv("TMPDIR", publicDir(t))
	s, err := pglab.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		address, err := s.Database(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "CREATE TABLE mine (a int)"); err != nil {
			t.Errorf("the database is not a new one: %v", err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestAKeptServerHasItsDatabasesWhenItIsStartedAgain(t *testing.T) {
	dir := publicDir(t) + "/kept"
	for _, statement := range []string{"CREATE TABLE mine AS SELECT 1 AS a", "INSERT INTO mine SELECT a FROM mine"} {
		s, err := pglab.Keep(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := pglab.Execute(t.Context(), s.Default(), statement); err != nil || n != 1 {
			t.Errorf("%s: %d rows (%v)", statement, n, err)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestAServerWhoseDiskIsFullSaysSoAndGoesOnWhenThereIsRoomAgain(t *testing.T) {
	s, err := pglab.StartOnDisk(t.Context(), 128)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.FillDisk(); err != nil {
		t.Fatal(err)
	}
	const much = "CREATE TABLE much AS SELECT generate_series(1, 100000)"
	if err := s.Exec(t.Context(), much); err == nil || !strings.Contains(err.Error(), "53100") {
		t.Errorf("on a full disk: %v", err)
	}
	if err := s.FreeDisk(); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), much); err != nil {
		t.Error(err)
	}
}

// publicDir is a directory that the server's user may go through.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gaea-pglab-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
