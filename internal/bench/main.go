// Command bench measures the figures of docs/benchmarks.md on this machine: each against its peer in the same run, as medians
// and ratios. It starts a real Salt, a real jobd and a real Terraform, and prints a table in Markdown.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

type options struct {
	Only    []string `help:"Only these, with commas between: ${enum}. The four after runs are its parts." enum:"start,lag,rate,postgres,pgjsonb,fullspeed,questions,ping,plan,runs,publish,slices,cancel,down,engine,direct,memory,hostile,size" placeholder:"NAME" xor:"table"`
	Returns int      `help:"Returns in PostgreSQL when questions are asked; a fifth of them in SQLite." default:"10000000"`
	Keep    string   `help:"Directory where the archives that questions are asked of stay, to be asked again without being made again." placeholder:"DIR" type:"path"`
	Rounds  int      `help:"Rounds of what is compared command by command." default:"9"`
	Output  string   `help:"File that is given the table instead of standard output; all figures are measured then." xor:"table" placeholder:"FILE" type:"path"`
}

// figure is one line of the table.
type figure struct {
	what   string
	wanted string
	got    string
	ok     bool
}

// measurement makes figures in a directory of its own.
type measurement struct {
	name  string
	run   func(ctx context.Context, b *bench) ([]figure, error)
	parts []string // that can be measured alone
}

// bench is what measurements share.
type bench struct {
	jobd    string // the built binary
	work    string
	rounds  int
	returns int
	keep    string   // where archives stay; empty: they go with work
	only    []string // what is measured; empty: everything
	config  string   // Terraform's, see mirror; empty: not made yet
}

// mirror makes the provider's mirror, once for all that is measured, and returns the Terraform CLI configuration that names it.
func (b *bench) mirror(ctx context.Context) (config string, err error) {
	if b.config == "" {
		b.config, err = jobdlab.Mirror(ctx, b.work)
	}
	return b.config, err
}

// wants says whether something is to be measured that goes by one of these names.
func (b *bench) wants(names ...string) bool {
	return len(b.only) == 0 || slices.ContainsFunc(names, func(name string) bool { return slices.Contains(b.only, name) })
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("bench"), kong.Description("Measures the figures of docs/benchmarks.md on this machine."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	work, err := os.MkdirTemp("", "gaea-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	say("building jobd")
	binary, err := jobdlab.Build(ctx, work)
	if err != nil {
		return err
	}
	b := &bench{jobd: binary, work: work, rounds: o.Rounds, returns: o.Returns, keep: o.Keep, only: o.Only}
	var figures []figure
	for _, m := range []measurement{
		{name: "start", run: measureStart}, {name: "lag", run: measureLag}, {name: "rate", run: measureRate}, {name: "postgres", run: measurePostgres}, {name: "pgjsonb", run: measurePgjsonb},
		{name: "fullspeed", run: measureFullSpeed}, {name: "questions", run: measureQuestions}, {name: "ping", run: measurePing},
		{name: "plan", run: measurePlan}, {name: "runs", run: measureRuns, parts: runParts()}, {name: "engine", run: measureEngine},
		{name: "direct", run: measureDirect}, {name: "memory", run: measureMemory}, {name: "hostile", run: measureHostile}, {name: "size", run: measureSize},
	} {
		if !b.wants(append(m.parts, m.name)...) {
			continue
		}
		say("measuring: " + m.name)
		f, err := m.run(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		figures = append(figures, f...)
	}
	table := render(figures)
	if o.Output != "" {
		return os.WriteFile(o.Output, []byte(table), 0o644)
	}
	fmt.Print(table)
	return nil
}

func render(figures []figure) string {
	var t strings.Builder
	t.WriteString(preface)
	fmt.Fprintf(&t, "Measured on %s, %d cores (%s), %s, Salt %s.\n\n", time.Now().Format("2006-01-02"), runtime.NumCPU(), cpuModel(), runtime.Version(), saltVersion())
	t.WriteString("| what | to reach | measured |\n|---|---|---|\n")
	for _, f := range figures {
		mark := ""
		if !f.ok {
			mark = " (not reached)"
		}
		fmt.Fprintf(&t, "| %s | %s | %s%s |\n", f.what, f.wanted, f.got, mark)
	}
	return t.String()
}

// preface says how the figures come about.
const preface = `# Benchmarks

Written by ` + "`make bench`" + `, which starts a real Salt, a real jobd and a real Terraform. What is compared runs in turn in the same run, so
that a noisy machine slows both; times are medians, with the smallest and the largest behind them. The bus of the archive's figures is
a generator on a socket that frames messages as Salt 3008 does; jobd reads it as it reads a master. Lag is told by jobd's own
histogram, as the upper end of the bucket that the quantile falls into. For the rate jobd is given a queue of 512 MiB (` + "`--queue`" + `; 64 by
default), because the generator is faster than any master. No two of its returns have the same content, so the archive, which stores equal
content once, has nothing to save. What a raw insert is given is all that the store has written of the same batches, read from its
tables: all rows with all columns, ready, and at the end its tables are the store's; SQLite gets 1 and 16 rows a statement (more are no
faster) and the faster counts, PostgreSQL a COPY, and one statement for the rows of a table that may be there already. PostgreSQL runs on the same machine with the settings that it has by default, and takes its
part of the cores. A real master's full speed is what it relays from a writer that never pauses; it cuts off a reader that falls far behind. Salt's
event_return: pgjsonb runs as the process that a master makes for it, with a filter that leaves returns alone through. Questions are asked of jobd's API, 200 times each with varied arguments, for pages of 20 lines, every fourth time for a
second page. Their archive is that of 2,000 minions: one day of highstates, pings, runs of single SLS files, commands and schedules is stored
as jobd stores it, and copied to the days before.

`

func saltVersion() string {
	if v := os.Getenv("SALT_VERSION"); v != "" {
		return v
	}
	return saltlab.DefaultVersion
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return runtime.GOARCH
}

// dir makes a directory for one measurement.
func (b *bench) dir(name string) (string, error) {
	d := filepath.Join(b.work, name)
	return d, os.MkdirAll(d, 0o700)
}

func say(text string) { fmt.Fprintln(os.Stderr, "==>", text) }
