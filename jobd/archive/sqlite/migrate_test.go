package sqlite_test

import (
	"database/sql"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

// releasedRuns is what the first release wrote of two runs: one that goes on, with its check's run.
const releasedRuns = `
INSERT INTO runs (id, created, kind, status, assignment, user, active, head, call, allow_empty) VALUES
	('run-1', 1000000, 'enforce', 'running', 'motd', 'ann', 1,
	'{"id":"run-1","master":"salt","kind":"enforce","function":"state.apply","args":["motd",{"pillar":"<redacted>","n":10000000000000001,"z":"\u0000é <b>"}],'||
	'"target":{"type":"list","minions":["web1","web2"]},"batch":{"size":"50%"},"timeouts":{"job":"30m0s","gather":"5s"},"assignment":"motd","revision":"abc",'||
	'"user":"ann","status":"running","created":"1970-01-01T00:00:01Z","started":"1970-01-01T00:00:02Z","check_state":"pending"}', ?, 1),
	('run-2', 3000000, 'check', 'succeeded', 'motd', 'ann', 0,
	'{"id":"run-2","master":"salt","kind":"check","function":"state.apply","target":{"type":"glob","expr":"web*"},"timeouts":{},"assignment":"motd",'||
	'"parent":"run-1","user":"ann","status":"succeeded","created":"1970-01-01T00:00:03Z"}', NULL, 0);
INSERT INTO run_slices VALUES ('run-1', 0, '{"index":0,"jid":"20260301120000000000","minions":["web1"],"started":"1970-01-01T00:00:02Z"}'), ('run-1', 1, '{"index":1,"minions":["web2"]}');
INSERT INTO run_minions VALUES ('run-1', 'web1', 4, '20260301120000000000', 0, 0, 'fine', 0, 2500000), ('run-1', 'web2', 1, '', 1, NULL, '', 0, 0);
INSERT INTO run_keys VALUES ('ann', 'key', 'run-1', 'digest', 1000000);`

func TestRunsOfTheFirstReleaseAreTakenOver(t *testing.T) {
	dir := t.TempDir()
	db, tables := firstRelease(t, dir)
	before := allRows(t, db)
	s := open(t, dir)
	r, err := s.GetRun(t.Context(), "run-1")
	check(t, err)
	want := &gaea.Run{
		ID: "run-1", Master: "salt", Kind: gaea.RunEnforce, Function: "state.apply", Args: json.RawMessage(`["motd",{"pillar":"<redacted>","n":10000000000000001,"z":"\u0000é <b>"}]`),
		Target: gaea.ListTarget([]string{"web1", "web2"}), Timeouts: gaea.Timeouts{}.WithDefaults(), Assignment: "motd", Revision: "abc", User: "ann", Status: gaea.RunRunning,
		Created: time.Unix(1, 0).UTC(), Started: time.Unix(2, 0).UTC(), CheckState: gaea.CheckPending, AllowEmpty: true,
		Slices: []gaea.Slice{{JID: "20260301120000000000", Minions: []string{"web1"}, Started: time.Unix(2, 0).UTC()}, {Index: 1, Minions: []string{"web2"}}},
		Minions: map[string]gaea.RunMinion{
			"web1": {Outcome: gaea.OutcomeChanged, JID: "20260301120000000000", Retcode: new(0), Message: "fine", At: time.UnixMilli(2500).UTC()},
			"web2": {Outcome: gaea.OutcomePending, Slice: 1},
		},
		Counts: map[gaea.Outcome]int{gaea.OutcomeChanged: 1, gaea.OutcomePending: 1},
		Call:   &gaea.Call{Function: "state.apply", Kwargs: map[string]any{"pillar": archivetest.Secret}},
	}
	want.Batch.Size, err = gaea.ParseAmount("50%")
	check(t, err)
	if !reflect.DeepEqual(r, want) {
		t.Errorf("the run is\n%+v\nwant\n%+v", r, want)
	}
	found, err := s.ListRuns(t.Context(), gaea.RunFilter{Parent: "run-1"}, gaea.PageRequest{})
	check(t, err)
	if len(found.Items) != 1 || found.Items[0].ID != "run-2" || found.Items[0].Target.Expr != "web*" {
		t.Errorf("the runs that belong to run-1 are %+v", found.Items)
	}
	found, err = s.ListRuns(t.Context(), gaea.RunFilter{Active: true}, gaea.PageRequest{})
	check(t, err)
	if len(found.Items) != 1 || !reflect.DeepEqual(found.Items[0].Counts, want.Counts) {
		t.Errorf("the active runs are %+v", found.Items)
	}
	if mine, err := s.ListRuns(t.Context(), gaea.RunFilter{Master: want.Master, Active: true}, gaea.PageRequest{}); err != nil || len(mine.Items) != 1 {
		t.Errorf("the active runs of their master are %+v (%v)", mine.Items, err)
	}
	if again, created, err := s.CreateRun(t.Context(), &gaea.Run{ID: "run-9", User: "ann", Created: time.Unix(9, 0)}, "key", "digest"); err != nil || created || again.ID != "run-1" {
		t.Errorf("the key of run-1 makes %+v (%v)", again, err)
	}
	check(t, s.Close())

	// Back to the first release, and here again.
	_, err = tables.DownTo(t.Context(), 1)
	check(t, err)
	after := allRows(t, db)
	for table, rows := range before {
		if !reflect.DeepEqual(after[table], rows) {
			t.Errorf("%s came back as\n%v\nwant\n%v", table, after[table], rows)
		}
	}
	s = open(t, dir)
	if again, err := s.GetRun(t.Context(), "run-1"); err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("the second time the run is\n%+v (%v)", again, err)
	}

	want.Slices[1].JID, want.Minions["web2"] = "20260301120000000001", gaea.RunMinion{Outcome: gaea.OutcomeSkipped, Slice: 1, Message: "halted", Seq: 1}
	want.Seq, want.Counts = 1, want.Tally()
	check(t, s.SaveRun(t.Context(), want, "web2"))
	if again, err := s.GetRun(t.Context(), "run-1"); err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("after it went on the run is\n%+v (%v)", again, err)
	}
}

