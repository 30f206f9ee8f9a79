package archivetest

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// Viewed is an empty store whose views are read as people read them: past the store, with SQL.
type Viewed struct {
	Store archive.Store
	DB    *sql.DB
	// View is a view as a query names it.
	View func(name string) string
	// Zero stands for a zero byte in a text, where the database takes none.
	Zero string
}

// viewColumns is what people have written queries for: a column is never renamed, retyped or taken away, and a new one comes last.
var viewColumns = []struct{ view, columns string }{
	{"jobs", "master text, jid text, function text, target_type text, target text, username text, run_id text, origin text, parent text, schedule text, " +
		"test boolean, known boolean, source text, expected integer, started time, started_us integer"},
	{"returns", "master text, jid text, minion text, function text, outcome text, retcode integer, success boolean, message text, run_id text, test boolean, " +
		"source text, states integer, unclean_states integer, stamp time, stamp_us integer, duration_us integer, truncated boolean, whole_size integer, whole_sha256 text"},
	{"states", "master text, jid text, minion text, state text, sls text, place integer, outcome text, test boolean, stamp time, stamp_us integer"},
	{"latest_states", "master text, minion text, state text, sls text, outcome text, test boolean, jid text, stamp time, stamp_us integer, duration_us integer"},
	{"events", "master text, tag text, minion text, stamp time, stamp_us integer, suspect text, truncated boolean, whole_size integer, whole_sha256 text"},
	{"runs", "run_id text, master text, kind text, status text, function text, assignment text, username text, parent text, retry_of text, message text, " +
		"created time, started time, ended time, created_us integer"},
	{"run_minions", "run_id text, minion text, outcome text, jid text, slice integer, retcode integer, message text, late boolean, at time, at_us integer"},
}

// viewKinds are what databases call the types of columns. SQLite names the type of a column and none of an expression, and has
// neither booleans (0 and 1) nor times (texts).
var viewKinds = map[string][]string{
	"text": {"TEXT", ""}, "integer": {"INT8", "INT4", "INTEGER", ""}, "boolean": {"BOOL", "INTEGER", ""}, "time": {"TIMESTAMPTZ", ""},
}

// RunViews checks the views of a database: their columns, and that they tell what the store tells.
func RunViews(t *testing.T, open func(t *testing.T) Viewed) {
	for name, test := range map[string]func(*bench, Viewed){
		"their columns stay":                              columnsStay,
		"they tell what the store tells":                  viewsTellTheSame,
		"they name every outcome, source and origin":      viewsNameEverything,
		"a time is told in microseconds, beside its text": viewsTellTimes,
	} {
		t.Run(name, func(t *testing.T) {
			v := open(t)
			test(&bench{T: t, store: v.Store}, v)
		})
	}
}

func columnsStay(b *bench, v Viewed) {
	for _, want := range viewColumns {
		same(b, "the columns of "+want.view, strings.Join(v.columns(b, want.view, strings.Split(want.columns, ", ")), ", "), want.columns)
	}
}

// columns are those that a view has, each with its kind where that may be the one that is wanted, and else with its type.
func (v Viewed) columns(b *bench, view string, want []string) (got []string) {
	b.Helper()
	rows, err := v.DB.QueryContext(b.ctx(), "SELECT * FROM "+v.View(view)) //nolint:gosec // the names are this file's
	b.ok(err)
	defer func() { b.ok(rows.Close()) }()
	types, err := rows.ColumnTypes()
	b.ok(err)
	for i, c := range types {
		kind := c.DatabaseTypeName()
		if i < len(want) {
			if wanted := want[i][strings.LastIndex(want[i], " ")+1:]; slices.Contains(viewKinds[wanted], kind) {
				kind = wanted
			}
		}
		got = append(got, c.Name()+" "+kind)
	}
	b.ok(rows.Err())
	return got
}

