package sqlite

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// Lists are read in the order of an index, a page at a time: a plan that sorts reads everything first. This looks at SQLite's
// plans and so stands inside the package.
func TestListsAreReadInTheOrderOfAnIndex(t *testing.T) {
	key, err := archive.OpenKeyFile(t.TempDir() + "/key")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), t.TempDir()+"/jobd.db", key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b archive.Batch
	for n := range fewJobs + 10 {
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
			if err := s.read(t.Context(), func(q query) error {
				c, err := jobConditions(q, row.f)
				if err != nil {
					return err
				}
				if after != nil {
					c.after(&archive.Cursor{Numbers: after.Numbers[:2]}, "j.started", "j.id")
				}
				checkPlan(t, q, fmt.Sprintf("jobs of %+v", row.f), row.jobs, jobsQuery(&c), &c)
				if c, err = returnConditions(q, row.f); err != nil {
					return err
				}
				c.after(after, "r.stamp", "r.job_id", "r.minion_id")
				checkPlan(t, q, fmt.Sprintf("returns of %+v", row.f), row.returns, returnsQuery(&c, true), &c)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func checkPlan(t *testing.T, q query, what, index, text string, c *conditions) {
	t.Helper()
	var steps []string
	err := q.each(`EXPLAIN QUERY PLAN `+text, func(row scanner) error {
		var id, parent, unused int
		var step string
		err := row.Scan(&id, &parent, &unused, &step)
		steps = append(steps, step)
		return err
	}, append(c.args, 100)...)
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(steps, "\n")
	if strings.Contains(plan, "TEMP B-TREE") || !strings.Contains(steps[0], "INDEX "+index) {
		t.Errorf("%s should be read by %s, without sorting; the plan is\n%s", what, index, plan)
	}
}
