package command

import (
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type runsCommand struct {
	remote
	Output     string         `short:"o" help:"table for people (default on a terminal), tsv with a header line (default elsewhere), csv, or json." enum:"table,json,csv,tsv," default:"" placeholder:"table|json|csv|tsv"`
	Master     string         `help:"Only runs of this master's minions." placeholder:"MASTER"`
	Active     bool           `help:"Only runs that have not ended."`
	Status     gaea.RunStatus `help:"Only runs that stand so: ${enum}" enum:"${statuses}," default:"" placeholder:"STATUS"`
	Assignment string         `help:"Only checks and enforcing runs of this assignment." placeholder:"NAME"`
	Actions    bool           `help:"Also the runs that carry out other runs' actions."`
	Parent     string         `help:"Only runs that belong to this one: its actions, and its check." placeholder:"RUN"`
	RetryOf    string         `help:"Only runs that repeat this one." placeholder:"RUN"`
	Limit      int            `short:"n" help:"How many, newest first, up to 1000." default:"20"`
}

// Help is printed above the list of arguments.
func (*runsCommand) Help() string {
	return `Examples:
  jobd runs --active
  jobd runs --status halted -n 5
  jobd runs --parent run-01kz
  jobd runs | cut -f1,6          # where it is read by a program: tab-separated, with the API's own words`
}

// Run lists runs.
func (c *runsCommand) Run(w *world) error {
	if c.Limit < 1 || c.Limit > 1000 {
		return usageError("--limit must be between 1 and 1000")
	}
	f := format{Output: c.Output}
	if f.Output == "" {
		f.Output = "tsv"
		if w.OnTerminal {
			f.Output = "table"
		}
	}
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	page, err := client.ListRuns(w.ctx, gaea.RunFilter{
		Master: c.Master, Active: c.Active, Status: c.Status, Assignment: c.Assignment, Parent: c.Parent, RetryOf: c.RetryOf, NoActions: !c.Actions && c.Parent == "",
	}, gaea.PageRequest{Limit: c.Limit})
	if err != nil {
		return err
	}
	if len(page.Items) == 0 && f.Output == "table" {
		w.note("There are no such runs.\n")
		return nil
	}
	rows := make([][]string, len(page.Items))
	for i := range page.Items {
		r := &page.Items[i]
		rows[i] = []string{
			r.ID, string(r.Kind), r.Assignment, r.Function, f.target(r.Target), word(f, r.Status), f.counts(r.Counts), r.User, f.time(r.Created),
		}
	}
	return f.rows(w.Stdout, page, []string{"run", "kind", "assignment", "function", "target", "status", "minions", "user", "created"}, rows)
}