// viewsTellTheSame compares all that a captured bus, state runs and a run leave in the archive.
func viewsTellTheSame(b *bench, v Viewed) {
	for _, version := range SaltVersions() {
		b.ok(v.Store.WriteBatch(b.ctx(), "master-"+version, Captured(b, version)))
	}
	job := newJob(1, "web1", "web2")
	job.Target, job.User, job.RunID, job.Schedule = gaea.ListTarget([]string{"web2", "web1"}), "ann", "run-1", "nightly"
	b.write(archive.Batch{
		Jobs:    []gaea.Job{job, newJob(2, "web1")},
		Returns: []gaea.Return{StateReturn(jid(1), "web1", 5, 1, 1, at(3)), StateReturn(jid(2), "web1", 5, 2, 2, at(4)), newReturn(1, "web2")},
	})
	cut := newReturn(3, "web1")
	cut.Truncated = &gaea.Truncation{Size: 64 << 20, SHA256: strings.Repeat("0f", 32), Dropped: 7}
	b.write(archive.Batch{
		Returns: []gaea.Return{cut},
		Events: []gaea.Event{
			{Tag: "salt/job/1/ret/web2", Stamp: at(1), Data: json.RawMessage(`{"id":"web1"}`), Suspect: `its tag says that "web2" returned`},
			{Tag: "big", Stamp: at(2), Data: json.RawMessage(`{}`), Truncated: &gaea.Truncation{Size: 1 << 40, SHA256: strings.Repeat("ab", 32)}},
		},
	})
	run := timely(fullRun(), someZone)
	_, _, err := v.Store.CreateRun(b.ctx(), run, "", "")
	b.ok(err)
	plain := newRun(2)
	plain.Message = "as \"told\", è <b>"
	_, _, err = v.Store.CreateRun(b.ctx(), plain, "", "")
	b.ok(err)
	odd := newRun(3)
	odd.Message, odd.Args = "zero bytes: \x00\x00, and none: \\u0000 \\\\u0000, 🎈", json.RawMessage(`["\ud800","\ud83d\ude00","\\ud800"]`)
	_, _, err = v.Store.CreateRun(b.ctx(), odd, "", "")
	b.ok(err)
	for view, want := range b.viewed() {
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], "\x00", cmp.Or(v.Zero, "\x00"))
		}
		slices.Sort(want)
		b.sameRows(view, v.rows(b, view, ""), want)
		if len(want) == 0 {
			b.Errorf("%s is empty: nothing was compared", view)
		}
	}
}

// sameRows says which sorted rows only one side has.
func (b *bench) sameRows(view string, got, want []string) {
	b.Helper()
	missing := func(from, in []string) (list []string) {
		for _, row := range from {
			if _, found := slices.BinarySearch(in, row); !found && len(list) < 5 {
				list = append(list, row)
			}
		}
		return list
	}
	if !slices.Equal(got, want) {
		b.Errorf("%s has %d rows, the store %d; only in the view\n%s\nonly in the store\n%s", view, len(got), len(want),
			strings.Join(missing(got, want), "\n"), strings.Join(missing(want, got), "\n"))
	}
}

// viewed is what the store tells, as rows of the views.
func (b *bench) viewed() map[string][]string {
	b.Helper()
	want := map[string][]string{}
	add := func(view string, cells ...any) {
		line := make([]string, len(cells))
		for i, c := range cells {
			line[i] = cell(c)
		}
		want[view] = append(want[view], strings.Join(line, " | "))
	}
	for _, j := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Job], error) {
		return b.store.Jobs(b.ctx(), gaea.JobFilter{}, p)
	}) {
		target := j.Target.Expr
		if j.Target.Type == gaea.TargetList {
			target = strings.Join(j.Target.Minions, ",")
		}
		add("jobs", j.Master, j.JID, j.Function, string(j.Target.Type), target, j.User, j.RunID, string(j.Origin), j.Parent, j.Schedule, j.Test, j.Known,
			string(j.Source), len(j.Minions), j.Started, micros(j.Started))
	}
	for _, r := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
		return b.store.Returns(b.ctx(), gaea.JobFilter{}, p, true)
	}) {
		unclean := 0
		for i, s := range r.States {
			if s.Outcome != gaea.OutcomeInSync {
				unclean++
				add("states", r.Master, r.JID, r.Minion, s.Key, s.SLS, i, string(s.Outcome), r.Test, r.Stamp, micros(r.Stamp))
			}
		}
		add("returns", r.Master, r.JID, r.Minion, r.Function, string(r.Outcome), r.Retcode, r.Success, r.Message, r.RunID, r.Test, string(r.Source),
			len(r.States), unclean, r.Stamp, micros(r.Stamp), together(r.States), r.Truncated != nil, wholeSize(r.Truncated), wholeDigest(r.Truncated))
	}
	for _, s := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.LatestState], error) {
		return b.store.States(b.ctx(), gaea.StateFilter{}, p)
	}) {
		add("latest_states", s.Master, s.Minion, s.Key, s.SLS, string(s.Outcome), s.Test, s.JID, s.Stamp, micros(s.Stamp), inMicros(s.Duration))
	}
	b.viewedEvents(add)
	b.viewedRuns(add)
	return want
}

