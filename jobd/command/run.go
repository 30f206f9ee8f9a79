package command

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

type runCommand struct {
	remote
	format
	Function    string        `arg:"" help:"Execution function, for example test.ping or state.apply."`
	Args        []string      `arg:"" optional:"" help:"Arguments as the salt command takes them: values are read as YAML, NAME=VALUE is a keyword argument."`
	Target      string        `short:"t" help:"Which minions; for type list, ids with commas between." placeholder:"TARGET" xor:"target" required:""`
	Group       string        `short:"g" help:"A target group instead: NAME or NAME@DIGEST." placeholder:"GROUP" xor:"target" required:""`
	TargetType  string        `help:"Salt's target type: ${enum}." enum:"glob,compound,list,pcre,grain,grain_pcre,pillar,pillar_pcre,pillar_exact,nodegroup,range,ipcidr" default:"glob"`
	Template    string        `help:"A job template for what is not said here." placeholder:"TEMPLATE"`
	Batch       gaea.Amount   `short:"b" help:"Run in slices of this many minions: 5 or 10%." placeholder:"SIZE"`
	Timeout     gaea.Duration `help:"How long the whole run may take (default 30m)." placeholder:"30m"`
	Gather      gaea.Duration `help:"How long a minion may take to say whether it still runs the job (default 5s)." placeholder:"5s"`
	AllowEmpty  bool          `help:"A target that matches no minion is no error."`
	Watch       bool          `short:"w" help:"Stay until the run ends, and show how it goes. Ctrl-C leaves the run going."`
	Idempotency string        `name:"idempotency-key" help:"The same key gives the same run, however often it is asked for." placeholder:"KEY"`
}

// Run asks for the run and, with --watch, stays to its end.
func (c *runCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	args, kwargs := parseArguments(c.Args)
	req := gaea.RunRequest{
		Function: c.Function, Args: args, Kwargs: kwargs, TargetGroup: c.Group, JobTemplate: c.Template,
		Batch: gaea.Batch{Size: c.Batch}, Timeouts: gaea.Timeouts{Job: c.Timeout, Gather: c.Gather}, AllowEmpty: c.AllowEmpty,
	}
	switch {
	case c.Group != "":
	case c.TargetType == string(gaea.TargetList):
		req.Target = gaea.ListTarget(strings.FieldsFunc(c.Target, func(r rune) bool { return r == ',' }))
	default:
		req.Target = gaea.Target{Type: gaea.TargetType(c.TargetType), Expr: c.Target}
	}
	key := c.Idempotency
	if key == "" {
		key = uuid.NewString()
	}
	run, err := client.CreateRun(w.ctx, req, key)
	if err != nil {
		return err
	}
	if !c.Watch {
		if c.Output == "json" {
			return printJSON(w.stdout, run)
		}
		w.printf("%s\n", run.ID)
		w.note("Watch it with: jobd show --watch %s\n", run.ID)
		return nil
	}
	return watch(w, client, run, c.format)
}

type showCommand struct {
	remote
	format
	ID    string `arg:"" name:"run" help:"The run's id."`
	Watch bool   `short:"w" help:"Stay until the run ends."`
}

// Run shows one run.
func (c *showCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	run, err := client.GetRun(w.ctx, c.ID)
	if err != nil {
		return err
	}
	if c.Watch && !run.Complete() {
		return watch(w, client, run, c.format)
	}
	return showRun(w, run, c.format)
}

type cancelCommand struct {
	remote
	format
	ID string `arg:"" name:"run" help:"The run's id."`
}

// Run cancels the run and stays until every kill is verified.
func (c *cancelCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	run, err := client.CancelRun(w.ctx, c.ID)
	if err != nil {
		return err
	}
	if run, err = client.WaitRun(w.ctx, run.ID, progress(w)); err != nil {
		return err
	}
	if err := showRun(w, run, c.format); err != nil && run.Status != gaea.RunCancelled {
		return err
	}
	return nil
}

