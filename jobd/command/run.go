package command

import (
	"strings"

	"github.com/google/uuid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type runCommand struct {
	remote
	format
	Function    string        `arg:"" help:"Execution function, for example test.ping or state.apply."`
	Args        []string      `arg:"" optional:"" help:"Arguments as the salt command takes them: values are read as YAML, NAME=VALUE is a keyword argument."`
	Target      string        `short:"t" help:"Which minions; for type list, ids with commas between." placeholder:"TARGET" xor:"target"`
	Group       string        `short:"g" help:"A target group instead: NAME or NAME@DIGEST." placeholder:"GROUP" xor:"target"`
	TargetType  string        `help:"Salt's target type: ${enum}." enum:"glob,compound,list,pcre,grain,grain_pcre,pillar,pillar_pcre,pillar_exact,nodegroup,range,ipcidr" default:"glob"`
	Template    string        `help:"A job template for what is not said here." placeholder:"TEMPLATE"`
	Batch       gaea.Amount   `short:"b" help:"Run in slices of this many minions: 5 or 10%." placeholder:"SIZE"`
	Timeout     gaea.Duration `help:"How long the whole run may take (default 30m)." placeholder:"30m"`
	Gather      gaea.Duration `help:"How long a minion may take to say whether it still runs the job (default 5s)." placeholder:"5s"`
	AllowEmpty  bool          `help:"A target that matches no minion is no error."`
	Watch       bool          `short:"w" help:"Stay until the run ends, and show how it goes. Ctrl-C leaves the run going."`
	Returns     bool          `short:"r" help:"Stay until the run ends, and print what each minion returned."`
	Idempotency string        `name:"idempotency-key" help:"The same key gives the same run, however often it is asked for." placeholder:"KEY"`
}

// Help is printed above the list of arguments.
func (*runCommand) Help() string {
	return `Examples:
  jobd run test.ping -t '*' --watch
  jobd run cmd.run 'uptime' -t 'web*' --returns
  jobd run state.apply nginx test=True -t 'G@role:web' --target-type compound -b 10% -w
  jobd run state.apply nginx -g web -b 1 -w

Without --watch it prints the run's id and comes back: see jobd show, jobd cancel.`
}

// Run asks for the run and, with --watch or --returns, stays to its end.
func (c *runCommand) Run(w *world) error {
	req, err := c.request()
	if err != nil {
		return err
	}
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	key := c.Idempotency
	if key == "" {
		key = uuid.NewString()
	}
	run, err := client.CreateRun(w.ctx, req, key)
	if err != nil {
		if w.ctx.Err() != nil {
			w.note("\njobd may have taken the run all the same: look with jobd runs\n")
			return exitError(ExitFailed)
		}
		return err
	}
	if c.Watch || c.Returns {
		return watch(w, client, run, c.format, c.Returns)
	}
	switch c.Output {
	case "json":
		return printJSON(w.stdout, run)
	default:
		w.printf("%s\n", run.ID)
		w.note("Watch it with: jobd show --watch %s\n", run.ID)
		return nil
	}
}

func (c *runCommand) request() (gaea.RunRequest, error) {
	args, kwargs := parseArguments(c.Args)
	req := gaea.RunRequest{
		Function: c.Function, Args: args, Kwargs: kwargs, TargetGroup: c.Group, JobTemplate: c.Template,
		Batch: gaea.Batch{Size: c.Batch}, Timeouts: gaea.Timeouts{Job: c.Timeout, Gather: c.Gather}, AllowEmpty: c.AllowEmpty,
	}
	switch {
	case c.Group != "":
	case c.Target == "":
		return req, usageError("say on which minions: --target '*', or --group NAME")
	case c.TargetType == string(gaea.TargetList):
		req.Target = gaea.ListTarget(strings.FieldsFunc(c.Target, func(r rune) bool { return r == ',' || r == ' ' }))
	default:
		req.Target = gaea.Target{Type: gaea.TargetType(c.TargetType), Expr: c.Target}
	}
	return req, nil
}

type showCommand struct {
	remote
	format
	ID      string `arg:"" name:"run" help:"The run's id, as jobd run and jobd runs print it."`
	Watch   bool   `short:"w" help:"Stay until the run ends. Ctrl-C leaves the run going."`
	Returns bool   `short:"r" help:"Also print what each minion returned."`
}

// Help is printed above the list of arguments.
func (*showCommand) Help() string {
	return "The exit code is 0 while the run goes on and where it succeeded, 3 where it did not."
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
		return err
	}
	if c.Watch && !run.Complete() {
		return watch(w, client, run, c.format, c.Returns)
	}
	return showRun(w, client, run, c.format, c.Returns)
}

type cancelCommand struct {
	remote
	format
	ID string `arg:"" name:"run" help:"The run's id, as jobd run and jobd runs print it."`
}

// Help is printed above the list of arguments.
func (*cancelCommand) Help() string {
	return "Nothing more is published, what runs is killed, and each minion is asked whether the job is gone. Stays until that is known; " +
		"the exit code is 0 where the run was cancelled."
}

// Run cancels the run and stays until every kill is verified.
func (c *cancelCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	run, err := client.CancelRun(w.ctx, c.ID, gaea.CancelRequest{})
	if err != nil {
		return err
	}
	if run.Status.Final() {
		w.note("The run had ended already; nothing was stopped.\n")
	} else {
		status := newStatus(w)
		run, err = client.WaitRun(w.ctx, run.ID, status.show)
		status.end()
		if err != nil && w.ctx.Err() != nil {
			w.note("The run goes on being cancelled. See how it ends with: jobd show %s\n", c.ID)
			return exitError(ExitFailed)
		}
		if err != nil {
			return err
		}
	}
	err = showRun(w, client, run, c.format, false)
	if run.Status == gaea.RunCancelled {
		return nil
	}
	return err
}

type runsCommand struct {
	remote
	format
	Active     bool   `help:"Only runs that have not ended."`
	Assignment string `help:"Only checks and enforcing runs of this assignment." placeholder:"NAME"`
	Limit      int    `short:"n" help:"How many, newest first, up to 1000." default:"20"`
}

// Run lists runs.
func (c *runsCommand) Run(w *world) error {
	if c.Limit < 1 || c.Limit > 1000 {
		return usageError("--limit must be between 1 and 1000")
	}
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	defer client.Close()
	page, err := client.ListRuns(w.ctx, gaea.RunFilter{Active: c.Active, Assignment: c.Assignment, NoActions: true}, gaea.PageRequest{Limit: c.Limit})
	if err != nil {
		return err
	}
	if len(page.Items) == 0 && c.Output == "table" {
		w.note("There are no such runs.\n")
		return nil
	}
	rows := make([][]string, len(page.Items))
	for i := range page.Items {
		r := &page.Items[i]
		rows[i] = []string{
			r.ID, string(r.Kind), r.Assignment, r.Function, c.target(r.Target), word(c.format, r.Status), c.counts(r.Counts), r.User, c.time(r.Created),
		}
	}
	return c.rows(w.stdout, page, []string{"run", "kind", "assignment", "function", "target", "status", "minions", "user", "created"}, rows)
}
