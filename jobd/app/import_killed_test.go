package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

// importEnv makes this test's program import as the JSON in it says, and kill itself on the way.
const importEnv = "GAEA_TEST_IMPORT_UNTIL_KILLED"

// largeCache is how many jobs, of one return each, an import is ended in the midst of: more than one transaction takes.
const largeCache = 450

// importUntilKilled ends the program as the kernel does where memory runs out, when some of the jobs are stored, some read, and some neither.
func importUntilKilled(said string) error {
	var o app.ImportOptions
	if err := json.Unmarshal([]byte(said), &o); err != nil {
		return err
	}
	o.Progress = func(done, all int) {
		if done == all*2/3 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	_, err := app.Import(context.Background(), o)
	return errors.Join(err, errors.New("the import came to its end"))
}

func newLargeCache(t *testing.T) *jobCache {
	t.Helper()
	c := &jobCache{t: t, dir: t.TempDir()}
	for n := range largeCache {
		c.add(n, map[string]any{"fun": "test.ping", "arg": []any{}}, map[string]any{"web1": map[string]any{"return": true, "retcode": 0, "success": true}})
	}
	return c
}

// importedAll expects that an import stores what is missing of a large cache and nothing twice, and that nothing is missing then.
func importedAll(t *testing.T, o app.Options, of app.ImportOptions) {
	t.Helper()
	s := inspect(t, o)
	before, err := s.Stats(t.Context())
	if err != nil || before.Jobs == 0 || before.Jobs >= largeCache {
		t.Fatalf("the import that was ended has stored %d of %d jobs (%v)", before.Jobs, largeCache, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report := imported(t, of)
	if report.Jobs != largeCache || report.NewJobs != largeCache-int(before.Jobs) || report.NewReturns != largeCache-int(before.Returns) || report.UnreadCount != 0 {
		t.Errorf("%d jobs and %d returns were there, and the next import says %+v", before.Jobs, before.Returns, report)
	}
	after, err := inspect(t, o).Stats(t.Context())
	if err != nil || after.Jobs != largeCache || after.Returns != largeCache {
		t.Errorf("the archive holds %+v (%v)", after, err)
	}
}

func TestAnImportThatIsKilledGoesOnWhereItWasAndStoresNothingTwice(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		o := options(t, newSalt(t))
		of := newLargeCache(t).options(o)
		of.Zone = nil // the child's and this one's are the same
		said, err := json.Marshal(struct{ Database, KeyFile, Dir, Master string }{of.Database, of.KeyFile, of.Dir, of.Master})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = append(os.Environ(), importEnv+"="+string(said))
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.Exited() {
			t.Fatalf("the import ended by itself: %v\n%s", err, out)
		}
		importedAll(t, o, of)
	})
}

func TestAnImportThatIsStoppedStoresWhatItHasReadAndTellsHowFarItCame(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		o := options(t, newSalt(t))
		of := newLargeCache(t).options(o)
		ctx, stop := context.WithCancel(t.Context())
		stopped := of
		stopped.Progress = func(done, all int) {
			if done == all*2/3 {
				stop()
			}
		}
		report, err := app.Import(ctx, stopped)
		if !errors.Is(err, context.Canceled) && gaea.CodeOf(err) != gaea.CodeCancelled {
			t.Errorf("the error is %v", err)
		}
		stats, err := inspect(t, o).Stats(t.Context())
		if report == nil || err != nil || report.NewJobs != int(stats.Jobs) || report.NewReturns != int(stats.Returns) || report.Jobs < largeCache/2 {
			t.Fatalf("the report is %+v, and the archive holds %+v (%v)", report, stats, err)
		}
		importedAll(t, o, of)
	})
}
