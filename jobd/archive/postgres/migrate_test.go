package postgres_test

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

func TestADatabaseOfANewerJobdIsRefused(t *testing.T) {
	where := address(t)
	check(t, open(t, where).Close())
	execute(t, where, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`)
	_, err := postgres.Open(t.Context(), where, key(t), postgres.Options{})
	if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "newer jobd") || !strings.Contains(gaea.MessageOf(err), "99") {
		t.Errorf("the error is %v", err)
	}
}

func TestTheTablesGoWithAllThatIsInThemAndComeAgain(t *testing.T) {
	where := address(t)
	s := open(t, where)
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.Captured(t, archivetest.SaltVersions()[1])))
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	_, _, err := s.CreateRun(t.Context(), archivetest.SecretRun(), "key", "digest")
	check(t, err)
	check(t, s.Close())
	db, err := sql.Open("pgx", where)
	check(t, err)
	defer func() { check(t, db.Close()) }()
	tables, err := postgres.Tables(db)
	check(t, err)
	_, err = tables.DownTo(t.Context(), 0)
	check(t, err)
	var left int
	check(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace
		AND relkind IN ('r', 'p', 'v', 'S') AND relname NOT LIKE 'goose%'`).Scan(&left))
	if left != 0 {
		t.Errorf("%d tables are left", left)
	}
	again := open(t, where)
	check(t, again.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	archivetest.KillSafe(t, again, []int{1})
}

func TestRunsFromBeforeAreFoundByTheirMaster(t *testing.T) {
	where := address(t)
	s := open(t, where)
	r := archivetest.SecretRun()
	_, _, err := s.CreateRun(t.Context(), r, "", "")
	check(t, err)
	check(t, s.Close())
	db, err := sql.Open("pgx", where)
	check(t, err)
	defer func() { check(t, db.Close()) }()
	tables, err := postgres.Tables(db)
	check(t, err)
	_, err = tables.DownTo(t.Context(), 1)
	check(t, err)
	found, err := open(t, where).ListRuns(t.Context(), gaea.RunFilter{Master: r.Master}, gaea.PageRequest{})
	if err != nil || len(found.Items) != 1 || found.Items[0].ID != r.ID {
		t.Errorf("the runs of %s are %+v (%v)", r.Master, found.Items, err)
	}
}
