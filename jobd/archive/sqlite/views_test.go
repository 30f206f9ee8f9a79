package sqlite_test

import (
	"database/sql"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
)

func TestViews(t *testing.T) {
	archivetest.RunViews(t, func(t *testing.T) archivetest.Viewed {
		dir := t.TempDir()
		s := open(t, dir)
		db, err := sql.Open("sqlite", "file:"+dir+"/jobd.db?mode=ro")
		check(t, err)
		t.Cleanup(func() { check(t, db.Close()) })
		return archivetest.Viewed{Store: s, DB: db, View: func(name string) string { return "v1_" + name }}
	})
}
