package postgres_test

import (
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
)

func TestViews(t *testing.T) {
	archivetest.RunViews(t, func(t *testing.T) archivetest.Viewed {
		where := address(t)
		s := open(t, where)
		db := connected(t, where)
		schema := viewSchema(t, where)
		return archivetest.Viewed{Store: s, DB: db, View: func(name string) string { return schema + "." + name }, Zero: "\x01\x01"}
	})
}

// connected is a database beside the store.
func connected(t *testing.T, where string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", where)
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	return db
}

// viewSchema is the schema of the views of an archive.
func viewSchema(tb testing.TB, where string) string {
	tb.Helper()
	u, err := url.Parse(where)
	check(tb, err)
	return u.Query().Get("search_path") + "_v1"
}

func TestAConditionOnMicrosecondsOfAViewUsesTheIndex(t *testing.T) {
	where := address(t)
	s := open(t, where)
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	db := connected(t, where)
	schema := viewSchema(t, where)
	_, err := db.ExecContext(t.Context(), `SET enable_seqscan = off`)
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