func (b *bench) viewedEvents(add func(view string, cells ...any)) {
	b.Helper()
	for _, master := range []string{salt, "master-" + SaltVersions()[0], "master-" + SaltVersions()[1]} {
		of := map[string]string{} // by tag and time
		for _, minion := range []string{"web1", "m1", "m2", "m3", "old1", "old2"} {
			for _, ev := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Event], error) {
				return b.store.Events(b.ctx(), gaea.EventFilter{Master: master, Minion: minion}, p)
			}) {
				of[ev.Tag+ev.Stamp.String()] = minion
			}
		}
		for _, ev := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Event], error) {
			return b.store.Events(b.ctx(), gaea.EventFilter{Master: master}, p)
		}) {
			add("events", master, ev.Tag, of[ev.Tag+ev.Stamp.String()], ev.Stamp, micros(ev.Stamp), ev.Suspect, ev.Truncated != nil,
				wholeSize(ev.Truncated), wholeDigest(ev.Truncated))
		}
	}
}

func (b *bench) viewedRuns(add func(view string, cells ...any)) {
	b.Helper()
	for _, head := range all(b, 100, func(p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
		return b.store.ListRuns(b.ctx(), gaea.RunFilter{}, p)
	}) {
		r, err := b.store.GetRun(b.ctx(), head.ID)
		b.ok(err)
		add("runs", r.ID, r.Master, string(r.Kind), string(r.Status), r.Function, r.Assignment, r.User, r.Parent, r.RetryOf, r.Message, r.Created, r.Started, r.Ended, micros(r.Created))
		for minion, m := range r.Minions {
			add("run_minions", r.ID, minion, string(m.Outcome), m.JID, m.Slice, m.Retcode, m.Message, m.Late, m.At, micros(m.At))
		}
	}
}

func viewsNameEverything(b *bench, v Viewed) {
	run := newRun(1)
	var outcomes, origins, heard []string
	for i, o := range gaea.Outcomes() {
		run.Minions[fmt.Sprintf("every%02d", i)] = gaea.RunMinion{Outcome: o}
		outcomes = append(outcomes, string(o))
		if o.Heard() {
			r := newReturn(100, fmt.Sprintf("every%02d", i))
			r.Outcome, r.Source = o, []gaea.Source{gaea.SourceBus, gaea.SourceCache}[i%2]
			b.writeReturns(r)
			heard = append(heard, string(o))
		}
	}
	_, _, err := v.Store.CreateRun(b.ctx(), run, "", "")
	b.ok(err)
	for i, o := range gaea.Origins() {
		j := newJob(i, "web1")
		j.Origin = o
		b.writeJobs(j)
		origins = append(origins, string(o))
	}
	for _, list := range [][]string{outcomes, origins, heard} {
		slices.Sort(list)
	}
	same(b, "the outcomes in run_minions", v.column(b, "SELECT DISTINCT outcome FROM "+v.View("run_minions")+" WHERE minion LIKE 'every%'"), outcomes)
	same(b, "the outcomes in returns", v.column(b, "SELECT DISTINCT outcome FROM "+v.View("returns")+" WHERE minion LIKE 'every%'"), heard)
	same(b, "the sources", v.column(b, "SELECT DISTINCT source FROM "+v.View("returns")), []string{"bus", "cache"})
	same(b, "the origins", v.column(b, "SELECT DISTINCT origin FROM "+v.View("jobs")+" WHERE origin IS NOT NULL"), origins)
}

