package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

type showCommand struct {
	remote
	format
	ID      string `arg:"" name:"run" help:"The run's id, as jobd run and jobd runs print it."`
	Watch   bool   `short:"w" help:"Stay until the run ends, and show how it goes. Ctrl-C leaves; the run goes on."`
	Returns bool   `short:"r" help:"Also print what each minion returned."`
	All     bool   `short:"a" help:"Name every minion and every slice, however many there are."`
}

// Help is printed above the list of arguments.
func (*showCommand) Help() string {
	return `Tells how each minion ended and why, the slices, the actions before and after with their tries, what the run waits for, and
which runs repeat it. The exit code is 0 while the run goes on and where it succeeded, 1 where it failed, was halted or
timed out, 3 where it was cancelled, and 4 where --watch left before the end. With --watch -o json each change is an
object on a line of its own, and the last line is the run.

Examples:
  jobd show run-01kz
  jobd show run-01kz --watch
  jobd show run-01kz --all --returns
  jobd show run-01kz -o json`
}

// Run shows one run.
func (c *showCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	run, err := client.GetRun(w.ctx, c.ID)
	if err != nil {
		return ofRun(err, c.ID)
	}
	v := watch{w: w, client: client, format: c.format, returns: c.Returns, all: c.All, events: c.Watch && c.Output == "json", policy: interruptDetaches}
	if c.Watch && !run.Complete() {
		return v.show(run)
	}
	return v.print(run)
}

// showRun prints a run whole. A run that ended badly ends jobd with the code for that.
func showRun(ctx context.Context, w *world, client *jobdclient.Client, r *gaea.Run, f format, withReturns, all bool) error {
	var (
		returns []gaea.Return
		retries []gaea.Run
		err     error
	)
	if withReturns {
		if returns, err = returnsOf(ctx, client, r); err != nil {
			return err
		}
	}
	if f.Output == "table" {
		if r.Status.Final() {
			if retries, err = retriesOf(ctx, client, r); err != nil {
				return err
			}
		}
		s := sheet{w: w, run: r, all: all, now: time.Now()}
		err = s.print(retries, returns)
	} else {
		err = printRunRows(w, r, f, withReturns, returns)
	}
	if err != nil {
		return err
	}
	return codeOf(r.Status)
}

// codeOf is the exit code for a run that stands so.
func codeOf(s gaea.RunStatus) error {
	switch s {
	case gaea.RunFailed, gaea.RunHalted, gaea.RunTimedOut:
		return exitError(ExitFailed)
	case gaea.RunCancelled:
		return exitError(ExitCancelled)
	default:
		return nil
	}
}

// retriesOf are the runs that repeat a run, the oldest first.
func retriesOf(ctx context.Context, client *jobdclient.Client, r *gaea.Run) ([]gaea.Run, error) {
	page, err := client.ListRuns(ctx, gaea.RunFilter{RetryOf: r.ID, NoActions: true}, gaea.PageRequest{})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(page.Items, func(a, b gaea.Run) int { return a.Created.Compare(b.Created) })
	return page.Items, nil
}

func printRunRows(w *world, r *gaea.Run, f format, withReturns bool, returns []gaea.Return) error {
	header := []string{"minion", "outcome", "jid", "late", "why"}
	bodies := map[string]string{}
	var value any = r
	if withReturns {
		header = append(header, "return")
		value = runWithReturns{Run: r, Returns: returns}
		for i := range returns {
			bodies[returns[i].Minion] = string(returns[i].Body)
		}
	}
	var rows [][]string
	for _, id := range slices.Sorted(maps.Keys(r.Minions)) {
		m := r.Minions[id]
		row := []string{id, string(m.Outcome), m.JID, fmt.Sprint(m.Late), m.Message}
		if withReturns {
			row = append(row, bodies[id])
		}
		rows = append(rows, row)
	}
	return f.rows(w.Stdout, value, header, rows)
}