type runsCommand struct {
	remote
	format
	Active     bool   `help:"Only runs that have not ended."`
	Assignment string `help:"Only checks and enforcing runs of this assignment." placeholder:"NAME"`
	Limit      int    `short:"n" help:"How many, newest first." default:"20"`
}

// Run lists runs.
func (c *runsCommand) Run(w *world) error {
	client, err := c.dial(w)
	if err != nil {
		return err
	}
	page, err := client.ListRuns(w.ctx, gaea.RunFilter{Active: c.Active, Assignment: c.Assignment}, gaea.PageRequest{Limit: c.Limit})
	if err != nil {
		return err
	}
	rows := make([][]string, len(page.Items))
	for i := range page.Items {
		r := &page.Items[i]
		rows[i] = []string{r.ID, string(r.Kind), r.Function, r.Target.String(), string(r.Status), counts(r.Counts), r.User, clock(r.Created)}
	}
	return c.rows(w.stdout, page, []string{"run", "kind", "function", "target", "status", "minions", "user", "created"}, rows)
}

func watch(w *world, client *jobdclient.Client, run *gaea.Run, f format) error {
	w.note("%s\n", run.ID)
	ended, err := client.WaitRun(w.ctx, run.ID, progress(w))
	if err != nil {
		if w.ctx.Err() != nil {
			w.note("\nThe run goes on. Watch it with: jobd show --watch %[1]s  Stop it with: jobd cancel %[1]s\n", run.ID)
			return exitError(ExitFailed)
		}
		return err
	}
	return showRun(w, ended, f)
}

// progress prints a line whenever the run has moved: over itself on a terminal, below one another elsewhere.
func progress(w *world) func(*gaea.Run) {
	last := ""
	return func(r *gaea.Run) {
		line := fmt.Sprintf("%s  %s  %s", r.Status, counts(r.Tally()), age(r))
		if r.Status.Final() && r.CheckState == gaea.CheckPending {
			line = "checking what is left  " + counts(r.Tally())
		}
		moved := string(r.Status) + counts(r.Tally()) + string(r.CheckState)
		if moved == last {
			return
		}
		last = moved
		if w.tty {
			w.note("\r\x1b[K%s", line)
			if r.Complete() {
				w.note("\r\x1b[K")
			}
			return
		}
		w.note("%s\n", line)
	}
}

func age(r *gaea.Run) string {
	end := r.Ended
	if end.IsZero() {
		end = time.Now()
	}
	return end.Sub(r.Created).Round(100 * time.Millisecond).String()
}

// counts writes "3 succeeded, 1 unreachable", or "-" where there are no minions yet.
func counts(c map[gaea.Outcome]int) string {
	var parts []string
	for _, o := range gaea.Outcomes() {
		if c[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c[o], words(o)))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func words[T ~string](s T) string { return strings.ReplaceAll(string(s), "_", " ") }

// showRun prints a run whole. A run that ended badly ends jobd with [ExitNotOK].
func showRun(w *world, r *gaea.Run, f format) error {
	minions := slices.Sorted(maps.Keys(r.Minions))
	rows := make([][]string, len(minions))
	for i, id := range minions {
		m := r.Minions[id]
		why := firstLine(m.Message)
		if m.Late {
			why = strings.TrimSpace("(late) " + why)
		}
		rows[i] = []string{id, words(m.Outcome), m.JID, why}
	}
	if f.Output == "table" {
		w.printf("%s  %s %s on %s: %s in %s\n", r.ID, r.Kind, r.Function, r.Target, words(r.Status), age(r))
		if r.Message != "" {
			w.printf("%s\n", r.Message)
		}
		w.printf("\n")
	}
	if err := f.rows(w.stdout, r, []string{"minion", "outcome", "jid", "why"}, rows); err != nil {
		return err
	}
	if r.Status.Final() && r.Status != gaea.RunSucceeded {
		return exitError(ExitNotOK)
	}
	return nil
}
