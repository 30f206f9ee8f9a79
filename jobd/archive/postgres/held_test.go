package postgres_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// Where much is orchestrated most jobs have a note that says to which they belong, and writers wait while retention deletes.
func TestWhatIsHeldIsFoundWithoutALookThroughAllNotes(t *testing.T) {
	where := address(t)
	s := open(t, where)
	check(t, s.WriteBatch(t.Context(), "salt", archive.Batch{Jobs: []gaea.Job{
		{JID: "20260301120000000001", Function: "test.ping", Minions: []string{"web1"}, Known: true, Parent: "20260301120000000000", Started: time.Unix(1000, 0)},
	}}))
	execute(t, where, `INSERT INTO job_notes SELECT sha256(n::text::bytea), 1, n::text, 1, (n % 100)::text, '' FROM generate_series(1, 20000) n`, `ANALYZE job_notes`)
	db, err := sql.Open("pgx", where)
	check(t, err)
	defer func() { check(t, db.Close()) }()
	rows, err := db.QueryContext(t.Context(), `EXPLAIN `+postgres.HeldChildren(), []string{"20260301120000000001", "20260301120000000000"})
	check(t, err)
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var line string
		check(t, rows.Scan(&line))
		plan = append(plan, line)
	}
	check(t, rows.Err())
	if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan on job_notes") || !strings.Contains(text, "job_notes") {
		t.Errorf("the plan is\n%s", text)
	}
}
