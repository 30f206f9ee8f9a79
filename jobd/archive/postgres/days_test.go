package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// today is noon of the day of these tests.
var today = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func day(n int) time.Time { return today.AddDate(0, 0, n) }

// openToday opens an archive whose clock stands at noon.
func openToday(t *testing.T, where string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), where, key(t), postgres.Options{Now: func() time.Time { return today }})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

// dayBatch is a job with returns of two minions and an event, on a day. One body is the day's own, one that of every day.
func dayBatch(at time.Time) archive.Batch {
	id := at.Format("20060102150405.000000")
	own := archivetest.StateReturn(id, "web1", 2, int(at.Unix()), 1, at)
	own.StateKey = "key"
	return archive.Batch{
		Jobs:    []gaea.Job{{JID: id, Function: "state.apply", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Known: true, Started: at, Minions: []string{"web1", "web2"}}},
		Returns: []gaea.Return{own, archivetest.StateReturn(id, "web2", 2, 7, 1, at)},
		Events:  []gaea.Event{{Tag: "t", Stamp: at, Data: json.RawMessage(`1`)}},
	}
}

func TestWhatGrowsByTheDayIsKeptByTheDayAndGoesByTheDay(t *testing.T) {
	where := address(t)
	s := openToday(t, where)
	for _, n := range []int{0, -3, -10, -399, -5000, 200} {
		check(t, s.WriteBatch(t.Context(), "salt", dayBatch(day(n))))
	}
	for _, n := range []int{1, 0, -3, -10, -399} { // tomorrow's came with today's
		for _, table := range []string{"returns", "state_results", "events"} {
			if !has(t, where, postgres.Partition(table, postgres.WholeDay(day(n)))) {
				t.Errorf("there is no partition of %s for day %d", table, n)
			}
		}
	}
	for table, want := range map[string]int{"returns_other": 4, "events_other": 2, postgres.Partition("returns", postgres.WholeDay(day(-3))): 2} {
		if n := count(t, where, table, ""); n != want {
			t.Errorf("%s has %d rows, want %d", table, n, want)
		}
	}
	recount(t, where)

	// Whole days, their rows dropped and not deleted; one row at a time, so that every step between is seen.
	_, err := s.Evidence(t.Context(), "salt", "key", nil)
	check(t, err)
	before := day(-2).Truncate(24 * time.Hour)
	pruneAll(t, s, before, 1)
	for _, n := range []int{-3, -10, -399} {
		if has(t, where, postgres.Partition("returns", postgres.WholeDay(day(n)))) || has(t, where, postgres.Partition("events", postgres.WholeDay(day(n)))) {
			t.Errorf("the partitions of day %d are there still", n)
		}
	}
	st, err := s.Stats(t.Context())
	check(t, err)
	if st.Jobs != 2 || st.Returns != 4 || st.Events != 2 || st.Contents != 3 {
		t.Errorf("left are %+v", st)
	}
	recount(t, where)
	// A day that has gone comes back where something of it comes.
	check(t, s.WriteBatch(t.Context(), "salt", dayBatch(day(-10))))
	if !has(t, where, postgres.Partition("returns", postgres.WholeDay(day(-10)))) {
		t.Error("the day has no partition again")
	}
	recount(t, where)
}

func TestWhatMustStayOutlivesItsDay(t *testing.T) {
	where := address(t)
	s := openToday(t, where)
	old := day(-20)
	late, active, plain := dayBatch(old), dayBatch(old.Add(time.Second)), dayBatch(old.Add(2*time.Second))
	late.Returns[1].Stamp = day(-1)
	active.Jobs[0].RunID = "run-1"
	plain.Returns[0].StateKey, late.Returns[0].StateKey, active.Returns[0].StateKey = "key", "", ""
	run := archivetest.SecretRun()
	run.ID, run.Status = "run-1", gaea.RunRunning
	_, _, err := s.CreateRun(t.Context(), run, "", "")
	check(t, err)
	for _, b := range []archive.Batch{late, active, plain} {
		check(t, s.WriteBatch(t.Context(), "salt", b))
	}
	evidence, err := s.Evidence(t.Context(), "salt", "key", []string{"web1"}) // somebody asks about it
	check(t, err)
	pruneAll(t, s, day(-5).Truncate(24*time.Hour), 2)
	if has(t, where, postgres.Partition("returns", postgres.WholeDay(old))) {
		t.Error("the partition of the day is there still")
	}
	for what, b := range map[string]archive.Batch{"late": late, "active": active, "plain": plain} {
		for i, want := range b.Returns {
			got, err := s.Return(t.Context(), "salt", want.JID, want.Minion)
			if what == "plain" && i == 1 { // only the evidence of the job stays
				if gaea.CodeOf(err) != gaea.CodeNotFound {
					t.Errorf("a return that nobody needs: %v", err)
				}
				continue
			}
			check(t, err)
			if string(got.Body) != string(want.Body) || len(got.States) != len(want.States) {
				t.Errorf("%s: the return of %s is %+v", what, want.Minion, got)
			}
		}
	}
	after, err := s.Evidence(t.Context(), "salt", "key", []string{"web1"})
	check(t, err)
	if fmt.Sprint(after) != fmt.Sprint(evidence) || len(after) != 1 {
		t.Errorf("the evidence is %+v, was %+v", after, evidence)
	}
	recount(t, where)
	// What comes again of them is there already.
	for _, b := range []archive.Batch{late, active} {
		check(t, s.WriteBatch(t.Context(), "salt", b))
	}
	recount(t, where)
}

