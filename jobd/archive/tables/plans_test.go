package tables_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// Lists are read in the order of an index, a page at a time: a plan that sorts reads everything first. These are SQLite's plans.
func TestListsAreReadInTheOrderOfAnIndex(t *testing.T) {
	s := newStore(t)
	var b archive.Batch
	for n := range tables.FewJobs + 10 {
		b.Jobs = append(b.Jobs, gaea.Job{
			JID: fmt.Sprint(n), Function: "state.apply", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, User: "root", RunID: "run", Minions: []string{"web1"},
			Known: true, Started: time.Unix(int64(n), 0),
		})
		b.Returns = append(b.Returns, gaea.Return{JID: fmt.Sprint(n), Minion: "web1", Function: "state.apply", Outcome: gaea.OutcomeInSync, Stamp: time.Unix(int64(n), 0)})
	}
	if err := s.WriteBatch(t.Context(), "salt", b); err != nil {
		t.Fatal(err)
	}
	since := time.Unix(1, 0)
	for _, row := range []struct {
		f             gaea.JobFilter
		jobs, returns string
	}{
		{gaea.JobFilter{}, "jobs_started", "returns_stamp"},
		{gaea.JobFilter{Master: "salt"}, "jobs_started", "returns_stamp"},
		{gaea.JobFilter{Since: since}, "jobs_started", "returns_stamp"},
		{gaea.JobFilter{Minion: "web1"}, "jobs_started", "returns_minion"},
		{gaea.JobFilter{Minion: "web1", Master: "salt", Since: since}, "jobs_started", "returns_minion"},
		{gaea.JobFilter{Function: "state.apply"}, "jobs_function", "returns_stamp"},
		{gaea.JobFilter{Function: "state.*"}, "jobs_started", "returns_stamp"},
		{gaea.JobFilter{User: "root"}, "jobs_user", "returns_stamp"},
		{gaea.JobFilter{Target: "*"}, "jobs_target", "returns_stamp"},
		{gaea.JobFilter{RunID: "run"}, "jobs_run", "returns_stamp"},
		{gaea.JobFilter{Outcome: gaea.OutcomeInSync}, "jobs_started", "returns_outcome"},
	} {
		for _, after := range []*archive.Cursor{nil, {Numbers: []int64{1, 2, 3}}} {
			if err := s.Read(t.Context(), func(q tables.Query) error {
				var two *archive.Cursor
				if after != nil {
					two = &archive.Cursor{Numbers: after.Numbers[:2]}
				}
				text, args, err := tables.JobsQuery(q, row.f, two)
				if err != nil {
					return err
				}
				checkPlan(t, q, fmt.Sprintf("jobs of %+v", row.f), row.jobs, text, args)
				if text, args, err = tables.ReturnsQuery(q, row.f, after); err != nil {
					return err
				}
				checkPlan(t, q, fmt.Sprintf("returns of %+v", row.f), row.returns, text, args)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The lists of runs, each with a page after the first.
func TestListsOfRunsAreReadInTheOrderOfAnIndex(t *testing.T) {
	s := newStore(t)
	since := time.Unix(1, 0)
	for _, row := range []struct {
		f     gaea.RunFilter
		index string
	}{
		{gaea.RunFilter{}, "runs_created"},
		{gaea.RunFilter{Since: since, Status: gaea.RunFailed}, "runs_created"},
		{gaea.RunFilter{NoActions: true}, "runs_asked"},
		{gaea.RunFilter{NoActions: true, Since: since, User: "ann"}, "runs_asked"},
		{gaea.RunFilter{Kind: gaea.RunJob}, "runs_asked"},
		{gaea.RunFilter{Kind: gaea.RunForAction}, "runs_created"},
		{gaea.RunFilter{Assignment: "motd"}, "runs_assignment"},
		{gaea.RunFilter{Assignment: "motd", NoActions: true, Kind: gaea.RunCheck, Since: since}, "runs_assignment"},
		{gaea.RunFilter{Parent: "run"}, "runs_parent"},
		{gaea.RunFilter{Parent: "run", NoActions: true}, "runs_parent"},
		{gaea.RunFilter{Parent: "run", Kind: gaea.RunForAction, Since: since}, "runs_parent"},
		{gaea.RunFilter{RetryOf: "run"}, "runs_retry_of"},
		{gaea.RunFilter{RetryOf: "run", NoActions: true}, "runs_retry_of"},
		{gaea.RunFilter{Active: true}, "runs_active"},
		{gaea.RunFilter{Active: true, NoActions: true, User: "ann"}, "runs_active"},
	} {
		for _, after := range []*archive.Cursor{nil, {Numbers: []int64{1}, Texts: []string{"run"}}} {
			if err := s.Read(t.Context(), func(q tables.Query) error {
				text, args := tables.RunsQuery(q, row.f, after)
				checkPlan(t, q, fmt.Sprintf("runs of %+v", row.f), row.index, text, args)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The questions, each with a page after the first. What is asked with 50 states, or one, or none has plans of its own.
func TestQuestionsAreAnsweredInTheOrderOfAnIndex(t *testing.T) {
	s := newStore(t)
	var b archive.Batch
	b.Jobs = append(b.Jobs, gaea.Job{JID: "1", Function: "state.apply", Minions: []string{"web1", "web2"}, Known: true, Started: time.Unix(1, 0)})
	b.Returns = append(b.Returns, archivetest.StateReturn("1", "web1", 1, 1, 1, time.Unix(1, 0)))
	if err := s.WriteBatch(t.Context(), "salt", b); err != nil {
		t.Fatal(err)
	}
	since := time.Unix(1, 0)
	part := "/etc/app.d/web1/part-0.conf"
	for _, row := range []struct {
		name, index string
		query       func(q tables.Query, after *archive.Cursor) (string, []any, error)
	}{
		{"history", "returns_minion", tables.HistoryQuery(gaea.HistoryFilter{Minion: "web1", Since: since, Function: "state.*"})},
		{"history by outcome", "returns_minion", tables.HistoryQuery(gaea.HistoryFilter{Minion: "web1", Outcome: gaea.OutcomeFailed, Master: "salt"})},
		{"history of what is silent", "open_jobs_started", tables.SilentQuery(gaea.HistoryFilter{Minion: "web1", Since: since})},
		{"running jobs", "open_jobs_started", tables.RunningQuery(gaea.JobFilter{Running: true, Since: since, Master: "salt", User: "root", Function: "state.apply"})},
		{"states", " l", tables.StatesQuery(gaea.StateFilter{})},
		{"states of a minion", "PRIMARY KEY", tables.StatesQuery(gaea.StateFilter{Minion: "web1", SLS: "app.parts", State: part, Function: "file.managed", Master: "salt"})},
		{"states by outcome", "state_latest_unclean", tables.StatesQuery(gaea.StateFilter{Outcome: gaea.OutcomeFailed, SLS: "app.parts"})},
		{"states of an SLS file", "states_sls", tables.StatesQuery(gaea.StateFilter{SLS: "app.parts", Outcome: gaea.OutcomeInSync, Since: since})},
		{"changes of a state", "state_results_state", tables.ChangesQuery(gaea.StateFilter{State: part, Since: since, Master: "salt"})},
		{"changes of an SLS file", "state_results_state", tables.ChangesQuery(gaea.StateFilter{SLS: "app.parts"})},
		{"changes on a minion", "returns_minion", tables.ChangesQuery(gaea.StateFilter{Minion: "web1", State: part, Since: since})},
		{"slow states of a day", "slow_states_day", tables.SlowQuery(gaea.SlowStateFilter{Master: "salt"})},
		{"durations", "PRIMARY KEY", tables.DurationsQuery(gaea.RunDurationFilter{Applied: "app", Since: since, Until: since, Master: "salt"})},
	} {
		for _, numbers := range [][]int64{nil, {9e15, 9, 9, 9}} {
			if err := s.Read(t.Context(), func(q tables.Query) error {
				var after *archive.Cursor
				if numbers != nil {
					after = &archive.Cursor{Numbers: numbers}
				}
				text, args, err := row.query(q, after)
				if err == nil {
					checkPlan(t, q, row.name, row.index, text, args)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What failed is gathered by minion, and only what failed is read for it.
func TestFailuresAreReadByAnIndexOfWhatFailed(t *testing.T) {
	s := newStore(t)
	const index = "state_results_state (state_id=? AND outcome=? AND stamp>?)"
	for _, states := range []int{1, 2, 100} {
		if err := s.Read(t.Context(), func(q tables.Query) error {
			ids := make([]any, states)
			for i := range ids {
				ids[i] = int64(i)
			}
			text, args, err := tables.FailedQuery(q, gaea.StateFilter{SLS: "nginx", Since: time.Unix(1, 0)}, ids)
			if err != nil {
				return err
			}
			if plan := strings.Join(planOf(t, q, text, args), "\n"); !strings.Contains(plan, index) {
				t.Errorf("failures of %d states should be read by %s; the plan is\n%s", states, index, plan)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	key, err := archive.OpenKeyFile(t.TempDir() + "/key")
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), t.TempDir()+"/jobd.db", key, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func checkPlan(t *testing.T, q tables.Query, what, index, text string, args []any) {
	t.Helper()
	steps := planOf(t, q, text, args)
	plan := strings.Join(steps, "\n")
	sorts := strings.Contains(strings.ReplaceAll(plan, "TEMP B-TREE FOR LAST TERM", ""), "TEMP B-TREE") // few rows have all terms but the last in common
	if sorts || !strings.Contains(steps[0], index) {
		t.Errorf("%s should be read by %s, without sorting; the plan is\n%s", what, index, plan)
	}
}

func planOf(t *testing.T, q tables.Query, text string, args []any) (steps []string) {
	t.Helper()
	err := q.Each(`EXPLAIN QUERY PLAN `+text, func(row tables.Scanner) error {
		var id, parent, unused int
		var step string
		err := row.Scan(&id, &parent, &unused, &step)
		steps = append(steps, step)
		return err
	}, append(args, 100)...)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}