func viewsTellTimes(b *bench, v Viewed) {
	exact := time.Date(2026, 10, 25, 0, 59, 59, 987654000, time.UTC)
	r := newReturn(1, "web1")
	r.Stamp = exact
	early := newReturn(2, "web1")
	early.Stamp = time.Time{}
	b.writeReturns(r, early)
	where := fmt.Sprintf(" WHERE stamp_us >= %d", exact.UnixMicro())
	rows := v.rows(b, "returns", where)
	if len(rows) != 1 || !strings.Contains(rows[0], " | 2026-10-25T00:59:59.987654Z | ") {
		b.Errorf("the rows since %s are %q", exact, rows)
	}
	if rows := v.rows(b, "returns", " WHERE stamp IS NULL"); len(rows) != 1 {
		b.Errorf("the rows without a time are %q", rows)
	}
}

// rows are those of a view, sorted, each a line of its cells.
func (v Viewed) rows(b *bench, view, where string) []string {
	b.Helper()
	i := slices.IndexFunc(viewColumns, func(c struct{ view, columns string }) bool { return c.view == view })
	columns := strings.Split(viewColumns[i].columns, ", ")
	rows, err := v.DB.QueryContext(b.ctx(), "SELECT * FROM "+v.View(view)+where) //nolint:gosec // the names are this file's
	b.ok(err)
	defer func() { b.ok(rows.Close()) }()
	lines := []string{}
	for rows.Next() {
		cells, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		b.ok(rows.Scan(into...))
		line := make([]string, len(columns))
		for i := range cells {
			line[i] = cell(b.typed(cells[i], columns[i]))
		}
		lines = append(lines, strings.Join(line, " | "))
	}
	b.ok(rows.Err())
	slices.Sort(lines)
	return lines
}

// typed makes of what SQLite has for booleans and times what they are.
func (b *bench) typed(value any, column string) any {
	b.Helper()
	_, kind, _ := strings.Cut(column, " ")
	switch x := value.(type) {
	case int64:
		if kind == "boolean" {
			return x != 0
		}
	case string:
		if kind == "time" {
			t, err := time.Parse("2006-01-02T15:04:05.000000Z", x)
			b.ok(err)
			return t
		}
	}
	return value
}

func (v Viewed) column(b *bench, query string) []string {
	b.Helper()
	rows, err := v.DB.QueryContext(context.WithoutCancel(b.ctx()), query)
	b.ok(err)
	defer func() { b.ok(rows.Close()) }()
	var list []string
	for rows.Next() {
		var s string
		b.ok(rows.Scan(&s))
		list = append(list, s)
	}
	b.ok(rows.Err())
	slices.Sort(list)
	return list
}

// micros is a time as the views' columns ending in _us have it; 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// wholeSize and wholeDigest tell of what only a part is kept; nothing of the rest.
func wholeSize(t *gaea.Truncation) any {
	if t == nil {
		return nil
	}
	return t.Size
}

func wholeDigest(t *gaea.Truncation) any {
	if t == nil {
		return nil
	}
	return t.SHA256
}

// together is how long states took, in microseconds; nothing where there are none.
func together(states []gaea.StateResult) any {
	if len(states) == 0 {
		return nil
	}
	var total int64
	for i := range states {
		total += int64(states[i].Duration * 1000)
	}
	return total
}

// inMicros are the microseconds of milliseconds that may not be known.
func inMicros(ms *float64) any {
	if ms == nil {
		return nil
	}
	return int64(math.Round(*ms * 1000))
}

// cell is a value as a text that is the same from either side; what is not there is empty.
func cell(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case time.Time:
		if x.IsZero() {
			return ""
		}
		return x.UTC().Format("2006-01-02T15:04:05.000000Z")
	case *int:
		if x == nil {
			return ""
		}
		return fmt.Sprint(*x)
	case *bool:
		if x == nil {
			return ""
		}
		return fmt.Sprint(*x)
	default:
		return fmt.Sprint(x)
	}
}
