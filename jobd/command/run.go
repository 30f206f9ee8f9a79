package command

import (
	"cmp"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type runCommand struct {
	remote
	format
	staying
	slicing
	Function     string          `arg:"" help:"Execution function, for example test.ping or state.apply."`
	Args         []string        `arg:"" optional:"" help:"Arguments as the salt command takes them: values are read as YAML, NAME=VALUE is a keyword argument."`
	Target       string          `short:"t" help:"Which minions; for type list, ids with commas between." placeholder:"TARGET" xor:"target"`
	Group        string          `short:"g" help:"A target group instead: NAME or NAME@DIGEST." placeholder:"GROUP" xor:"target"`
	TargetType   string          `help:"Salt's target type: ${enum}." enum:"glob,compound,list,pcre,grain,grain_pcre,pillar,pillar_pcre,pillar_exact,nodegroup,range,ipcidr" default:"glob"`
	Master       string          `help:"The master whose minions are meant, by its name in jobd masters; that of the jobd that is asked when absent." placeholder:"MASTER"`
	Template     string          `help:"A job template for what is not said here: slices, limits, the lock and the actions before and after." placeholder:"TEMPLATE"`
	Timeout      gaea.Duration   `help:"How long the whole run may take (default 30m)." placeholder:"30m"`
	SliceTimeout gaea.Duration   `help:"How long one slice may take; what is silent then counts as no return, and the run goes on (default: no limit)." placeholder:"5m"`
	Gather       gaea.Duration   `help:"How long a minion may take to say whether it still runs the job (default 5s)." placeholder:"5s"`
	Lock         string          `help:"While the run goes on, its minions are busy for other runs with this lock." placeholder:"NAME"`
	LockPolicy   gaea.LockPolicy `help:"What to do about minions that are busy: wait for them (default), skip them, or refuse the run." enum:"wait,skip,refuse," default:"" placeholder:"wait|skip|refuse"`
	AllowEmpty   bool            `help:"A target that matches no minion is no error."`
	Idempotency  string          `name:"idempotency-key" help:"The same key gives the same run, however often it is asked for." placeholder:"KEY"`
}

// slicing are the flags that cut a run into slices.
type slicing struct {
	Batch       gaea.Amount    `short:"b" help:"Run in slices of this many minions: 5 or 10%." placeholder:"SIZE"`
	Mode        gaea.BatchMode `help:"stepped (default): a slice begins when the one before has ended; rolling: as minions end others begin." enum:"stepped,rolling," default:"" placeholder:"stepped|rolling"`
	WaitBetween gaea.Duration  `help:"Pause after a slice before the next; when rolling, after a minion before its place is taken." placeholder:"30s"`
	Canary      gaea.Amount    `help:"Tell so many minions first; one of them that does not end well halts the run." placeholder:"1"`
	CanaryHold  gaea.Hold      `help:"How long to hold after the canary, or manual: until jobd resume." placeholder:"10m|manual"`
	MaxFailures gaea.Allowance `help:"So many minions may go wrong: 0, 3 or 5%. One more halts the run and skips the rest." placeholder:"5%"`
	MinSample   int            `help:"Judge a share in --max-failures when so many minions have ended (default 10)." placeholder:"10"`
	Order       gaea.Order     `help:"In which order minions are told: sorted (default) or random." enum:"sorted,random," default:"" placeholder:"sorted|random"`
}

func (s *slicing) batch() gaea.Batch {
	return gaea.Batch{
		Size: s.Batch, Mode: s.Mode, Wait: s.WaitBetween, Canary: s.Canary, CanaryHold: s.CanaryHold,
		MaxFailures: s.MaxFailures, MinSample: s.MinSample, Order: s.Order,
	}
}

// Help is printed above the list of arguments.
func (*runCommand) Help() string {
	return `Examples:
  jobd run test.ping -t '*' --watch
  jobd run cmd.run 'uptime' -t 'web*' --returns
  jobd run state.apply nginx test=True -t 'G@role:web' --target-type compound -b 10% -w
  jobd run state.apply nginx -g web -b 10% --canary 1 --canary-hold manual --max-failures 5% -w
  jobd run pkg.upgrade -t '*' -b 20 --mode rolling --lock upgrades --lock-policy skip -w
  jobd run state.apply nginx -g web --template rolling --on-interrupt detach -w -o json

Without --watch it prints the run's id and comes back: see jobd show, jobd cancel, jobd pause, jobd retry.

` + stayHelp
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
	run, err := client.CreateRun(w.ctx, req, cmp.Or(c.Idempotency, uuid.NewString()))
	if err != nil {
		return w.notCreated(err)
	}
	return c.accepted(w, client, run, c.format)
}

// notCreated says what to do about a run that was not made, or of which nobody knows.
func (w *world) notCreated(err error) error {
	if w.ctx.Err() != nil {
		w.note("\njobd may have taken the run all the same: look with jobd runs --active, and stop it with jobd cancel\n")
		return exitError(ExitAway)
	}
	return inFlags(err)
}

// flagOf are the flags for fields of the API.
var flagOf = map[string]string{
	"batch.size": "--batch", "batch.mode": "--mode", "batch.wait": "--wait-between", "batch.canary": "--canary", "batch.canary_hold": "--canary-hold",
	"batch.max_failures": "--max-failures", "batch.min_sample": "--min-sample", "batch.order": "--order",
	"timeouts.job": "--timeout", "timeouts.slice": "--slice-timeout", "timeouts.gather": "--gather",
	"concurrency.lock": "--lock", "concurrency.policy": "--lock-policy", "job_template": "--template", "target_group": "--group",
	"master": "--master", "target.expr": "--target", "target.minions": "--target", "target.type": "--target-type", "outcomes": "--outcome", "grace": "--grace",
}

// inFlags names the flag that is wrong, where jobd names a field.
func inFlags(err error) error {
	e, ok := errors.AsType[*gaea.Error](err)
	if !ok || flagOf[e.Field] == "" {
		return err
	}
	named := *e
	named.Field = flagOf[e.Field]
	return &named
}

func (c *runCommand) request() (gaea.RunRequest, error) {
	args, kwargs := parseArguments(c.Args)
	req := gaea.RunRequest{
		Master: c.Master, Function: c.Function, Args: args, Kwargs: kwargs, TargetGroup: c.Group, JobTemplate: c.Template,
		Batch: c.batch(), Timeouts: gaea.Timeouts{Job: c.Timeout, Slice: c.SliceTimeout, Gather: c.Gather},
		Concurrency: gaea.Concurrency{Lock: c.Lock, Policy: c.LockPolicy}, AllowEmpty: c.AllowEmpty,
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
