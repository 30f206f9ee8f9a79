package tables_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
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
	var steps []string
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
	plan := strings.Join(steps, "\n")
	if strings.Contains(plan, "TEMP B-TREE") || !strings.Contains(steps[0], "INDEX "+index) {
		t.Errorf("%s should be read by %s, without sorting; the plan is\n%s", what, index, plan)
	}
}
