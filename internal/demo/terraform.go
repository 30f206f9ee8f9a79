package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// terraform is Terraform or OpenTofu in a working directory of the demo's own.
type terraform struct {
	program string
	dir     string
	env     []string
	flags   []string // for every command
}

// prepareTerraform finds the program and copies the example to where its state may be written.
func prepareTerraform(work string) (*terraform, error) {
	program := ""
	for _, name := range []string{"terraform", "tofu"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		return nil, errors.New("neither terraform nor tofu is in PATH; install Terraform from https://developer.hashicorp.com/terraform/install or OpenTofu from https://opentofu.org/docs/intro/install/")
	}
	if os.Getenv("TF_CLI_CONFIG_FILE") == "" {
		return nil, errors.New("TF_CLI_CONFIG_FILE names no mirror with the provider; start the demo with: make demo")
	}
	dir := filepath.Join(work, "terraform")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join("examples", "demo", "main.tf"))
	if err != nil {
		return nil, err
	}
	t := &terraform{program: program, dir: dir}
	if info, err := os.Stdout.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("NO_COLOR") != "" {
		t.flags = []string{"-no-color"}
	}
	return t, os.WriteFile(filepath.Join(dir, "main.tf"), text, 0o600)
}

// init installs the provider. What Terraform says about it is shown where it fails.
func (t *terraform) init(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, t.program, "init", "-input=false", "-no-color")
	cmd.Dir, cmd.Env = t.dir, t.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s init: %w\n%s", filepath.Base(t.program), err, out)
	}
	say(filepath.Base(t.program) + " has installed the provider")
	return nil
}

// run runs Terraform and shows what it prints. An interrupt reaches it as one Ctrl-C does, so that it can save its state.
func (t *terraform) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, t.program, append(args, t.flags...)...)
	cmd.Dir, cmd.Env = t.dir, t.env
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// A group of its own: a Ctrl-C on the terminal is for the demo, which passes it on once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(t.program), args[0], err)
	}
	return nil
}

// What terraform plan -detailed-exitcode says.
const (
	planEmpty   = 0
	planChanges = 2
)

// planWants plans, and fails where the plan is not as wanted: a demo that shows the wrong thing must not end well.
func (t *terraform) planWants(ctx context.Context, want int) error {
	err := t.run(ctx, "plan", "-input=false", "-detailed-exitcode")
	got := planEmpty
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("terraform plan ended with %d, and the demo expected %d", got, want)
	}
	return nil
}

func replaceOnce(text []byte, from, to string) []byte {
	return bytes.Replace(text, []byte(from), []byte(to), 1)
}
