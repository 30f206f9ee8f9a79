// Command demo shows Gaea on a real Salt: it applies examples/demo, changes a file behind everybody's back, and lets
// Terraform plan and repair it. Everything it starts is stopped at the end, also when it fails or is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

type options struct {
	Keep        bool   `help:"Leave everything running at the end, until Ctrl-C, and say how to reach it."`
	SaltVersion string `env:"SALT_VERSION" help:"Version of Salt; a pinned one when absent." placeholder:"VERSION"`
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("demo"), kong.Description("Shows Gaea on a real Salt on this machine."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, o)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted && o.Keep && err == nil:
	case interrupted:
		fmt.Fprintln(os.Stderr, "\ninterrupted; everything that the demo started is stopped")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "\nthe demo failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	began := time.Now()
	work, err := os.MkdirTemp("", "gaea-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	tf, err := prepareTerraform(work)
	if err != nil {
		return err
	}

	step("Starting Salt: a master, three minions and salt-api (the first time installs it, which takes a minute or two)")
	lab, err := saltlab.Start(ctx, saltlab.Config{Version: o.SaltVersion, States: filepath.Join("examples", "demo", "states"), Progress: say})
	if err != nil {
		return err
	}
	defer func() {
		say("stopping Salt")
		err = errors.Join(err, lab.Stop())
	}()

	step("Starting jobd beside the master, on SQLite")
	d, err := startJobd(ctx, work, lab.ConfigDir())
	if err != nil {
		return err
	}
	defer func() {
		say("stopping jobd")
		err = errors.Join(err, d.Stop())
	}()
	say("jobd listens on " + d.Endpoint)
	tf.env = append(os.Environ(), "GAEA_ENDPOINT="+d.Endpoint, "GAEA_TOKEN="+d.token)

	if err := show(ctx, tf, d, lab); err != nil {
		return fmt.Errorf("%w\n\njobd's log ends in:\n%s", err, d.Log(20))
	}
	step(fmt.Sprintf("Done in %s", time.Since(began).Round(time.Second)))
	if o.Keep {
		tellHowToReach(lab, d, tf)
		<-ctx.Done()
		fmt.Println()
	}
	return nil
}

// show is the demo itself.
func show(ctx context.Context, tf *terraform, d *demoJobd, lab *saltlab.Lab) error {
	step("terraform init, from a filesystem mirror, and apply")
	if err := tf.init(ctx); err != nil {
		return err
	}
	if err := tf.run(ctx, "apply", "-input=false", "-auto-approve"); err != nil {
		return err
	}

	page := filepath.Join(lab.MinionRoot("web2"), "site", "site.conf")
	step("Behind everybody's back, somebody edits " + filepath.Base(page) + " on web2")
	if err := tamper(page); err != nil {
		return err
	}

	step("jobd check site: a test run now")
	if err := d.command(ctx, "check", "site"); err != nil {
		return err
	}

	step("terraform plan: the drift, as a diff")
	if err := tf.planWants(ctx, planChanges); err != nil {
		return err
	}

	step("terraform apply: the repair, on web2 alone")
	if err := tf.run(ctx, "apply", "-input=false", "-auto-approve"); err != nil {
		return err
	}

	step("terraform plan: nothing to do")
	return tf.planWants(ctx, planEmpty)
}

// demoJobd is the demo's jobd: the built binary, run as users run it.
type demoJobd struct {
	*jobdlab.Jobd
	binary string
	token  string
}

func startJobd(ctx context.Context, work, saltConfigDir string) (*demoJobd, error) {
	binary, err := filepath.Abs(filepath.Join("bin", "jobd"))
	if err != nil {
		return nil, err
	}
	j, err := jobdlab.Start(ctx, jobdlab.Config{Binary: binary, SaltConfigDir: saltConfigDir, Dir: work})
	if err != nil {
		return nil, err
	}
	token, err := j.Token(ctx, "apply", "demo")
	if err != nil {
		return nil, errors.Join(err, j.Stop())
	}
	return &demoJobd{Jobd: j, binary: binary, token: token}, nil
}

// command runs jobd's command line and shows what it prints. Drift, which it tells by exit code 3, is no failure here.
func (d *demoJobd) command(ctx context.Context, args ...string) error {
	cmd := d.Command(ctx, d.token, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		return nil
	}
	return err
}

// tamper does what people do at night.
func tamper(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the file that Salt should have made: %w", err)
	}
	return os.WriteFile(path, replaceOnce(text, "keepalive = 30", "keepalive = 0  # quick fix, remove later"), 0o600)
}

func tellHowToReach(lab *saltlab.Lab, d *demoJobd, tf *terraform) {
	fmt.Printf(`
Everything is left running. In another terminal:

  export GAEA_ENDPOINT=%s
  export GAEA_TOKEN=%s
  export TF_CLI_CONFIG_FILE=%s

  cd %s && %s plan          # Terraform, in the demo's working directory
  %s runs                   # jobd's command line
  curl -s -H "Authorization: Bearer $GAEA_TOKEN" $GAEA_ENDPOINT/v1/jobs
  %s '*' test.ping          # Salt itself
  salt-api is at %s, user %s, password %s, eauth %s

Files of the minion web2 are in %s.
Ctrl-C here stops all of it (or: kill %d).
`, d.Endpoint, d.token, os.Getenv("TF_CLI_CONFIG_FILE"), tf.dir, tf.program, d.binary,
		lab.SaltCommand(), lab.APIURL(), lab.APIUser(), lab.APIPassword(), lab.APIEauth(), lab.MinionRoot("web2"), os.Getpid())
}

func step(text string) { fmt.Printf("\n==> %s\n", text) }

func say(text string) { fmt.Printf("    %s\n", text) }
