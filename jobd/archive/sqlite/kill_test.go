package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

// writerEnv makes this test's program write batches to the archive that it names, until it is killed.
const writerEnv = "GAEA_TEST_WRITE_UNTIL_KILLED"

func writeUntilKilled(path string) error {
	key, err := archive.OpenKeyFile(path + ".key")
	if err != nil {
		return err
	}
	s, err := sqlite.Open(context.Background(), path, key, sqlite.Options{})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if err := s.WriteBatch(context.Background(), "salt", archivetest.KillBatch(n)); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(os.Stdout, n); err != nil {
			return err
		}
	}
}

func TestAKilledProcessHasStoredAllThatItAcknowledged(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jobd.db")
	for _, until := range []int{1, 7, 40} {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = append(os.Environ(), writerEnv+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var acknowledged []int
		killed := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			acknowledged = append(acknowledged, n)
			if len(acknowledged) >= until && !killed {
				killed = true
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Error("the writer ended by itself")
		}
		if len(acknowledged) < until {
			t.Fatalf("the writer acknowledged %d batches only", len(acknowledged))
		}
		key, err := archive.OpenKeyFile(path + ".key")
		if err != nil {
			t.Fatal(err)
		}
		s, err := sqlite.Open(t.Context(), path, key, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		archivetest.KillSafe(t, s, acknowledged)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