func TestRunsOfThisReleaseSurviveTheWayBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	want := archivetest.SecretRun()
	_, _, err := s.CreateRun(t.Context(), want, "", "")
	check(t, err)
	check(t, s.Close())
	db, tables := migrator(t, dir)
	_, err = tables.DownTo(t.Context(), 1)
	check(t, err)
	var clean bool
	check(t, db.QueryRowContext(t.Context(), `SELECT head ->> '$.target.minions[1]' = 'web2' AND call IS NOT NULL FROM runs`).Scan(&clean))
	if !clean {
		t.Error("the first release would not find the run's target and call")
	}
	got, err := open(t, dir).GetRun(t.Context(), want.ID)
	check(t, err)
	// What the first release had no place for is lost, and nothing else.
	for name, m := range want.Minions {
		m.Processes, m.Seq = "", 0
		want.Minions[name] = m
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the run is\n%+v\nwant\n%+v", got, want)
	}
}

// firstRelease makes a database as the first release did, with runs in it.
func firstRelease(t *testing.T, dir string) (*sql.DB, *goose.Provider) {
	t.Helper()
	db, tables := migrator(t, dir)
	_, err := tables.UpTo(t.Context(), 1)
	check(t, err)
	key, err := archive.OpenKeyFile(dir + "/key")
	check(t, err)
	sealed, err := key.Seal([]byte(`{"Function":"state.apply","Args":null,"Kwargs":{"pillar":"` + archivetest.Secret + `"}}`))
	check(t, err)
	_, err = db.ExecContext(t.Context(), releasedRuns, sealed)
	check(t, err)
	return db, tables
}

func migrator(t *testing.T, dir string) (*sql.DB, *goose.Provider) {
	t.Helper()
	db, err := sql.Open("sqlite", sqlite.WriterDSN(dir+"/jobd.db", time.Second))
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	tables, err := sqlite.Tables(db)
	check(t, err)
	return db, tables
}

// allRows reads the tables of runs, with heads decoded: the order of columns, and in a JSON object, is nothing that counts.
func allRows(t *testing.T, db *sql.DB) map[string][]map[string]any {
	t.Helper()
	found := map[string][]map[string]any{}
	for _, table := range []string{"runs", "run_slices", "run_minions", "run_keys"} {
		found[table] = rowsOf(t, db, table)
	}
	return found
}

