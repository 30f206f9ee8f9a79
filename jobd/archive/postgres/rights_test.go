package postgres_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// roles makes roles that own nothing and may do nothing in a database that is a superuser's.
func roles(t *testing.T, names ...string) (where string) {
	t.Helper()
	where, err := server.Database(t.Context())
	check(t, err)
	for _, name := range names {
		execute(t, where, `CREATE ROLE `+name+` LOGIN PASSWORD 'let-me-in'`)
		t.Cleanup(func() { execute(t, where, `DROP OWNED BY `+name+` CASCADE`, `DROP ROLE `+name) })
	}
	return where
}

// as is an address for a role.
func as(t *testing.T, where, role string) string {
	t.Helper()
	u, err := url.Parse(where)
	check(t, err)
	u.User = url.UserPassword(role, "let-me-in")
	return u.String()
}

func TestARoleThatMayNotMakeTheViewsSchemaIsToldTheGrantsThatItLacksAndWithThemMay(t *testing.T) {
	where := roles(t, "jobd_granted")
	execute(t, where, `GRANT USAGE, CREATE ON SCHEMA public TO jobd_granted`)
	_, err := postgres.Open(t.Context(), as(t, where, "jobd_granted"), key(t), postgres.Options{})
	_, grants, told := strings.Cut(gaea.MessageOf(err), "carry out there: ")
	if gaea.CodeOf(err) != gaea.CodeUnavailable || !told || !strings.Contains(grants, "GRANT CONNECT, CREATE ON DATABASE") {
		t.Fatalf("the error is %v", err)
	}
	execute(t, where, strings.Split(grants, "; ")...)
	s := open(t, as(t, where, "jobd_granted"))
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	archivetest.KillSafe(t, s, []int{1})
}

func TestARoleForWhichTheViewsSchemaWasMadeNeedsNoRightToMakeSchemas(t *testing.T) {
	where := roles(t, "jobd_given")
	execute(t, where, `GRANT USAGE, CREATE ON SCHEMA public TO jobd_given`, `CREATE SCHEMA gaea_v1 AUTHORIZATION jobd_given`)
	s := open(t, as(t, where, "jobd_given"))
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
}

func TestAReaderOfTheViewsOfAnUnprivilegedJobdSeesThemAndNothingElseAlsoAfterAnUpgrade(t *testing.T) {
	where := roles(t, "jobd_owner", "reports")
	execute(t, where, `GRANT USAGE, CREATE ON SCHEMA public TO jobd_owner`, `CREATE SCHEMA gaea_v1 AUTHORIZATION jobd_owner`)
	mine := as(t, where, "jobd_owner")
	db := connected(t, mine)
	tables, err := postgres.Tables(db)
	check(t, err)
	_, err = tables.UpTo(t.Context(), 6) // the first views
	check(t, err)
	// As docs/guides/sql.md has it.
	execute(t, mine,
		`GRANT USAGE ON SCHEMA gaea_v1 TO reports`,
		`GRANT SELECT ON ALL TABLES IN SCHEMA gaea_v1 TO reports`,
		`ALTER DEFAULT PRIVILEGES IN SCHEMA gaea_v1 GRANT SELECT ON TABLES TO reports`)
	check(t, open(t, mine).WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	execute(t, mine, `CREATE VIEW gaea_v1.later AS SELECT * FROM gaea_v1.returns`)
	conn, err := pgx.Connect(t.Context(), as(t, where, "reports"))
	check(t, err)
	defer func() { check(t, conn.Close(t.Context())) }()
	for _, view := range []string{"jobs", "returns", "states", "latest_states", "events", "runs", "run_minions", "later"} {
		var n int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM gaea_v1.`+view).Scan(&n); err != nil {
			t.Errorf("%s: %v", view, err)
		}
	}
	var n int
	check(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM gaea_v1.returns WHERE stamp_us >= gaea_v1.us('2000-01-01') AND NOT truncated`).Scan(&n))
	if n == 0 {
		t.Error("the role sees no returns")
	}
	for _, text := range []string{`SELECT * FROM returns`, `SELECT * FROM tokens`, `DELETE FROM run_minions`, `DELETE FROM gaea_v1.run_minions`} {
		if _, err := conn.Exec(t.Context(), text); err == nil || !strings.Contains(err.Error(), "permission denied") && !strings.Contains(err.Error(), "cannot delete") {
			t.Errorf("%s: the error is %v", text, err)
		}
	}
}
