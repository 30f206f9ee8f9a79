// Package command is jobd's command line: it serves, makes tokens, and asks a running jobd for runs, checks and drift. Each
// command is a file; what they print is made for people, and for scripts with --output json, csv or tsv.
package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// Exit codes of jobd, as its help says.
const (
	ExitOK        = 0 // it was done, and nothing is wrong
	ExitFailed    = 1 // it could not be done, as the error says; or a run failed, was halted or timed out; or the archive lacks something
	ExitUsage     = 2 // the command line is wrong
	ExitNotOK     = 3 // an assignment drifted
	ExitCancelled = 3 // a run was cancelled
	ExitAway      = 4 // jobd could not be reached, or a run was left before its end: how it ends is not known; or the archive could not be verified
)

// exitCodes is for the help.
const exitCodes = "Exit codes: 0 done and well, 1 could not be done, or a run failed, was halted or timed out, or the archive lacks something, 2 wrong usage, 3 a run was cancelled, or " +
	"drift was found, 4 jobd could not be reached, or a run was left before its end, or the archive could not be verified."

type root struct {
	Serve     serveCommand     `cmd:"" help:"Archive the master's event bus, and serve the API."`
	Token     tokenCommand     `cmd:"" help:"Make, list and revoke tokens."`
	Run       runCommand       `cmd:"" help:"Run a Salt function on minions."`
	Runs      runsCommand      `cmd:"" help:"List runs."`
	Show      showCommand      `cmd:"" help:"Show a run: how each minion ended, and why."`
	Cancel    cancelCommand    `cmd:"" help:"Stop a run: publish nothing more, kill what runs, and verify it."`
	Pause     pauseCommand     `cmd:"" help:"Let a run's slice end, and begin nothing more until it is resumed."`
	Resume    resumeCommand    `cmd:"" help:"Let a paused run go on."`
	Retry     retryCommand     `cmd:"" help:"Run again what went wrong in a run, on just those minions."`
	Jobs      jobsCommand      `cmd:"" help:"List jobs, whoever started them."`
	Job       jobCommand       `cmd:"" help:"Show a job: how each minion ended, and the jobs that belong to it."`
	History   historyCommand   `cmd:"" help:"Show what ran on a minion, and how it ended."`
	States    statesCommand    `cmd:"" help:"Show the last result of each state on each minion."`
	Changes   changesCommand   `cmd:"" help:"Show what changed a file, a package or a service, and when."`
	Failures  failuresCommand  `cmd:"" help:"Show the minions on which an SLS file failed."`
	Slowest   slowestCommand   `cmd:"" help:"Show the slowest states."`
	Durations durationsCommand `cmd:"" help:"Show how long a highstate, or SLS files, take over time."`
	Events    eventsCommand    `cmd:"" help:"List beacons, custom events, and what minions forged."`
	Archive   archiveCommand   `cmd:"" help:"Say whether the archive is complete and how large it is; hold, export, import, and back up."`
	Check     checkCommand     `cmd:"" help:"Make a test run of an assignment now, and show its drift."`
	Drift     driftCommand     `cmd:"" help:"Show the drift of assignments by what the archive knows."`
	Masters   mastersCommand   `cmd:"" help:"Show the masters of the archive, and which jobd leads each."`
	Version   versionCommand   `cmd:"" help:"Print jobd's version."`
}

// world is what a command may touch.
type world struct {
	Process
	ctx     context.Context
	origins map[string]string // of flags whose value is from a config file: where it stands there
	dialled bool              // the command speaks with a jobd elsewhere
}

// exitError ends jobd with a code and no further words.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is a command line that is wrong.
type usageError string

func (e usageError) Error() string { return string(e) }

