package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

func TestABackupIsWholeThoughWhatComesGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var before []int
	for n := range 50 {
		check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(n)))
		before = append(before, n)
	}
	going, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	written := 50
	writing.Go(func() {
		for ; going.Err() == nil; written++ {
			check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(written)))
		}
	})
	copies := t.TempDir()
	for _, name := range []string{"one.db", "two.db", "three.db"} {
		size, err := sqlite.Backup(t.Context(), dir+"/jobd.db", filepath.Join(copies, name))
		check(t, err)
		if info, err := os.Stat(filepath.Join(copies, name)); err != nil || info.Mode() != 0o600 || info.Size() != size {
			t.Errorf("%s: %v (%v), %d bytes", name, info, err, size)
		}
	}
	stop()
	writing.Wait()
	if written == 50 {
		t.Error("nothing was written meanwhile")
	}
	for _, name := range []string{"one.db", "three.db"} {
		restored := t.TempDir()
		check(t, os.Rename(filepath.Join(copies, name), restored+"/jobd.db"))
		again := open(t, restored)
		archivetest.KillSafe(t, again, before)
		check(t, again.WriteBatch(t.Context(), "salt", archivetest.KillBatch(written+1)))
		jobs, err := again.Jobs(t.Context(), gaea.JobFilter{}, gaea.PageRequest{Limit: 1000})
		check(t, err)
		st, err := again.Stats(t.Context())
		check(t, err)
		if len(jobs.Items) < 51 || jobs.Next == "" && int64(len(jobs.Items)) != st.Jobs {
			t.Errorf("%s has %d jobs and counts %d", name, len(jobs.Items), st.Jobs)
		}
	}
	if left, _ := filepath.Glob(copies + "/*"); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
}

func TestABackupOverwritesNothingAndSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	check(t, open(t, dir).Close())
	there := filepath.Join(dir, "there")
	check(t, os.WriteFile(there, []byte("mine"), 0o600))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name, path, file string
		ctx              context.Context
		code             gaea.Code
		says             string
	}{
		{"a file that is there", dir + "/jobd.db", there, t.Context(), gaea.CodeConflict, there},
		{"no database", dir + "/none.db", dir + "/copy", t.Context(), gaea.CodeNotFound, "none.db"},
		{"another file", there, dir + "/copy", t.Context(), gaea.CodeUnavailable, there},
		{"no directory", dir + "/jobd.db", dir + "/none/copy", t.Context(), gaea.CodeUnavailable, "none/copy"},
		{"one that is cut off", dir + "/jobd.db", dir + "/copy", ended, gaea.CodeUnavailable, "copy"},
	} {
		_, err := sqlite.Backup(row.ctx, row.path, row.file)
		if gaea.CodeOf(err) != row.code || !strings.Contains(gaea.MessageOf(err), row.says) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	if kept, err := os.ReadFile(there); err != nil || string(kept) != "mine" {
		t.Errorf("the file that was there: %q (%v)", kept, err)
	}
	if left, _ := filepath.Glob(dir + "/copy*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
