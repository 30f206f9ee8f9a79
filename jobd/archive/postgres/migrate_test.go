package postgres_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
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
	r.Message = "a zero byte: \x00, and none: \\u0000"
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

func TestWhatWasArchivedBeforeIsFoundByWhatPeopleAsk(t *testing.T) {
	where := address(t)
	s := open(t, where)
	archivetest.BeforeQuestions(t, s)
	check(t, s.Close())
	db, err := sql.Open("pgx", where)
	check(t, err)
	defer func() { check(t, db.Close()) }()
	tables, err := postgres.Tables(db)
	check(t, err)
	_, err = tables.DownTo(t.Context(), 1)
	check(t, err)
	archivetest.AfterQuestions(t, open(t, where))
}

func TestReturnsOfEveryReleaseAreReadAndPruned(t *testing.T) {
	where := address(t)
	db, err := sql.Open("pgx", where)
	check(t, err)
	defer func() { check(t, db.Close()) }()
	tables, err := postgres.Tables(db)
	check(t, err)
	_, err = tables.UpTo(t.Context(), 1)
	check(t, err)
	// What the first release with PostgreSQL wrote of one return: its body as it is, with what differs each time beside it.
	body := archivetest.StateBody("web1", 3, 1, 1)
	var splitter content.Splitter
	parts := splitter.Split(body)
	digest := parts.Digest()
	const job = 1 // of day 0
	for _, row := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO masters (digest, name, last_stamp, jobs, returns, contents) VALUES ($1, 'salt', 1, 1, 1, 1)`, []any{postgres.DigestOf(0, "salt")}},
		{`INSERT INTO minions (digest, master_id, name) VALUES ($1, 1, 'web1')`, []any{postgres.DigestOf(1, "web1")}},
		{`INSERT INTO calls (digest, refs, function, run_id, test) VALUES ('\x01', 2, 'state.apply', '', false)`, nil},
		{`INSERT INTO jobs VALUES (1, $1, 1, '20260301120000000001', true, 1, 1000000, '', 1, 'state.apply', '', 'glob', '*', 'root', 0)`,
			[]any{postgres.DigestOf(1, "20260301120000000001")}},
		{`INSERT INTO contents (digest, last_day, body, holes) VALUES ($1, 0, $2, $3)`, []any{digest[:], parts.Same, parts.Holes}},
		{`INSERT INTO returns VALUES ($2, 1, 1000000, 3, 1, 1, 1, 0, true, NULL, 3, 0, $1, NULL)`, []any{parts.Cuts, job}},
		{`SELECT setval('job_numbers', 10)`, nil},
	} {
		_, err := db.ExecContext(t.Context(), row.text, row.args...)
		check(t, err)
	}
	s := open(t, where)
	old, err := s.Return(t.Context(), "salt", "20260301120000000001", "web1")
	check(t, err)
	if string(old.Body) != string(body) || len(old.States) != 3 {
		t.Errorf("the body is %s", old.Body)
	}
	// The same content comes again, and another that is packed.
	check(t, s.WriteBatch(t.Context(), "salt", archive.Batch{Returns: []gaea.Return{
		archivetest.StateReturn("20260301120000000002", "web1", 3, 1, 7, time.Unix(2, 0)), archivetest.StateReturn("20260301120000000003", "web1", 3, 2, 8, time.Unix(3, 0)),
	}}))
	for jid, want := range map[string]string{"20260301120000000002": string(archivetest.StateBody("web1", 3, 1, 7)), "20260301120000000003": string(archivetest.StateBody("web1", 3, 2, 8))} {
		if r, err := s.Return(t.Context(), "salt", jid, "web1"); err != nil || string(r.Body) != want {
			t.Errorf("the body of %s is %v (%v)", jid, r, err)
		}
	}
	for range 10 {
		_, err = s.Prune(t.Context(), gaea.ExpireAll(time.Unix(100, 0)), 100)
		check(t, err)
	}
	st, err := s.Stats(t.Context())
	check(t, err)
	u, err := s.Usage(t.Context())
	check(t, err)
	if st.Bytes = 0; st != (archive.Stats{}) || u.RawBytes != 0 {
		t.Errorf("left are %+v, and %d bytes", st, u.RawBytes)
	}
	check(t, s.Close())
	_, err = tables.DownTo(t.Context(), 1)
	check(t, err)
	check(t, open(t, where).Close())
}

func TestPackedBodiesAreUnpackedOnTheWayBackAndReadAgain(t *testing.T) {
	where := address(t)
	s := open(t, where)
	archivetest.WritePacked(t, s)
	check(t, s.Close())
	db := connected(t, where)
	tables, err := postgres.Tables(db)
	check(t, err)
	var bodies, cuts int
	check(t, db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM contents WHERE packed IS NOT NULL), (SELECT count(*) FROM returns WHERE packed_cuts IS NOT NULL)`).Scan(&bodies, &cuts))
	if bodies < 200 || cuts < 200 {
		t.Errorf("only %d bodies and %d lists of cuts are packed", bodies, cuts)
	}
	_, err = tables.DownTo(t.Context(), 2)
	check(t, err)
	check(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM contents WHERE length(body) = 0`).Scan(&bodies))
	if bodies != 0 {
		t.Errorf("%d bodies are empty", bodies)
	}
	archivetest.ReadPacked(t, open(t, where))
}
