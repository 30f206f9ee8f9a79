package command

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type retryCommand struct {
	remote
	format
	staying
	ID          string         `arg:"" name:"run" help:"The id of a run that has ended."`
	Outcomes    []gaea.Outcome `name:"outcome" help:"Only minions that ended so, with commas between (default failed,could_not_run,no_return,unreachable)." placeholder:"OUTCOME"`
	Idempotency string         `name:"idempotency-key" help:"The same key gives the same run, however often it is asked for." placeholder:"KEY"`
}

// Help is printed above the list of arguments.
func (*retryCommand) Help() string {
	return `A new run of the same function with the same arguments, slices, limits, lock and actions, on those minions of the run that
ended with the outcomes given. It is linked to the run that it repeats: jobd show tells of both.

Examples:
  jobd retry run-01kz --watch
  jobd retry run-01kz --outcome no_return,unreachable
  jobd retry run-01kz --outcome skipped,killed -w

` + stayHelp
}

// Run asks for the new run and, with --watch or --returns, stays to its end.
func (c *retryCommand) Run(w *world) error {
	for _, o := range c.Outcomes {
		if !o.Final() || !slices.Contains(gaea.Outcomes(), o) {
			return usageError(fmt.Sprintf("--outcome: %q is no outcome that a minion ends with; choose of %s", o, joined(finalOutcomes())))
		}
	}
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	run, err := client.RetryRun(w.ctx, c.ID, gaea.RetryRequest{Outcomes: c.Outcomes}, cmp.Or(c.Idempotency, uuid.NewString()))
	if err != nil {
		return ofRun(w.notCreated(err), c.ID)
	}
	return c.accepted(w, client, run, c.format)
}

func finalOutcomes() []gaea.Outcome {
	return slices.DeleteFunc(gaea.Outcomes(), func(o gaea.Outcome) bool { return !o.Final() })
}