func TestWhoReadsInAnyOrderMeetsADayThatIsDropped(t *testing.T) {
	for _, order := range [][]string{{"returns", "state_results", "events"}, {"events", "state_results", "returns"}} {
		t.Run(strings.Join(order, "Before"), func(t *testing.T) {
			where := address(t)
			s := openToday(t, where)
			check(t, s.WriteBatch(t.Context(), "salt", dayBatch(day(-10))))
			conn, err := pgx.Connect(t.Context(), where)
			check(t, err)
			_, err = conn.Exec(t.Context(), `SET deadlock_timeout = '10ms'`) // so that it is this one who is told of a deadlock
			check(t, err)
			for gone := false; !gone; {
				// A reader that has read one table waits for no drop of another that waits for it.
				reading, err := conn.Begin(t.Context())
				check(t, err)
				_, err = reading.Exec(t.Context(), `SELECT FROM `+order[0])
				check(t, err)
				pruned := make(chan error, 1)
				go func() {
					n, err := s.Prune(t.Context(), gaea.ExpireAll(day(-2).Truncate(24*time.Hour)), 500)
					gone = n == 0
					pruned <- err
				}()
				for waits := false; !waits && len(pruned) == 0; {
					waits = number(t, where, `SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND locktype = 'relation' AND NOT granted
						AND relation::regclass::text IN ('returns', 'state_results', 'events')`) > 0
				}
				for _, table := range order[1:] {
					if _, err := reading.Exec(t.Context(), `SELECT FROM `+table); err != nil {
						t.Fatalf("who reads %s after %s is told %v", table, order[0], err)
					}
				}
				check(t, reading.Rollback(t.Context()))
				check(t, <-pruned)
			}
			check(t, conn.Close(t.Context()))
			if has(t, where, postgres.Partition("returns", postgres.WholeDay(day(-10)))) {
				t.Error("the day is there still")
			}
		})
	}
}

// recount checks that all that is counted is what there is.
func recount(t *testing.T, where string) {
	t.Helper()
	for what, text := range map[string]string{
		"references to calls": `SELECT count(*) FROM calls c WHERE refs <> (SELECT count(*) FROM jobs j WHERE j.call_id = c.id)
			+ (SELECT count(*) FROM returns r JOIN jobs j ON j.id = r.job_id WHERE r.call_id = c.id)`,
		"jobs":                      `SELECT abs((SELECT sum(jobs) FROM masters) - (SELECT count(*) FROM jobs))::bigint`,
		"returns":                   `SELECT abs((SELECT sum(returns) FROM masters) - (SELECT count(*) FROM returns r JOIN jobs j ON j.id = r.job_id))::bigint`,
		"events":                    `SELECT abs((SELECT sum(events) FROM masters) - (SELECT count(*) FROM events))::bigint`,
		"contents":                  `SELECT abs((SELECT sum(contents) FROM masters) - (SELECT contents FROM pruned) - (SELECT count(*) FROM contents))::bigint`,
		"contents that miss":        `SELECT count(*) FROM returns r JOIN jobs j ON j.id = r.job_id LEFT JOIN contents c ON c.id = r.content_id WHERE r.content_id IS NOT NULL AND c.id IS NULL`,
		"calls that miss":           `SELECT count(*) FROM returns r JOIN jobs j ON j.id = r.job_id LEFT JOIN calls c ON c.id = r.call_id WHERE c.id IS NULL`,
		"states that miss":          `SELECT count(*) FROM state_latest l LEFT JOIN jobs j ON j.id = l.job_id LEFT JOIN states s ON s.id = l.state_id WHERE j.id IS NULL OR s.id IS NULL`,
		"days of returns that miss": `SELECT count(*) FROM returns r LEFT JOIN return_days d ON d.day = r.job_id >> 40 AND d.stamped = greatest(r.stamp, 0) / 86400000000 WHERE d.day IS NULL`,
		"days of returns that went": `SELECT count(*) FROM return_days d WHERE NOT EXISTS (SELECT 1 FROM returns r WHERE d.day = r.job_id >> 40 AND d.stamped = greatest(r.stamp, 0) / 86400000000)`,
		"evidence that misses":      `SELECT count(*) FROM evidence e LEFT JOIN returns r ON r.job_id = e.job_id AND r.minion_id = e.minion_id WHERE r.job_id IS NULL`,
	} {
		if n := number(t, where, text); n != 0 {
			t.Errorf("%s: %d are not as they should be", what, n)
		}
	}
}

func pruneAll(t *testing.T, s *postgres.Store, before time.Time, limit int) {
	t.Helper()
	for {
		n, err := s.Prune(t.Context(), gaea.ExpireAll(before), limit)
		check(t, err)
		if n == 0 {
			return
		}
	}
}

func has(t *testing.T, where, table string) bool {
	t.Helper()
	return number(t, where, `SELECT count(*) FROM pg_inherits WHERE inhrelid = to_regclass('`+table+`')`) == 1
}

func count(t *testing.T, where, table, condition string) int {
	t.Helper()
	return number(t, where, `SELECT count(*) FROM `+table+condition)
}

// number asks beside the store.
func number(t *testing.T, where, text string) (n int) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, where)
	check(t, err)
	defer func() { check(t, conn.Close(ctx)) }()
	check(t, conn.QueryRow(ctx, text).Scan(&n))
	return n
}

// password is the server's.
func password(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(database)
	check(t, err)
	p, _ := u.User.Password()
	return p
}
