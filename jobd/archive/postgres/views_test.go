package postgres_test

import (
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
)

func TestViews(t *testing.T) {
	archivetest.RunViews(t, func(t *testing.T) archivetest.Viewed {
		where := address(t)
		s := open(t, where)
		db, err := sql.Open("pgx", where)
		check(t, err)
		t.Cleanup(func() { check(t, db.Close()) })
		schema := viewSchema(t, where)
		return archivetest.Viewed{Store: s, DB: db, View: func(name string) string { return schema + "." + name }}
	})
}

// viewSchema is the schema of the views of an archive.
func viewSchema(tb testing.TB, where string) string {
	tb.Helper()
	u, err := url.Parse(where)
	check(tb, err)
	return u.Query().Get("search_path") + "_v1"
}

func TestTheViewsOfAnArchiveInPublicAreInGaeaV1AndARoleMayReadThemAndNothingElse(t *testing.T) {
	where, err := server.Database(t.Context())
	check(t, err)
	s := open(t, where)
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	// As docs/guides/sql.md has it.
	execute(t, where,
		`CREATE ROLE reports LOGIN PASSWORD 'see'`,
		`GRANT USAGE ON SCHEMA gaea_v1 TO reports`,
		`GRANT SELECT ON ALL TABLES IN SCHEMA gaea_v1 TO reports`)
	t.Cleanup(func() { execute(t, where, `DROP OWNED BY reports`, `DROP ROLE reports`) })
	u, err := url.Parse(where)
	check(t, err)
	u.User = url.UserPassword("reports", "see")
	conn, err := pgx.Connect(t.Context(), u.String())
	check(t, err)
	defer func() { check(t, conn.Close(t.Context())) }()
	var n int
	check(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM gaea_v1.returns WHERE stamp_us >= gaea_v1.us('2000-01-01')`).Scan(&n))
	if n == 0 {
		t.Error("the role sees no returns")
	}
	for _, text := range []string{`SELECT * FROM returns`, `SELECT * FROM tokens`, `DELETE FROM run_minions`} {
		if _, err := conn.Exec(t.Context(), text); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s: the error is %v", text, err)
		}
	}
}

func TestAConditionOnMicrosecondsOfAViewUsesTheIndex(t *testing.T) {
	where := address(t)
	s := open(t, where)
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	db, err := sql.Open("pgx", where)
	check(t, err)
	defer func() { check(t, db.Close()) }()
	schema := viewSchema(t, where)
	_, err = db.ExecContext(t.Context(), `SET enable_seqscan = off`)
	check(t, err)
	rows, err := db.QueryContext(t.Context(), `EXPLAIN SELECT minion FROM `+schema+`.returns WHERE stamp_us >= `+schema+`.us(now() - interval '7 days')`)
	check(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		check(t, rows.Scan(&line))
		plan.WriteString(line + "\n")
	}
	check(t, rows.Err())
	if !strings.Contains(plan.String(), "stamp >= ") || !strings.Contains(plan.String(), "Index Cond: (stamp >=") && !strings.Contains(plan.String(), "Index Cond: (r_1.stamp >=") {
		t.Errorf("the plan is\n%s", &plan)
	}
}
