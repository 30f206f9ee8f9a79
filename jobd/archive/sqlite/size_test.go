package sqlite_test

import (
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

func fileSize(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(dir + "/jobd.db")
	check(t, err)
	return info.Size()
}

// fill writes returns of 2026-03-01 with bodies of their own, and empty deletes them all and gives back what is free.
func fill(t *testing.T, s *sqlite.Store) {
	t.Helper()
	m := archivetest.Batches{Fresh: true, Start: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	for range 20 {
		check(t, s.WriteBatch(t.Context(), "salt", m.Next()))
	}
}

func empty(t *testing.T, s *sqlite.Store) (steps int) {
	t.Helper()
	for n := 1; n > 0; {
		var err error
		n, err = s.Prune(t.Context(), gaea.ExpireAll(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)), 500)
		check(t, err)
	}
	for more := true; more; steps++ {
		var err error
		more, err = s.GiveBack(t.Context())
		check(t, err)
	}
	return steps
}

func TestWhatBecomesFreeIsGivenBackToTheDiskInSteps(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s)
	check(t, s.Close())
	full := fileSize(t, dir)
	s = open(t, dir)
	steps := empty(t, s)
	check(t, s.Close())
	if left := fileSize(t, dir); steps < 2 || left > full/2 {
		t.Errorf("of %d bytes %d are left after %d steps", full, left, steps)
	}
}

func TestAFileThatGivesNothingBackUsesWhatIsFreeAgainAndItsBackupIsSmall(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", "file:"+dir+"/jobd.db?_pragma=page_size(8192)&_pragma=auto_vacuum(0)")
	check(t, err)
	_, err = db.ExecContext(t.Context(), `CREATE TABLE made_before (id INTEGER); DROP TABLE made_before`) // as the first releases made it
	check(t, err)
	check(t, db.Close())
	s := open(t, dir)
	fill(t, s)
	check(t, s.Close())
	full := fileSize(t, dir)
	s = open(t, dir)
	empty(t, s)
	copied, err := sqlite.Backup(t.Context(), dir+"/jobd.db", dir+"/copy.db")
	check(t, err)
	if copied > full/2 {
		t.Errorf("the backup has %d bytes of %d, of which nearly all are free", copied, full)
	}
	fill(t, s)
	st, err := s.Stats(t.Context())
	check(t, err)
	check(t, s.Close())
	if again := fileSize(t, dir); again > full*11/10 || st != (archive.Stats{Jobs: st.Jobs, Returns: st.Returns, Contents: st.Contents, Bytes: st.Bytes}) || st.Returns != 20*archivetest.BenchBatch {
		t.Errorf("the file has %d bytes after the same came again, had %d; %+v", again, full, st)
	}
	restored := t.TempDir()
	check(t, os.Rename(dir+"/copy.db", restored+"/jobd.db"))
	s = open(t, restored)
	fill(t, s)
	empty(t, s)
	check(t, s.Close())
	if left := fileSize(t, restored); left > full*2/3 { // what is less than a step stays
		t.Errorf("the restored file has %d bytes after all was deleted", left)
	}
}
