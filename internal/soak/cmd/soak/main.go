// Command soak starts a master of a real Salt, a real jobd and hundreds of simulated minions, and plays scenarios of load and
// faults. It goes on to the next where one did not hold, and ends with a verdict: exit code 0 where all held, 1 where one did
// not, 2 where it was asked for something that there is not.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/soak"
)

type options struct {
	Minions     int      `help:"How many minions are simulated." default:"500"`
	Seed        uint64   `help:"Who is odd, and how much, follows from it; a random one when 0 or absent." placeholder:"N"`
	SaltVersion string   `env:"SALT_VERSION" default:"${version}" help:"Version of Salt, which is installed where it is not there yet."`
	Scenarios   []string `help:"Which scenarios are played, with commas between; all when absent." placeholder:"NAME"`
	List        bool     `help:"List the scenarios, and play none."`
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("soak"), kong.Description("Plays scenarios of load and faults with simulated minions on a real Salt master."),
		kong.Vars{"version": saltlab.DefaultVersion})
	if o.List {
		for _, s := range soak.Scenarios() {
			say("%-10s %s", s.Name, s.About)
		}
		return
	}
	chosen, err := o.choose()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1 << 32) //nolint:gosec // a seed to be repeated, not a secret
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o, chosen)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// choose finds the scenarios that are asked for.
func (o options) choose() ([]soak.Scenario, error) {
	if o.Minions < soak.MinMinions {
		return nil, fmt.Errorf("%d minions are too few: the scenarios need %d", o.Minions, soak.MinMinions)
	}
	all := soak.Scenarios()
	if len(o.Scenarios) == 0 {
		return all, nil
	}
	var chosen []soak.Scenario
	for _, name := range o.Scenarios {
		i := slices.IndexFunc(all, func(s soak.Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q; --list names them", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// run plays on a lab of its own. Where something did not hold, jobd's files are left for whoever looks into it.
func run(ctx context.Context, o options, chosen []soak.Scenario) (err error) {
	work, err := os.MkdirTemp("", "gaea-soak-")
	if err != nil {
		return err
	}
	defer func() {
		if errors.Is(err, errDidNotHold) {
			err = fmt.Errorf("%w\njobd's archive and its log are in %s", err, work)
			return
		}
		err = errors.Join(err, os.RemoveAll(work))
	}()
	say("seed %d, Salt %s, %d minions; building jobd", o.Seed, o.SaltVersion, o.Minions)
	binary, err := jobdlab.Build(ctx, work)
	if err != nil {
		return err
	}
	lab, err := saltlab.Start(ctx, saltlab.Config{
		Version: o.SaltVersion, MinionIDs: []string{}, NoAPI: true, Progress: func(line string) { say("%s", line) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	jobd, err := jobdlab.Start(ctx, jobdlab.Config{Binary: binary, SaltConfigDir: lab.ConfigDir(), Dir: work, Args: []string{"--log-level", "debug"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, jobd.Stop()) }()
	token, err := jobd.Token(ctx, "apply", "soak")
	if err != nil {
		return err
	}
	client, err := jobdclient.New(jobdclient.Config{Endpoint: jobd.Endpoint, Token: token})
	if err != nil {
		return err
	}
	defer client.Close()
	return play(ctx, soak.Config{
		Lab: lab, Jobd: jobd, Client: client, Minions: o.Minions, Seed: o.Seed, Say: func(line string) { say("%s", line) },
	}, chosen)
}

var errDidNotHold = errors.New("not all scenarios held")

// play plays each scenario and says the verdict.
func play(ctx context.Context, cfg soak.Config, chosen []soak.Scenario) error {
	began := time.Now()
	var verdicts, broken []string
	for i, scenario := range chosen {
		say("\n%d of %d  %s: %s", i+1, len(chosen), scenario.Name, scenario.About)
		seen, err := soak.Play(ctx, cfg, scenario)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			say("  %v", err)
			verdicts = append(verdicts, fmt.Sprintf("FAILED  %s", scenario.Name))
			broken = append(broken, scenario.Name)
			continue
		}
		verdicts = append(verdicts, "held    "+seen)
	}
	say("\nseed %d, Salt %s, %d minions, %s\n%s", cfg.Seed, cfg.Lab.Version(), cfg.Minions, time.Since(began).Round(time.Second), strings.Join(verdicts, "\n"))
	if len(broken) > 0 {
		say("%d of %d scenarios did not hold; again: make soak MINIONS=%d SEED=%d SALT_VERSION=%s SCENARIOS=%s",
			len(broken), len(chosen), cfg.Minions, cfg.Seed, cfg.Lab.Version(), strings.Join(broken, ","))
		return errDidNotHold
	}
	say("all %d scenarios held", len(chosen))
	return nil
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