func rowsOf(t *testing.T, db *sql.DB, table string) []map[string]any {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT * FROM `+table+` ORDER BY 1, 2`)
	check(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	check(t, err)
	var list []map[string]any
	for rows.Next() {
		row, values, into := map[string]any{}, make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		check(t, rows.Scan(into...))
		for i, name := range columns {
			row[name] = values[i]
		}
		if text, ok := row["head"].(string); ok {
			var head any
			check(t, json.Unmarshal([]byte(text), &head))
			row["head"] = head
		}
		list = append(list, row)
	}
	check(t, rows.Err())
	return list
}

func TestWhatWasArchivedBeforeIsFoundByWhatPeopleAsk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	archivetest.BeforeQuestions(t, s)
	check(t, s.Close())
	_, tables := migrator(t, dir)
	_, err := tables.DownTo(t.Context(), 3)
	check(t, err)
	archivetest.AfterQuestions(t, open(t, dir))
}

func TestReturnsOfEveryReleaseAreReadAndPruned(t *testing.T) {
	dir := t.TempDir()
	db, tables := migrator(t, dir)
	_, err := tables.UpTo(t.Context(), 1)
	check(t, err)
	// What the first release wrote of one return: its body as a text, with what differs each time beside it.
	body := archivetest.StateBody("web1", 3, 1, 1)
	var splitter content.Splitter
	parts := splitter.Split(body)
	digest := parts.Digest()
	for _, row := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO masters (id, name, last_stamp, jobs, returns) VALUES (1, 'salt', 1, 1, 1)`, nil},
		{`INSERT INTO minions VALUES (1, 1, 'web1')`, nil},
		{`INSERT INTO calls (id, digest, refs, function, run_id, test) VALUES (1, randomblob(32), 2, 'state.apply', '', 0)`, nil},
		{`INSERT INTO jobs VALUES (1, 1, '20260301120000000001', 1, 1, 1000000, '', 1, 'state.apply', '', 'glob', '*', 'root')`, nil},
		{`INSERT INTO contents VALUES (1, ?, 1)`, []any{digest[:]}},
		{`UPDATE totals SET rows = 1`, nil},
		{`INSERT INTO content_bodies VALUES (1, ?, ?)`, []any{string(parts.Same), parts.Holes}},
		{`INSERT INTO returns VALUES (1, 1, 1000000, 3, 1, 1, 1, 0, 1, NULL, 3, 0, ?, NULL)`, []any{string(parts.Cuts)}},
	} {
		_, err := db.ExecContext(t.Context(), row.text, row.args...)
		check(t, err)
	}
	s := open(t, dir)
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
	u, err := s.Usage(t.Context())
	check(t, err)
	if want := int64(len(body) * 3); u.RawBytes < want-10 || u.RawBytes > want+10 { // one is from before sizes were noted
		t.Errorf("%d bytes came, about %d did", u.RawBytes, want)
	}
	for range 10 {
		_, err = s.Prune(t.Context(), gaea.ExpireAll(time.Unix(100, 0)), 100)
		check(t, err)
	}
	st, err := s.Stats(t.Context())
	check(t, err)
	u, err = s.Usage(t.Context())
	check(t, err)
	if st.Bytes = 0; st != (archive.Stats{}) || u.RawBytes != 0 {
		t.Errorf("left are %+v, and %d bytes", st, u.RawBytes)
	}
	check(t, s.Close())
	_, err = tables.DownTo(t.Context(), 1)
	check(t, err)
	check(t, open(t, dir).Close())
}

func TestPackedBodiesAreUnpackedOnTheWayBackAndReadAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	archivetest.WritePacked(t, s)
	check(t, s.Close())
	db, tables := migrator(t, dir)
	var bodies, cuts int
	check(t, db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM content_bodies WHERE packed IS NOT NULL), (SELECT count(*) FROM returns WHERE packed_cuts IS NOT NULL)`).Scan(&bodies, &cuts))
	if bodies < 200 || cuts < 200 {
		t.Errorf("only %d bodies and %d lists of cuts are packed", bodies, cuts)
	}
	_, err := tables.DownTo(t.Context(), 4)
	check(t, err)
	check(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM content_bodies WHERE length(body) = 0`).Scan(&bodies))
	if bodies != 0 {
		t.Errorf("%d bodies are empty", bodies)
	}
	archivetest.ReadPacked(t, open(t, dir))
}
