// Command killtest starts a real Salt and a real jobd, kills jobd with SIGKILL at random moments in the life of runs, starts
// it again, and checks that every run goes on to its right end. It stops at the first one that does not, with exit code 1
// and all that is needed to repeat it.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/killtest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

type options struct {
	Kills       int    `help:"How many kills have to fall within the life of a run." default:"100"`
	Seed        uint64 `help:"What is played follows from it; a random one when absent." placeholder:"N"`
	Round       int    `help:"The round to begin with, to repeat one." default:"1"`
	SaltVersion string `env:"SALT_VERSION" default:"${version}" help:"Version of Salt, which is installed where it is not there yet."`
	Minions     int    `help:"How many minions." default:"6"`
	Database    string `help:"Where the archive is: sqlite or postgres." enum:"sqlite,postgres" default:"sqlite"`
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("killtest"), kong.Description("Kills jobd at random moments and checks that every run goes on to its right end."),
		kong.Vars{"version": saltlab.DefaultVersion})
	if o.Kills < 1 || o.Minions < 2 || o.Round < 1 {
		fmt.Fprintln(os.Stderr, "killtest: it takes a kill, two minions and a round from 1")
		os.Exit(2)
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1 << 32) //nolint:gosec // a seed to be repeated, not a secret
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "killtest:", err)
		os.Exit(1)
	}
}

// run plays on a lab of its own. Where something did not hold, jobd's files are left for whoever looks into it.
func run(ctx context.Context, o options) (err error) {
	work, err := os.MkdirTemp("", "gaea-kill-")
	if err != nil {
		return err
	}
	defer func() {
		if v, violated := errors.AsType[*killtest.ViolationError](err); violated {
			err = fmt.Errorf("%w\njobd's archive and its log are in %s\nagain: make kill KILLS=1 SEED=%d ROUND=%d SALT_VERSION=%s",
				err, work, v.Seed, v.Round, o.SaltVersion)
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
		Version: o.SaltVersion, Minions: o.Minions, NoAPI: true, Progress: func(line string) { say("%s", line) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	database := ""
	if o.Database == "postgres" {
		server, failed := pglab.Start(ctx)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
		if database, err = server.Database(ctx); err != nil {
			return err
		}
	}
	jobd, err := jobdlab.Start(ctx, jobdlab.Config{
		Binary: binary, SaltConfigDir: lab.ConfigDir(), Dir: work, Database: database, Args: []string{"--log-level", "debug"},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, jobd.Stop()) }()
	token, err := jobd.Token(ctx, "apply", "killtest")
	if err != nil {
		return err
	}
	client, err := jobdclient.New(jobdclient.Config{Endpoint: jobd.Endpoint, Token: token})
	if err != nil {
		return err
	}
	defer client.Close()
	began := time.Now()
	summary, err := killtest.Play(ctx, killtest.Config{
		Lab: lab, Jobd: jobd, Client: client, Kills: o.Kills, Seed: o.Seed, First: o.Round, Say: func(line string) { say("%s", line) },
	})
	say("\n%s\nseed %d, Salt %s, %s", summary, o.Seed, lab.Version(), time.Since(began).Round(time.Second))
	return err
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