// Main runs the command that the process's arguments name and returns the exit code. The context's end stops it.
func Main(ctx context.Context, p Process) int {
	w := &world{Process: p, ctx: ctx, origins: map[string]string{}}
	args := p.Args
	exit := -1
	parser, err := kong.New(&root{},
		kong.Name("jobd"),
		kong.Description("jobd stands beside a Salt master, keeps its history, and runs jobs that always end right.\n\n"+
			"On the master:  jobd serve, and jobd token create --role apply --name you\n\n"+
			"From anywhere:  export GAEA_ENDPOINT=… GAEA_TOKEN=…, then jobd run, runs, show, cancel, pause, resume, retry, check, drift\n\n"+
			exitCodes),
		kong.Writers(p.Stdout, p.Stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Vars{"roles": "read,plan,apply,admin", "statuses": joined(gaea.RunStatuses()), "moments": moments},
		kong.Bind(w),
	)
	if err != nil {
		_, _ = fmt.Fprintln(p.Stderr, "jobd:", err)
		return ExitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exit >= 0 { // --help
		return exit
	}
	if err != nil {
		return w.misuse(err)
	}
	return w.fail(k.Run())
}

// misuse says what is wrong with the command line, or with the config file that stands for a part of it.
func (w *world) misuse(err error) int {
	text := err.Error()
	if e, ok := errors.AsType[*gaea.Error](err); ok && text == e.Error() {
		text = gaea.MessageOf(e)
	}
	for flag, origin := range w.origins {
		if rest, ok := strings.CutPrefix(text, "--"+flag); ok && (strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, " ")) {
			text = origin + rest
		}
	}
	_, _ = fmt.Fprintln(w.Stderr, "jobd:", text)
	return ExitUsage
}

func (w *world) fail(err error) int {
	if err == nil {
		return ExitOK
	}
	if exit, ok := errors.AsType[exitError](err); ok {
		return int(exit)
	}
	if usage, ok := errors.AsType[usageError](err); ok {
		_, _ = fmt.Fprintln(w.Stderr, "jobd:", usage)
		return ExitUsage
	}
	text := err.Error()
	if e, ok := errors.AsType[*gaea.Error](err); ok {
		text = gaea.MessageOf(err) + causeOf(e)
	}
	_, _ = fmt.Fprintln(w.Stderr, "jobd:", text)
	if w.dialled && gaea.CodeOf(err) == gaea.CodeUnavailable || w.dialled && gaea.CodeOf(err) == gaea.CodeTimeout {
		return ExitAway
	}
	return ExitFailed
}

// causeOf is a second line for what the message leaves out. A jobd elsewhere has the cause in its log, under a number that
// helps only where the fault is not the caller's.
func causeOf(e *gaea.Error) string {
	if e.Err == nil {
		return ""
	}
	cause := e.Err.Error()
	if request, ok := strings.CutPrefix(cause, "urn:gaea:request:"); ok {
		switch e.Code {
		case gaea.CodeInternal, gaea.CodeUnavailable, gaea.CodeTimeout, gaea.CodeSalt:
			return "\n  jobd's log has more under request " + request
		default:
			return ""
		}
	}
	return "\n  cause: " + cause
}

// printf writes for people. A broken pipe is no error of ours.
func (w *world) printf(format string, args ...any) { _, _ = fmt.Fprintf(w.Stdout, format, args...) }

// note writes beside the output proper, so that scripts can read stdout alone.
func (w *world) note(format string, args ...any) { _, _ = fmt.Fprintf(w.Stderr, format, args...) }

// remote is how client commands reach a jobd.
type remote struct {
	Endpoint string `help:"Where jobd listens; ${default} when absent." default:"http://127.0.0.1:7780" env:"GAEA_ENDPOINT" placeholder:"URL"`
	Token    string `help:"Token; better given in the environment, where other users of the machine can't read it." env:"GAEA_TOKEN" placeholder:"TOKEN"`
	CAFile   string `help:"PEM file of the CA that signed jobd's certificate." env:"GAEA_CA_FILE" type:"path" placeholder:"FILE"`
}

func (r remote) dial(w *world) (*jobdclient.Client, error) {
	if r.Token == "" {
		return nil, gaea.Errorf(gaea.CodeUnauthenticated, "no token is given; set GAEA_TOKEN to one made with: jobd token create")
	}
	w.dialled = true
	return jobdclient.New(jobdclient.Config{
		Endpoint: r.Endpoint, Token: r.Token, CAFile: r.CAFile,
		UserAgent: "jobd/" + w.Version, Logger: slog.New(slog.DiscardHandler),
	})
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(w *world) error {
	w.printf("jobd %s\n", w.Version)
	return nil
}

// joined writes words with commas between.
func joined[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return strings.Join(texts, ",")
}
