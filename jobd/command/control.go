package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// ofRun adds to an error about a run how to go on.
func ofRun(err error, id string) error {
	e, ok := errors.AsType[*gaea.Error](err)
	if !ok {
		return err
	}
	next := ""
	switch e.Code {
	case gaea.CodeNotFound:
		next = "jobd runs"
	case gaea.CodeConflict:
		next = "jobd show " + id
	default:
	}
	if next == "" || strings.Contains(e.Message, next) {
		return inFlags(err)
	}
	told := *e
	told.Message = fmt.Sprintf("%s; look with: %s", e.Message, next)
	return &told
}

type cancelCommand struct {
	remote
	format
	ID    string        `arg:"" name:"run" help:"The run's id, as jobd run and jobd runs print it."`
	Grace gaea.Duration `help:"Ask the jobs to end (SIGTERM) and kill what is left of them when this has passed; up to 10m. Killed at once when absent." placeholder:"30s"`
	Wait  bool          `help:"Stay until every kill is verified." default:"true" negatable:""`
}

// Help is printed above the list of arguments.
func (*cancelCommand) Help() string {
	return `Nothing more is published, what runs is killed, and each minion is asked whether the job is gone. Stays until that is
known, but for --no-wait. The exit code is 0 where the run was cancelled, and 4 where this left before that was known. A
second cancel gives up what comes after the run: post-actions that are still at work.

Examples:
  jobd cancel run-01kz
  jobd cancel run-01kz --grace 30s
  jobd cancel run-01kz --no-wait`
}

// Run cancels the run and stays until every kill is verified.
func (c *cancelCommand) Run(w *world) error {
	if c.Grace > gaea.MaxGrace {
		return usageError(fmt.Sprintf("--grace: %s is too long; give up to %s", c.Grace, gaea.MaxGrace))
	}
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	run, err := client.CancelRun(w.ctx, c.ID, gaea.CancelRequest{Grace: c.Grace})
	if err != nil {
		return ofRun(err, c.ID)
	}
	switch {
	case run.Status == gaea.RunCancelled: // by this, where the run was queued or paused, or long before
		w.note("Nothing of the run is at work.\n")
	case run.Status.Final():
		w.note("The run had ended already; nothing was stopped.\n")
	case !c.Wait:
		if c.Output == "json" {
			return printJSON(w.Stdout, run)
		}
		w.note("The run is being cancelled. See how it ends with: jobd show --watch %s\n", c.ID)
		return nil
	default:
		v := watch{w: w, client: client, format: c.format, policy: interruptLeaves}
		if run, err = v.stay(run); err != nil {
			return err
		}
	}
	err = showRun(w.ctx, w, client, run, c.format, false, false)
	if run.Status != gaea.RunCancelled {
		return err
	}
	var exit exitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

type pauseCommand struct {
	remote
	format
	ID string `arg:"" name:"run" help:"The run's id, as jobd run and jobd runs print it."`
}

// Help is printed above the list of arguments.
func (*pauseCommand) Help() string {
	return `What the minions have begun goes on to its end, and nothing more begins. Time that a run is paused does not count
against its timeout. A run that has ended, or whose end is decided, cannot be paused.

Example:
  jobd pause run-01kz && jobd show --watch run-01kz`
}

// Run pauses the run.
func (c *pauseCommand) Run(w *world) error {
	return control(w, &c.remote, c.format, c.ID, (*jobdclient.Client).PauseRun, func(r *gaea.Run) string {
		switch r.Status {
		case gaea.RunPaused:
			return fmt.Sprintf("%s is paused. Go on with: jobd resume %s", r.ID, r.ID)
		case gaea.RunQueued:
			return fmt.Sprintf("%s pauses before it begins. Take it back with: jobd resume %s", r.ID, r.ID)
		default:
			return fmt.Sprintf("%s pauses when what runs has ended. Take it back with: jobd resume %s", r.ID, r.ID)
		}
	})
}

type resumeCommand struct {
	remote
	format
	ID string `arg:"" name:"run" help:"The run's id, as jobd run and jobd runs print it."`
}

// Help is printed above the list of arguments.
func (*resumeCommand) Help() string {
	return `Ends a pause that somebody asked for, and the hold after a canary with --canary-hold manual.

Example:
  jobd resume run-01kz && jobd show --watch run-01kz`
}

// Run resumes the run.
func (c *resumeCommand) Run(w *world) error {
	return control(w, &c.remote, c.format, c.ID, (*jobdclient.Client).ResumeRun, func(r *gaea.Run) string {
		return fmt.Sprintf("%s goes on. Watch it with: jobd show --watch %s", r.ID, r.ID)
	})
}

// control does one thing to a run and says what came of it.
func control(w *world, to *remote, f format, id string, do func(*jobdclient.Client, context.Context, string) (*gaea.Run, error), told func(*gaea.Run) string) error {
	client, err := to.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	run, err := do(client, w.ctx, id)
	if err != nil {
		return ofRun(err, id)
	}
	switch f.Output {
	case "json":
		return printJSON(w.Stdout, run)
	case "tsv", "csv":
		return f.rows(w.Stdout, run, []string{"run", "status"}, [][]string{{run.ID, string(run.Status)}})
	default:
		w.printf("%s\n", told(run))
		return nil
	}
}
